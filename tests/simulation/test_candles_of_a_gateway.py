"""Candles of a real gateway's journal against the bars that the simulator has of the same market, on one clock: equal
where coverage is 1, and where the gateway was cut off, different by exactly what was traded meanwhile."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from messages.candles import Candle, Interval
from messages.codec import decode_events, decode_ticks
from messages.events import BarsReceived, PlannedSymbol, StreamStarted
from messages.fields import VOLUME
from messages.ticks import ticks
from messages.topics import LINK, PLAN, TICKS
from services.base.clock import SECOND
from services.quotes.candles import CandleBook
from services.simulator.testing import MONDAY_NOON, SimulatedGateway
from tests.blocks import events
from tests.gateway_loop import GatewayLoop
from tests.process.simulators import Caller
from tests.support import eventually

pytestmark = pytest.mark.hours

MINUTE = 60 * SECOND
NOON = MONDAY_NOON
SYMBOLS = ("SPY", "AAPL")
TURN = 0.05
HALF_A_DIGIT = 0.0005 + 1e-9  # of IB's average, which has one digit more than prices
PLANNED = [PlannedSymbol(symbol, "test", rank) for rank, symbol in enumerate(SYMBOLS)]


class Bar(NamedTuple):
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trades: int


class Market:
    """A gateway on a simulator. Both live by one clock, and all that was sent is read before it moves."""

    def __init__(self, folder: Path) -> None:
        self.ib = SimulatedGateway()
        self.loop = GatewayLoop(
            folder, PLANNED, self.ib.port, clock=self.ib.clock, stale_after=3, probe_timeout=2, link_stale_after=4
        )
        self._told = self._blocks = 0

    def settle(self) -> None:
        """Let the gateway read all ticks that were sent so far."""
        self.loop.service.turn(0)
        sent = self.ib.stats()["ticks"]["total"]
        eventually(lambda: self._read() >= sent)

    def _read(self) -> int:
        self.loop.service.turn(0)
        blocks = self.loop.service.journal(TICKS).blocks
        for payload in blocks[self._blocks :]:
            self._told += sum(field < 200 for field in decode_ticks(payload).field)
        self._blocks = len(blocks)
        return self._told

    def live(self, until: float) -> None:
        """Until so many seconds after noon."""
        while self.ib.clock.now() < NOON + until * SECOND:
            self.ib.advance(TURN)
            self.settle()

    def candles(self, symbol: str, interval: Interval = "1m", *, filled: bool = True) -> dict[int, Candle]:
        """Those that are over, by their start, of what is journalled; without what history filled in, if told so."""
        book, now, journals = CandleBook((interval,)), self.ib.clock.now(), self.loop.service.journals
        book.apply("control", events(StreamStarted(), time=NOON - MINUTE))
        book.apply(PLAN, self.loop.plan)
        for block in map(decode_events, journals[LINK].blocks):
            told = [event for event in block.events if filled or not isinstance(event, BarsReceived)]
            book.apply(LINK, msgspec.structs.replace(block, events=told))
        for payload in journals[TICKS].blocks:
            book.apply(TICKS, decode_ticks(payload))
        spans = [book.span(symbol, interval, time) for time in range(NOON, now, MINUTE)]
        found = {span.start: book.candle(symbol, interval, span, now) for span in dict.fromkeys(spans) if span}
        return {start: candle for start, candle in found.items() if candle is not None and candle.complete}

    def bars(self, symbol: str, size: str = "1 min") -> dict[int, Bar]:
        """What IB's history has, as another client gets it."""
        with Caller(self.ib.port, 77).ready() as caller:
            contract = (0, symbol, "STK", "", 0, "", "", "SMART", "", "USD", "", "")
            caller.send(20, 1, *contract, 0, "", size, "600 S", 0, "TRADES", 2, 0, "")
            _, _, count, *fields = caller.until("17")
        rows = [fields[at : at + 8] for at in range(0, 8 * int(count), 8)]
        return {bar.start: bar for bar in map(as_bar, rows)}

    def missed(self, symbol: str) -> float:
        """By how much the day's volume had grown when it was told again after the longest silence."""
        told = [
            (block.time, float(tick.value))
            for block in map(decode_ticks, self.loop.service.journal(TICKS).blocks)
            for tick in ticks(block)
            if tick.symbol == symbol and tick.field == VOLUME
        ]
        (_, before), (_, after) = max(pairwise(told), key=lambda pair: pair[1][0] - pair[0][0])
        return after - before


def as_bar(row: list[str]) -> Bar:
    opened, high, low, close, volume, average = map(float, row[1:7])
    return Bar(int(row[0]) * SECOND, opened, high, low, close, volume, average, int(row[7]))


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    found = Market(tmp_path)
    with found.ib, found.loop:
        found.loop.run_until(lambda: len(found.loop.quotes()) == len(SYMBOLS))
        yield found


def numbers(one: Candle | Bar) -> tuple[float | None, ...]:
    return one.open, one.high, one.low, one.close, one.volume


def lived(market: Market, cut: Callable[[], None]) -> None:
    """Five minutes and what is over, with a cut in the third, from its 10th second on."""
    market.live(130)
    cut()
    market.live(330)


def lose_the_gateway(market: Market) -> None:
    market.ib.stop_listening(lasts=30)
    market.ib.drop()


CUT = 2  # the minute


def test_where_all_was_seen_a_candle_is_ibs_bar_and_a_cut_misses_what_was_traded_in_it(market: Market) -> None:
    lived(market, lambda: lose_the_gateway(market))
    for symbol in SYMBOLS:
        check_candles(market, symbol)


def check_candles(market: Market, symbol: str) -> None:
    bars, seen, filled = market.bars(symbol), market.candles(symbol, filled=False), market.candles(symbol)
    assert list(seen) == list(filled) == [NOON + number * MINUTE for number in range(5)]
    for number, (start, candle) in enumerate(seen.items()):
        bar = bars[start]
        if number == CUT:
            missed = market.missed(symbol)
            assert candle.volume is not None and missed > 0
            assert candle.volume + missed == bar.volume
            assert bar.low <= (candle.low or 0) <= (candle.high or 0) <= bar.high
            assert (candle.open, candle.close, candle.trades < bar.trades) == (bar.open, bar.close, True)
            assert 0.4 < candle.coverage < 0.6
            assert {"gateway_unreachable", "connection_lost"} >= {one.reason for one in candle.blind[:2]}
            assert (filled[start].filled, filled[start].vwap) == (1.0, None)  # our bars keep no average of IB's
        else:
            assert (candle.coverage, candle.blind, candle.filled) == (1.0, [], 0.0)
            assert candle.trades == bar.trades
            assert candle.vwap == pytest.approx(bar.vwap, abs=HALF_A_DIGIT)
            assert filled[start] == candle
        assert numbers(filled[start]) == numbers(bar)
    (five,) = market.candles(symbol, "5m").values()
    assert numbers(five) == numbers(market.bars(symbol, "5 mins")[NOON])
    assert five.filled == 0.2 and 0.88 < five.coverage < 0.92


def test_what_was_traded_while_a_farm_was_away_comes_with_the_first_report_after_it(market: Market) -> None:
    lived(market, lambda: market.ib.farm_down(farm="usfarm.nj", lasts=30))
    start = NOON + CUT * MINUTE
    bar, seen, filled = market.bars("SPY")[start], market.candles("SPY", filled=False)[start], market.candles("SPY")
    assert (seen.volume, seen.open, seen.close) == (bar.volume, bar.open, bar.close)
    assert seen.trades < bar.trades and seen.vwap != pytest.approx(bar.vwap, abs=HALF_A_DIGIT)
    assert 0.4 < seen.coverage < 0.6 and seen.blind[0].reason == "farm_down"
    assert numbers(filled[start]) == numbers(bar)
