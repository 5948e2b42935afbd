"""IB's hours text: both forms, zones, half days, holidays, and what cannot be read."""

from datetime import UTC, datetime

import pytest

from services.base.trading_hours import Hours, parse_hours, trading_days

NEW = "20261123:0930-20261123:1600;20261124:CLOSED;20261127:0930-20261127:1300"
OLD = "20261123:0930-1600;20261124:CLOSED;20261127:0930-1300"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def hours(text: str, zone: str) -> Hours:
    parsed = parse_hours(text, zone)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize("text", [NEW, OLD])
@pytest.mark.parametrize("zone", ["US/Eastern", "America/New_York", "EST (Eastern Standard Time)", "EST5EDT", "EST"])
def test_sessions_half_day_and_holiday(text: str, zone: str) -> None:
    parsed = hours(text, zone)
    assert parsed.is_open(at("2026-11-23 14:29")) is False
    assert parsed.is_open(at("2026-11-23 14:30")) is True
    assert parsed.is_open(at("2026-11-23 21:00")) is False
    assert parsed.is_open(at("2026-11-24 16:00")) is False  # holiday
    assert parsed.is_open(at("2026-11-27 17:59")) is True
    assert parsed.is_open(at("2026-11-27 18:01")) is False  # half day


def test_beyond_what_ib_told_nothing_is_known() -> None:
    parsed = hours(NEW, "US/Eastern")
    assert parsed.is_open(at("2026-11-20 16:00")) is None
    assert parsed.is_open(at("2026-11-28 16:00")) is None


def test_summer_time() -> None:
    parsed = hours("20260723:0930-20260723:1600", "EST")
    assert parsed.is_open(at("2026-07-23 13:30")) is True
    assert parsed.is_open(at("2026-07-23 20:00")) is False


def test_edges() -> None:
    parsed = hours(NEW, "US/Eastern")
    noon = at("2026-11-23 17:00")
    assert parsed.opened_at(noon) == at("2026-11-23 14:30")
    assert parsed.next_change(noon) == at("2026-11-23 21:00")
    night = at("2026-11-24 03:00")
    assert parsed.opened_at(night) is None
    assert parsed.closed_at(night) == at("2026-11-23 21:00")
    assert parsed.next_change(night) == at("2026-11-27 14:30")


def test_sessions_that_cross_midnight() -> None:
    new = hours("20261122:1700-20261123:1600;20261123:1700-20261124:1600", "US/Central")
    old = hours("20261123:1700-1600;20261124:1700-1600", "CST")  # names the trading day
    for parsed in (new, old):
        assert parsed.is_open(at("2026-11-23 02:00")) is True
        assert parsed.is_open(at("2026-11-23 22:30")) is False
        assert parsed.is_open(at("2026-11-23 23:30")) is True


def test_several_sessions_a_day_and_midnight_as_2400() -> None:
    parsed = hours("20261123:0900-1130,1230-1500;20261124:1600-2400", "JST")
    assert parsed.is_open(at("2026-11-23 02:00")) is True
    assert parsed.is_open(at("2026-11-23 03:00")) is False
    assert parsed.is_open(at("2026-11-23 04:00")) is True
    assert parsed.is_open(at("2026-11-24 14:59")) is True


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", "US/Eastern"),
        (NEW, ""),
        (NEW, "Middle/Earth"),
        (NEW, "../../etc/passwd"),
        ("20261123", "US/Eastern"),
        ("20261399:0930-1600", "US/Eastern"),
        ("20261123:0930-160", "US/Eastern"),
        ("20261123:9930-9960", "US/Eastern"),
        ("20261124:1600-20261123:0930;garbage", "US/Eastern"),
        ("\0" * 50, "US/Eastern"),
    ],
)
def test_what_cannot_be_read_is_unknown(text: str, zone: str) -> None:
    assert parse_hours(text, zone) is None


@pytest.mark.parametrize(
    ("text", "zone", "moment", "day"),
    [
        (NEW, "US/Eastern", "2026-11-23 15:00", ("2026-11-23", "2026-11-23 14:30", "2026-11-23 21:00")),
        (
            "20261122:1700-20261123:1600;20261123:1700-20261124:1600",  # a future's: from the evening before
            "US/Central",
            "2026-11-22 23:30",
            ("2026-11-23", "2026-11-22 23:00", "2026-11-23 22:00"),
        ),
        (
            "20261123:0930-20261123:1200,20261123:1300-20261123:1600",  # with a pause: one day
            "Asia/Hong_Kong",
            "2026-11-23 04:30",
            ("2026-11-23", "2026-11-23 01:30", "2026-11-23 08:00"),
        ),
        (
            "20261123:0000-20261123:2400",
            "UTC",
            "2026-11-23 23:59",
            ("2026-11-23", "2026-11-23 00:00", "2026-11-24 00:00"),
        ),
    ],
)
def test_a_moment_belongs_to_a_trading_day(text: str, zone: str, moment: str, day: tuple[str, str, str]) -> None:
    days = trading_days(text, zone)
    assert days is not None
    assert days.at(at(moment)) == (day[0], at(day[1]), at(day[2]))


def test_a_holiday_is_known_and_has_no_trading_day() -> None:
    days = trading_days(NEW, "US/Eastern")
    assert days is not None
    holiday, another_year = at("2026-11-24 16:00"), at("2025-11-24 16:00")
    assert (days.covers(holiday), days.at(holiday)) == (True, None)
    assert not days.covers(another_year)
    assert trading_days(NEW, "nowhere") is None
