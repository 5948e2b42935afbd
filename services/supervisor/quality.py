"""The quality of what comes in, live: the report of the day so far, made now and then beside the supervisor's loop.

A job on a thread reads what the journal got since the last time: prices never wait for it, and it costs what a reader
of the journal costs. Its marks stand in the status; what became worse in this hour becomes metrics, and the worst of it
an alert. The fold is that of `ibstream quality`, and it is saved for it, and for the next start: a question for today,
and a restart, cost the last minutes. A replay of the journal finds the same.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from messages.errors import IbStreamError
from messages.quality import MARKS, Mark, QualityReport, SymbolQuality
from services.base.clock import DAY, HOUR, parse_time
from services.quotes.past_quality import QualityReader
from services.quotes.quality import slow_hours
from services.runtime.background import Background
from services.supervisor.alerts import Alert

log = structlog.get_logger()

ALERTED: Final[tuple[Mark, ...]] = ("crossed", "stuck", "off_bars", "outliers", "clock", "slow", "split")
"""What people are told of, the worst first. Blind symbols are told of by the status; zero prices and locked quotes are
ordinary for some contracts."""

NAMED: Final = 5  # symbols of a kind in one alert
JOB_SECONDS: Final = 120.0
READ_SECONDS: Final = 20.0  # in one look: the first of a day without what was saved takes several
SAVE_SECONDS: Final = 300.0  # what a question for today, or a start, must read at most; a thousand symbols take 0.1 s


class QualityAlerts:
    """Which findings are news: each mark of a symbol once a day (UTC), and `min_interval` seconds between two alerts;
    what comes meanwhile is in the next one. Pure."""

    def __init__(self, min_interval: float) -> None:
        self._min_interval = min_interval
        self._day = ""
        self._told: set[tuple[Mark, str]] = set()
        self._sent: float | None = None

    def decide(self, report: QualityReport, at: float) -> Alert | None:
        """`at`: seconds on a clock that never goes back."""
        day = report.start[:10]
        if day != self._day:
            self._day, self._told = day, set()
        if self._sent is not None and at - self._sent < self._min_interval:
            return None
        found = [(mark, row.symbol) for mark in ALERTED for row in report.symbols if mark in row.marks]
        news = [one for one in found if one not in self._told]
        if not news:
            return None
        self._told.update(news)
        self._sent = at
        return Alert("quality", "ibstream: prices to look at", "; ".join(_sentences(news)))


def _sentences(news: list[tuple[Mark, str]]) -> Iterator[str]:
    for mark in ALERTED:
        names = [name for own, name in news if own == mark]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"{mark.replace('_', ' ')}: {', '.join(names[:NAMED])}{more}"


def metrics_of(report: QualityReport) -> dict[str, float]:
    """Symbols by mark, and the lowest coverage."""
    found = {
        f'quality_symbols{{mark="{mark}"}}': float(sum(mark in row.marks for row in report.symbols)) for mark in MARKS
    }
    covered = [row.coverage for row in report.symbols if row.coverage is not None]
    return found | {"quality_coverage_lowest": min(covered, default=1.0)}


def worse_since(before: QualityReport | None, now: QualityReport) -> QualityReport:
    """`now` with those marks alone for which there is more than `before`, an earlier report of the same day: what was
    found once is no news for the rest of the day."""
    known = {(row.gateway, row.symbol): row for row in before.symbols} if before is not None else {}
    passed = parse_time(now.until, 0) - parse_time(now.start, 0)
    rows = []
    for row in now.symbols:
        old = known.get((row.gateway, row.symbol))
        marks = [mark for mark in row.marks if old is None or _grew(mark, old, row, passed)]
        rows.append(msgspec.structs.replace(row, marks=marks))
    return msgspec.structs.replace(now, symbols=rows)


def _grew(mark: Mark, old: SymbolQuality, row: SymbolQuality, passed: int) -> bool:
    if mark not in old.marks:
        return True
    match mark:
        case "blind":
            return sum(part.seconds for part in row.blind) > sum(part.seconds for part in old.blind)
        case "crossed":
            return (row.crossed, row.crossed_seconds) != (old.crossed, old.crossed_seconds)
        case "locked":
            return row.locked_seconds > old.locked_seconds
        case "outliers":
            return row.outliers > old.outliers
        case "off_bars":
            return row.bars_outside > old.bars_outside
        case "zero_prices":
            return row.zero_prices > old.zero_prices
        case "stuck":
            return row.stuck_seconds > old.stuck_seconds
        case "clock":
            return row.clock_seconds != old.clock_seconds
        case "slow":
            return passed // HOUR in slow_hours(row, passed)
        case "split":
            return row.split != old.split


class Findings(NamedTuple):
    marks: dict[str, list[Mark]]  # of each symbol, in the day so far
    lately: QualityReport  # the day so far, with the marks of what became worse in this hour alone


class Behind:
    """There is more to read before anything can be said."""


class DayReader:
    """The thread's side."""

    def __init__(self, journal_dir: Path) -> None:
        self._reader = QualityReader(journal_dir, DAY)
        self._saved = -math.inf
        self._hour = 0
        self._newest: QualityReport | None = None
        self._before: QualityReport | None = None  # the last one of the hour before, of the same day

    def look(self, now: int, at: float) -> Findings | Behind:
        """Raises IbStreamError."""
        whole = self._reader.advance(now, READ_SECONDS)
        if not whole or at - self._saved >= SAVE_SECONDS:
            self._reader.save()
            self._saved = at
        if not whole:
            return Behind()
        report = self._reader.report(now)
        if now // HOUR != self._hour:
            self._hour = now // HOUR
            same_day = self._newest is not None and self._newest.start == report.start
            self._before = self._newest if same_day else None
        self._newest = report
        marks: dict[str, list[Mark]] = {}
        for row in report.symbols:  # one for each gateway that has it
            marks[row.symbol] = [mark for mark in MARKS if mark in (*marks.get(row.symbol, ()), *row.marks)]
        return Findings(marks, worse_since(self._before, report))


class QualityWatch:
    """The loop's side: one look at a time, every `seconds`; none with 0."""

    def __init__(
        self, journal_dir: Path, seconds: float, background: Background, told: Callable[[Findings | None], None]
    ) -> None:
        """`told` is called on the loop with what each look found; None: the journal cannot be read now."""
        self._work = DayReader(journal_dir)
        self._seconds = seconds
        self._background = background
        self._told = told
        self._due: float | None = None
        self._busy = False

    def look(self, now: int, at: float) -> None:
        """Call about once a second, with UTC nanoseconds and with seconds that never go back. The first look is one
        pause after the start: not while everything else starts."""
        if self._due is None:
            self._due = at + self._seconds
        if not self._seconds or self._busy or at < self._due:
            return
        self._due = at + self._seconds
        self._busy = True
        self._background.submit(partial(self._work.look, now, at), self._took, JOB_SECONDS)

    def _took(self, outcome: Findings | Behind | IbStreamError) -> None:
        self._busy = False
        if isinstance(outcome, IbStreamError):
            log.warning("data_quality_unknown", error=outcome.message, code=outcome.code)
            self._told(None)
        elif isinstance(outcome, Findings):
            self._told(outcome)
