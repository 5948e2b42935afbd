"""When the simulated markets trade: always (the default, so that a weekend shows live prices), or the real US
hours with their holidays and half days. Writes hours as IB does: `20260105:0930-20260105:1600;20260106:CLOSED`.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.base.clock import SECOND
from services.simulator.protocol.rows import Hours

Schedule = Literal["always", "regular"]
DAYS_SHOWN = 7


class Span(NamedTuple):
    """A stretch of trading, [start, end) in the exchange's own time without a zone."""

    start: datetime
    end: datetime


@dataclass
class MarketHours:
    """The hours of all instruments. `overrides` replaces whole days: no span is a holiday."""

    schedule: Schedule = "always"
    time_zone: str = "US/Eastern"
    overrides: dict[date, list[Span]] = field(default_factory=dict)

    def local(self, now: int) -> datetime:
        """`now` in the exchange's time, without its zone."""
        return datetime.fromtimestamp(now / SECOND, ZoneInfo(self.time_zone)).replace(tzinfo=None)

    def to_ns(self, local: datetime) -> int:
        """UTC nanoseconds of an exchange time."""
        moment = local.replace(tzinfo=ZoneInfo(self.time_zone)).astimezone(UTC)
        return int(moment.timestamp()) * SECOND + moment.microsecond * 1000

    def is_open(self, sec_type: str, now: int) -> bool:
        """Whether it trades now, in or out of regular hours."""
        if self.schedule == "always" and not self.overrides:
            return True
        local = self.local(now)
        days = (local.date() - timedelta(days=1), local.date())
        return any(s.start <= local < s.end for day in days for s in self._day(sec_type, day, liquid=False))

    def sessions(self, sec_type: str, day: date) -> list[Span]:
        """The regular (liquid) session of a day; empty on a holiday."""
        return self._day(sec_type, day, liquid=True)

    def describe(self, sec_type: str, now: int, time_zone: str = "") -> Hours:
        """The coming days' hours, in `time_zone`, or else the exchange's own."""
        zone = time_zone or self.time_zone
        today = self.local(now).date()
        days = [today + timedelta(days=n) for n in range(DAYS_SHOWN)]
        return Hours(zone, *(self._write(sec_type, days, liquid, zone) for liquid in (False, True)))

    def _write(self, sec_type: str, days: list[date], liquid: bool, zone: str) -> str:
        parts: list[str] = []
        for day in days:
            spans = [[self._moved(moment, zone) for moment in span] for span in self._day(sec_type, day, liquid)]
            parts += [f"{start:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}" for start, end in spans] or [f"{day:%Y%m%d}:CLOSED"]
        return ";".join(parts)

    def _moved(self, moment: datetime, zone: str) -> datetime:
        """An exchange time in another zone."""
        if zone == self.time_zone:
            return moment
        return moment.replace(tzinfo=ZoneInfo(self.time_zone)).astimezone(ZoneInfo(zone))

    def _day(self, sec_type: str, day: date, liquid: bool) -> list[Span]:
        if day in self.overrides:
            return self.overrides[day]
        midnight = datetime(day.year, day.month, day.day)
        if self.schedule == "always" or sec_type == "CRYPTO":
            return [Span(midnight, midnight + timedelta(days=1))]
        if sec_type in ("CASH", "CMDTY", "FUT", "FOP", "CONTFUT"):
            spot = sec_type in ("CASH", "CMDTY")
            begins = midnight + timedelta(hours=17 if spot else 18, minutes=15 * spot)
            ends = midnight + timedelta(days=1, hours=17)
            return [Span(begins, ends)] if day.weekday() in (6, 0, 1, 2, 3) else []
        if day.weekday() >= 5 or day in us_holidays(day.year):
            return []
        half = day in us_half_days(day.year)
        if liquid:
            return [Span(midnight + timedelta(hours=9, minutes=30), midnight + timedelta(hours=13 if half else 16))]
        return [Span(midnight + timedelta(hours=4), midnight + timedelta(hours=17 if half else 20))]


_YEARS = "1970", "2199"


def parse_moment(text: str, zone: str) -> int:
    """UTC nanoseconds of a time as clients write it: in `zone`, or with a zone behind it, or UTC as
    yyyymmdd-hh:mm:ss with or without the Z of newer clients. Raises ValueError, also for years far from ours."""
    if not _YEARS[0] <= text[:4] <= _YEARS[1]:
        raise ValueError(f"{text!r} is no time in {' to '.join(_YEARS)}")
    parts = text.split(None, 2)
    if len(parts) == 1 and "-" in text:
        moment = datetime.strptime(text.removesuffix("Z"), "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        return int(moment.timestamp()) * SECOND
    local = datetime.strptime(" ".join(parts[:2]), "%Y%m%d %H:%M:%S" if len(parts) > 1 else "%Y%m%d")
    if len(parts) < 3:
        parts.append(zone)
    try:
        return int(local.replace(tzinfo=ZoneInfo(parts[-1])).timestamp()) * SECOND
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{parts[-1]!r} is not a time zone") from None


@lru_cache(maxsize=16)
def us_holidays(year: int) -> frozenset[date]:
    """Days on which the New York Stock Exchange is closed, by its published rules."""
    found = {
        _nth(year, 1, 0, 3),  # Martin Luther King Jr. Day
        _nth(year, 2, 0, 3),  # Washington's Birthday
        easter(year) - timedelta(days=2),  # Good Friday
        _nth(year, 6, 0, 1) - timedelta(days=7),  # Memorial Day, the last Monday of May
        _observed(date(year, 6, 19)),
        _observed(date(year, 7, 4)),
        _nth(year, 9, 0, 1),  # Labor Day
        _nth(year, 11, 3, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
    }
    new_year = date(year, 1, 1)
    if new_year.weekday() != 5:  # on a Saturday it is not made up for
        found.add(_observed(new_year))
    return frozenset(found)


@lru_cache(maxsize=16)
def us_half_days(year: int) -> frozenset[date]:
    """Days that end at 13:00: before Independence Day, after Thanksgiving, Christmas Eve."""
    days = {date(year, 7, 3), _nth(year, 11, 3, 4) + timedelta(days=1), date(year, 12, 24)}
    return frozenset(day for day in days if day.weekday() < 5 and day not in us_holidays(year))


def easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian computus)."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = b // 4, b % 4
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = c // 4, c % 4
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _observed(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))
