"""Trading hours: always open by default, and the real US calendar."""

from datetime import date, datetime

import pytest

from services.simulator.market.hours import MarketHours, us_half_days, us_holidays

REGULAR = MarketHours(schedule="regular")


def at(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return REGULAR.to_ns(datetime(year, month, day, hour, minute))


def test_always_open_on_a_weekend_night() -> None:
    hours = MarketHours()
    now = at(2026, 1, 4, 3)
    assert hours.is_open("STK", now)
    assert hours.describe("STK", now).liquid.startswith("20260104:0000-20260105:0000;20260105:0000-20260106:0000")


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (at(2026, 1, 5, 3, 59), False),
        (at(2026, 1, 5, 4), True),
        (at(2026, 1, 5, 19, 59), True),
        (at(2026, 1, 5, 20), False),
        (at(2026, 1, 3, 12), False),  # Saturday
        (at(2026, 1, 19, 12), False),  # Martin Luther King Jr. Day
        (at(2026, 11, 27, 16, 59), True),  # the day after Thanksgiving
        (at(2026, 11, 27, 17), False),
    ],
)
def test_stocks_in_regular_hours(moment: int, is_open: bool) -> None:
    assert REGULAR.is_open("STK", moment) == is_open


def test_regular_hours_as_ib_writes_them() -> None:
    described = REGULAR.describe("STK", at(2026, 11, 25, 12))
    assert described.time_zone == "US/Eastern"
    assert described.liquid.split(";")[:5] == [
        "20261125:0930-20261125:1600",
        "20261126:CLOSED",
        "20261127:0930-20261127:1300",
        "20261128:CLOSED",
        "20261129:CLOSED",
    ]
    assert described.trading.split(";")[0] == "20261125:0400-20261125:2000"


def test_currencies_trade_from_sunday_evening_to_friday_evening() -> None:
    assert REGULAR.is_open("CASH", at(2026, 1, 4, 18))
    assert REGULAR.is_open("CASH", at(2026, 1, 5, 3))
    assert not REGULAR.is_open("CASH", at(2026, 1, 9, 18))
    assert REGULAR.describe("CASH", at(2026, 1, 5, 12)).trading.startswith("20260105:1715-20260106:1700")


def test_holidays_as_the_exchange_published_them() -> None:
    assert us_holidays(2025) == {
        date(2025, 1, 1), date(2025, 1, 20), date(2025, 2, 17), date(2025, 4, 18), date(2025, 5, 26),
        date(2025, 6, 19), date(2025, 7, 4), date(2025, 9, 1), date(2025, 11, 27), date(2025, 12, 25),
    }  # fmt: skip
    assert us_half_days(2025) == {date(2025, 7, 3), date(2025, 11, 28), date(2025, 12, 24)}
    assert us_holidays(2026) == {
        date(2026, 1, 1), date(2026, 1, 19), date(2026, 2, 16), date(2026, 4, 3), date(2026, 5, 25),
        date(2026, 6, 19), date(2026, 7, 3), date(2026, 9, 7), date(2026, 11, 26), date(2026, 12, 25),
    }  # fmt: skip
    assert us_half_days(2026) == {date(2026, 11, 27), date(2026, 12, 24)}
    assert date(2022, 1, 1) not in us_holidays(2022)  # a Saturday is not made up for
