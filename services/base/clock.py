"""Time: UTC nanoseconds everywhere inside, ISO 8601 with `Z` wherever a person or another program reads.

Cores never ask for the time, they are told; the loops around them take it from a `Clock`.
"""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1) * SECOND
"""The first moment that can be written in ISO 8601, and the last."""
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(seconds=1) * SECOND + SECOND - 1


class Clock(Protocol):
    def now(self) -> int:
        """UTC nanoseconds since 1970."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back."""


class SystemClock:
    def now(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told: for tests and simulations."""

    def __init__(self, now: int = 1_700_000_000 * SECOND) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._now / SECOND

    def advance(self, seconds: float) -> int:
        assert seconds >= 0
        self._now += int(seconds * SECOND)
        return self._now


def iso(ns: int) -> str:
    """`2026-01-05T14:30:00.123456Z`: microseconds, so that two instants rarely look alike."""
    seconds, rest = divmod(ns, SECOND)
    return f"{_to_the_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(64)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def utc_day(ns: int) -> str:
    """`2026-01-05`: the name of the journal file that holds this instant."""
    return _day(ns // DAY)


@lru_cache(64)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()


def parse_time(text: str, now: int) -> int:
    """UTC nanoseconds of what a person types: ISO 8601 (UTC unless it has an offset), `YYYY-MM-DD`,
    `HH:MM[:SS]` of today (UTC), `now`, or a time ago such as `-90s`, `-5m`, `-2h`, `-1d`.

    Raises ValueError with a sentence that names what was expected, also for what `iso` has no year for.
    """
    text = text.strip()
    if text == "now":
        return now
    ago = re.fullmatch(r"-(\d+(?:\.\d+)?)([smhd])", text)
    if ago:
        unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}[ago[2]]
        seconds = float(ago[1]) * unit
        if not seconds < (now - FIRST) / SECOND:
            raise ValueError(f"{text!r} is before the year 1")
        return now - int(seconds * SECOND)
    of_today = re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", text)
    try:
        moment = datetime.fromisoformat(f"{utc_day(now)}T{text:0>5}" if of_today else text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; expected 2026-01-05T14:30:00Z, 2026-01-05, 14:30, -5m or now"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    ns = ((whole - EPOCH) // timedelta(seconds=1)) * SECOND + moment.microsecond * 1000
    if not FIRST <= ns <= LAST:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC")
    return ns


def moment_of(said: str | int, now: int) -> int:
    """What a program says: UTC nanoseconds, or a text as `parse_time` takes it. Raises ValueError."""
    if isinstance(said, str):
        return parse_time(said, now)
    if not FIRST <= said <= LAST:
        raise ValueError(f"{said} UTC nanoseconds are outside the years 1 to 9999")
    return said
