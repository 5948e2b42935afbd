"""The one rule for readers: a price may be used if now is before its `good_until`.

Used by `ibstream price`, by the web, and by tests; README.md ("Reading a price safely") tells it to everybody else.
Pure. Guarantees: a quote or status without a `good_until`, one that is over, and one so far ahead that the clock must
have been set back since, are all refused.
"""

from typing import Final, Protocol

from services.base.clock import SECOND, parse_time

MARGIN: Final = SECOND // 2
"""How much further than its writer's longest span a moment may lie ahead, ns: two clocks are never quite the same."""


class Vouched(Protocol):
    @property
    def good_until(self) -> str | None: ...


def moment(vouched: Vouched) -> int | None:
    """Its `good_until` as UTC ns, None without one (or without one that can be read)."""
    if vouched.good_until is None:
        return None
    try:
        return parse_time(vouched.good_until, 0)
    except ValueError:
        return None


def is_good(until: int | None, now: int, span: float) -> bool:
    """Whether `now` (UTC ns) is before `until`, and that not further ahead than a writer vouches: `span` seconds."""
    return until is not None and now < until <= now + int(span * SECOND) + MARGIN
