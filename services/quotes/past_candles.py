"""Candles of any past interval, from the journal alone, archived days included: the same as the sink published.

Used by the command line, the web and the client; files are read with the services running or not, in bounded memory.
A request costs what the ticks of its time cost to read, and the fold from the nearest checkpoint to its beginning.
Raises JournalDamaged where the journal does.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from messages.candles import Candle, Interval
from messages.codec import decode_block, decode_ticks
from messages.errors import IbStreamError
from messages.topics import CONTROL, LINK, PLAN, kind, shard
from services.base.clock import DAY, MINUTE, SECOND, iso
from services.journal import JournalReader, streams_in
from services.journal.cursor import Cursor
from services.journal.days import tick_streams
from services.quotes.candles import LONGEST, CandleBook
from services.quotes.checkpoints import state_before
from services.quotes.replay import by_time

LOOK_BACK: Final = 8 * DAY
"""How far before a time the gateway has surely said how a symbol is: its market opens, or its hours are asked for."""

LOOK_AHEAD: Final = 31 * DAY
"""How long after a time bars may still come for it: the gateway asks for none of an older gap."""

SLACK: Final = MINUTE  # by which the writer's clock may be set back, without a trade being missed


class Past(NamedTuple):
    """`note` says what of the time that was asked for is not there any more, in a sentence."""

    candles: Iterator[Candle]
    note: str | None = None


def past_candles(
    journal_dir: Path,
    symbol: str,
    interval: Interval,
    begin: int,
    end: int,
    now: int,
    proceed: Callable[[], None] = lambda: None,
) -> Past:
    """The symbol's candles that overlap [begin, end), oldest first; the one under way at `now` is not complete.

    `proceed` is called now and then while reading, and may raise what is to end it.

    Raises IbStreamError: `symbol_not_found` for one that was never planned or priced, `past_deleted` when retention has
    deleted all of the time that is asked for.
    """
    end = min(end, now)
    note = None
    kept_from = _kept_from(journal_dir)
    if kept_from is not None and begin < kept_from:
        sentence = f"ticks before {iso(kept_from)} were deleted (IBSTREAM_RETENTION_DAYS_TICKS, IBSTREAM_RETENTION_GB)"
        if end <= kept_from:
            raise IbStreamError("past_deleted", sentence)
        begin, note = kept_from, sentence
    book = CandleBook([interval], [symbol])
    was_planned = _tell_facts(book, journal_dir, symbol, begin, end)
    first = book.span(symbol, interval, begin)
    begin = first.start if first is not None else begin
    cursors, known = _begin(book, journal_dir, symbol, begin)
    if not known and not book.coverage.knows(symbol) and (was_planned or not _has_ticks(journal_dir)):
        raise IbStreamError("symbol_not_found", f"{symbol} was never planned, and never had a price")
    return Past(_candles(book, journal_dir, _Walk(book, symbol, interval, begin, end, now), cursors, proceed), note)


def _kept_from(journal_dir: Path) -> int | None:
    """Since when the oldest ticks that are kept are; None where none were deleted, or none are there."""
    found = []
    for stream in tick_streams(journal_dir):
        with JournalReader(journal_dir, stream) as reader:
            rows = reader.read(1, 1)
        found += [rows[0].time] if rows and rows[0].first_seq > 1 else []
    return max(found, default=None)


def _has_ticks(journal_dir: Path) -> bool:
    for stream in tick_streams(journal_dir):
        with JournalReader(journal_dir, stream) as reader:
            if reader.last() is not None:
                return True
    return False


# --- facts ---


def _tell_facts(book: CandleBook, journal_dir: Path, symbol: str, begin: int, end: int) -> bool:
    """All that `link`, `plan` and `control` say of the symbol in that time, and later of that time. Returns whether
    there is any plan: a copy may hold ticks alone."""
    was_planned = False
    for stream in streams_in(journal_dir):
        if stream in (PLAN, CONTROL):
            with JournalReader(journal_dir, stream) as reader:
                for row in reader.blocks():
                    was_planned |= stream == PLAN
                    book.apply(stream, decode_block(stream, row.payload))
        elif kind(stream) == LINK:
            with JournalReader(journal_dir, stream) as reader:
                _tell_link(book, reader, symbol, begin, end)
    return was_planned


def _tell_link(book: CandleBook, reader: JournalReader, symbol: str, begin: int, end: int) -> None:
    stop = reader.seq_at(end + LOOK_AHEAD) - 1
    start = reader.seq_at(max(begin - LOOK_BACK - LONGEST, 0))
    for first in dict.fromkeys((start, 1)):
        book.reset(reader.stream)
        for row in reader.blocks(first, stop):
            if symbol.encode() in row.payload:
                book.apply(reader.stream, decode_block(reader.stream, row.payload))
            else:
                book.coverage.new_epoch(shard(reader.stream), row.epoch, row.time)
        if book.coverage.was_told(shard(reader.stream), symbol, begin):
            return


# --- ticks ---


def _begin(book: CandleBook, journal_dir: Path, symbol: str, begin: int) -> tuple[dict[str, Cursor], bool]:
    """Where the ticks of `begin` begin, the book standing there; and whether the symbol had a tick before."""
    projection, cursors = state_before(journal_dir, begin)
    known = False
    for stream in tick_streams(journal_dir):
        rows = projection.rows(stream, symbol)
        known |= bool(rows)
        book.trades(shard(stream)).begin(symbol, rows)
    return cursors, known


def _candles(
    book: CandleBook, journal_dir: Path, walk: "_Walk", cursors: dict[str, Cursor], proceed: Callable[[], None]
) -> Iterator[Candle]:
    """Each as soon as all ticks of it are folded."""
    with ExitStack() as stack:
        found = {}
        for stream in tick_streams(journal_dir):
            reader = stack.enter_context(JournalReader(journal_dir, stream))
            last = reader.seq_at(walk.last_end + SLACK) - 1
            found[stream] = reader.blocks(cursors.get(stream, Cursor()).seq + 1, last)
        look = 0
        for stream, row in by_time(found):
            book.trades(shard(stream)).apply(decode_ticks(row.payload))
            if row.time >= look:
                look = row.time + SECOND
                proceed()
                yield from walk.over(row.time - SLACK)
    yield from walk.over(walk.last_end)


class _Walk:
    """From one candle to the next: over those in which there was something to see."""

    def __init__(self, book: CandleBook, symbol: str, interval: Interval, begin: int, end: int, now: int) -> None:
        last = book.span(symbol, interval, end - 1)
        self.last_end = last.end if last is not None else end
        self._book, self._symbol, self._interval = book, symbol, interval
        self._at, self._end, self._now = begin, end, now

    def over(self, until: int) -> Iterator[Candle]:
        """Those that end by `until`. The book forgets their ticks."""
        while (time := self._next()) is not None and time < self._end:
            span = self._book.span(self._symbol, self._interval, time)
            if span is not None and span.end > until:
                return
            candle = self._book.candle(self._symbol, self._interval, span, self._now) if span is not None else None
            self._at = span.end if span is not None else time - time % MINUTE + MINUTE
            self._book.drop(self._symbol, self._at)
            if candle is not None:
                yield candle

    def _next(self) -> int | None:
        traded = self._book.first_traded(self._symbol)
        gap = self._book.coverage.next_gap(self._symbol, self._at)
        times = [max(time, self._at) for time in (traded, gap) if time is not None]
        return min(times, default=None)
