"""The one rule for readers."""

import pytest

from messages.views import Quote
from services.base.clock import SECOND, iso
from services.quotes.trust import is_good, moment, refusal

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


def why(**changes: object) -> str | None:
    """Of a mock price that was received now, with `max_age` or `sources` where `changes` have them."""
    wishes = {name: changes.pop(name) for name in ("max_age", "sources") if name in changes}
    known = {"symbol": "SPY", "stale": False, "epoch": 1, "seq": 1, "source": "mock", "timestamp": iso(NOW)}
    refused = refusal(Quote(**known | {"good_until": iso(NOW + SECOND)} | changes), NOW, 5.0, **wishes)  # type: ignore[arg-type]
    return None if refused is None else refused.reason


def test_how_old_a_price_from_the_future_is_nobody_knows() -> None:
    """A clock that was wrong by an hour was set right: for an hour each old price would seem new."""
    assert why(timestamp=iso(NOW + 3600 * SECOND), max_age=5) == "clock"
    assert why(timestamp=iso(NOW + SECOND // 4), max_age=5) is None


def test_a_time_that_cannot_be_read_is_no_age() -> None:
    assert why(timestamp="yesterday", max_age=5) == "too_old"
    assert why(timestamp="yesterday") is None


@pytest.mark.parametrize(("sources", "reason"), [("mock", None), ("not mock", "source"), ("ib_stream", "source")])
def test_a_source_alone_is_that_source_and_not_its_letters(sources: str, reason: str | None) -> None:
    assert why(sources=sources) == reason
