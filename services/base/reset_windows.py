"""When IB is expected to be away: the setting `reset_windows`, parsed. Called by settings and the gateway's link.

Each window is a stretch of the week in local wall-clock time, so daylight saving needs no care.
"""

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from messages.errors import IbStreamError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_A_DAY: Final = 1440
_WEEK: Final = 7 * _MINUTES_A_DAY
_WINDOW = re.compile(r"(daily|[a-z]{3})(?:-([a-z]{3}))? (\d\d):(\d\d)-(\d\d):(\d\d)")


class ResetWindows:
    """Windows as minutes of the week, from Monday 00:00."""

    def __init__(self, text: str, time_zone: str) -> None:
        """Parse `daily 00:15-01:45, fri-sat 23:00-03:00, sun 01:00-01:15`.

        `fri-sat 23:00-03:00` goes from Friday 23:00 to Saturday 03:00; a window that ends before it starts
        ends on the next day. Raises IbStreamError `invalid_setting`, naming the variable.
        """
        try:
            self.zone = ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            raise IbStreamError(
                "invalid_setting",
                f"IBSTREAM_RESET_TIME_ZONE is {time_zone!r}; expected a time zone such as America/New_York",
            ) from None
        self._spans: list[tuple[int, int]] = []
        for part in (part.strip().lower() for part in text.split(",") if part.strip()):
            self._spans.extend(_spans(part))

    def expected(self, now: int) -> bool:
        """Is `now` (UTC ns) inside a window?"""
        local = datetime.fromtimestamp(now / 1e9, UTC).astimezone(self.zone)
        minute = local.weekday() * _MINUTES_A_DAY + local.hour * 60 + local.minute
        return any(start <= minute < end or start <= minute + _WEEK < end for start, end in self._spans)


def _spans(part: str) -> list[tuple[int, int]]:
    match = _WINDOW.fullmatch(" ".join(part.split()))
    if match is None:
        raise _invalid(part)
    first, last = match[1], match[2]
    start_hour, start_minute, end_hour, end_minute = (int(match[index]) for index in range(3, 7))
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start_hour > 23 or end_hour > 24 or start_minute > 59 or end_minute > 59 or end > _MINUTES_A_DAY:
        raise _invalid(part)
    if first == "daily" and last is None:
        days = list(range(7))
    elif first in DAYS and (last is None or last in DAYS):
        days = [DAYS.index(first)]
    else:
        raise _invalid(part)
    length = end - start
    if last is not None:
        length += (DAYS.index(last) - days[0]) % 7 * _MINUTES_A_DAY
    if length <= 0:
        length += _MINUTES_A_DAY
    return [(day * _MINUTES_A_DAY + start, day * _MINUTES_A_DAY + start + length) for day in days]


def _invalid(part: str) -> IbStreamError:
    return IbStreamError(
        "invalid_setting",
        f"IBSTREAM_RESET_WINDOWS has {part!r}; expected windows such as daily 00:15-01:45 or fri-sat 23:00-03:00",
    )
