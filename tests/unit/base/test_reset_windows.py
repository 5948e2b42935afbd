"""Reset windows: the default setting against hours of the week, in summer and in winter."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from services.base.reset_windows import ResetWindows
from services.base.settings import Settings

DEFAULT = Settings()
NEW_YORK = ZoneInfo("America/New_York")


def expected(text: str, local: str) -> bool:
    windows = ResetWindows(text, "America/New_York")
    return windows.expected(int(datetime.fromisoformat(local).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000)


@pytest.mark.parametrize("date", ["2026-01-07", "2026-07-08"])  # Wednesdays in winter and summer time
@pytest.mark.parametrize(
    ("clock", "inside"),
    [("00:14", False), ("00:15", True), ("01:44", True), ("01:45", False), ("23:30", False), ("12:00", False)],
)
def test_the_nightly_reset(date: str, clock: str, inside: bool) -> None:
    assert expected(DEFAULT.reset_windows, f"{date} {clock}") is inside


@pytest.mark.parametrize(
    ("local", "inside"),
    [
        ("2026-01-09 22:59", False),
        ("2026-01-09 23:00", True),  # Friday
        ("2026-01-10 02:59", True),
        ("2026-01-10 03:00", False),  # Saturday
        ("2026-01-11 01:05", True),  # Sunday: the weekly token ends
    ],
)
def test_the_weekend(local: str, inside: bool) -> None:
    assert expected(DEFAULT.reset_windows, local) is inside


def test_windows_over_midnight_and_over_the_week_s_end() -> None:
    assert expected("daily 23:30-00:30", "2026-01-07 00:10")
    assert not expected("daily 23:30-00:30", "2026-01-07 00:40")
    assert expected("sun-mon 22:00-04:00", "2026-01-12 03:00")
    assert expected("sun-mon 22:00-04:00", "2026-01-11 23:00")
    assert not expected("sun-mon 22:00-04:00", "2026-01-12 04:00")
    assert expected("sat 00:00-24:00", "2026-01-10 23:59") and not expected("sat 00:00-24:00", "2026-01-11 00:00")
    assert not expected("", "2026-01-11 01:05")
