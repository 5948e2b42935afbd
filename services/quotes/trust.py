"""The one rule for readers: a price may be used if now is before its `good_until`.

Used by `ibstream price`, by the Python client, by the web, and by tests; README.md ("Reading a price safely") tells it
to everybody else. Pure. Guarantees: a quote or status without a `good_until`, one that is over, and one so far ahead
that the clock must have been set back since, are all refused.
"""

from collections.abc import Collection
from typing import Final, NamedTuple, Protocol

from messages.views import Quote
from services.base.clock import SECOND, parse_time

MARGIN: Final = SECOND // 2
"""How much further than its writer's longest span a moment may lie ahead, ns: two clocks are never quite the same."""


class Vouched(Protocol):
    @property
    def good_until(self) -> str | None: ...


def moment(vouched: Vouched) -> int | None:
    """Its `good_until` as UTC ns, None without one (or without one that can be read)."""
    return _time(vouched.good_until)


def is_good(until: int | None, now: int, span: float) -> bool:
    """Whether `now` (UTC ns) is before `until`, and that not further ahead than a writer vouches: `span` seconds."""
    return until is not None and now < until <= now + int(span * SECOND) + MARGIN


class Refusal(NamedTuple):
    """Why a quote may not be used: a stable word (the quote's own, or `expired`, `clock`, `too_old`, `source`), a
    sentence, and how long ago its price was received, in seconds."""

    reason: str
    sentence: str
    age: float | None


def refusal(
    quote: Quote, now: int, span: float, max_age: float | None = None, sources: Collection[str] | None = None
) -> Refusal | None:
    """Why this quote may not be used at `now` (UTC ns); None when it may.

    `span`: seconds that its writer vouches ahead at most. `max_age`: seconds since the price was received, at most; how
    old one is that was received in the future nobody knows. `sources`: those that will do, or the one; None for any.
    """
    received = _time(quote.timestamp)
    age = None if received is None else (now - received) / SECOND
    old = "" if age is None else f" (received {age:.1f} s ago)"

    def refused(reason: str, said: str) -> Refusal:
        return Refusal(reason, f"{quote.symbol}: {said}", age)

    until = moment(quote)
    if quote.stale:
        reason = quote.reason or "stale"
        return refused(reason, f"the price is stale: {reason}{old}")
    if not is_good(until, now, span):
        if until is not None and now < until:
            return refused("clock", f"good_until is {quote.good_until}, too far ahead: a clock was set back")
        return refused("expired", f"nobody vouches for the price any more{old}")
    if max_age is not None and received is not None and received > now + MARGIN:
        return refused("clock", f"it was received at {quote.timestamp}, in the future: a clock was set back")
    if max_age is not None and not (age is not None and age <= max_age):
        return refused("too_old", f"the price is older than {max_age:g} s{old}")
    wanted = {sources} if isinstance(sources, str) else sources
    if wanted is not None and quote.source not in wanted:
        return refused("source", f"the price comes from {quote.source}, not from {', '.join(sorted(wanted))}")
    return None


def _time(text: str | None) -> int | None:
    """UTC ns; None without one, or without one that can be read."""
    if text is None:
        return None
    try:
        return parse_time(text, 0)
    except ValueError:
        return None
