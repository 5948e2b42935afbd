"""Candles as Arrow batches: the fold that the sink publishes, of any past span."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from messages.candles import Candle, Interval
from services.quotes.past_candles import past_candles

ROWS: Final = 8_192  # in a batch
TIME: Final = pa.timestamp("us", tz="UTC")
_TIMES: Final = ("start", "end")
CANDLES_FRAME: Final = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("interval", pa.string(), nullable=False),
        *(pa.field(name, TIME, nullable=False) for name in _TIMES),
        pa.field("session", pa.string()),
        *(pa.field(name, pa.float64()) for name in ("open", "high", "low", "close", "volume", "vwap")),
        pa.field("trades", pa.int64(), nullable=False),
        pa.field("coverage", pa.float64(), nullable=False),
        pa.field("blind", pa.list_(pa.struct({"reason": pa.string(), "seconds": pa.float64()})), nullable=False),
        pa.field("filled", pa.float64(), nullable=False),
        *(pa.field(name, pa.string()) for name in ("hours", "source", "market_data_type")),
        pa.field("rolled", pa.string()),
        pa.field("complete", pa.bool_(), nullable=False),
    ]
)


def candle_batches(
    journal_dir: Path, symbols: Sequence[str], interval: Interval, begin: int, end: int | None, now: int
) -> Iterator[pa.RecordBatch]:
    """The candles of one symbol after the other that overlap [begin, end). Raises IbStreamError."""
    for symbol in symbols:
        candles = past_candles(journal_dir, symbol, interval, begin, now if end is None else end, now).candles
        while rows := list(islice(candles, ROWS)):
            columns = [_column(rows, field) for field in CANDLES_FRAME]
            yield pa.RecordBatch.from_arrays(columns, schema=CANDLES_FRAME)


def _column(rows: Sequence[Candle], field: pa.Field) -> pa.Array:
    values: list[Any] = [getattr(candle, field.name) for candle in rows]
    if field.name in _TIMES:
        return pa.array(values, pa.string()).cast(TIME)
    if field.name == "blind":
        values = [[{"reason": blind.reason, "seconds": blind.seconds} for blind in own] for own in values]
    return pa.array(values, field.type)
