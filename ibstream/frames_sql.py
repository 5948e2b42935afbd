"""DuckDB over a journal: archived days by DuckDB's own Parquet reader, the others through Arrow, in one view."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ibstream.errors import IbstreamError
from messages.fields import TICK_NAME
from messages.topics import shard
from services.base.clock import iso
from services.journal.frames import TICKS_FRAME, archived_days, tick_batches

if TYPE_CHECKING:
    import duckdb

    from ibstream.frames import Data


class Rescanned:
    """Something that DuckDB reads anew for each query, through Arrow's C stream."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._read().__arrow_c_stream__(requested_schema)


def create_views(
    data: "Data", connection: Any, symbols: Sequence[str], begin: int, end: int | None
) -> "duckdb.DuckDBPyConnection":
    """Make the views `ticks` and `gaps` on a connection. Raises IbstreamError."""
    try:
        import duckdb
    except ImportError:
        raise IbstreamError("this needs DuckDB: pip install duckdb", "missing_dependency") from None
    sql = connection if connection is not None else duckdb.connect()
    parts, following = [], {}
    for stream in data.tick_streams():
        days, following[stream] = archived_days(data.journal_dir, stream)
        if days:
            parts.append(_archived([str(path) for path in days], shard(stream), symbols, begin, end))

    def live() -> pa.RecordBatchReader:
        def batches() -> Any:
            for stream, from_seq in following.items():
                yield from tick_batches(data.journal_dir, stream, begin, end, symbols, from_seq=from_seq)

        return pa.RecordBatchReader.from_batches(TICKS_FRAME, batches())

    sql.register("ibstream_live_ticks", Rescanned(live))
    sql.register("ibstream_gaps", Rescanned(lambda: data.gaps(symbols, begin or None, end).to_reader()))
    names = ", ".join(_text(TICK_NAME.get(number, f"tick_{number}")) for number in range(256))
    sql.execute(f"CREATE OR REPLACE TEMP MACRO ibstream_tick_name(id) AS list_extract([{names}], id + 1)")
    columns = ", ".join(TICKS_FRAME.names)
    plain = columns.replace("symbol, field", "symbol::VARCHAR, field::VARCHAR")
    parts.append(f"SELECT {plain} FROM ibstream_live_ticks")  # noqa: S608
    sql.execute(f"CREATE OR REPLACE TEMP VIEW ticks({columns}) AS {' UNION ALL '.join(parts)}")
    sql.execute("CREATE OR REPLACE TEMP VIEW gaps AS SELECT * FROM ibstream_gaps")
    return sql


def _archived(paths: list[str], gateway: str, symbols: Sequence[str], begin: int, end: int | None) -> str:
    """The query of some archived days, with the columns of TICKS_FRAME."""
    wanted = []  # a literal has microseconds: it spares DuckDB what is outside, and the nanoseconds decide
    if begin:
        wanted.append(f"time >= {_text(iso(begin))}::TIMESTAMPTZ AND epoch_ns(time) >= {begin}")
    if end is not None:
        wanted.append(f"time <= {_text(iso(end))}::TIMESTAMPTZ + INTERVAL 1 microsecond AND epoch_ns(time) < {end}")
    if symbols:
        wanted.append(f"symbol IN ({', '.join(map(_text, symbols))})")
    listed = ", ".join(map(_text, paths))
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    return (
        "SELECT time, symbol, ibstream_tick_name(field), value, size, text, "  # noqa: S608
        f"{_text(gateway)}, epoch, seq FROM read_parquet([{listed}]){where}"
    )


def _text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"
