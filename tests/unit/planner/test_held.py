"""What is held, in a plan: first, marked, and by choice added; which contract is which; and what it displaces."""

import pytest

from messages.events import ContractQualified, HeldContract, LineLimitLearned, PositionsChanged
from services.base.symbols import parse
from services.planner.core import Answer, Limits, select
from services.planner.held import contract_of, with_held
from services.planner.state import Folded
from tests.unit.planner.test_state import Rig, answer, started

AAPL = HeldContract(265598, "AAPL", "STK", "USD", "NASDAQ", local_symbol="AAPL", trading_class="NMS")
NVDA = HeldContract(4815747, "NVDA", "STK", "USD", "NASDAQ")
SAP = HeldContract(14204, "SAP", "STK", "EUR", "IBIS")
ES = HeldContract(42, "ES", "FUT", "USD", "CME", local_symbol="ESZ6", last_trade_date="20261218", trading_class="ES")
CALL = HeldContract(
    7, "AAPL", "OPT", "USD", "SMART", "AAPL  261218C00240000", "20261218", strike=240.0, right="C", trading_class="AAPL"
)


def told(*held: HeldContract, reason: str | None = None) -> PositionsChanged:
    return PositionsChanged(held=list(held), as_of=1, reason=reason)


def qualified(symbol: str, con_id: int) -> ContractQualified:
    return ContractQualified(symbol, con_id, "STK", "SMART", "USD")


def reasons(rig: Rig) -> dict[str, str]:
    return {symbol.symbol: symbol.reason for symbol in rig.plans[-1].symbols}


def rig_with(*symbols: str, positions: str = "plan", **defaults: object) -> Rig:
    return started(*symbols, positions=positions, **defaults)


def say(rig: Rig, *events: object, gateway: str = "") -> None:
    for event in events:
        rig.state.on_link(event, gateway)
    rig.turn()


def test_a_planned_symbol_that_is_held_comes_first_and_is_marked() -> None:
    rig = rig_with("SPY", "NVDA", "AAPL", positions="mark")
    say(rig, told(AAPL, SAP))
    assert reasons(rig) == {
        "AAPL": "held; decision_snapshot 12, rank 3",
        "SPY": "decision_snapshot 12, rank 1",
        "NVDA": "decision_snapshot 12, rank 2",
    }
    assert [(s.held, s.priority) for s in rig.plans[-1].symbols] == [(True, 0), (False, 1), (False, 2)]
    say(rig, told())
    assert rig.names == ["SPY", "NVDA", "AAPL"] and not any(s.held for s in rig.plans[-1].symbols)


def test_what_is_held_and_not_planned_is_added_by_choice_alone() -> None:
    for choice, names in (("plan", ["NVDA", "AAPL", "SPY"]), ("mark", ["NVDA", "SPY"]), ("off", ["SPY", "NVDA"])):
        rig = rig_with("SPY", "NVDA", positions=choice)
        say(rig, told(AAPL, NVDA))
        assert rig.names == names
    rig = rig_with("SPY")
    say(rig, told(AAPL))
    added = rig.plans[-1].symbols[0]
    assert (added.symbol, added.reason, added.con_id, added.exchange) == ("AAPL", "held", 265598, "SMART")


def test_what_is_held_is_never_displaced_and_the_plan_says_what_it_displaces() -> None:
    rig = rig_with("SPY", "QQQ", "NVDA", max_symbols=3)
    assert rig.names == ["SPY", "QQQ", "NVDA"]
    say(rig, told(AAPL, NVDA))
    plan = rig.plans[-1]
    assert rig.names == ["NVDA", "AAPL", "SPY"] and [cut.symbol for cut in plan.cut] == ["QQQ"]
    assert "what is held takes the place of QQQ: over max_symbols 3" in plan.warnings
    say(rig, LineLimitLearned(limit=2))
    assert rig.names == ["NVDA", "AAPL"]
    say(rig, LineLimitLearned(limit=1))
    assert rig.names == ["NVDA"]
    assert any("not even what is held" in warning and "AAPL" in warning for warning in rig.plans[-1].warnings)


def test_it_comes_before_the_benchmark_too() -> None:
    candidates = answer("SPY", "AAPL").candidates
    first = (candidates[0].contract, "benchmark", (0.0, 0))
    found = Answer(candidates=(type(candidates[0])(*first), candidates[1]))
    selection = select(with_held(found, [AAPL], {}, add=False), Limits(1, 100))
    assert [symbol.symbol for symbol in selection.symbols] == ["AAPL"]


def test_the_contract_id_says_which_is_which() -> None:
    rig = rig_with("ES:CME:USD:FUT:front", "SAP:SMART:EUR")
    say(rig, told(ES, SAP))
    assert set(reasons(rig).values()) == {"held", "decision_snapshot 12, rank 1", "decision_snapshot 12, rank 2"}
    say(rig, qualified("ES_CME_USD_FUT_FRONT", 42), qualified("SAP_SMART_EUR", 14204))
    assert set(reasons(rig).values()) == {"held; decision_snapshot 12, rank 1", "held; decision_snapshot 12, rank 2"}
    say(rig, qualified("ES_CME_USD_FUT_FRONT", 43))  # it has rolled: the old month is still held
    assert reasons(rig) == {
        "SAP_SMART_EUR": "held; decision_snapshot 12, rank 2",
        "ES_CME_USD_FUT_20261218": "held",
        "ES_CME_USD_FUT_FRONT": "decision_snapshot 12, rank 1",
    }


def test_another_contract_of_that_name_is_not_taken_for_it() -> None:
    rig = rig_with("AAPL")
    say(rig, qualified("AAPL", 999), told(AAPL))
    assert reasons(rig) == {"IBCID265598": "held", "AAPL": "decision_snapshot 12, rank 1"}
    assert rig.plans[-1].symbols[0].con_id == 265598


def test_what_several_gateways_tell_is_held_once() -> None:
    rig = rig_with("SPY", line_limits={"a": 50, "b": 50})
    say(rig, told(AAPL), gateway="a")
    say(rig, told(AAPL, NVDA), gateway="b")
    assert sorted(reasons(rig)) == ["AAPL", "NVDA", "SPY"]
    say(rig, told(), gateway="a")
    assert sorted(reasons(rig)) == ["AAPL", "NVDA", "SPY"]
    say(rig, told(NVDA), gateway="b")
    assert sorted(reasons(rig)) == ["NVDA", "SPY"]
    say(rig, told(AAPL), gateway="gone")  # of a gateway that the settings had once
    assert sorted(reasons(rig)) == ["NVDA", "SPY"]


def test_nothing_new_is_no_new_plan() -> None:
    rig = rig_with("SPY")
    say(rig, told(AAPL))
    count = len(rig.plans)
    say(rig, told(AAPL, reason="link_down"), qualified("AAPL", 265598), qualified("SPY", 756733))
    assert len(rig.plans) == count


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (AAPL, "AAPL"),
        (HeldContract(1, "BRK B", "STK", "USD", "NYSE"), "BRK.B"),
        (SAP, "SAP_IBIS_EUR"),
        (ES, "ES_CME_USD_FUT_20261218"),
        (CALL, "AAPL261218C00240000"),
        (HeldContract(2, "SAP", "OPT", "EUR", "SMART", "C SAP 20261218 240", "20261218", 240.0, "C", "SAP"),
         "SAP_SMART_EUR_OPT_20261218_240_C"),
        (HeldContract(3, "ES", "FOP", "USD", "CME", "EW3Z6 C5900", "20261218", 5900.0, "C", "EW3"),
         "ES_CME_USD_FOP_20261218_5900_C_EW3"),
        (HeldContract(4, "SAP", "WAR", "EUR", "FWB", "SAPW100", "20271217", 240.0, "C"),
         "SAP_FWB_EUR_WAR_20271217_240_C"),
        (HeldContract(5, "US-T", "BOND", "USD", "SMART"), "IBCID5_SMART_USD_BOND"),
        (HeldContract(6, "VINIX", "FUND", "USD", "FUNDSERV"), "VINIX_FUNDSERV_USD_FUND"),
        (HeldContract(7, "AAPL", "CFD", "USD", "SMART"), "AAPL_SMART_USD_CFD"),
        (HeldContract(8, "BTC", "CRYPTO", "USD", "PAXOS"), "BTC_PAXOS_USD_CRYPTO"),
        (HeldContract(9, "EUR", "CASH", "USD", "IDEALPRO"), "EUR_IDEALPRO_USD_CASH"),
        (HeldContract(10, "XAUUSD", "CMDTY", "USD", "SMART"), "XAUUSD_SMART_USD_CMDTY"),
    ],
)  # fmt: skip
def test_each_type_that_is_served_has_a_name_that_can_be_written(held: HeldContract, name: str) -> None:
    contract = contract_of(held)
    assert contract is not None and contract.name == name == parse(name).name
    assert contract.con_id == held.con_id or contract.local_symbol == held.local_symbol


@pytest.mark.parametrize(
    "held",
    [
        HeldContract(1, "AAPL,IBM", "BAG", "USD", "SMART"),
        HeldContract(2, "ES", "FUT", "USD", "", "ESZ6", "20261218"),  # where is not known yet
        HeldContract(3, "../../x", "STK", "USD", "NASDAQ"),
        HeldContract(4, "X" * 500, "STK", "USD", "NASDAQ"),
        HeldContract(5, "AAPL", "OPT", "USD", "SMART", "", "20261218", 0.0, ""),
    ],
)
def test_what_is_not_served_is_named_and_not_planned(held: HeldContract) -> None:
    rig = rig_with("SPY")
    say(rig, told(held))
    assert rig.names == ["SPY"]
    assert any(f"contract id {held.con_id}" in w or "held, and no symbol" in w for w in rig.plans[-1].warnings)


def test_hundreds_of_positions_are_bounded_by_the_limit_and_few_words() -> None:
    many = [HeldContract(n, f"S{n}", "STK", "USD", "NYSE") for n in range(1, 801)]
    odd = [HeldContract(n, f"S{n}", "BAG", "USD", "") for n in range(1001, 1101)]
    rig = rig_with("SPY", max_symbols=50)
    say(rig, told(*many, *odd))
    assert len(rig.names) == 50 and "SPY" not in rig.names
    assert max(map(len, rig.plans[-1].warnings)) < 1000


def test_after_a_restart_what_was_only_held_is_no_wish_of_the_project() -> None:
    rig = rig_with("SPY", "NVDA")
    say(rig, told(AAPL, NVDA))
    folded: Folded = rig.state.folded
    again = Rig(folded, rig.plans[-1], positions="plan")
    again.seq = rig.seq
    say(again, told(NVDA))  # and the database does not answer
    assert reasons(again) == {
        "NVDA": "held; decision_snapshot 12, rank 2",
        "SPY": "decision_snapshot 12, rank 1",
    }
