"""The one rule for readers."""

import pytest

from messages.views import Quote
from services.base.clock import SECOND, iso
from services.quotes.trust import is_good, moment

NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("left", "good"), [(4.9, True), (0.001, True), (0, False), (-1, False), (5.4, True), (6, False), (3600, False)]
)
def test_a_price_is_good_before_its_moment_and_not_too_long_before(left: float, good: bool) -> None:
    quote = Quote(symbol="SPY", stale=False, epoch=1, seq=1, good_until=iso(NOW + int(left * SECOND)))
    assert is_good(moment(quote), NOW, 5.0) is good


@pytest.mark.parametrize("until", [None, "", "soon"])
def test_without_a_moment_that_can_be_read_it_is_not(until: str | None) -> None:
    quote = Quote(symbol="SPY", stale=False, epoch=1, seq=1, good_until=until)
    assert not is_good(moment(quote), NOW, 5.0)
