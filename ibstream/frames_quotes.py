"""Quotes through time as Arrow batches: the fold that the sink's files are, row by row."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from messages.codec import decode_block
from messages.views import Quote
from services.journal import streams_in
from services.quotes.checkpoints import book_at, fold
from services.quotes.projection import Projection
from services.quotes.replay import files, merged

ROWS: Final = 16_384  # in a batch
TIME: Final = pa.timestamp("us", tz="UTC")
_MICROSECOND: Final = 1_000  # ns
_TIMES: Final = {"price_time": "timestamp", "exchange_time": "exchange_time"}
QUOTES_FRAME: Final = pa.schema(
    [
        pa.field("time", TIME, nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        *(pa.field(name, pa.float64()) for name in ("bid", "ask", "last", "open", "high", "low", "close")),
        *(pa.field(name, pa.float64()) for name in ("bid_size", "ask_size", "last_size", "volume")),
        pa.field("stale", pa.bool_(), nullable=False),
        *(pa.field(name, pa.string()) for name in ("reason", "source", "market_data_type")),
        pa.field("halted", pa.bool_()),
        *(pa.field(name, TIME) for name in _TIMES),
        pa.field("currency", pa.string()),
        *(pa.field(name, pa.string()) for name in ("local_symbol", "contract_month")),
        pa.field("multiplier", pa.float64()),
        pa.field("price_magnifier", pa.int32()),
        pa.field("gateway", pa.string()),
        pa.field("seq", pa.int64(), nullable=False),
    ]
)

Rows = list[tuple[int, Quote]]


def quotes_at(journal_dir: Path, symbols: Collection[str], moment: int) -> pa.RecordBatch:
    """The quotes as of `moment` (UTC nanoseconds). Raises IbStreamError."""
    return _batch(_rows(book_at(journal_dir, moment), moment, symbols, None))


def quote_batches(
    journal_dir: Path, symbols: Collection[str], begin: int, end: int | None, step: int | None
) -> Iterator[pa.RecordBatch]:
    """As of `begin` (UTC nanoseconds), then at every change before `end`, or at the end of each `step` (nanoseconds)
    that had one. Raises IbStreamError."""
    projection = fold(journal_dir, begin, near=True)
    rows = _rows(projection, begin, symbols, None)
    projection.changed.clear()
    due = begin
    for stream, row in merged(files(journal_dir, streams_in(journal_dir)), begin, end):
        if step is not None and row.time >= due:
            rows += _rows(projection, due, symbols, projection.changed)
            projection.changed.clear()
            due = row.time - (row.time - begin) % step + step
        projection.apply(stream, decode_block(stream, row.payload))
        if step is None:
            rows += _rows(projection, row.time, symbols, projection.changed)
            projection.changed.clear()
        if len(rows) >= ROWS:
            yield _batch(rows)
            rows = []
    if step is not None:
        rows += _rows(projection, due if end is None else min(due, end), symbols, projection.changed)
    if rows:
        yield _batch(rows)


def _rows(projection: Projection, time: int, wanted: Collection[str], changed: Collection[str] | None) -> Rows:
    names = projection.symbols() if changed is None else sorted(changed)
    quotes = (projection.quote(name) for name in names if not wanted or name in wanted)
    return [(time, quote) for quote in quotes if quote is not None]


def _batch(rows: Rows) -> pa.RecordBatch:
    columns = [_column(rows, field) for field in QUOTES_FRAME]
    return pa.RecordBatch.from_arrays(columns, schema=QUOTES_FRAME)


def _column(rows: Rows, field: pa.Field) -> pa.Array:
    if field.name == "time":
        return pa.array([time // _MICROSECOND for time, _ in rows], pa.int64()).cast(TIME)
    values: list[Any] = [getattr(quote, _TIMES.get(field.name, field.name)) for _, quote in rows]
    if field.name in _TIMES:
        return pa.array(values, pa.string()).cast(TIME)
    if field.name == "gateway":
        values = [value or "" for value in values]
    return pa.array(values, field.type)
