"""Candles for one answer: what is asked for, read from the journal, and cut where it becomes too much.

`read_candles` is called on a thread of its own. Guarantees a bounded answer, and that reading ends within READ_SECONDS
or soon after: what was not reached is told by `more`.
"""

import time
from pathlib import Path
from typing import Final

from starlette.responses import Response

from messages.candles import INTERVALS, SECONDS, Candle, Interval
from messages.errors import IbStreamError
from services.base.clock import SECOND, parse_time
from services.base.settings import Settings
from services.base.settings_rules import candle_intervals
from services.base.symbols import name_of
from services.quotes.candle_table import csv_lines
from services.quotes.past_candles import past_candles
from services.web.schema import CandlesView

MAX_CANDLES: Final = 5_000
USUAL_CANDLES: Final = 500  # when no beginning is asked for, and no more than so many days
USUAL_DAYS: Final = 30
READ_SECONDS: Final = 20.0
MAX_LIVE: Final = 100  # for one client
CANDLE_WORDS: Final = "candles to be told of too: intervals and symbols, separated by commas"
TIME_WORDS: Final = "2026-01-05, 2026-01-05T14:30:00Z, 14:30 (UTC), -2h; empty: some time ago, by the interval"


class Candles(CandlesView):
    """An answer."""

    def as_csv(self) -> Response:
        """A note, and that there is more, have no place in CSV: they are in the header `X-Candles`."""
        said = [*([self.note] if self.note else []), *(["more"] if self.more else [])]
        headers = {"Cache-Control": "no-store"} | ({"X-Candles": "; ".join(said)} if said else {})
        return Response("".join(csv_lines(self.candles)), media_type="text/csv", headers=headers)


def asked_time(begin: str, end: str, interval: Interval, now: int) -> tuple[int, int]:
    """UTC nanoseconds, from and to. Raises IbStreamError `invalid_request`."""
    last = _time("to", end, now) if end else now
    first = (
        _time("from", begin, now)
        if begin
        else last - min(USUAL_CANDLES * SECONDS[interval], USUAL_DAYS * 86_400) * SECOND
    )
    if first >= last:
        raise IbStreamError("invalid_request", "from is not before to", "from")
    return first, last


def _time(name: str, text: str, now: int) -> int:
    try:
        return parse_time(text, now)
    except ValueError as error:
        raise IbStreamError("invalid_request", f"{name}: {error}", name) from None


def live_candles(text: str, settings: Settings) -> frozenset[str]:
    """`1m.SPY,1d.QQQ` as names of candles. Raises IbStreamError `invalid_request` and `invalid_symbol`."""
    published = candle_intervals(settings)
    found = set()
    for part in filter(None, text.split(",")):
        interval, dot, symbol = part.strip().partition(".")
        if interval not in INTERVALS or not dot:
            sentence = f"candles: {part!r}; expected an interval and a symbol, such as 1m.SPY"
            raise IbStreamError("invalid_request", sentence, "candles")
        if interval not in published:
            shown = f"candles of {interval} are not published (IBSTREAM_CANDLES: {' '.join(published) or 'none'})"
            raise IbStreamError("invalid_request", shown, "candles")
        found.add(f"{interval}.{name_of(symbol)}")
    if len(found) > MAX_LIVE:
        raise IbStreamError("invalid_request", f"candles: at most {MAX_LIVE} for one client", "candles")
    return frozenset(found)


def read_candles(journal_dir: Path, symbol: str, interval: Interval, begin: int, end: int, now: int) -> Candles:
    """Raises IbStreamError as past_candles does."""
    until = time.monotonic() + READ_SECONDS

    def proceed() -> None:
        if time.monotonic() > until:
            raise _TooLong

    past = past_candles(journal_dir, symbol, interval, begin, end, now, proceed)
    found: list[Candle] = []
    more = False
    try:
        for candle in past.candles:
            if len(found) == MAX_CANDLES:
                more = True
                break
            found.append(candle)
    except _TooLong:
        if not found:
            sentence = f"reading took more than {READ_SECONDS:g} s: ask for a shorter time, or use `ibstream candles`"
            raise IbStreamError("journal_unavailable", sentence) from None
        more = True
    return Candles(symbol, interval, found, more, past.note)


class _TooLong(Exception):
    pass
