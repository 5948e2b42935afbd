"""Ticks of a stream as Arrow record batches, journal and archive as one: what the client's data frames are made of.

Of an archived day only the columns and row groups that are asked for are read, as they lie there, with their checksums;
of a day in SQLite the blocks, as every reader reads them. One row group, or about as many ticks, is held at a time.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from messages.fields import TICK_NAME
from messages.topics import shard
from services.base.clock import utc_day
from services.journal.columns import SYMBOL, TIME, tick_block, tick_columns
from services.journal.days import ARCHIVE_SUFFIX, FileGone, all_days
from services.journal.parquet import GROUP_EVENTS, ParquetDay
from services.journal.reader import JournalReader, open_day
from services.journal.row import JournalDamaged, Row, batches

NAME: Final = pa.dictionary(pa.int16(), pa.string())
TICKS_FRAME: Final = pa.schema(
    [
        pa.field("time", TIME, nullable=False),
        pa.field("symbol", SYMBOL, nullable=False),
        pa.field("field", NAME, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("size", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("gateway", NAME, nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
    ]
)
_NAMES: Final = pa.array([TICK_NAME.get(number, f"tick_{number}") for number in range(256)], pa.string())


def tick_batches(
    journal_dir: Path,
    stream: str,
    begin: int,
    end: int | None,
    symbols: Collection[str] = (),
    columns: Sequence[str] = tuple(TICKS_FRAME.names),
    from_seq: int = 1,
) -> Iterator[pa.RecordBatch]:
    """The ticks with `begin` <= time < `end` (UTC nanoseconds; None: up to what is written now) from the block that
    holds `from_seq` on, of `symbols` only when some are given, in the order of their sequence numbers, as `columns`
    of TICKS_FRAME.

    Raises JournalDamaged, and IbStreamError `journal_unavailable`.
    """
    schema = pa.schema([TICKS_FRAME.field(name) for name in columns])
    scan = _Scan(journal_dir, stream, begin, end, schema, from_seq)
    gateway = pa.array([shard(stream)], pa.string())
    wanted = pa.array(sorted(symbols), pa.string()) if symbols else None
    for table in scan.tables():
        chosen = table if wanted is None else table.filter(_of(table["symbol"], wanted))
        for batch in chosen.to_batches():
            if batch.num_rows:
                yield pa.RecordBatch.from_arrays([_framed(batch, name, gateway) for name in columns], schema=schema)


def archived_days(journal_dir: Path, stream: str) -> tuple[list[Path], int]:
    """The oldest days of a stream, as far as they are in Parquet, and the sequence number that follows them.

    Raises JournalDamaged.
    """
    found: list[Path] = []
    following = 1
    for path in all_days(journal_dir / stream):
        if path.suffix != ARCHIVE_SUFFIX:
            break
        try:
            with contextlib.closing(ParquetDay(path, stream)) as day:
                following = day.footer.end_seq + 1
        except FileGone:  # retired meanwhile
            continue
        found.append(path)
    return found, following


class _Scan:
    """The tables of one stream in a span of time, with the archive's columns of the same names."""

    def __init__(
        self, journal_dir: Path, stream: str, begin: int, end: int | None, schema: pa.Schema, from_seq: int
    ) -> None:
        self._journal_dir, self._stream = journal_dir, stream
        self._begin, self._end = begin, end
        self._columns = [name for name in dict.fromkeys([*schema.names, "symbol", "time"]) if name != "gateway"]
        self._next = from_seq  # sequence number: what is before was read, or is not wanted

    def tables(self) -> Iterator[pa.Table]:
        """Days move from SQLite to Parquet while they are read: then what is left is looked for again."""
        while True:
            try:
                for archived, paths in groupby(self._days(), key=lambda path: path.suffix == ARCHIVE_SUFFIX):
                    for path in paths:
                        yield from self._archived(path) if archived else self._written(path)
                return
            except FileGone:
                continue

    def _days(self) -> list[Path]:
        """Those that may hold something of the span. A block may be a moment older than the day of its file."""
        days = all_days(self._journal_dir / self._stream)
        first = max(0, sum(path.stem <= utc_day(self._begin) for path in days) - 1)
        return [path for path in days[first:] if self._end is None or path.stem <= utc_day(self._end)]

    def _archived(self, path: Path) -> Iterator[pa.Table]:
        with contextlib.closing(ParquetDay(path, self._stream)) as day:
            if day.footer.end_seq < self._next:
                return
            groups = day.footer.groups
            for number, (first_seq, time) in enumerate(groups):
                last = number + 1 == len(groups)
                end_seq = day.footer.end_seq if last else groups[number + 1][0] - 1
                early = not last and groups[number + 1][1] < self._begin
                if end_seq < self._next or early or (self._end is not None and time >= self._end):
                    continue
                try:
                    table = day.table(number, self._columns)
                except (pa.ArrowException, OSError) as error:
                    raise JournalDamaged(f"{path}: the events from {first_seq} on: {error}") from None
                yield self._in_span(table)
                self._next = end_seq + 1

    def _written(self, path: Path) -> Iterator[pa.Table]:
        """A day in SQLite, as far as it is written now."""
        with contextlib.closing(open_day(path, self._stream)) as day:
            last = day.last()
        if last is None or last.last_seq < self._next:
            return
        with JournalReader(self._journal_dir, self._stream) as reader:
            first = max(self._next, day.start_seq, reader.seq_at(self._begin) if self._begin else 1)
            rows = (row for row in reader.blocks(first, last.last_seq) if self._is_wanted(row))
            for together in batches(rows, GROUP_EVENTS):
                for whole in _unbroken(together):
                    blocks = [tick_block(row) for row in whole]
                    found = tick_columns(whole, blocks)
                    yield pa.table({name: found[name] for name in self._columns})
                self._next = together[-1].last_seq + 1

    def _is_wanted(self, row: Row) -> bool:
        return self._begin <= row.time and (self._end is None or row.time < self._end)

    def _in_span(self, table: pa.Table) -> pa.Table:
        if not self._begin and self._end is None:
            return table
        time = table["time"].cast(pa.int64())
        low, high = pc.min_max(time).as_py().values()
        if self._begin <= low and (self._end is None or high < self._end):
            return table
        keep = pc.greater_equal(time, self._begin)
        return table.filter(keep if self._end is None else pc.and_(keep, pc.less(time, self._end)))


def _unbroken(rows: list[Row]) -> Iterator[list[Row]]:
    """Runs of blocks without a hole between them: one may be known to be lost, or be of another time."""
    run: list[Row] = []
    for row in rows:
        if run and row.first_seq != run[-1].last_seq + 1:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _of(symbols: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    """Where a dictionary column has one of the wanted symbols: the dictionary is looked at once, not every row."""
    masks = [pc.is_in(chunk.dictionary, value_set=wanted).take(chunk.indices) for chunk in symbols.chunks]
    return pa.chunked_array(masks, pa.bool_())


def _framed(batch: pa.RecordBatch, name: str, gateway: pa.Array) -> pa.Array:
    """A column of the frame: ids of fields by their names, and the gateway of all rows."""
    if name == "gateway":
        nothing = pa.Array.from_buffers(pa.int16(), batch.num_rows, [None, pa.py_buffer(bytes(2 * batch.num_rows))])
        return pa.DictionaryArray.from_arrays(nothing, gateway, safe=False)
    column = batch.column(name)
    return pa.DictionaryArray.from_arrays(column.cast(pa.int16()), _NAMES, safe=False) if name == "field" else column
