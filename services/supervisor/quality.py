"""The quality of what comes in, live: the report of the hour so far, made now and then beside the supervisor's loop.

A job on a thread reads what the journal got since the last time: prices never wait for it, and it costs what a reader
of the journal costs. What it finds becomes metrics, and the worst of it an alert. The fold is that of
`ibstream quality`, of an hour by UTC in place of a day: a replay of the journal finds the same.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from messages.errors import IbStreamError
from messages.quality import MARKS, Mark, QualityReport
from services.quotes.past_quality import QualityReader
from services.quotes.quality_checks import HOUR
from services.runtime.background import Background
from services.supervisor.alerts import Alert

log = structlog.get_logger()

ALERTED: Final[tuple[Mark, ...]] = ("crossed", "stuck", "off_bars", "outliers", "clock", "slow", "split")
"""What people are told of, the worst first. Blind symbols are told of by the status; zero prices and locked quotes are
ordinary for some contracts."""

NAMED: Final = 5  # symbols of a kind in one alert
JOB_SECONDS: Final = 120.0  # the first look reads the hour so far


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
    """Symbols by mark, and the lowest coverage, of the hour so far."""
    found = {
        f'quality_symbols{{mark="{mark}"}}': float(sum(mark in row.marks for row in report.symbols)) for mark in MARKS
    }
    covered = [row.coverage for row in report.symbols if row.coverage is not None]
    return found | {"quality_coverage_lowest": min(covered, default=1.0)}


class QualityWatch:
    """The loop's side: one look at a time, every `seconds`; none with 0."""

    def __init__(
        self, journal_dir: Path, seconds: float, background: Background, told: Callable[[QualityReport], None]
    ) -> None:
        """`told` is called on the loop with each report."""
        self._reader = QualityReader(journal_dir, HOUR)
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
        self._background.submit(partial(self._reader.report, now), self._took, JOB_SECONDS)

    def _took(self, outcome: QualityReport | IbStreamError) -> None:
        self._busy = False
        if isinstance(outcome, IbStreamError):
            log.warning("data_quality_unknown", error=outcome.message, code=outcome.code)
        else:
            self._told(outcome)
