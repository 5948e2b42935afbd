"""The rule by which the client answers or refuses. Pure: a quote and the time in, the quote or an error out."""

from collections.abc import Collection

import msgspec

from ibstream.errors import IbstreamError, StalePrice, StreamStopped
from messages.views import Quote
from services.base.clock import SECOND, parse_time
from services.quotes.trust import is_good, moment

STOPPED = ("stopped", "shutdown")
"""Reasons of a stale quote that mean that nobody wants the stream."""

LONGEST_SPAN = 60.0
"""Seconds: no writer vouches for longer. A `good_until` further ahead means that a clock was set back since."""


def age_of(quote: Quote, now: int) -> float | None:
    """Seconds since the price was received."""
    return None if quote.timestamp is None else (now - parse_time(quote.timestamp, now)) / SECOND


def refusal(quote: Quote, now: int, max_age: float | None, sources: Collection[str] | None) -> IbstreamError | None:
    """Why this quote may not be used at `now` (UTC nanoseconds); None when it may."""
    age, name = age_of(quote, now), quote.symbol
    old = "" if age is None else f" (received {age:.1f} s ago)"

    def refused(said: str, reason: str, kind: type[IbstreamError] = StalePrice) -> IbstreamError:
        return kind(f"{name}: {said}", reason, age=age, source=quote.source)

    until = moment(quote)
    if quote.stale:
        reason = quote.reason or "stale"
        kind = StreamStopped if reason in STOPPED else StalePrice
        return refused(f"the price is stale: {reason}{old}", reason, kind)
    if not is_good(until, now, LONGEST_SPAN):
        if until is not None and now < until:
            return refused(f"good_until is {quote.good_until}, too far ahead: a clock was set back", "clock")
        return refused(f"nobody vouches for the price any more{old}", "expired")
    if max_age is not None and (age is None or age > max_age):
        return refused(f"the price is older than {max_age:g} s{old}", "too_old")
    if sources is not None and quote.source not in sources:
        return refused(f"the price comes from {quote.source}, not from {', '.join(sorted(sources))}", "source")
    return None


def expired(quote: Quote) -> Quote:
    """The same quote as a follower is given it once its time is over."""
    return msgspec.structs.replace(quote, stale=True, reason="expired", good_until=None)
