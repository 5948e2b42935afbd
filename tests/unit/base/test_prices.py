"""The middle of bid and ask."""

from decimal import Decimal

import pytest

from services.base.prices import midpoint


def test_it_is_the_middle_in_the_numbers_it_was_given() -> None:
    assert midpoint(590.58, 590.6) == 590.59
    assert midpoint(Decimal("590.58"), Decimal("590.61")) == Decimal("590.595")


@pytest.mark.parametrize(("bid", "ask"), [(None, 1.0), (1.0, None), (None, None)])
def test_there_is_none_unless_both_are_known(bid: float | None, ask: float | None) -> None:
    assert midpoint(bid, ask) is None


def test_zero_is_a_price_too() -> None:
    assert midpoint(0.0, 1.0) == 0.5
