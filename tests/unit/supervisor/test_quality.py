"""What of the quality of data is told to people, and how often."""

from messages.quality import QualityReport, SymbolQuality
from services.supervisor.quality import QualityAlerts, metrics_of


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
