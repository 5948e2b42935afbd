"""Candles against IB's own bars, of a market whose every trade is known: equal where all was seen, and where not, the
difference is what README.md of services/quotes says."""

import random
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from messages.candles import SECONDS, Candle, Interval
from messages.events import Bar, BarsReceived, Event, GapClosed, GapOpened, StreamStarted, SymbolChanged
from messages.fields import FIELDS_SINCE, LAST, LAST_SIZE, SOURCE, VOLUME, VOLUME_UNIT
from services.base.clock import SECOND
from services.quotes.candles import CandleBook
from tests.blocks import NOW, Tick, events, plan, ticks

MINUTE = 60 * SECOND
MINUTES = 30
AWAY = range(NOW + 610 * SECOND, NOW + 700 * SECOND)  # when the data farm is gone: 70 s of minute 10, 20 s of minute 11
BROKEN = {10, 11}


class Trade(NamedTuple):
    time: int
    price: float
    size: int


def market(seed: int = 7) -> list[Trade]:
    """Half an hour of trades, some milliseconds or some seconds apart."""
    chance = random.Random(seed)
    made, time, price = [], NOW, 600.0
    while (time := time + int(chance.expovariate(4.0) * SECOND) + 1) < NOW + MINUTES * MINUTE:
        price = round(price + chance.choice([-0.02, -0.01, 0.0, 0.0, 0.01, 0.02]), 2)
        made.append(Trade(time, price, chance.choice([1, 100, 37])))
    return made


def ibs_bars(trades: Iterable[Trade], interval: Interval = "1m") -> list[tuple[Bar, int]]:
    """Bars as IB makes them, each with its number of trades."""
    width = SECONDS[interval] * SECOND
    groups: dict[int, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(trade.time - trade.time % width, []).append(trade)
    return [(_bar(start, group), len(group)) for start, group in groups.items()]


def _bar(start: int, group: list[Trade]) -> Bar:
    prices = [trade.price for trade in group]
    return Bar(start, prices[0], max(prices), min(prices), prices[-1], float(sum(trade.size for trade in group)))


class Desk:
    """What a gateway journals of that market, and the candles of it."""

    def __init__(self) -> None:
        self.book = CandleBook(("1m", "5m", "15m"))
        self._seq = self._link_seq = 1
        self._volume, self._price = 5_000.0, 600.0
        self.book.apply("control", events(StreamStarted(), time=NOW - MINUTE))
        self.book.apply("plan", plan("SPY", time=NOW - MINUTE))
        self.link(SymbolChanged(symbol="SPY", state="live", stale=False), at=NOW - MINUTE)
        self.subscribed(NOW - MINUTE)

    def rows(self, rows: list[Tick], at: int) -> None:
        self.book.apply("ticks", ticks(rows, seq=self._seq, time=at))
        self._seq += len(rows)

    def link(self, *listed: Event, at: int) -> None:
        self.book.apply("link", events(*listed, seq=self._link_seq, time=at))  # type: ignore[arg-type]
        self._link_seq += len(listed)

    def subscribed(self, at: int) -> None:
        own = [(SOURCE, 0.0), (FIELDS_SINCE, at / SECOND), (VOLUME_UNIT, 1.0)]
        rows: list[tuple[int, float]] = [(LAST, self._price), (VOLUME, self._volume), *own]
        self.rows([("SPY", field, value) for field, value in rows], at)

    def report(self, trades: list[Trade], at: int) -> None:
        """IB tells of these trades at once: the last price when it is another, the last size, the volume."""
        last = trades[-1]
        rows: list[Tick] = [("SPY", LAST, last.price, float(last.size))] if last.price != self._price else []
        self._trade(trades)
        self.rows([*rows, ("SPY", LAST_SIZE, float(last.size)), ("SPY", VOLUME, self._volume)], at)

    def missed(self, trades: list[Trade]) -> None:
        if trades:
            self._trade(trades)

    def _trade(self, trades: list[Trade]) -> None:
        self._price = trades[-1].price
        self._volume += sum(trade.size for trade in trades)

    def candles(self, interval: Interval = "1m") -> list[Candle]:
        spans = [self.book.span("SPY", interval, time) for time in range(NOW, NOW + MINUTES * MINUTE, MINUTE)]
        found = [self.book.candle("SPY", interval, span, NOW + 3600 * SECOND) for span in dict.fromkeys(spans) if span]
        return [candle for candle in found if candle is not None]


def numbers(candle: Candle) -> tuple[float | None, ...]:
    return candle.open, candle.high, candle.low, candle.close, candle.volume


@pytest.mark.parametrize("interval", ["1m", "5m", "15m"])
def test_where_every_trade_was_told_a_candle_is_ibs_bar(interval: Interval) -> None:
    trades, desk = market(), Desk()
    for trade in trades:
        desk.report([trade], trade.time)
    found = desk.candles(interval)
    assert len(found) == MINUTES * 60 // SECONDS[interval]
    for candle, (bar, count) in zip(found, ibs_bars(trades, interval), strict=True):
        assert numbers(candle) == (bar.open, bar.high, bar.low, bar.close, bar.volume)
        assert (candle.coverage, candle.blind, candle.trades, candle.source) == (1.0, [], count, "ib_stream")


@pytest.mark.hours
def test_where_ib_gathers_trades_close_and_volume_are_the_bars_and_extremes_may_be_missed() -> None:
    trades, desk = market(), Desk()
    for start in range(NOW, NOW + MINUTES * MINUTE, SECOND // 4):
        edges = (bisect_left(trades, at, key=lambda trade: trade.time) for at in (start, start + SECOND // 4))
        gathered = trades[slice(*edges)]
        if gathered:
            desk.report(gathered, start + SECOND // 4 - 1)
    missed = 0
    for candle, (bar, count) in zip(desk.candles(), ibs_bars(trades), strict=True):
        assert (candle.close, candle.volume, candle.coverage) == (bar.close, bar.volume, 1.0)
        assert bar.low <= (candle.low or 0) <= (candle.high or 0) <= bar.high
        assert candle.trades < count
        missed += numbers(candle)[:3] != (bar.open, bar.high, bar.low)
    assert missed


def lived_through_an_outage() -> tuple[Desk, list[Trade]]:
    trades, desk = market(), Desk()
    away: list[Trade] = []
    for trade in trades:
        if trade.time in AWAY:
            away.append(trade)
            continue
        if away:
            desk.missed(away)
            away = []
            desk.subscribed(AWAY.stop)
        desk.report([trade], trade.time)
    desk.link(GapOpened(symbol="SPY", start=AWAY.start, reason="farm_down"), at=AWAY.start + 15 * SECOND)
    desk.link(GapClosed(symbol="SPY", start=AWAY.start, end=AWAY.stop, reason="farm_down"), at=AWAY.stop)
    return desk, trades


def test_where_a_part_was_not_seen_coverage_says_so_and_only_there_numbers_differ() -> None:
    desk, trades = lived_through_an_outage()
    for number, (candle, (bar, _)) in enumerate(zip(desk.candles(), ibs_bars(trades), strict=True)):
        if number in BROKEN:
            unseen = sum(t.size for t in trades if t.time in AWAY and bar.time <= t.time < bar.time + MINUTE)
            assert candle.coverage < 1 and candle.blind[0].reason == "farm_down"
            assert candle.volume == bar.volume - unseen  # what was traded meanwhile is in no candle
        else:
            assert candle.coverage == 1
            assert numbers(candle) == (bar.open, bar.high, bar.low, bar.close, bar.volume)


def test_once_ibs_bars_are_there_every_candle_is_equal_and_the_filled_ones_say_so() -> None:
    desk, trades = lived_through_an_outage()
    bars = [bar for number, (bar, _) in enumerate(ibs_bars(trades)) if number in BROKEN]
    desk.link(
        BarsReceived(symbol="SPY", bar_seconds=60, bars=bars, purpose="gap_fill", volume_unit=1.0),
        at=NOW + 3600 * SECOND,
    )
    for number, (candle, (bar, _)) in enumerate(zip(desk.candles(), ibs_bars(trades), strict=True)):
        assert numbers(candle) == (bar.open, bar.high, bar.low, bar.close, bar.volume)
        assert candle.filled == (1.0 if number in BROKEN else 0.0)
        assert candle.source == ("ib_history" if number in BROKEN else "ib_stream")
    for candle, (bar, _) in zip(desk.candles("15m"), ibs_bars(trades, "15m"), strict=True):
        assert numbers(candle) == (bar.open, bar.high, bar.low, bar.close, bar.volume)
