"""A recorded day as a market: the ticks of the tape, at its pace, ten times it, or as fast as the client reads.

Stands in for `Market`, so that everything else (requests, entitlements, scenarios) works on recorded prices as on
invented ones. The tape begins to run when a client has subscribed, and a second has passed without another line.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import groupby
from math import isnan

from messages.events import TickBlock
from messages.fields import (
    MARKET_DATA_TYPE,
    NUMERIC_STRING_FIELDS,
    SOURCE,
    SOURCE_HISTORY,
    SOURCE_MOCK,
    WIRE_TEXT_FIELDS,
)
from services.base.clock import MINUTE, SECOND, iso
from services.simulator.market.contracts import Instrument
from services.simulator.market.past_ticks import PastTick
from services.simulator.market.prices import GENERIC, HALTED, PRICE, RT_VOLUME, SIZE, STRING, VOLUME, Tick
from services.simulator.market.trades import Minutes, RawBar, merged
from services.simulator.tape.tape import AnyTape
from services.simulator.trouble.oddities import UNSET_SIZE

SETTLE = SECOND  # without a new line, before the tape runs
MOST_WAIT = 10 * SECOND
MOST_ROWS = 4_000  # of a turn: some thirty milliseconds
MOST_BACKLOG = 400_000  # bytes that may wait for a client before the fastest pace waits too
OWN_FIELDS = 200

_SIZE_FIELDS = frozenset(
    {0, 3, 5, 8, 21, 22, 27, 28, 29, 30, 34, 36, 61, 63, 64, 65, 69, 70, 71, 74, 86, 87, 89, 107, 108}
)  # IB's tick ids that travel in tickSize (TWS API documentation, available tick types)
_PRICE_FIELDS = frozenset({
    1, 2, 4, 6, 7, 9, 14, *range(15, 21), 35, 37, 50, 51, 52, 57, 66, 67, 68, 72, 73, 75, 76, 78, *range(92, 100),
    *range(101, 107),
})  # fmt: skip
_VOLUMES = {VOLUME, 74}
_BID, _ASK, _LAST = (1, 66), (2, 67), (4, 68)


class RecordedFeed:
    """One recorded symbol: the last of each of its ticks, and its minutes so far."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.halted = 0
        self.data_type = 1
        self.last_time = 0
        self.invented = False  # the gateway filled in from history: no tick that IB sent
        self.minutes = Minutes()
        self._now: dict[int, Tick] = {}

    def image(self) -> list[Tick]:
        """The last tick of every kind, in the order in which they first came."""
        return list(self._now.values())

    def worth(self, now: int) -> None:
        """No model price was recorded."""

    def rt_volume(self) -> Tick:
        return self._now.get(RT_VOLUME, Tick(STRING, RT_VOLUME, ""))

    def quote(self, side: str) -> tuple[str, float]:
        """Text of the price and the size of `bid`, `ask` or `last`; ("0", 0) before there is one."""
        for field in {"bid": _BID, "ask": _ASK, "last": _LAST}[side]:
            if field in self._now:
                return self._now[field].text, self._now[field].size
        return "0", 0

    def take(self, tick: Tick, at: int) -> None:
        self._now[tick.field] = tick
        self.last_time = at
        if tick.field == HALTED:
            self.halted = 0  # a recorded halt shows by itself; this is for scenarios
        if tick.kind == PRICE and tick.field in _LAST:
            self.minutes.note(at, float(tick.text), int(tick.size))


class ReplayMarket:
    """`speed`: recorded seconds in a second; 0: as fast as the client reads."""

    def __init__(self, tape: AnyTape, listed: list[Instrument], speed: float) -> None:
        self._tape, self._speed = tape, speed
        self._feeds = {one.con_id: RecordedFeed(one) for one in listed}
        self._by_name = {feed.instrument.called: feed for feed in self._feeds.values()}
        self._waiting_since = self._settled_at = 0
        self._started = 0
        self.on_start: Callable[[], None] | None = None  # called once, when the tape begins to run
        self.position = tape.first
        self.rows = 0
        self.ended = False
        self.backlog = 0  # bytes that wait for the slowest client: the loop says so

    @property
    def eager(self) -> bool:
        """Whether the loop should turn again at once."""
        return bool(self._started) and not self._speed and not self.ended and self.backlog < MOST_BACKLOG

    def time(self, now: int) -> int:
        """The moment of the recorded day that clients see as now."""
        return self.position

    def feed(self, instrument: Instrument, now: int) -> RecordedFeed:
        return self._feeds[instrument.con_id]

    def feeds(self) -> list[RecordedFeed]:
        return list(self._feeds.values())

    def activate(self, instrument: Instrument, now: int) -> RecordedFeed:
        """Somebody subscribes. The tape waits until no other line has been asked for in a second."""
        self._waiting_since = self._waiting_since or now
        self._settled_at = min(now + SETTLE, self._waiting_since + MOST_WAIT)
        return self._feeds[instrument.con_id]

    def deactivate(self, instrument: Instrument) -> None:
        """Nobody looks at it any more; the tape runs on."""

    def advance(self, now: int) -> Iterator[tuple[RecordedFeed, list[Tick]]]:
        """What the tape holds up to now, in its order: runs of ticks of one symbol."""
        if self.ended or not self._settled_at or now < self._settled_at:
            return
        if not self._started:
            self._started = now
            if self.on_start is not None:
                self.on_start()
        until = self._tape.first + int((now - self._started) * self._speed) if self._speed else self._tape.last
        budget = MOST_ROWS if self._speed or self.backlog < MOST_BACKLOG else 0
        while budget > 0:
            at = self._tape.peek()
            if at is None:
                self.ended = True
                return
            if at > until:
                self.position = max(self.position, until)
                return
            block = self._tape.take()
            self.position, budget = at, budget - block.count
            self.rows += block.count
            yield from self._runs(block)

    def bars(self, instrument: Instrument, start: int, end: int, seconds: int, trades: bool = True) -> list[RawBar]:
        """What the tape has shown so far, in bars of whole minutes."""
        width = max(seconds, 60) * SECOND
        shown = self._feeds[instrument.con_id].minutes.within(start - start % MINUTE, end)
        groups = groupby(shown, lambda bar: bar.start - bar.start % width)
        return [bar for begins, group in groups if (bar := merged(group, begins)) is not None]

    def past_ticks(self, instrument: Instrument, start: int, end: int, most: int, first: bool) -> list[PastTick]:
        """None: the tape is told once, as it runs."""
        return []

    def progress(self) -> dict[str, object]:
        """For statistics: where the tape is."""
        place = {"position": iso(self.position), "rows": self.rows, "of": self._tape.ticks, "ended": self.ended}
        return {"replay": place}

    def close(self) -> None:
        self._tape.close()

    def _runs(self, block: TickBlock) -> Iterator[tuple[RecordedFeed, list[Tick]]]:
        feeds = {number: self._by_name.get(name) for number, name in zip(block.ids, block.symbols, strict=True)}
        count = block.count
        symbols = struct.unpack(f"<{count}I", block.symbol)
        values = struct.unpack(f"<{count}d", block.value)
        sizes = struct.unpack(f"<{count}d", block.size)
        run: list[Tick] = []
        current: RecordedFeed | None = None
        for symbol, field, value, size in zip(symbols, block.field, values, sizes, strict=True):
            feed = feeds[symbol]
            if feed is not current and current is not None:
                yield current, run
                run = []
            current = feed
            if feed is None or feed.halted:
                continue
            tick = None if field >= OWN_FIELDS else as_tick(field, value, size, block.texts)
            if tick is None:
                note_own(feed, field, value)
            elif not feed.invented:
                feed.take(tick, block.time)
                run.append(tick)
        if current is not None:
            yield current, run


def as_tick(field: int, value: float, size: float, texts: list[str]) -> Tick:
    """The tick message that a journal row was."""
    if field in WIRE_TEXT_FIELDS:
        return Tick(STRING, field, texts[int(value)] if 0 <= value < len(texts) else "")
    if field in NUMERIC_STRING_FIELDS:
        return Tick(STRING, field, "" if isnan(value) else number_text(value))
    if field in _SIZE_FIELDS:
        if isnan(value) or field in _VOLUMES:
            return Tick(SIZE, field, UNSET_SIZE if isnan(value) else number_text(value))
        return Tick(SIZE, field, "", whole(value))
    if field in _PRICE_FIELDS or not isnan(size):
        return Tick(PRICE, field, number_text(value), 0 if isnan(size) else whole(size))
    return Tick(GENERIC, field, number_text(value))


def note_own(feed: RecordedFeed, field: int, value: float) -> None:
    """Rows of our own gateway: the delivered type is told on, prices out of history are not IB's ticks."""
    if field == MARKET_DATA_TYPE:
        feed.data_type = int(value)
    elif field == SOURCE:
        feed.invented = int(value) % SOURCE_MOCK == SOURCE_HISTORY


def whole(value: float) -> float:
    """An int where that is the same: IB writes `100`, not `100.0`."""
    return int(value) if value.is_integer() else value


def number_text(value: float) -> str:
    return str(whole(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
