"""Candles as CSV: one line each, the fields of `Candle`, and why a part was blind as `reason=seconds`."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from messages.candles import Candle

COLUMNS: Final = (
    "symbol", "interval", "start", "end", "session", "hours", "open", "high", "low", "close", "volume", "vwap",
    "trades", "coverage", "blind", "filled", "source", "market_data_type", "rolled", "complete",
)  # fmt: skip


def csv_lines(candles: Iterable[Candle]) -> Iterator[str]:
    """The header, then each candle. What is absent is empty; numbers are written in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for candle in candles:
        writer.writerow([_shown(candle, name) for name in COLUMNS])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    if text.tell():
        yield text.getvalue()


def _shown(candle: Candle, name: str) -> object:
    if name == "blind":
        return " ".join(f"{one.reason}={one.seconds:g}" for one in candle.blind)
    value = getattr(candle, name)
    return str(value).lower() if isinstance(value, bool) else value
