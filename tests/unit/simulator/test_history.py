"""Bars that show what was asked for, bars that are kept up to date, past ticks: as the official client sees them."""

from typing import Any

import pytest

from services.simulator.protocol.versions import HIGHEST
from tests.unit.simulator.conversation import Conversation, contract

BOTH = pytest.mark.parametrize("version", [200, HIGHEST])
EUR = contract("EUR", "CASH", "IDEALPRO")


def bars(talk: Conversation, what: str, described: Any = None, bar: str = "1 hour", duration: str = "1 D") -> list[Any]:
    talk.take()
    talk.client.reqHistoricalData(7, described or contract(), "", duration, bar, what, 1, 1, False, [])
    return [call[2] for call in talk.calls("historicalData")]


@BOTH
def test_each_kind_of_bar_shows_what_it_is_named_for(version: int) -> None:
    talk = Conversation(version, history_pacing=False)
    trades, middle, bid, ask = (bars(talk, what)[-1] for what in ("TRADES", "MIDPOINT", "BID", "ASK"))
    assert trades.volume > 0 and trades.barCount > 0
    assert bid.close < middle.close < ask.close
    assert {float(one.volume) for one in (middle, bid, ask)} == {-1.0}
    assert {one.barCount for one in (middle, bid, ask)} == {-1}
    both = bars(talk, "BID_ASK")[-1]
    assert both.low <= bid.low + 0.011 and both.high >= ask.high - 0.011 and both.open < both.close
    for what in ("HISTORICAL_VOLATILITY", "OPTION_IMPLIED_VOLATILITY"):
        (last,) = bars(talk, what)[-1:]
        assert 0.05 < last.low <= last.close <= last.high < 1
    assert talk.errors() == []


@BOTH
def test_a_currency_has_no_trades_and_an_index_no_quotes(version: int) -> None:
    talk = Conversation(version)
    assert bars(talk, "MIDPOINT", EUR)
    assert bars(talk, "TRADES", EUR) == [] and talk.errors() == [(7, 162)]
    assert bars(talk, "BID", contract("SPX", "IND", "CBOE")) == [] and talk.errors() == [(7, 162)]
    assert bars(talk, "TRADES", contract("SPX", "IND", "CBOE"))
    assert bars(talk, "NONSENSE") == [] and talk.errors() == [(7, 321)]


@BOTH
def test_bars_are_kept_up_to_date_until_cancelled(version: int) -> None:
    talk = Conversation(version)
    talk.client.reqHistoricalData(7, contract(), "", "600 S", "5 secs", "TRADES", 1, 2, True, [])
    ended = talk.recorder.calls.index(talk.calls("historicalDataEnd")[0])
    talk.turn(21)
    updates = talk.calls("historicalDataUpdate")
    assert updates == [call for call in talk.recorder.calls[ended + 1 :] if call[0] != "error"]
    times = [int(call[2].date) for call in updates]
    assert len(times) >= 4 and times == sorted(times) and times[-1] - times[0] >= 15
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for *_, bar in updates)
    talk.take()
    talk.client.cancelHistoricalData(7)
    talk.turn(11)
    assert talk.recorder.calls == []
    talk.client.cancelHistoricalData(7)
    assert talk.errors() == [(7, 366)]


def test_only_what_runs_to_now_is_kept_up_to_date() -> None:
    talk = Conversation()
    for request, (end, bar, what) in enumerate(
        [("20260105 10:00:00", "1 min", "TRADES"), ("", "1 sec", "TRADES"), ("", "1 min", "BID_ASK")], 1
    ):
        talk.client.reqHistoricalData(request, contract(), end, "600 S", bar, what, 1, 2, True, [])
    assert talk.errors() == [(1, 321), (2, 321), (3, 321)]


def test_a_week_and_a_month_carry_the_date_of_their_last_trading_day() -> None:
    talk = Conversation()
    talk.core.world.hours.schedule = "regular"
    talk.client.reqHistoricalData(7, contract(), "20260105-20:00:00", "1 M", "1 week", "TRADES", 1, 1, False, [])
    dates = [call[2].date for call in talk.calls("historicalData")]
    assert dates[-4:] == ["20251219", "20251226", "20260102", "20260105"]
    talk.client.reqHistoricalData(8, contract(), "20260105-20:00:00", "3 M", "1 month", "TRADES", 1, 1, False, [])
    assert [call[2].date for call in talk.calls("historicalData") if call[1] == 8][-2:] == ["20251231", "20260105"]


def past(talk: Conversation, what: str, start: str = "", end: str = "", most: int = 10, described: Any = None) -> Any:
    talk.take()
    talk.client.reqHistoricalTicks(7, described or contract(), start, end, most, what, 1, True, [])
    (call,) = talk.calls("historicalTicks", "historicalTicksBidAsk", "historicalTicksLast")
    assert call[1] == 7 and call[3] is True
    return call[2]


@BOTH
def test_past_ticks_from_a_time_on_and_up_to_a_time(version: int) -> None:
    talk = Conversation(version)
    talk.core.world.hours.schedule = "regular"
    trades = past(talk, "TRADES", start="20260105 09:30:00 US/Eastern")
    assert [tick.time for tick in trades] == list(range(1_767_623_400, 1_767_623_410))
    assert all(tick.price > 0 and tick.size > 0 and tick.exchange == "ARCA" for tick in trades)
    quotes = past(talk, "BID_ASK", end="20260105-14:31:00", most=3)
    assert [tick.time for tick in quotes] == [1_767_623_457, 1_767_623_458, 1_767_623_459]
    assert all(tick.priceBid < tick.priceAsk and tick.sizeBid > 0 < tick.sizeAsk for tick in quotes)
    middles = past(talk, "MIDPOINT", end="20260105-14:31:00", most=3)
    assert [tick.price for tick in middles] == [pytest.approx((one.priceBid + one.priceAsk) / 2) for one in quotes]
    (before,) = past(talk, "TRADES", end="20260105 09:00:00", most=1)  # the Friday before
    assert before.time == 1_767_387_599
    assert past(talk, "TRADES", end="20260105 10:00:00", described=EUR) == []
    assert talk.errors() == []


@BOTH
def test_past_ticks_agree_with_the_bars(version: int) -> None:
    talk = Conversation(version)
    minute = bars(talk, "TRADES", bar="1 min", duration="60 S")[-1]
    ticks = past(talk, "TRADES", end="", start="20260105 11:59:00", most=60)
    assert minute.low - 0.1 <= min(one.price for one in ticks) <= max(one.price for one in ticks) <= minute.high + 0.1


def test_a_request_for_past_ticks_that_makes_no_sense_is_an_error() -> None:
    talk = Conversation()
    for request, (start, end, what) in enumerate(
        [("", "", "TRADES"), ("20260105 10:00:00", "", "NONSENSE"), ("yesterday", "", "TRADES")], 1
    ):
        talk.client.reqHistoricalTicks(request, contract(), start, end, 10, what, 1, True, [])
    assert talk.errors() == [(1, 321), (2, 321), (3, 321)]


@BOTH
@pytest.mark.parametrize(
    ("kind", "first"),
    [("Last", "historicalTicksLast"), ("BidAsk", "historicalTicksBidAsk"), ("MidPoint", "historicalTicks")],
)
def test_tick_by_tick_sends_as_many_past_ticks_first_as_asked_for(version: int, kind: str, first: str) -> None:
    talk = Conversation(version)
    talk.take()
    talk.client.reqTickByTickData(7, contract(), kind, 5, False)
    talk.turn(3)
    name, request, ticks, done = talk.recorder.calls[0]
    assert (name, request, len(ticks), done) == (first, 7, 5, True)
    assert talk.recorder.calls[1][0].startswith("tickByTick")


@BOTH
def test_real_time_bars_show_what_was_asked_for(version: int) -> None:
    talk = Conversation(version)
    talk.client.reqRealTimeBars(1, contract(), 5, "BID", True, [])
    talk.client.reqRealTimeBars(2, EUR, 5, "TRADES", True, [])
    talk.client.reqRealTimeBars(3, EUR, 5, "MIDPOINT", True, [])
    talk.turn(6)
    assert {call[1]: float(call[7]) for call in talk.calls("realtimeBar")} == {1: -1.0, 3: -1.0}
    assert talk.errors() == [(2, 321)]
