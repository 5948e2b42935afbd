"""The plan's core: sources in order, reasons, limits by importance, and calm near the limit."""

import random

import pytest

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import Plan
from services.base.symbols import parse
from services.planner.config import ProjectConfig, Theme
from services.planner.core import MAX_CUT_LISTED, Limits, Project, Sources, answer_of, derive, notation, select
from services.planner.items import Item, Member

WIDE = Limits(max_symbols=100, line_limit=100)


def items(*symbols: str) -> list[Item]:
    return [Item(symbol, line, rank=line - 1) for line, symbol in enumerate(symbols, 2)]


def project(**config) -> Project:
    return Project(1, "Test", ProjectConfig(**config))


def reasons(sources: Sources, request: Start | None = None, limits: Limits = WIDE) -> dict[str, str]:
    selection = select(derive(request or Start(), sources), limits)
    assert [s.priority for s in selection.symbols] == sorted(s.priority for s in selection.symbols)
    return {s.symbol: s.reason for s in selection.symbols}


def chosen(sources: Sources, limit: int, incumbents: set[str] | None = None) -> list[str]:
    selection = select(derive(Start(), sources), Limits(limit, 1000), frozenset(incumbents or ()))
    return [s.symbol for s in selection.symbols]


# --- sources ---


def test_where_what_is_held_is_planned_a_project_may_name_nothing() -> None:
    assert derive(Start(), Sources(project()), adds_held=True).candidates == ()
    for sources in (Sources(project(), 3, []), Sources(project(symbols=("??",))), Sources()):
        with pytest.raises(IbStreamError, match=r"no symbols|neither a project|could not be read"):
            derive(Start(), sources, adds_held=True)


def test_the_snapshot_then_what_is_configured() -> None:
    config = {"benchmark": ("SPY",), "symbols": ("IWM",)}
    assert reasons(Sources(project(**config), 12, items("AAPL", "NVDA"))) == {
        "SPY": "benchmark",
        "AAPL": "decision_snapshot 12, rank 1",
        "NVDA": "decision_snapshot 12, rank 2",
    }
    assert reasons(Sources(project(**config))) == {"SPY": "benchmark", "IWM": "project symbol"}


def test_symbols_of_the_request_come_first_and_the_benchmark_stays_in() -> None:
    request = Start(symbols=["SPY", "qqq"])
    assert reasons(Sources(), request) == {"SPY": "requested", "QQQ": "requested"}
    held = Sources(project(benchmark=("DIA",), risk_off_symbols=("BIL", "TLT"), symbols=("IWM",)))
    assert reasons(held, request) == {
        "DIA": "benchmark",
        "BIL": "risk_off",
        "TLT": "risk_off",
        "SPY": "requested",
        "QQQ": "requested",
    }


def test_one_symbol_for_several_reasons() -> None:
    held = Sources(project(benchmark=("SPY",), risk_off_symbols=("SPY",)), 7, items("NVDA", "SPY", "spy", "NVDA"))
    assert reasons(held) == {
        "SPY": "benchmark; risk_off; decision_snapshot 7, rank 2",
        "NVDA": "decision_snapshot 7, rank 1",
    }


def test_themes_take_members_manual_and_exclude() -> None:
    universe = [
        Member("XOM", "energy", "stock"),
        Member("USO", "energy", "etf"),
        Member("CVX", "energy", "stock"),
        Member("NVDA", "tech", "stock"),
        Member("TSLA", "tech", "stock"),
        Member("MO", "sin", "stock"),
    ]
    themes = (
        Theme("Energy", weight=0.5, priority=1, manual=("SLB", "TSLA"), exclude=("CVX",)),
        Theme("tech", weight=0.5, priority=2),
        Theme("sin", weight=0, priority=9, manual=("PM",)),
    )
    assert reasons(Sources(project(themes=themes, asset_types=frozenset({"stock"})), universe=universe)) == {
        "NVDA": "theme tech",
        "TSLA": "theme tech",  # the theme of higher priority has it
        "SLB": "theme Energy",
        "XOM": "theme Energy",
    }


def test_overrides_change_the_contract_and_keep_the_name() -> None:
    held = project(symbols=("BMW", "ES"), contracts={"bmw": "BMW:IBIS:EUR", "ES": {"sec_type": "FUT"}, "%": "X"})
    selection = select(derive(Start(), Sources(held)), WIDE)
    (bmw,) = selection.symbols
    assert (bmw.symbol, bmw.exchange, bmw.currency, bmw.ib_symbol) == ("BMW", "IBIS", "EUR", "")
    assert any("needs its month" in warning for warning in selection.warnings)
    assert any(warning.startswith("contracts: '%'") for warning in selection.warnings)


def test_ib_symbol_is_given_where_it_differs() -> None:
    selection = select(derive(Start(symbols=["BRK.B", "AAPL", "SAP:IBIS:EUR"]), Sources()), WIDE)
    assert [(s.symbol, s.ib_symbol) for s in selection.symbols] == [
        ("BRK.B", "BRK B"),
        ("AAPL", ""),
        ("SAP_IBIS_EUR", "SAP"),
    ]


def test_two_contracts_of_one_name_are_said() -> None:
    answer = derive(Start(), Sources(project(), 1, items("CAT:SMART:USD:STK:NYSE", "CAT")))
    assert [c.contract.primary_exchange for c in answer.candidates] == ["NYSE"]
    assert answer.warnings == ("CAT is asked for as two contracts; planned is CAT:SMART:USD:STK:NYSE",)


def test_rows_that_are_no_symbols_are_left_out_and_said() -> None:
    answer = derive(Start(), Sources(project(), 12, items("AAPL", "../../etc/passwd", "NVDA", "N/A")))
    assert [c.contract.name for c in answer.candidates] == ["AAPL", "NVDA"]
    assert len(answer.warnings) == 2
    assert answer.warnings[0].startswith("decision_snapshot 12, line 3: '../../etc/passwd' is not a symbol")


def test_many_bad_rows_are_counted_not_listed() -> None:
    answer = derive(Start(), Sources(project(), 1, items("AAPL", *(f"?{n}" for n in range(5_000)))))
    assert len(answer.warnings) <= 21
    assert answer.warnings[-1] == "5000 symbols in all could not be read"


@pytest.mark.parametrize(
    ("request_", "sources", "code"),
    [
        (Start(symbols=[]), Sources(), "symbols_empty"),
        (Start(symbols=["  "]), Sources(), "symbols_empty"),
        (Start(symbols=["SPY", "../x"]), Sources(), "invalid_symbol"),
        (Start(symbols=["SPY"], max_symbols=0), Sources(), "invalid_request"),
        (Start(symbols=["SPY"], refresh_interval_seconds=4.9), Sources(), "invalid_request"),
        (Start(symbols=["SPY"], refresh_interval_seconds=float("nan")), Sources(), "invalid_request"),
        (Start(), Sources(project()), "symbols_empty"),
        (Start(), Sources(project(benchmark=("SPY",)), 3, []), "symbols_empty"),
        (Start(), Sources(project(), 3, items("??", "!!")), "symbols_empty"),
    ],
)
def test_what_gives_no_plan_is_a_coded_error(request_: Start, sources: Sources, code: str) -> None:
    with pytest.raises(IbStreamError) as caught:
        derive(request_, sources)
    assert caught.value.code == code


# --- limits ---


def test_the_cut_is_by_rank_then_weight_then_score_then_name() -> None:
    rows = [
        Item("ZED", 2, rank=1),
        Item("BIG", 3, weight=-0.9),
        Item("SMALL", 4, weight=0.1),
        Item("GOOD", 5, score=9),
        Item("BAD", 6, score=1),
        Item("ABLE", 7),
        Item("AAA", 8),
        Item("LATE", 9, rank=2, weight=5.0),
    ]
    random.Random(1).shuffle(rows)
    sources = Sources(project(), 1, rows)
    order = ["ZED", "LATE", "BIG", "SMALL", "GOOD", "BAD", "AAA", "ABLE"]
    assert [chosen(sources, limit) for limit in range(1, 9)] == [order[:limit] for limit in range(1, 9)]


def test_what_is_cut_says_why_and_carries_its_contract() -> None:
    answer = derive(Start(), Sources(project(benchmark=("SPY",)), 12, items("AAPL", "SAP:IBIS:EUR", "MSFT")))
    selection = select(answer, Limits(max_symbols=2, line_limit=50))
    assert [s.symbol for s in selection.symbols] == ["SPY", "AAPL"]
    cut = selection.cut[0]
    assert (cut.symbol, cut.reason, cut.priority) == ("SAP_IBIS_EUR", "over max_symbols 2", 2)
    assert cut.contract and cut.contract.exchange == "IBIS"
    assert cut.contract.reason == "decision_snapshot 12, rank 2"
    by_lines = select(answer, Limits(max_symbols=100, line_limit=3))
    assert [(c.symbol, c.reason) for c in by_lines.cut] == [("MSFT", "over the limit of 3 market data lines")]


def test_benchmark_and_risk_off_go_last_and_the_loss_is_said() -> None:
    held = Sources(project(benchmark=("SPY",), risk_off_symbols=("TLT", "BIL")), 1, items("AAPL", "NVDA"))
    assert chosen(held, 3, {"AAPL", "NVDA"}) == ["SPY", "TLT", "BIL"]
    selection = select(derive(Start(), held), Limits(1, 100))
    assert [s.symbol for s in selection.symbols] == ["SPY"]
    assert "not even the benchmark and risk-off symbols fit: TLT, BIL" in selection.warnings[0]


def test_a_very_long_cut_is_listed_in_part() -> None:
    answer = derive(Start(), Sources(project(), 1, items(*(f"S{n}" for n in range(3_000)))))
    selection = select(answer, WIDE)
    assert len(selection.symbols) == 100
    assert len(selection.cut) == MAX_CUT_LISTED
    assert selection.warnings == ["1900 more symbols are cut and not listed: over max_symbols 100"]


def test_small_changes_of_rank_change_nothing() -> None:
    names = [f"S{n:02d}" for n in range(40)]
    incumbents = set(chosen(Sources(project(), 1, items(*names)), 20))
    assert incumbents == set(names[:20])
    rng = random.Random(7)
    for _ in range(50):
        jittered = sorted(names, key=lambda name: names.index(name) + rng.uniform(-1, 1))
        assert set(chosen(Sources(project(), 1, items(*jittered)), 20, incumbents)) == incumbents


def test_a_clear_change_of_rank_counts() -> None:
    names = [f"S{n:02d}" for n in range(40)]
    moved = [*names[:5], "S35", *names[5:35], *names[36:]]
    now = set(chosen(Sources(project(), 1, items(*moved)), 20, set(names[:20])))
    assert "S35" in now and len(now) == 20
    assert names[19] not in now and set(names[:19]) < now


def test_the_plan_does_not_depend_on_the_order_of_rows() -> None:
    rows = items(*(f"S{n:03d}" for n in range(200)))
    expected = select(derive(Start(), Sources(project(), 1, rows)), WIDE)
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        assert select(derive(Start(), Sources(project(), 1, shuffled)), WIDE) == expected


def test_an_old_plan_can_be_cut_again_without_the_database() -> None:
    answer = derive(Start(), Sources(project(benchmark=("SPY",)), 12, items("AAPL", "BRK.B", "SAP:IBIS:EUR")))
    first = select(answer, Limits(3, 100))
    plan = Plan(1, 1, 1, True, first.symbols, first.cut, project_id=1, decision_snapshot_id=12)
    again = select(answer_of(plan), Limits(100, 2), frozenset(s.symbol for s in first.symbols))
    assert again.symbols == first.symbols[:2]
    assert [c.symbol for c in again.cut] == ["BRK.B", "SAP_IBIS_EUR"]
    assert select(answer_of(plan), Limits(3, 100)).cut == first.cut


def test_notation_reads_back() -> None:
    for text in ("SAP:IBIS:EUR:STK", "ES:CME:USD:FUT:202612", "MSFT:SMART:USD:STK:NASDAQ"):
        assert notation(parse(text)) == text


# --- generic ticks ---


def test_generic_ticks_of_the_project_the_symbol_and_the_request() -> None:
    ticks = {"*": frozenset({233}), "aapl": frozenset({456, 236})}
    sources = Sources(project(generic_ticks=ticks), 12, items("AAPL", "NVDA"))
    answer = derive(Start(generic_ticks="165"), sources)
    selection = select(answer, WIDE)
    assert {s.symbol: s.generic_ticks for s in selection.symbols} == {"AAPL": "165,236,456", "NVDA": "165,233"}
    plan = Plan(1, 1, 0, True, selection.symbols, selection.cut)
    assert select(answer_of(plan), WIDE).symbols == selection.symbols


def test_tick_by_tick_and_bars_stay_with_their_symbol() -> None:
    sources = Sources(project(tick_by_tick={"aapl": "Last"}, real_time_bars={"NVDA": "BID"}), 12, items("AAPL", "NVDA"))
    selection = select(derive(Start(), sources), WIDE)
    assert [(s.symbol, s.tick_by_tick, s.real_time_bars) for s in selection.symbols] == [
        ("AAPL", "Last", ""),
        ("NVDA", "", "BID"),
    ]
    plan = Plan(1, 1, 0, True, selection.symbols, selection.cut)
    assert select(answer_of(plan), WIDE).symbols == selection.symbols


def test_generic_ticks_that_are_none_are_refused_and_of_no_symbol_a_warning() -> None:
    with pytest.raises(IbStreamError, match="generic ticks are numbers") as caught:
        derive(Start(symbols=["SPY"], generic_ticks="vwap"), Sources())
    assert (caught.value.code, caught.value.field) == ("invalid_request", "generic_ticks")
    answer = derive(Start(), Sources(project(generic_ticks={"A/B": frozenset({233})}), 12, items("AAPL")))
    (warning,) = answer.warnings
    assert warning.startswith("generic_ticks: 'A/B' is not a symbol")
