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


@pytest.mark.parametrize("version", [200, 221, 222, HIGHEST])
def test_fractions_of_shares_come_from_version_222_on(version: int) -> None:
    stage = Stage(version)
    stage.play("fractional")
    stage.turn(5)
    sizes = {float(call[3]) for call in stage.calls("tickSize") if call[2] == 5}
    assert sizes and all(size % 1 == (0.25 if version >= 222 else 0) for size in sizes)
    assert all(float(call[3]) % 1 == 0 for call in stage.calls("tickSize") if call[2] in (0, 3, 8))


@pytest.mark.parametrize("version", [200, HIGHEST])
def test_with_the_setting_for_lots_sizes_and_volume_are_in_hundreds(version: int) -> None:
    brought: list[dict[int, float]] = []
    for setting in (False, True):
        stage = Stage(version, symbols="")
        if setting:
            stage.play("lots")
        stage.client.reqMktData(1, contract("SPY"), "", False, False, [])
        brought.append({call[2]: float(call[3]) for call in stage.calls("tickSize")})
    shares, lots = brought
    assert all(lots[field] == -(-shares[field] // 100) for field in (0, 3))
    unit = 1 if version >= 220 else 40  # a round lot of SPY
    assert lots[8] == pytest.approx(shares[8] * unit / 100, rel=1e-3)


@pytest.mark.parametrize("version", [200, 224, 225])
def test_odd_lot_quotes_come_from_version_225_on_where_asked_for(version: int) -> None:
    stage = Stage(version, symbols="")
    stage.client.reqMktData(1, contract(), "787", False, False, [])
    stage.turn(5)
    names = [call[0] for call in stage.recorder.calls if call[0].startswith("tick") and 105 <= call[2] <= 110]
    assert set(names) == ({"tickPrice", "tickSize", "tickString"} if version >= 225 else set())
    prices = {call[2]: call[3] for call in stage.calls("tickPrice")}
    assert version < 225 or prices[1] <= prices[105] < prices[106] <= prices[2]


@BOTH
def test_generic_ticks_come_where_asked_for_live_and_delayed(version: int) -> None:
    stage = Stage(version, symbols="", data_type=3)
    stage.play("not_entitled", symbol="AAPL")
    wanted = "100,101,104,105,106,165,221,225,232,236,258,293,294,295,318,411,456,586,595,619"
    for request, symbol in ((1, "SPY"), (2, "AAPL")):
        stage.client.reqMktData(request, contract(symbol), wanted, False, False, [])
        found = {call[2] for call in stage.recorder.calls if call[0].startswith("tick") and call[1] == request}
        assert found >= {15, 16, 17, 18, 19, 20, 21, 23, 24, 27, 28, 29, 30, 34, 35, 36, 37, 46, 47, 54, 55, 56, 57}
        assert found >= {58, 59, 61, 63, 64, 65, 78, 79, 87, 89}
    stage.take()
    stage.client.reqMktData(3, contract(), "", False, False, [])
    assert not {call[2] for call in stage.recorder.calls if call[0].startswith("tick")} & {15, 46, 58}


@BOTH
def test_news_trade_reports_and_open_interest_come_where_asked_for(version: int) -> None:
    stage = Stage(version, symbols="")
    stage.client.reqMktData(1, contract(), "233,375,mdoff,292:BRFG", False, False, [])
    stage.turn(5)
    assert {call[2] for call in stage.calls("tickString")} >= {48, 77}
    (headline,) = stage.calls("tickNews")
    assert headline[3] == "SIM-N" and ";" in headline[5]


@BOTH
def test_one_generic_tick_that_is_not_legal_refuses_the_whole_request(version: int) -> None:
    stage = Stage(version, symbols="")
    stage.client.reqMktData(1, contract(), "233,256", False, False, [])
    assert stage.errors() == [(1, 321)]
    (text,) = [call[4] for call in stage.calls("error") if call[3] == 321]
    assert "Incorrect generic tick list of 233,256.  Legal ones for (STK) are: 100(" in text
    assert not stage.calls("tickPrice")


@pytest.mark.parametrize(("version", "unit"), [(200, 40), (219, 40), (220, 1), (HIGHEST, 1)])
def test_the_volume_is_in_round_lots_before_220_and_the_delayed_one_always(version: int, unit: int) -> None:
    stage = Stage(version, symbols="SPY", data_type=3)
    shares = stage.core.market.feed(stage.director.instruments("SPY").pop(), stage.clock.now()).volume  # type: ignore[attr-defined]
    stage.play("not_entitled", symbol="QQQ,IWM")
    for request, symbol in enumerate(("SPY", "QQQ", "IWM"), 5):
        stage.client.reqMktData(request, contract(symbol), "", False, False, [])
    told = {call[1]: int(call[3]) for call in stage.calls("tickSize") if call[2] in (8, 74)}
    assert told[5] == shares // unit
    assert details(stage).suggestedSizeIncrement == 40
    for request, lot in ((6, 40), (7, 100)):
        instrument = stage.core.clients[stage.conn].subscriptions[request].instrument
        assert instrument.round_lot == lot
        assert told[request] == stage.core.market.feed(instrument, 0).volume // lot  # type: ignore[attr-defined]
