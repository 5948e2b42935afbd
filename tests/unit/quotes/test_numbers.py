"""What IB's numbers say, and when they say nothing."""

import sys
from math import inf, nan

import pytest

from services.base.clock import SECOND
from services.quotes.numbers import in_currency, number_of, price_of, since_of, size_of, time_of, volume_of

UNSET = sys.float_info.max
OVERFLOWED = -(1 << 31)


@pytest.mark.parametrize(
    ("value", "size", "price"),
    [
        (590.58, 100, 590.58),
        (-37.63, 0, -37.63),  # oil, in April 2020
        (0, 100, 0),
        (-1, 100, -1),
        (0, 0, None),
        (-1, 0, None),
        (-1, nan, None),
        (nan, 100, None),
        (inf, 100, None),
        (UNSET, 100, None),
        (-UNSET, 100, None),
    ],
)
def test_a_price(value: float, size: float, price: float | None) -> None:
    assert price_of(value, size) == price


def test_a_price_in_the_currency_has_no_traces_of_the_division() -> None:
    assert price_of(0.7, 1, 100) == in_currency(0.7, 100) == 0.007
    assert price_of(0.1 + 0.2, 1) == in_currency(0.1 + 0.2, 1) == 0.1 + 0.2  # nothing was divided
    assert price_of(-1, 0, 100) is None


@pytest.mark.parametrize(
    ("value", "unit", "volume"),
    [
        (1000, 100, 1000),
        (OVERFLOWED, 1, 1 << 31),
        (OVERFLOWED, 100, None),
        (-1, 1, None),
        (nan, 1, None),
        (UNSET, 1, None),
    ],
)
def test_a_volume(value: float, unit: float, volume: float | None) -> None:
    assert volume_of(value, unit) == volume


@pytest.mark.parametrize(
    ("value", "number", "size"), [(0, 0, 0), (-5, -5, None), (nan, None, None), (inf, None, None), (UNSET, None, None)]
)
def test_a_number_and_a_size(value: float, number: float | None, size: float | None) -> None:
    assert (number_of(value), size_of(value)) == (number, size)


def test_times() -> None:
    assert time_of(1.5) == 1_500_000_000
    assert [time_of(seconds) for seconds in (0, -1, nan, inf, 1e12)] == [0] * 5
    assert since_of(2.0) == 2 * SECOND - 1000  # a time as a float is no more exact than a microsecond
    assert since_of(0) == since_of(nan) == 0
