"""What of the quality of data is told to people, and how often."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from messages.events import StreamStarted
from messages.fields import ASK, BID
from messages.quality import MARKS, QualityReport, SymbolQuality
from services.base.clock import DAY, HOUR, SECOND
from services.quotes.past_quality import QualityReader
from services.supervisor.quality import DayReader, Findings, QualityAlerts, metrics_of, worse_since
from tests.blocks import NOW, TestWriter


def report(day: int = 5, **marks: list[str]) -> QualityReport:
    start = f"2026-01-0{day}T14:00:00.000000Z"
    rows = [SymbolQuality(symbol=name, ticks=1, coverage=0.9, marks=own) for name, own in marks.items()]
    return QualityReport(start=start, end=start, until=start, symbols=rows)


def test_each_finding_is_told_once_a_day() -> None:
    alerts = QualityAlerts(300)
    told = alerts.decide(report(SPY=["crossed"], QQQ=[], AAPL=["stuck", "crossed"]), 0)
    assert told is not None
    assert (told.kind, told.text) == ("quality", "crossed: SPY, AAPL; stuck: AAPL")
    assert alerts.decide(report(SPY=["crossed"]), 1000) is None
    again = alerts.decide(report(day=6, SPY=["crossed"]), 2000)
    assert again is not None


def test_what_comes_within_the_pause_is_told_after_it() -> None:
    alerts = QualityAlerts(300)
    assert alerts.decide(report(SPY=["crossed"]), 0) is not None
    assert alerts.decide(report(SPY=["crossed", "stuck"]), 299) is None
    told = alerts.decide(report(SPY=["crossed", "stuck"]), 300)
    assert told is not None and told.text == "stuck: SPY"


def test_what_the_status_tells_or_is_ordinary_raises_no_alert() -> None:
    assert QualityAlerts(300).decide(report(SPY=["blind", "locked", "zero_prices"]), 0) is None


def test_many_symbols_are_counted() -> None:
    told = QualityAlerts(300).decide(report(**{f"S{number}": ["slow"] for number in range(8)}), 0)
    assert told is not None and told.text == "slow: S0, S1, S2, S3, S4 and 3 more"


def test_metrics_count_symbols_by_mark() -> None:
    found = metrics_of(report(SPY=["crossed", "stuck"], QQQ=["crossed"]))
    assert found['quality_symbols{mark="crossed"}'] == 2
    assert found['quality_symbols{mark="split"}'] == 0
    assert found["quality_coverage_lowest"] == 0.9
    assert metrics_of(report())["quality_coverage_lowest"] == 1.0


BAD: dict[str, dict[str, Any]] = {
    "blind": {"blind": [{"reason": "farm_down", "seconds": 60.0}]},
    "crossed": {"crossed": 3, "crossed_seconds": 2.0},
    "locked": {"locked_seconds": 60.0},
    "outliers": {"outliers": 1},
    "off_bars": {"bars_outside": 1},
    "zero_prices": {"zero_prices": 1},
    "stuck": {"stuck_seconds": 60.0},
    "clock": {"clock_seconds": 3.0},
    "slow": {"usual_by_hour": [1000.0] * 24, "ticks_by_hour": [1000] * 14 + [10] + [0] * 9},
    "split": {"split": "4:1"},
}
WORSE: dict[str, dict[str, Any]] = {
    "blind": {"blind": [{"reason": "farm_down", "seconds": 61.0}]},
    "crossed": {"crossed": 4, "crossed_seconds": 2.0},
    "locked": {"locked_seconds": 61.0},
    "outliers": {"outliers": 2},
    "off_bars": {"bars_outside": 2},
    "zero_prices": {"zero_prices": 2},
    "stuck": {"stuck_seconds": 61.0},
    "clock": {"clock_seconds": -3.0},
    "slow": {"usual_by_hour": [1000.0] * 24, "ticks_by_hour": [1000] * 14 + [10, 10] + [0] * 8},
    "split": {"split": "5:1"},
}


@pytest.mark.parametrize("mark", MARKS)
def test_what_was_found_hours_ago_is_no_news_until_it_becomes_worse(mark: str) -> None:
    def whole(until: str, **figures: Any) -> QualityReport:
        row = {"symbol": "SPY", "ticks": 1, "marks": [mark], "ticks_by_hour": [1000] * 24, **figures}
        start, end = "2026-01-05T00:00:00.000000Z", "2026-01-06T00:00:00.000000Z"
        return msgspec.convert({"start": start, "end": end, "until": until, "symbols": [row]}, QualityReport)

    before = whole("2026-01-05T14:59:00.000000Z", **BAD[mark])
    later = "2026-01-05T15:30:00.000000Z"
    again = {"ticks_by_hour": [1000] * 14 + [10, 900] + [0] * 8} if mark == "slow" else {}
    assert worse_since(None, before).symbols[0].marks == [mark]
    assert worse_since(before, whole(later, **(BAD[mark] | again))).symbols[0].marks == []
    assert worse_since(before, whole(later, **WORSE[mark])).symbols[0].marks == [mark]


def test_a_look_tells_the_marks_of_the_day_and_saves_what_it_read(tmp_path: Path) -> None:
    writers = {stream: TestWriter(tmp_path, stream, NOW) for stream in ("control", "plan", "ticks")}
    writers["control"].events(StreamStarted(project_id=1), time=NOW)
    writers["plan"].plan(["SPY", "QQQ"], time=NOW)
    reader = DayReader(tmp_path)

    def look(at: int) -> Findings:
        outcome = reader.look(NOW + at * SECOND, at)
        assert isinstance(outcome, Findings)
        return outcome

    for second, (bid, ask) in enumerate([(100.0, 100.1), (100.2, 100.1), (100.2, 100.1), (100.0, 100.1)]):
        writers["ticks"].ticks([("SPY", BID, bid, 1.0), ("SPY", ASK, ask, 1.0)], time=NOW + second * SECOND)
    writers["ticks"].ticks([("SPY", BID, 100.0, 1.0)], time=NOW + 15 * SECOND)
    first = look(20)
    assert "crossed" in first.marks["SPY"]
    assert first.marks["QQQ"] == ["blind"]  # planned, and nothing came
    assert "crossed" in first.lately.symbols[-1].marks
    writers["ticks"].ticks([("SPY", BID, 100.0, 1.0)], time=NOW + 2 * HOUR)
    later = look(7200)
    assert "crossed" in later.marks["SPY"]  # of the day
    assert "crossed" not in later.lately.symbols[-1].marks  # not of this hour
    read: list[str] = []
    QualityReader(tmp_path, DAY).report(NOW, lambda what, _done, _of: read.append(what))
    assert read == []  # all of it was saved
    for writer in writers.values():
        writer.close()
