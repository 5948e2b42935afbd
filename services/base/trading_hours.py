"""Is a market open, and to which trading day does a moment belong? IB's hours, parsed. Called by the gateway's symbol
state machine, and by candles of a day.

IB's text comes in two forms, with half days and holidays in it (TWS API documentation, ContractDetails):
old `20090507:0700-1830,1830-2330;20090508:CLOSED`, new `20180323:0400-20180323:2000;20180326:CLOSED`.
"""

import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

# What IB and older gateways write for a zone. `EST` alone would be a zone without daylight saving.
ZONES: Final = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "EST5EDT": "America/New_York",
    "CST": "America/Chicago",
    "CST6CDT": "America/Chicago",
    "MST": "America/Denver",
    "PST": "America/Los_Angeles",
    "GMT": "Europe/London",
    "BST": "Europe/London",
    "WET": "Europe/Lisbon",
    "MET": "Europe/Paris",
    "CET": "Europe/Paris",
    "EET": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "HKT": "Asia/Hong_Kong",
    "SGT": "Asia/Singapore",
    "CTT": "Asia/Shanghai",
    "AEST": "Australia/Sydney",
    "AET": "Australia/Sydney",
    "KST": "Asia/Seoul",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
    "SAST": "Africa/Johannesburg",
    "BRT": "America/Sao_Paulo",
}

# The words in brackets, and what Windows calls a zone. They go before the letters, of which `CST` and `IST` have three.
NAMED_ZONES: Final = {
    "eastern": "America/New_York",
    "us eastern": "America/New_York",
    "central": "America/Chicago",
    "mountain": "America/Denver",
    "pacific": "America/Los_Angeles",
    "canada central": "America/Regina",
    "cuba": "America/Havana",
    "brasilia": "America/Sao_Paulo",
    "e. south america": "America/Sao_Paulo",
    "gmt": "Europe/London",
    "greenwich mean": "Europe/London",
    "british summer": "Europe/London",
    "western european": "Europe/Lisbon",
    "central european": "Europe/Paris",
    "central europe": "Europe/Paris",
    "w. europe": "Europe/Berlin",
    "romance": "Europe/Paris",
    "middle europe": "Europe/Paris",
    "eastern european": "Europe/Athens",
    "moscow": "Europe/Moscow",
    "russian": "Europe/Moscow",
    "israel": "Asia/Jerusalem",
    "irish": "Europe/Dublin",
    "india": "Asia/Kolkata",
    "indian": "Asia/Kolkata",
    "china": "Asia/Shanghai",
    "taipei": "Asia/Taipei",
    "hong kong": "Asia/Hong_Kong",
    "singapore": "Asia/Singapore",
    "japan": "Asia/Tokyo",
    "tokyo": "Asia/Tokyo",
    "korea": "Asia/Seoul",
    "australian eastern": "Australia/Sydney",
    "aus eastern": "Australia/Sydney",
    "new zealand": "Pacific/Auckland",
    "south africa": "Africa/Johannesburg",
}
_AMBIGUOUS: Final = frozenset({"CST", "IST", "BST", "EST", "MST", "PST", "AST", "AET", "CTT"})
_ZONE_WORDS: Final = re.compile(r"\b(standard|daylight|summer|time)\b")

_SESSION = re.compile(r"(?:(\d{8}):)?(\d{4})-(?:(\d{8}):)?(\d{4})")
_DAY: Final = timedelta(days=1)


class Hours:
    """Sessions of the days that IB told, as UTC nanoseconds. Outside these days nothing is known."""

    def __init__(self, sessions: list[tuple[int, int]], known_from: int, known_until: int) -> None:
        self.known_from = known_from
        self.known_until = known_until
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(sessions):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def is_open(self, now: int) -> bool | None:
        """None when IB's text does not cover this time."""
        if not self.known_from <= now < self.known_until:
            return None
        return self.opened_at(now) is not None

    def opened_at(self, now: int) -> int | None:
        """Start of the session that `now` lies in."""
        index = bisect_right(self._starts, now) - 1
        return self._starts[index] if index >= 0 and now < self._ends[index] else None

    def closed_at(self, now: int) -> int | None:
        """End of the last session before `now`."""
        index = bisect_right(self._ends, now) - 1
        return self._ends[index] if index >= 0 else None

    def next_change(self, now: int) -> int | None:
        """When the market opens or closes next, or knowledge ends. None when that is behind us."""
        times = [time for time in (self.known_from, self.known_until) if time > now]
        for edges in (self._starts, self._ends):
            index = bisect_right(edges, now)
            if index < len(edges):
                times.append(edges[index])
        return min(times, default=None)


class TradingDay(NamedTuple):
    """From its first session's start to its last one's end, UTC nanoseconds."""

    date: str  # YYYY-MM-DD, on which it ends where the exchange is
    start: int
    end: int


class TradingDays:
    """The trading days that a text tells. A session that began on the evening before is of the day that it ends on."""

    def __init__(self, sessions: list[tuple[int, int]], zone: ZoneInfo, known: Hours) -> None:
        days: dict[str, TradingDay] = {}
        for start, end in sorted(sessions):
            date = f"{datetime.fromtimestamp((end - 1) // 1_000_000_000, zone):%Y-%m-%d}"
            begun = days.get(date)
            days[date] = TradingDay(date, begun.start if begun else start, max(end, begun.end) if begun else end)
        self._days = sorted(days.values(), key=lambda day: day.start)
        self._known = known

    def covers(self, time: int) -> bool:
        """Whether the text tells of this time."""
        return self._known.known_from <= time < self._known.known_until

    def at(self, time: int) -> TradingDay | None:
        """The trading day that `time` lies in; None between two, or where nothing is told."""
        index = bisect_right(self._days, time, key=lambda day: day.start) - 1
        return self._days[index] if index >= 0 and time < self._days[index].end else None


@lru_cache(1024)
def trading_days(text: str, time_zone: str) -> TradingDays | None:
    """The days of an hours text in its time zone. None when either is missing or not understood."""
    zone, sessions, hours = _zone(time_zone), _sessions(text, time_zone), parse_hours(text, time_zone)
    return TradingDays(sessions[0], zone, hours) if zone and sessions and hours else None


def parse_hours(text: str, time_zone: str) -> Hours | None:
    """IB's hours text in its time zone. None when either is missing or not understood."""
    parsed = _sessions(text, time_zone)
    if parsed is None:
        return None
    sessions, days = parsed
    known_from = min([_ns(min(days)), *(start for start, _ in sessions)])
    known_until = max([_ns(max(days) + _DAY), *(end for _, end in sessions)])
    return Hours(sessions, known_from, known_until)


def _sessions(text: str, time_zone: str) -> tuple[list[tuple[int, int]], list[datetime]] | None:
    """The sessions, and the days that the text names."""
    zone = _zone(time_zone)
    if zone is None:
        return None
    sessions: list[tuple[int, int]] = []
    days: list[datetime] = []
    try:
        for part in filter(None, (part.strip() for part in text.split(";"))):
            day = datetime.strptime(part[:8], "%Y%m%d").replace(tzinfo=zone)
            days.append(day)
            if part[9:].upper() == "CLOSED":
                continue
            if part[8:9] != ":":
                return None
            for span in part[9:].split(","):
                session = _session(day, span, zone)
                if session is None:
                    return None
                sessions.append(session)
    except ValueError:
        return None
    return (sessions, days) if days else None


def _session(day: datetime, span: str, zone: ZoneInfo) -> tuple[int, int] | None:
    match = _SESSION.fullmatch(span.strip())
    if match is None:
        return None
    start_day, start_clock, end_day, end_clock = match.groups()
    start = _at(datetime.strptime(start_day, "%Y%m%d").replace(tzinfo=zone) if start_day else day, start_clock)
    end = _at(datetime.strptime(end_day, "%Y%m%d").replace(tzinfo=zone) if end_day else day, end_clock)
    if end <= start and end_day is None:
        start -= _DAY  # the old form names the trading day: the session began on the evening before
    return (_ns(start), _ns(end)) if start < end else None


def _at(day: datetime, clock: str) -> datetime:
    hour, minute = int(clock[:2]), int(clock[2:])
    if hour == 24 and minute == 0:
        return day + _DAY
    return day.replace(hour=hour, minute=minute)


def _zone(name: str) -> ZoneInfo | None:
    """`US/Eastern`, `EST5EDT`, `EST (Eastern Standard Time)`, `Eastern Standard Time`. None for one that is not known,
    and for letters of several meanings beside words that are not known."""
    word, _, words = (part.strip(" )") for part in name.partition("("))
    if named := _named(words) or _named(word):
        return ZoneInfo(named)
    if words and word.upper() in _AMBIGUOUS:
        return None
    try:
        return ZoneInfo(ZONES.get(word.upper(), word)) if word else None
    except (KeyError, ValueError, OSError):
        return None


def _named(words: str) -> str | None:
    lower = words.lower()
    return NAMED_ZONES.get(lower.removesuffix(" time")) or NAMED_ZONES.get(" ".join(_ZONE_WORDS.sub("", lower).split()))


def _ns(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp()) * 1_000_000_000
