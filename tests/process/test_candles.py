"""Candles of a real sink: what it published while it lived is what the journal gives again, byte for byte."""

import signal
import time

import pytest

from messages.candles import Candle, Interval
from messages.codec import decode_candle, encode
from messages.events import GapClosed, GapOpened, StreamStarted, SymbolChanged
from messages.fields import FIELDS_SINCE, LAST, SOURCE, VOLUME, VOLUME_UNIT
from messages.topics import candle_topic
from services.base.clock import SECOND
from services.quotes.past_candles import past_candles
from services.runtime.bus import Subscriber
from tests.process.bench import Bench, end

FINE: tuple[Interval, ...] = ("1s", "5s")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path, IBSTREAM_CANDLES="1s 5s 1d", IBSTREAM_HEARTBEAT_TIMEOUT="3")
    for name in ("gateway", "planner", "supervisor"):
        bench.fake(name)
    now = time.time_ns()
    bench.fakes["supervisor"].events("control", StreamStarted(), at=now)
    bench.fakes["planner"].plan(["SPY", "QQQ"], at=now)
    live = [SymbolChanged(symbol=symbol, state="live", stale=False) for symbol in ("SPY", "QQQ")]
    bench.fakes["gateway"].events("link", *live, at=now)
    own = [(SOURCE, 10.0), (FIELDS_SINCE, now / SECOND), (VOLUME_UNIT, 1.0)]
    begun = [(LAST, 500.0, 1.0), (VOLUME, 1000.0), *own]
    bench.fakes["gateway"].ticks([(name, *row) for name in ("SPY", "QQQ") for row in begun], now)
    yield bench
    bench.close()


class Market:
    """Trades now and then, and keeps what candles came."""

    def __init__(self, bench: Bench, subscriber: Subscriber) -> None:
        self._bench, self._subscriber = bench, subscriber
        self._count = 0
        self.came: dict[tuple[str, str], dict[str, bytes]] = {}  # interval and symbol: the last that came, by start
        self.forming = 0

    def trade(self) -> int:
        now = time.time_ns()
        self._count += 1
        symbol = "QQQ" if self._count % 3 == 0 else "SPY"
        rows = [(symbol, LAST, 500 + self._count % 17 / 100, 1.0), (symbol, VOLUME, 1000.0 + self._count)]
        self._bench.fakes["gateway"].ticks(rows, now)
        return now

    def take(self) -> None:
        for topic, payload in self._subscriber.drain():
            candle = decode_candle(payload)
            assert topic == candle_topic(candle.interval, candle.symbol)
            if candle.complete:
                self.came.setdefault((candle.interval, candle.symbol), {})[candle.start] = payload
            else:
                self.forming += 1

    def live(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        due = 0.0
        while time.monotonic() < until:
            if time.monotonic() >= due:
                self.trade()
                due = time.monotonic() + 0.07
            self._bench.pump()
            self._subscriber.socket.poll(10)
            self.take()


def rebuilt(bench: Bench, interval: Interval, symbol: str, now: int) -> list[Candle]:
    return list(past_candles(bench.settings.journal_dir, symbol, interval, 0, now, now).candles)


def test_what_was_published_live_is_what_the_journal_gives(bench):
    bench.spawn("sink")
    market = Market(bench, bench.subscribe("sink", "candle."))
    bench.until(lambda: market.trade() and (market.take() or market.forming))  # somebody listens, and is heard
    market.live(2.5)
    gateway, start = bench.fakes["gateway"], time.time_ns()
    market.live(1.2)  # the gap is found out later: candles that are over change
    gateway.events("link", GapOpened(symbol="SPY", start=start, reason="farm_down"), at=time.time_ns())
    market.live(1.0)
    gateway.events(
        "link", GapClosed(symbol="SPY", start=start, end=time.time_ns(), reason="farm_down"), at=time.time_ns()
    )
    market.live(1.0)
    end(bench.processes.pop(), signal.SIGKILL)  # what it had not saved is folded again
    bench.spawn("sink")
    seen = market.forming
    bench.until(lambda: market.trade() and (market.take() or market.forming > seen))
    market.live(3.0)
    compare(bench, market)


def compare(bench: Bench, market: Market) -> None:
    now = time.time_ns() - 2 * SECOND
    kinds = [(interval, symbol) for interval in FINE for symbol in ("SPY", "QQQ")]
    bench.until(lambda: market.take() or all(kind in market.came for kind in kinds))
    blind = 0
    for interval, symbol in kinds:
        of_journal = {candle.start: candle for candle in rebuilt(bench, interval, symbol, now) if candle.complete}
        came = {start: payload for start, payload in market.came[interval, symbol].items() if start in of_journal}
        assert len(came) >= (6 if interval == "1s" else 1)
        for start, payload in came.items():
            assert payload == encode(of_journal[start])
            blind += decode_candle(payload).coverage < 1
    assert blind >= 2
    (day,) = rebuilt(bench, "1d", "SPY", now)
    assert (day.source, day.hours) == ("mock", "utc")


def test_a_new_subscriber_gets_the_candle_under_way_and_nobody_elses(bench):
    bench.spawn("sink")
    first = Market(bench, bench.subscribe("sink", "candle."))
    bench.until(lambda: first.trade() and (first.take() or first.forming))
    first.live(0.5)
    late = bench.subscribe("sink", "candle.1d.SPY")
    topic, payload = bench.until(lambda: next(iter(late.drain()), None))
    candle = decode_candle(payload)
    assert (topic, candle.symbol, candle.complete) == ("candle.1d.SPY", "SPY", False)
    assert candle.trades > 0
