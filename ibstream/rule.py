"""The rule of `services.quotes.trust`, and times as callers say them, in the client's errors. Pure."""

from collections.abc import Collection

import msgspec

from ibstream.errors import IbstreamError, StalePrice, StreamStopped
from messages.views import Quote
from services.base.clock import moment_of
from services.quotes import trust

STOPPED = ("stopped", "shutdown")
"""Reasons of a stale quote that mean that nobody wants the stream."""

LONGEST_SPAN = 60.0
"""Seconds: no writer vouches for longer. A `good_until` further ahead means that a clock was set back since."""


def refusal(quote: Quote, now: int, max_age: float | None, sources: Collection[str] | None) -> IbstreamError | None:
    """Why this quote may not be used at `now` (UTC nanoseconds); None when it may."""
    refused = trust.refusal(quote, now, LONGEST_SPAN, max_age, sources)
    if refused is None:
        return None
    kind = StreamStopped if refused.reason in STOPPED else StalePrice
    return kind(refused.sentence, refused.reason, age=refused.age, source=quote.source)


def moment_said(name: str, said: str | int, now: int) -> int:
    """UTC nanoseconds of what a caller gave as `name`. Raises IbstreamError `invalid_request`."""
    try:
        return moment_of(said, now)
    except ValueError as error:
        raise IbstreamError(f"{name}: {error}", "invalid_request") from None


def expired(quote: Quote) -> Quote:
    """The same quote as a follower is given it once its time is over."""
    return msgspec.structs.replace(quote, stale=True, reason="expired", good_until=None)
