"""Exports events of a stream to Parquet or CSV, for notebooks and spreadsheets: used by `ibstream export`.

The columns are those of the archive, without what only the journal needs. In bounded memory.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from messages.errors import IbStreamError
from messages.fields import TICK_NAME
from messages.topics import TICKS, kind
from services.journal import JournalReader, batches
from services.journal.parquet import EVENT_SCHEMA, GROUP_EVENTS, TICK_SCHEMA, ZSTD_LEVEL, event_table, tick_table

_INTERNAL = ("block", "symbol_id", "block_events", "block_crc", "block_names", "block_raw")
_NAMES = [TICK_NAME.get(number, f"tick_{number}") for number in range(256)]

Progress = Callable[[int, int], None]
"""Called with the number of events done and of all of them."""


def export(
    journal_dir: Path,
    stream: str,
    to: Literal["parquet", "csv"],
    out: Path | Any,
    *,
    begin: int = 0,
    end: int | None = None,
    symbols: Iterable[str] = (),
    progress: Progress | None = None,
    seen: set[str] | None = None,
) -> int:
    """Write the events with `begin` <= time < `end` (UTC nanoseconds) to `out`, a path or a binary file.

    Returns how many, and adds the symbols written to `seen`. Symbols choose ticks; other streams take none.
    Raises IbStreamError and OSError.
    """
    wanted = pa.array(sorted(symbols), pa.string())
    is_ticks = kind(stream) == TICKS
    if len(wanted) and not is_ticks:
        raise IbStreamError("invalid_request", f"symbols choose ticks; the stream {stream} has no such column")
    schema = _shape(TICK_SCHEMA.empty_table() if is_ticks else EVENT_SCHEMA.empty_table()).schema
    written = 0
    with JournalReader(journal_dir, stream) as reader, _writer(to, out, schema) as writer:
        first = reader.seq_at(begin) if begin else (reader.first_seq() or 1)
        last = reader.last() if end is None else None
        stop = reader.seq_at(end) if end is not None else last.last_seq + 1 if last is not None else 1
        for rows in batches(reader.blocks(first, stop - 1), GROUP_EVENTS):
            table = _shape(tick_table(rows) if is_ticks else event_table(rows))
            if len(wanted):
                table = table.filter(pc.is_in(table["symbol"], wanted))
                if seen is not None:
                    seen.update(pc.unique(table["symbol"]).to_pylist())
            writer.write_table(table)
            written += table.num_rows
            if progress is not None:
                progress(rows[-1].last_seq + 1 - first, stop - first)
    return written


def _shape(table: pa.Table) -> pa.Table:
    """Plain columns; of ticks also the name of the field."""
    table = table.drop_columns([name for name in _INTERNAL if name in table.column_names])
    if "symbol" in table.column_names:
        table = table.set_column(table.column_names.index("symbol"), "symbol", table["symbol"].cast(pa.string()))
        names = pc.take(pa.array(_NAMES), table["field"])
        table = table.rename_columns({"field": "field_id"})
        table = table.add_column(table.column_names.index("field_id"), "field", names)
    return table


def _writer(to: str, out: Any, schema: pa.Schema) -> Any:
    if to == "csv":
        return pa.csv.CSVWriter(out, schema)
    return pq.ParquetWriter(out, schema, compression="zstd", compression_level=ZSTD_LEVEL)
