"""What a gateway's ticks of a symbol say about themselves: the part of the quality report that is a fold of `ticks`.

Pure; used by quality.py. Prices are looked at as IB sent them, one row after the other; bid and ask are compared when
a block is over, since IB sends the two in two messages. Only what the stream brought is judged: a snapshot or a bar of
history is no neighbour of a streamed price, and neither is the last one of another subscription.
"""

import re
from array import array
from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec

from messages.events import TickBlock
from messages.fields import (
    ASK,
    BID,
    CLOSE,
    DELAYED_ASK,
    DELAYED_BID,
    DELAYED_CLOSE,
    DELAYED_LAST,
    FIELDS_SINCE,
    LAST,
    LAST_TIME,
    MARKET_DATA_TYPE,
    SOURCE,
    SOURCE_MOCK,
    SOURCE_STREAM,
)
from messages.quality import Outlier
from messages.ticks import column, symbol_ids
from services.base.clock import HOUR, MINUTE, SECOND, iso
from services.quotes.numbers import UNSET, price_of

if TYPE_CHECKING:
    Floats = array[float]
else:
    Floats = array  # which msgspec can name; `array` takes no type at run time

FAR: Final = 0.005  # share of the price: what is nearer to its neighbours is no outlier,
TIMES_USUAL: Final = 10.0  # nor what is not so many times the symbol's usual step away
STEPS_KNOWN: Final = 8  # steps after which the usual one is known
BACK: Final = 0.25  # of the way: what comes back so near to where it was, within
BACK_SECONDS: Final = 60  # was an outlier, and else a move
OUTLIERS_KEPT: Final = 5
LONGEST_STEP: Final = 10 * SECOND  # how long a silence says that a quote still stands
CLOCK_STEPS: Final = 10  # of a second: how fine differences of clocks are counted
CLOCK_FURTHEST: Final = 600 * CLOCK_STEPS

_NAME: Final = {BID: "bid", DELAYED_BID: "bid", ASK: "ask", DELAYED_ASK: "ask", LAST: "last", DELAYED_LAST: "last"}
_CLOSES: Final = (CLOSE, DELAYED_CLOSE)
_own_rows: Final = re.compile(b"[" + re.escape(bytes((SOURCE, FIELDS_SINCE, MARKET_DATA_TYPE))) + b"]").finditer
_judged_rows: Final = re.compile(b"[" + re.escape(bytes((*_NAME, *_CLOSES, LAST_TIME))) + b"]").finditer


class Track(msgspec.Struct):
    """One kind of price, row by row."""

    value: float | None = None  # the last one that fits those before it
    suspect: float | None = None  # the one behind it, while nothing says yet whether it is an outlier
    since: int = 0  # of the suspect, UTC nanoseconds
    step: float = 0.0  # usual change between two prices
    steps: int = 0

    @property
    def now(self) -> float | None:
        return self.value if self.suspect is None else self.suspect

    def take(self, price: float, time: int) -> tuple[float, float] | None:
        """The next price, which differs from the one of now. Returns what turned out to be an outlier, and the price
        before it."""
        before, odd = self.value, self.suspect
        self.suspect = None
        if before is None:
            self.value = price
            return None
        if odd is not None:
            if abs(price - before) <= BACK * abs(odd - before) and time - self.since <= BACK_SECONDS * SECOND:
                self._step(abs(price - before))
                self.value = price
                return odd, before
            before = odd  # it was a move
        far = abs(price - before)
        if self.steps >= STEPS_KNOWN and far > FAR * abs(before) and far > TIMES_USUAL * self.step:
            self.value, self.suspect, self.since = before, price, time
            return None
        self._step(far)
        self.value = price
        return None

    def _step(self, size: float) -> None:
        self.steps += 1
        self.step += (size - self.step) / min(self.steps, 16)


class Checks(msgspec.Struct):
    """One symbol so far. Times and durations in nanoseconds."""

    start: int  # of the span
    hours: list[int]  # ticks in each hour
    lows: Floats  # of the trades of each minute, as far as there were any; infinite without one
    highs: Floats
    bid: Track = msgspec.field(default_factory=Track)
    ask: Track = msgspec.field(default_factory=Track)
    last: Track = msgspec.field(default_factory=Track)
    streamed: bool = True
    touched: int = 0  # time of its last block
    standing: int = 0  # 1: bid and ask are crossed, 2: locked, 0: neither
    crossed: int = 0
    crossed_time: int = 0
    locked: int = 0
    locked_time: int = 0
    outliers: int = 0
    worst: list[Outlier] = []
    zeros: int = 0
    moves: int = 0  # changes of any price
    active: int = 0  # time in which it ticked
    unmoved: int = 0  # of it since the last move
    stuck: int = 0  # the longest of those
    exchange_time: float = 0.0
    clock: dict[int, dict[int, int]] = {}  # by hour: receipt less exchange time, in parts of a second, and how often
    first_last: float | None = None
    newest_last: float | None = None
    close: float | None = None  # of the session before, as IB says

    def begin(self, ticks: int, time: int) -> None:
        """A block with so many ticks of the symbol: what stood until now, stood for that long."""
        self.hours[self._hour(time)] += ticks
        passed = min(max(time - self.touched, 0), LONGEST_STEP) if self.touched else 0
        self.touched = time
        self.active += passed
        self.unmoved += passed
        self.stuck = max(self.stuck, self.unmoved)
        if self.standing == 1:
            self.crossed_time += passed
        elif self.standing == 2:
            self.locked_time += passed

    def renew(self) -> None:
        """What comes is of another subscription, or another source."""
        for track in (self.bid, self.ask, self.last):
            track.value = track.suspect = None
        self.exchange_time = 0.0
        self.standing = self.unmoved = 0

    def price(self, name: str, value: float, size: float, time: int) -> None:
        if value == 0:
            self.zeros += 1
        track: Track = getattr(self, name)
        if price_of(value, size) is None:
            track.value = track.suspect = None
            return
        if name == "last":
            self._traded(value, time)
        if value == track.now:
            return
        self.moves += 1
        self.unmoved = 0
        found = track.take(value, time)
        if found is not None:
            self.outliers += 1
            if len(self.worst) < OUTLIERS_KEPT:
                odd, before = found
                self.worst.append(Outlier(time=iso(track.since), field=name, price=odd, before=before, after=value))

    def tell_time(self, seconds: float, time: int) -> None:
        """IB's time of the last trade, which has whole seconds. What a subscription begins with may be old."""
        if seconds > self.exchange_time > 0:
            parts = (time - int(seconds) * SECOND) * CLOCK_STEPS // SECOND
            parts = max(-CLOCK_FURTHEST, min(CLOCK_FURTHEST, parts))
            counts = self.clock.setdefault(self._hour(time), {})
            counts[parts] = counts.get(parts, 0) + 1
        self.exchange_time = seconds

    def compare(self) -> None:
        """The block is over."""
        bid, ask = self.bid.now, self.ask.now
        standing = 0 if bid is None or ask is None or bid < ask else 1 if bid > ask else 2
        if standing != self.standing:
            self.crossed += standing == 1
            self.locked += standing == 2
            self.standing = standing

    def _hour(self, time: int) -> int:
        """Of the span."""
        return min(max(time - self.start, 0) // HOUR, len(self.hours) - 1)

    def _traded(self, price: float, time: int) -> None:
        if self.first_last is None:
            self.first_last = price
        self.newest_last = price
        minute = max(time - self.start, 0) // MINUTE
        missing = minute + 1 - len(self.lows)
        if missing > 0:
            self.lows.extend([inf] * missing)
            self.highs.extend([-inf] * missing)
        self.lows[minute] = min(self.lows[minute], price)
        self.highs[minute] = max(self.highs[minute], price)


class TickChecks:
    """All symbols of one gateway, in a span of time."""

    def __init__(self, start: int, end: int) -> None:
        self.symbols: dict[str, Checks] = {}
        self._start = start
        self._hours = max(1, -(-(end - start) // HOUR))

    def apply(self, block: TickBlock) -> None:
        """Fold one block of the span; blocks come in order. Raises ValueError, and changes nothing, for a block that
        contradicts itself."""
        ids, time = symbol_ids(block), block.time
        counts = Counter(ids)
        if not counts.keys() <= set(block.ids):
            raise ValueError("a tick block with a symbol id that it does not name")
        names = dict(zip(block.ids, block.symbols, strict=True))
        states = {number: self._checks(names[number]) for number in counts}
        for number, count in counts.items():
            states[number].begin(count, time)
        values: Any = column("d", block.value)
        sizes: Any = column("d", block.size)
        for match in _own_rows(block.field):  # the gateway writes them behind the rows that they are about
            row = match.start()
            state = states[ids[row]]
            state.renew()
            if block.field[row] == SOURCE:
                state.streamed = int(values[row]) % SOURCE_MOCK == SOURCE_STREAM
        quoted: dict[int, None] = {}
        for match in _judged_rows(block.field):
            row = match.start()
            number, field = ids[row], block.field[row]
            state = states[number]
            if not state.streamed:
                continue
            name = _NAME.get(field)
            if name is not None:
                state.price(name, values[row], sizes[row], time)
                quoted[number] = None
            elif field == LAST_TIME:
                state.tell_time(values[row], time)
            elif 0 < values[row] < UNSET:
                state.close = values[row]
        for number in quoted:
            states[number].compare()

    def _checks(self, name: str) -> Checks:
        found = self.symbols.get(name)
        if found is None:
            found = self.symbols[name] = Checks(self._start, [0] * self._hours, array("d"), array("d"))
        return found
