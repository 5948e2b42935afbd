"""The chart's points, from the journal: a price for each of at most some 600 steps of time.

Called by an endpoint, on a thread of its own, one call at a time. Guarantees a bounded cost: of each step only
the last EVENTS_READ ticks are read, however many there were, and a finished step is folded once for all
symbols and kept. A symbol that did not tick in that part of a step has no point there.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from messages.codec import decode_ticks
from messages.views import Quote
from services.base.clock import MINUTE, SECOND, iso
from services.base.prices import midpoint
from services.journal import JournalReader
from services.journal.days import tick_streams
from services.quotes.book import QuoteBook
from services.quotes.numbers import in_currency
from services.web.ledger import Ledger

MAX_MINUTES = 1440
MAX_SPARK_MINUTES = 60
MAX_SPARKLINES = 200  # symbols in one request
STEPS = (5, 10, 30, 60, 150)  # seconds a point; few sizes, so that charts share their steps
MAX_POINTS = 600
EVENTS_READ = 3_000
READ_BYTES = 128 << 10
STEPS_KEPT = 4_000  # in the cache
POINTS_KEPT = 300_000  # in those, all symbols together
SETTLE = 2 * SECOND  # a step is finished this long after its end


class Point(NamedTuple):
    time: str  # when the price was received
    price: float
    source: str | None


class Seen(NamedTuple):
    """What one step says of one symbol, in IB's numbers: a step seldom holds the magnifier, told once a stream."""

    time: str
    last: float | None
    middle: float | None  # between bid and ask
    source: str | None


Step = dict[str, Seen]


def step_width(minutes: int) -> int:
    """Seconds between two points of a chart of `minutes`."""
    return next((width for width in STEPS if minutes * 60 <= width * MAX_POINTS), STEPS[-1])


class History:
    def __init__(self, journal_dir: Path, ledger: Ledger) -> None:
        self._journal_dir = journal_dir
        self._ledger = ledger
        self._lock = threading.Lock()
        self._steps: OrderedDict[tuple[int, int], Step] = OrderedDict()  # finished ones, by width and number
        self._points = 0
        self._newest: tuple[tuple[int, int, int], Step] | None = None

    def points(self, symbol: str, minutes: int, now: int, source: str | None, magnifier: int = 1) -> list[Point]:
        """Points of the last `minutes`, oldest first. `source` is that of the symbol's current price, for
        points before the first one that says its own; `magnifier` is its `price_magnifier`, by which IB's prices
        in the journal are too large. Raises JournalDamaged."""
        width, read = self._read(minutes, now)
        steps = {number: step.get(symbol) for number, step in read.items()}
        price = _price_shown([seen for seen in steps.values() if seen is not None])
        found: list[Point] = []
        for number, seen in steps.items():
            start = number * width
            value = price(seen) if seen is not None else None
            if seen is None or value is None:
                found += self._bars(symbol, start, start + width, magnifier)
            else:
                source = self._source(seen.source, source, start)
                found.append(Point(seen.time, in_currency(value, magnifier), source))
        return found[-MAX_POINTS:]

    def sparklines(self, symbols: Mapping[str, int], minutes: int, now: int) -> dict[str, list[tuple[int, float]]]:
        """Of each symbol (with its `price_magnifier`) its prices in the last `minutes`, oldest first, each with the
        start of its step in whole seconds of UTC. One pass through the journal for all. Raises JournalDamaged."""
        width, steps = self._read(minutes, now)
        lines: dict[str, list[tuple[int, float]]] = {}
        for symbol, magnifier in symbols.items():
            seen = {number: step[symbol] for number, step in steps.items() if symbol in step}
            price = _price_shown(list(seen.values()))
            values = ((number * width // SECOND, price(one)) for number, one in seen.items())
            lines[symbol] = [(time, in_currency(value, magnifier)) for time, value in values if value is not None]
        return lines

    def _read(self, minutes: int, now: int) -> tuple[int, dict[int, Step]]:
        """The width of a step in nanoseconds, and all steps of the last `minutes` by number."""
        width = step_width(minutes) * SECOND
        numbers = range((now - minutes * MINUTE) // width + 1, now // width + 1)
        streams = tick_streams(self._journal_dir)
        with self._lock, ExitStack() as stack:
            readers = [stack.enter_context(JournalReader(self._journal_dir, stream)) for stream in streams]
            return width, {number: self._step(readers, width, number, now) for number in numbers}

    def _source(self, own: str | None, before: str | None, time: int) -> str | None:
        """The source of a point that may not say it: a source is journalled when it changes only."""
        if own is not None:
            return own
        mock = self._ledger.mock_at(time)
        if mock is None or mock == (before == "mock"):
            return before
        return "mock" if mock else "ib_stream"

    def _bars(self, symbol: str, start: int, end: int, magnifier: int) -> list[Point]:
        bars = self._ledger.bars(symbol, start, end)
        return [
            Point(iso(bar.time), in_currency(bar.close, magnifier), "mock" if mock else "ib_history")
            for bar, mock in bars[-1:]
        ]

    def _step(self, readers: Sequence[JournalReader], width: int, number: int, now: int) -> Step:
        key = (width, number)
        step = self._steps.get(key)
        if step is not None:
            return step
        end = (number + 1) * width
        if end + SETTLE > now:  # still growing: good for a second
            mark = (*key, now // SECOND)
            if self._newest is None or self._newest[0] != mark:
                self._newest = (mark, fold_steps(readers, number * width, end))
            return self._newest[1]
        step = self._steps[key] = fold_steps(readers, number * width, end)
        self._points += len(step)
        while len(self._steps) > STEPS_KEPT or (self._points > POINTS_KEPT and len(self._steps) > 1):
            self._points -= len(self._steps.popitem(last=False)[1])
        return step


def fold_steps(readers: Sequence[JournalReader], start: int, end: int) -> Step:
    """As `fold_step`, of several gateways: of each symbol the price that was received last."""
    newest: Step = {}
    for reader in readers:
        for symbol, seen in fold_step(reader, start, end).items():
            if symbol not in newest or seen.time > newest[symbol].time:
                newest[symbol] = seen
    return newest


def fold_step(reader: JournalReader, start: int, end: int) -> Step:
    """The newest price of each symbol that the last ticks of [start, end) tell of."""
    first, behind = reader.seq_at(start), reader.seq_at(end)
    if first >= behind:
        return {}
    book = QuoteBook()
    for row in reader.blocks(max(first, behind - EVENTS_READ), behind - 1, max_bytes=READ_BYTES):
        book.apply(decode_ticks(row.payload))
    since = iso(start)
    quotes = [book.quote(symbol) for symbol in book.symbols()]
    return {quote.symbol: _seen(quote) for quote in quotes if quote is not None and (quote.timestamp or "") >= since}


def _seen(quote: Quote) -> Seen:
    assert quote.timestamp is not None
    told = quote.price_magnifier or 1
    last, middle = (None if price is None else price * told for price in (quote.last, midpoint(quote.bid, quote.ask)))
    return Seen(quote.timestamp, last, middle, quote.source)


def _price_shown(steps: list[Seen]) -> Callable[[Seen], float | None]:
    """One kind of price for all of a chart, for the two differ by half a spread: the last trade's, unless it
    is missing in most steps."""
    traded = sum(seen.last is not None for seen in steps)
    quoted = sum(seen.middle is not None for seen in steps)
    return attrgetter("last") if 2 * traded >= quoted else attrgetter("middle")
