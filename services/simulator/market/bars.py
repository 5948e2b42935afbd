"""Historical bars of invented prices. While the feed ran, minutes and what is coarser are of its very trades; all else
is a pure function of seed, instrument and time, near to what was or would have been traded. Also reads IB's duration
and bar-size words.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from services.base.clock import MINUTE, SECOND
from services.simulator.market.contracts import Instrument
from services.simulator.market.hours import MarketHours
from services.simulator.market.prices import Day, OptionWalk, Walk, session_day, traded, walk
from services.simulator.market.trades import Minutes, RawBar, merged

MOST_BARS = 20_000
_STRIDE = 30 * 86_400  # seconds that are looked at in one go
MOST_SAMPLES = 60_000  # evaluations of the walk in one request: a fraction of a second
DAY = 86_400

BAR_SECONDS = {
    "1 sec": 1, "1 secs": 1, "5 secs": 5, "10 secs": 10, "15 secs": 15, "30 secs": 30, "1 min": 60, "2 mins": 120,
    "3 mins": 180, "5 mins": 300, "10 mins": 600, "15 mins": 900, "20 mins": 1200, "30 mins": 1800, "1 hour": 3600,
    "2 hours": 7200, "3 hours": 10800, "4 hours": 14400, "8 hours": 28800, "1 day": DAY, "1W": 7 * DAY,
    "1 week": 7 * DAY, "1M": 30 * DAY, "1 month": 30 * DAY,
}  # fmt: skip
_PERIODS = {
    "second": 1, "minute": 60, "hour": 3600, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY,
}  # fmt: skip
_UNITS = {"S": 1, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}


def parse_duration(text: str) -> int:
    """Seconds of `1 D`, `600 S`, `2 W`, `1 M`, `1 Y`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,6}) ?([SDWMY])", text.strip())
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r} is not a duration such as 1 D or 600 S")
    return int(match[1]) * _UNITS[match[2]]


def parse_period(text: str) -> int:
    """Seconds of `3 days`, `1 week`, `2 months`, `1 year`. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,3}) (second|minute|hour|day|week|month|year)s?", text.strip())
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r} is not a period such as 3 days or 1 week")
    return int(match[1]) * _PERIODS[match[2]]


def bar_times(hours: MarketHours, sec_type: str, start: int, end: int, seconds: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the bars in [start, end), inside sessions only, in UTC nanoseconds, oldest first."""
    day, last = hours.local(start).date(), hours.local(end).date()
    while day <= last:
        for span in hours.sessions(sec_type, day):
            begins, ends = hours.to_ns(span.start), hours.to_ns(span.end)
            width = min(seconds, DAY) * SECOND if seconds < DAY else ends - begins
            for at in range(begins, ends, width):
                if start <= at < end:
                    yield at, min(at + width, ends)
        day += timedelta(days=1)


def bars(
    seed: int,
    instrument: Instrument,
    hours: MarketHours,
    start: int,
    end: int,
    seconds: int,
    minutes: Minutes | None = None,
) -> list[RawBar]:
    """The newest MOST_BARS bars in [start, end). The last one may be unfinished. `minutes`: what the feed traded."""
    times = _newest(hours, instrument.sec_type, start, end, seconds)
    if not times:
        return []
    path_of = walk(seed, instrument)
    samples = max(1, min(12, MOST_SAMPLES // len(times)))
    made: list[RawBar] = []
    day = Day(0, 0, 0)
    since = minutes.since if minutes is not None and minutes.since and seconds * SECOND >= MINUTE else end
    for begins, ends in times:
        ends = min(ends, end)
        if not day.start <= begins < day.end:
            day = session_day(hours, instrument.sec_type, begins)
        parts = [_walked(path_of, instrument, day, begins, min(ends, since), samples)] if begins < since else []
        if since < ends and minutes is not None:
            parts += minutes.within(max(begins, since - since % MINUTE), ends)
        made.append(merged(parts, begins) or _still(begins, made[-1].close if made else path_of.at(begins)))
    return merge_days(made, hours, seconds) if seconds > DAY else made


def _newest(hours: MarketHours, sec_type: str, start: int, end: int, seconds: int) -> list[tuple[int, int]]:
    """The times of the newest MOST_BARS bars, oldest first: however long the span, no more are looked at."""
    found: list[tuple[int, int]] = []
    until = end
    while until > start and len(found) < MOST_BARS:
        since = max(start, until - _STRIDE * SECOND)
        found = [*bar_times(hours, sec_type, since, until, seconds), *found]
        until = since
    return found[-MOST_BARS:]


def _walked(
    path_of: Walk | OptionWalk, instrument: Instrument, day: Day, begins: int, ends: int, samples: int
) -> RawBar:
    """A bar of what the price did, and of what is traded at that time of the day."""
    path = [path_of.at(begins + (ends - begins) * n // samples) for n in range(samples + 1)]
    volume = traded(instrument, day, ends) - traded(instrument, day, begins)
    return RawBar(begins, path[0], max(path), min(path), path[-1], volume, max(1, volume // 180))


def _still(start: int, price: float) -> RawBar:
    """A bar in which nothing was traded."""
    return RawBar(start, price, price, price, price, 0, 0)


def merge_days(days: list[RawBar], hours: MarketHours, seconds: int) -> list[RawBar]:
    """Days into weeks or months, each under the date of its last trading day."""
    groups: dict[tuple[int, int], list[RawBar]] = {}
    for bar in days:
        day: date = hours.local(bar.start).date()
        key = day.isocalendar()[:2] if seconds == 7 * DAY else (day.year, day.month)
        groups.setdefault(key, []).append(bar)
    return [one for group in groups.values() if (one := merged(group, group[-1].start)) is not None]
