"""What gateways were seen to do that clients trip over, as the official client sees it, in text and in protobuf."""

import itertools
from typing import Any

import pytest

from services.simulator.protocol.versions import HIGHEST
from tests.unit.simulator.conversation import Conversation, contract
from tests.unit.simulator.test_steps import Stage

TICKS = ("tickPrice", "tickSize", "tickGeneric", "tickString")
BOTH = pytest.mark.parametrize("version", [200, HIGHEST])


def beginning(stage: Stage, request: int, symbol: str = "QQQ") -> list[str]:
    """The names of what a new line is told until its first tick, and that there is one."""
    stage.take()
    stage.client.reqMktData(request, contract(symbol), "", False, False, [])
    names: list[str] = [call[0] for call in stage.recorder.calls]
    assert "tickPrice" in names
    return list(itertools.takewhile(lambda name: name not in TICKS, names))


@BOTH
@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("first", ["tickReqParams", "marketDataType"]),
        ("second", ["marketDataType", "tickReqParams"]),
        ("never", ["marketDataType"]),
    ],
)
def test_parameters_and_type_come_in_either_order_or_the_type_alone(version: int, order: str, told: list[str]) -> None:
    stage = Stage(version)
    stage.play("params", order=order, lasts=1)
    assert beginning(stage, 5) == told
    stage.turn(1.1)
    assert beginning(stage, 6, "IWM") == ["tickReqParams", "marketDataType"]


@BOTH
def test_delayed_prices_are_announced_before_the_first_tick_and_once_for_two_lines(version: int) -> None:
    stage = Stage(version, data_type=3)
    stage.play("not_entitled", symbol="QQQ")
    assert beginning(stage, 5) == ["tickReqParams", "marketDataType", "error"]
    assert stage.errors() == [(5, 10167)]
    assert beginning(stage, 6) == ["tickReqParams", "marketDataType"]
    stage.client.cancelMktData(5)
    stage.client.cancelMktData(6)
    assert beginning(stage, 7)[-1] == "error"


@BOTH
def test_10089_is_the_only_answer_where_delayed_data_is_off(version: int) -> None:
    stage = Stage(version, data_type=3)
    stage.play("not_entitled", symbol="QQQ", code=10089, delayed=False)
    stage.client.reqMktData(5, contract("QQQ"), "", False, False, [])
    stage.turn(2)
    assert [call for call in stage.recorder.calls if call[1] == 5] == stage.calls("error")
    assert stage.errors() == [(5, 10089)]


@BOTH
def test_ticks_go_on_after_a_cancel(version: int) -> None:
    stage = Stage(version)
    stage.play("late_ticks", seconds=1)
    stage.client.cancelMktData(1)
    stage.client.reqMktData(1, contract("IWM"), "", False, False, [])  # the id is free at once
    assert stage.calls("tickPrice")
    lines = stage.core.book.lines
    stage.turn(1.5)
    assert stage.core.book.lines == lines - 1
    assert stage.errors() == []
    assert 1 in stage.core.clients[stage.conn].subscriptions


def notices(version: int, **farms: str) -> list[tuple[int, str]]:
    stage = Stage(version, symbols="")
    stage.play("notices", **farms)
    later = Conversation(version, core=stage.core, client_id=2)
    return [(call[3], call[4].rpartition(":")[2]) for call in later.calls("error")]


@BOTH
def test_any_number_of_farm_notices_at_the_start(version: int) -> None:
    ends = [(2106, "ushmds"), (2158, "secdefil")]
    assert notices(version, ok="usfarm", broken="usbond") == [(2103, "usbond"), (2104, "usfarm"), *ends]
    assert notices(version, ok="a,b,c,d,e,f")[-3:] == [(2104, "f"), *ends]
    assert notices(version) == []


@BOTH
def test_an_error_without_a_code(version: int) -> None:
    stage = Stage(version)
    stage.play("error", code=0, message="who knows")
    assert [call[3:5] for call in stage.calls("error")] == [(0, "who knows")]


def details(stage: Stage, *described: Any) -> Any:
    stage.take()
    stage.client.reqContractDetails(9, contract(*described))
    return stage.calls("contractDetails")[0][2]


@BOTH
def test_futures_have_hours_of_their_zone_a_time_of_expiry_and_a_small_multiplier(version: int) -> None:
    stage = Stage(version)
    made = details(stage, "BIT", "FUT", "COINDERIV")
    assert made.contract.multiplier == "0.01"
    assert (made.timeZoneId, made.lastTradeTime) == ("US/Central", "08:30:00")
    assert made.contract.lastTradeDateOrContractMonth == made.realExpirationDate
    assert made.tradingHours.startswith("20260104:2300-20260105:2300;")
    raw = stage.sent[-1]
    assert f"{made.realExpirationDate} 08:30:00 US/Central".encode() in raw


@BOTH
def test_hours_that_begin_with_an_empty_segment(version: int) -> None:
    stage = Stage(version)
    stage.play("empty_hours", lasts=5)
    assert details(stage).tradingHours.startswith(";20260105:0000-")
    stage.turn(5.1)
    assert details(stage).tradingHours.startswith("20260105:0000-")


@BOTH
def test_bars_in_the_zone_of_the_session(version: int) -> None:
    stage = Stage(version)
    stage.play("session_zone", zone="Hongkong")
    stage.client.reqHistoricalData(10, contract(), "20260106 01:00:00", "3600 S", "1 min", "TRADES", 1, 1, False, [])
    bars = stage.calls("historicalData")
    assert bars[0][2].date == "20260106 00:00:00 Hongkong"
    assert stage.calls("historicalDataEnd") == [
        ("historicalDataEnd", 10, "20260106 00:00:00 Hongkong", "20260106 01:00:00 Hongkong")
    ]
    assert details(stage).timeZoneId == "US/Eastern"


@BOTH
def test_a_contract_that_does_not_exist_is_200_and_no_end(version: int) -> None:
    stage = Stage(version)
    stage.client.reqContractDetails(9, contract("NOSUCHNAME"))
    assert [call[:2] for call in stage.recorder.calls] == [("error", 9)]


@BOTH
def test_a_cfd_of_a_stock_names_the_stock_to_ask_for(version: int) -> None:
    stage = Stage(version)
    stage.client.reqMktData(9, contract("AAPL", "CFD"), "", False, False, [])
    assert stage.recorder.calls == [("rerouteMktDataReq", 9, 265598, "SMART")]
