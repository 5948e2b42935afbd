"""Option chains in a plan: what a line means, which options follow, and that they stay inside the limit."""

import pytest

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import (
    OptionClass,
    OptionsCentred,
    OptionsListed,
    Plan,
    PlannedChain,
    StreamStarted,
    SymbolChanged,
)
from services.planner.chains import derive_all, parse_chain, with_chains
from services.planner.config import ProjectConfig
from services.planner.core import Limits, Project, Sources, answer_of, select
from services.planner.state import Defaults, Folded, PlannerState, Publish, Read

TODAY = "20260105"
NOW = 1_767_623_400_000_000_000  # that day, 14:30 UTC
STRIKES = [580.0, 585.0, 590.0, 592.5, 595.0, 600.0]
LISTED = {
    "SPY": OptionsListed(
        "SPY",
        "SMART",
        [
            OptionClass("SPY", "100", ["20251219", "20260105", "20260116"], STRIKES),
            OptionClass("2SPY", "100", ["20260107", "20260116"], [100.0]),
        ],
    )
}
SOURCES = Sources(Project(1, "Test", ProjectConfig(symbols=("AAPL",), options={"spy": "3 strikes, 2 expiries, calls"})))


@pytest.mark.parametrize(
    ("line", "chain"),
    [
        ("5 strikes around the price, next 3 expiries", PlannedChain("SPY", 5, 3)),
        ("1 strike, 1 expiry, puts", PlannedChain("SPY", 1, 1, "P")),
        ("7 strikes, 2 expirations, calls, generic ticks 101,100", PlannedChain("SPY", 7, 2, "C", "100,101")),
    ],
)
def test_a_line(line: str, chain: PlannedChain) -> None:
    assert parse_chain("SPY", line) == chain


@pytest.mark.parametrize("line", ["", "5 strikes", "3 expiries", "0 strikes, 3 expiries", "500 strikes, 3 expiries"])
def test_a_line_that_says_nothing_is_a_warning_and_no_failure(line: str) -> None:
    with pytest.raises(IbStreamError, match="options of SPY"):
        parse_chain("SPY", line)
    found = derive_all(Start(), Sources(Project(1, "T", ProjectConfig(symbols=("AAPL",), options={"SPY": line}))))
    assert [one.contract.name for one in found.candidates] == ["AAPL"]
    assert found.warnings[0].startswith("options of SPY")


def test_the_strikes_around_the_price_of_the_next_expiries() -> None:
    answer = with_chains(derive_all(Start(), SOURCES), LISTED, {"SPY": 592.5}, TODAY)
    assert [(one.contract.name, one.reason) for one in answer.candidates] == [
        ("AAPL", "project symbol"),
        ("SPY", "underlying of its options"),
        ("SPY260105C00592500", "options of SPY"),
        ("SPY260105C00590000", "options of SPY"),
        ("SPY260105C00595000", "options of SPY"),
        ("2SPY260107C00100000", "options of SPY"),
    ]
    selection = select(answer, Limits(100, 100))
    plan = Plan(1, 1, NOW, True, selection.symbols, selection.cut, chains=list(answer.chains))
    again = with_chains(answer_of(plan), LISTED, {"SPY": 592.5}, TODAY)
    assert select(again, Limits(100, 100)) == selection


def test_before_the_gateway_has_told_anything_the_underlying_is_planned_alone() -> None:
    answer = with_chains(derive_all(Start(), SOURCES), {}, {}, TODAY)
    assert [one.contract.name for one in answer.candidates] == ["AAPL", "SPY"]
    assert answer.warnings == ("options of SPY: what IB lists, or the price, is not known yet",)


def test_options_come_behind_what_is_named_and_inside_the_limit() -> None:
    answer = with_chains(derive_all(Start(), SOURCES), LISTED, {"SPY": 592.5}, TODAY)
    selection = select(answer, Limits(max_symbols=3, line_limit=100))
    assert [one.symbol for one in selection.symbols] == ["AAPL", "SPY", "SPY260105C00592500"]
    assert [one.symbol for one in selection.cut] == ["SPY260105C00590000", "SPY260105C00595000", "2SPY260107C00100000"]


def test_a_start_that_names_its_symbols_has_no_options() -> None:
    assert derive_all(Start(symbols=["AAPL"]), SOURCES).chains == ()


def test_a_stock_abroad_has_options_in_the_long_notation() -> None:
    sources = Sources(Project(1, "T", ProjectConfig(symbols=(), options={"SAP:IBIS:EUR": "1 strike, 1 expiry, puts"})))
    listed = {
        "SAP_IBIS_EUR": OptionsListed("SAP_IBIS_EUR", "EUREX", [OptionClass("SAP", "100", ["20260116"], [240.5])])
    }
    answer = with_chains(derive_all(Start(), sources), listed, {"SAP_IBIS_EUR": 240.5}, TODAY)
    assert [one.contract.name for one in answer.candidates] == [
        "SAP_IBIS_EUR",
        "SAP_EUREX_EUR_OPT_20260116_240.5_P_SAP",
    ]


def test_the_plan_follows_the_centre_and_nothing_else() -> None:
    state = PlannerState(Defaults(), Folded(), None, NOW)
    state.on_control(StreamStarted(project_id=1), 1, NOW)
    (read,) = state.turn(NOW)
    assert isinstance(read, Read)
    (published,) = state.on_read(read.number, derive_all(Start(), SOURCES), NOW)
    state.on_link(LISTED["SPY"])
    state.on_link(OptionsCentred(symbol="SPY", strike=590.0))
    (published,) = state.turn(NOW)
    assert isinstance(published, Publish)
    before = {one.symbol for one in published.plan.symbols}
    state.on_link(OptionsCentred(symbol="SPY", strike=592.5))
    (published,) = state.turn(NOW)
    assert isinstance(published, Publish)
    after = {one.symbol for one in published.plan.symbols}
    assert after - before == {"SPY260105C00595000"} and before - after == {"SPY260105C00585000"}
    state.on_link(OptionsCentred(symbol="SPY", strike=592.5))
    assert state.turn(NOW) == []
    # IB tells one list of strikes for all expiries: where one is missing, the next one is taken.
    gone = SymbolChanged("SPY260105C00590000", "rejected", True, "no_contract", 200)
    state.on_link(gone)
    (published,) = state.turn(NOW)
    assert isinstance(published, Publish)
    assert {one.symbol for one in published.plan.symbols} - after == {"SPY260105C00585000"}
    assert gone.symbol not in {one.symbol for one in published.plan.symbols}
    state.on_link(gone)
    state.on_link(SymbolChanged("AAPL", "rejected", True, "no_contract", 200))
    assert state.turn(NOW) == []


FRONT = "ES_CME_USD_FUT_FRONT"
ON_FUTURE = OptionsListed(
    FRONT,
    "CME",
    [
        OptionClass("ES", "50", ["20260116", "20260320"], [6900.0, 6950.0, 7000.0]),
        OptionClass("E1A", "50", ["20260105"], [6925.0, 6950.0]),
    ],
)


def test_options_on_a_future_have_its_exchange_and_their_own_class() -> None:
    config = ProjectConfig(symbols=("AAPL",), options={"es:cme:usd:fut:front": "1 strike, 2 expiries"})
    answer = derive_all(Start(), Sources(Project(1, "T", config)))
    found = with_chains(answer, {FRONT: ON_FUTURE}, {FRONT: 6940.0}, TODAY)
    assert [one.contract.name for one in found.candidates] == [
        "AAPL",
        FRONT,
        "ES_CME_USD_FOP_20260105_6950_C_E1A",
        "ES_CME_USD_FOP_20260105_6950_P_E1A",
        "ES_CME_USD_FOP_20260116_6950_C_ES",
        "ES_CME_USD_FOP_20260116_6950_P_ES",
    ]
    assert {one.chain for one in found.candidates[2:]} == {FRONT}


@pytest.mark.parametrize(
    ("underlying", "sentence"),
    [
        ("EUR:IDEALPRO:USD:CASH", "CASH has no chain that is served; expected a stock, an index or a future"),
        ("AAPL  261218C00240000", "OPT has no chain that is served"),
        ("ESZ6:CME:USD:FUT", "is named by its month, as ES:CME:USD:FUT:202612, or front or second"),
    ],
)
def test_an_underlying_whose_chain_is_not_served_is_refused_with_a_sentence(underlying: str, sentence: str) -> None:
    with pytest.raises(IbStreamError, match=sentence):
        parse_chain(underlying, "5 strikes, 3 expiries")
