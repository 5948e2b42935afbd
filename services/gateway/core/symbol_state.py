"""The symbol state machine: the state and reason that follow from what is known of one symbol (symbol.py).

The core writes down facts: ticks, answers, refusals. `derive` alone
decides what these facts are called, so that a state is never left over from an event that was missed, and a
state that is not all clear always has a reason.
"""

from typing import Final, Literal, NamedTuple

from messages.fields import SOURCE_HISTORY, SOURCE_SNAPSHOT
from services.gateway.core.deadlines import NEVER
from services.gateway.core.symbol import SharedFacts, Symbol

State = Literal[
    "pending",  # subscribed or about to be; no price yet
    "live",  # streamed prices flow
    "quiet",  # no ticks, and IB confirmed that there is nothing new
    "stale",  # no current price
    "snapshot",  # the stream fails; prices come from snapshots
    "history",  # the stream fails; the price comes from bars
    "delayed",  # streamed, but delayed by the exchange's rule
    "halted",  # trading is halted
    "closed",  # the market is closed
    "rejected",  # IB refuses the symbol
    "over_limit",  # no market data line for it; served from snapshots by rotation
    "removed",  # not planned any more
]

STREAMED: Final = frozenset({"live", "quiet", "delayed", "halted"})
"""States in which the symbol's stream is trusted."""

MOVING: Final = frozenset({None, 1, 3})
"""Market data types that bring prices of now, or of a quarter of an hour ago. The others bring those of the close, or
what nobody knows. None: IB has said nothing."""

ALL_CLEAR: Final = frozenset({"live", "quiet", "closed"})

REASONS: Final = {
    "subscribing": "the subscription waits for its turn",
    "awaiting_tick": "subscribed; the first price has not come yet",
    "no_ticks": "the stream is silent, and nothing has confirmed that this is right",
    "feed_dead": "a snapshot shows prices that the stream never brought",
    "no_answer": "neither the stream nor a snapshot brings anything",
    "verifying": "the connection or a farm came back; ticks have not been seen since",
    "link_silent": "no symbol at all gets ticks",
    "farm_down": "the data farm that serves it is disconnected",
    "competing_session": "another session of this user has the market data",
    "no_entitlement": "the live prices are not entitled",
    "delayed_asked": "the plan asks for delayed prices",
    "halted": "trading is halted",
    "line_limit": "all market data lines are taken by more important symbols",
    "plan_limit": "the plan leaves it out of streaming",
    "no_price": "no price has come since the gateway started",
    "ambiguous_contract": "IB knows several contracts of this name, and no rule settles which is meant",
    "listing_not_offered": "IB has the symbol, but not on the exchange or in the currency that the plan names",
    "expired": "the contract has expired",
}
"""Why a symbol is not all clear, besides the link's own reasons and the names of IB's errors."""


class View(NamedTuple):
    """What is said of a symbol."""

    state: State
    stale: bool
    reason: str | None = None
    code: int | None = None
    message: str | None = None


def derive(symbol: Symbol, shared: SharedFacts, now: int) -> View:
    """What the facts amount to."""
    rejection, cut = symbol.refusal.rejection, symbol.cut
    if rejection is not None:
        return View("rejected", True, rejection.name, rejection.code, rejection.message)
    if cut is not None:
        stale = not _served_by_snapshot(symbol, shared, now)
        return View("over_limit", stale, shared.outage or cut.reason, None, cut.message)
    trusted = symbol.fresh(shared, now) or (symbol.quiet(now) and not _outlived(symbol, shared))
    if shared.outage is None and trusted and symbol.feed.data_type in MOVING:
        if symbol.feed.halted:
            return View("halted", False, "halted")
        if symbol.feed.data_type == 3:
            return View("delayed", False, "delayed_asked" if _delayed_is_planned(symbol) else "no_entitlement")
        return View("live" if symbol.fresh(shared, now) else "quiet", False)
    if not symbol.market_open(now):
        unpriced = symbol.price_time == 0
        return View("closed", unpriced, shared.outage or ("no_price" if unpriced else None))
    reason = shared.outage or cause(symbol, shared, now)
    code, message = symbol.refusal.complaint or (None, None)
    if shared.outage is None and symbol.price.source == SOURCE_SNAPSHOT and _served_by_snapshot(symbol, shared, now):
        return View("snapshot", False, reason, code, message)
    if symbol.price.source == SOURCE_HISTORY:
        return View("history", True, reason, code, message)
    state: State = "stale" if symbol.price_time or not _in_grace(symbol, shared, now) else "pending"
    return View(state, True, reason, code, message)


def cause(symbol: Symbol, shared: SharedFacts, now: int) -> str:
    """Why a symbol with a working link has no trusted stream. The wider cause comes first."""
    if symbol.trust.competing:
        return "competing_session"
    if symbol.trust.farm_down:
        return "farm_down"
    if symbol.trust.dead:
        return "feed_dead"
    if shared.silent:
        return "link_silent"
    if symbol.snapshots.in_vain:
        return "no_answer"
    if symbol.requests.stream is None or symbol.requests.stream.sent_at == 0:
        return "subscribing"
    if symbol.suspect:
        return "verifying"
    if symbol.ticks.last < symbol.subscribed_at and now - symbol.subscribed_at < shared.stale_after:
        return "awaiting_tick"
    return "no_ticks"


def next_change(symbol: Symbol, shared: SharedFacts, now: int) -> int:
    """The earliest time at which `derive` may say something else, without a further input."""
    times = [
        symbol.ticks.last + symbol.patience(shared),
        symbol.ticks.last + min(symbol.patience(shared), shared.link_limit),
        symbol.trust.verified_until,
        symbol.price_time + snapshot_life(shared),
        max(symbol.planned_at, symbol.trust.first_asked_at) + shared.stale_after,
        max(symbol.planned_at, symbol.subscribed_at) + shared.stale_after,
    ]
    hours = symbol.contract.hours
    edge = hours.next_change(now) if hours is not None else None
    if edge is not None:
        times.append(edge)
    return min((time for time in times if time > now), default=NEVER)


def snapshot_life(shared: SharedFacts) -> int:
    """For how long a snapshot's price may stand for a current one, ns."""
    return 2 * shared.stale_after


def _outlived(symbol: Symbol, shared: SharedFacts) -> bool:
    """All are silent, and it was verified before that began: this proves nothing about now."""
    return shared.silent and symbol.trust.verified_at <= shared.newest_tick


def _delayed_is_planned(symbol: Symbol) -> bool:
    stream = symbol.requests.stream
    return not symbol.feed.delayed and stream is not None and stream.data_type > 1


def _served_by_snapshot(symbol: Symbol, shared: SharedFacts, now: int) -> bool:
    if symbol.feed.data_type not in MOVING and symbol.market_open(now):
        return False
    return symbol.price.source == SOURCE_SNAPSHOT and now - symbol.price_time < snapshot_life(shared)


def _in_grace(symbol: Symbol, shared: SharedFacts, now: int) -> bool:
    """A new symbol may wait for its first price as long as any other may be silent, or until it is asked for."""
    if shared.outage is not None or symbol.trust.first_asked_at == 0:
        return True
    return now - max(symbol.planned_at, symbol.trust.first_asked_at) < shared.stale_after
