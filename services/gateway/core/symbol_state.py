"""The symbol state machine: what is known of one symbol, and the state and reason that follow from it.

The core keeps a `Symbol` for each planned one and writes down facts: ticks, answers, refusals. `derive` alone
decides what these facts are called, so that a state is never left over from an event that was missed, and a
state that is not all clear always has a reason.
"""

from typing import Final, Literal, NamedTuple

from messages.events import PlannedSymbol
from messages.fields import SOURCE_HISTORY, SOURCE_SNAPSHOT
from services.gateway.core.deadlines import NEVER
from services.gateway.core.governor import Request
from services.gateway.core.trading_hours import Hours

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
}
"""Why a symbol is not all clear, besides the link's own reasons and the names of IB's errors."""


_EUROPE: Final = frozenset({"EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "HUF", "CZK"})
_ASIA: Final = frozenset({"HKD", "JPY", "CNH", "SGD", "KRW", "INR", "AUD", "NZD", "TWD"})


def region(planned: PlannedSymbol) -> str:
    """Which of IB's data farms may serve it: cash, usfut, us, eu or asia."""
    if planned.sec_type in ("CASH", "CMDTY"):
        return "cash"
    if planned.currency in _EUROPE:
        return "eu"
    if planned.currency in _ASIA:
        return "asia"
    return "usfut" if planned.sec_type in ("FUT", "CONTFUT", "FOP") else "us"


class View(NamedTuple):
    """What is said of a symbol."""

    state: State
    stale: bool
    reason: str | None = None
    code: int | None = None
    message: str | None = None


class Rejection(NamedTuple):
    name: str
    code: int
    message: str


class Net:
    """What all symbols share, as far as it bears on their state."""

    __slots__ = ("broken_farms", "competing_since", "link_limit", "newest_tick", "outage", "silent", "stale_after")

    def __init__(self, stale_after: int, link_limit: int) -> None:
        self.stale_after = stale_after  # ns
        self.link_limit = link_limit  # ns
        self.outage: str | None = "nothing_planned"  # the link's reason while no prices can come, else None
        self.competing_since = 0
        self.silent = False  # no symbol ticks, and nothing has confirmed that this is right
        self.broken_farms: set[str] = set()
        self.newest_tick = 0


class Symbol:
    """The facts of one symbol. Times are UTC ns, 0 for never."""

    __slots__ = (
        "answerless",
        "competing",
        "con_id",
        "contract_asked_at",
        "cut_message",
        "cut_reason",
        "data_type",
        "dead",
        "delayed",
        "details",
        "farm_down",
        "floor",
        "gap_start",
        "halted",
        "history",
        "history_at",
        "hold_until",
        "hours",
        "last_tick",
        "mark",
        "name",
        "planned",
        "planned_at",
        "price_time",
        "probe_took",
        "proven",
        "region",
        "rejection",
        "rejections",
        "renewals",
        "renewed_at",
        "resubscribes",
        "retry_at",
        "rhythm",
        "rhythm_since",
        "said",
        "said_type",
        "snapshot",
        "snapshot_at",
        "source",
        "step",
        "step_until",
        "stream",
        "suspect_since",
        "ticks",
        "told_contract",
        "torn_at",
        "verified_at",
        "verified_until",
    )

    def __init__(self, planned: PlannedSymbol, now: int) -> None:
        self.name = planned.symbol
        self.planned = planned
        self.planned_at = now
        self.region = region(planned)
        self.cut_reason: str | None = None  # line_limit or plan_limit: it is not streamed
        self.cut_message: str | None = None
        # the requests that it holds
        self.stream: Request | None = None
        self.snapshot: Request | None = None
        self.history: Request | None = None
        self.details: Request | None = None
        # prices
        self.last_tick = 0  # of the stream
        self.ticks = 0  # turns of the loop that brought some, since `rhythm_since`
        self.rhythm = 0  # usual time between two of them
        self.rhythm_since = now
        self.price_time = 0  # the newest price of any source: when it was current
        self.floor = 0  # a price of this time was given when it was planned before
        self.source: int | None = None  # what the price in its file comes from (messages.fields.SOURCE_*)
        self.mark: int | None = None  # the source as last written to the tick stream
        self.data_type: int | None = None  # 1 to 4, as IB said
        self.said_type: int | None = None
        self.halted = False
        # trust
        self.proven = False  # ticks came from the stream at least once
        self.suspect_since = 0  # ticks and checks up to here prove nothing about now
        self.verified_at = 0
        self.verified_until = 0
        self.dead = False
        self.answerless = 0  # snapshots in a row without a price
        self.farm_down = False
        self.competing = False
        # recovery
        self.step: Literal["trust", "probing", "resubscribed", "failed"] = "trust"
        self.step_until = 0
        self.resubscribes = 0  # in vain, in a row
        self.retry_at = 0
        self.renewals = 0  # since IB ended its stream again and again
        self.renewed_at = 0
        self.hold_until = 0  # it is not subscribed before
        self.probe_took = 0  # how long its last snapshot took
        # the ladder
        self.snapshot_at = 0  # when the last one was asked for
        self.history_at = 0
        # the contract
        self.con_id = 0
        self.hours: Hours | None = None
        self.contract_asked_at = 0
        self.told_contract = False
        self.rejection: Rejection | None = None
        self.rejections = 0
        self.delayed = False  # ask for delayed data: the live one is not entitled
        # what was said last
        self.said: View | None = None
        self.gap_start = 0
        self.torn_at = 0  # until when an earlier run of the gateway streamed it

    @property
    def priority(self) -> int:
        return self.planned.priority

    @property
    def subscribed_at(self) -> int:
        return self.stream.sent_at if self.stream is not None else 0

    @property
    def suspect(self) -> bool:
        """Something happened to the link or a farm since the stream last proved itself."""
        return self.suspect_since > max(self.last_tick, self.subscribed_at)

    def market_open(self, now: int) -> bool:
        """Unknown hours count as open: nothing is excused by them."""
        return self.hours is None or self.hours.is_open(now) is not False

    def feel_rhythm(self, now: int) -> None:
        """How often it ticks. Called now and then."""
        if self.ticks:
            self.rhythm = (now - self.rhythm_since) // self.ticks
            self.ticks, self.rhythm_since = 0, now

    def silent_since(self, now: int) -> int:
        """Since when a tick could have come and did not."""
        opened = self.hours.opened_at(now) if self.hours is not None else None
        return max(self.last_tick, self.subscribed_at, self.suspect_since, opened or 0)

    def fresh(self, net: Net, now: int) -> bool:
        """Its stream brought a tick so lately that it may be trusted."""
        limit = min(net.stale_after, net.link_limit) if net.silent else net.stale_after
        return self.last_tick > self.suspect_since and now - self.last_tick < limit

    def quiet(self, now: int) -> bool:
        """IB confirmed lately that the stream misses nothing."""
        return self.verified_at > self.suspect_since and now < self.verified_until


def derive(symbol: Symbol, net: Net, now: int) -> View:
    """What the facts amount to."""
    if symbol.rejection is not None:
        name, code, message = symbol.rejection
        return View("rejected", True, name, code, message)
    if symbol.cut_reason is not None:
        reason = net.outage or symbol.cut_reason
        return View("over_limit", not _served_by_snapshot(symbol, net, now), reason, None, symbol.cut_message)
    if net.outage is None and (symbol.fresh(net, now) or symbol.quiet(now)):
        if symbol.halted:
            return View("halted", False, "halted")
        if symbol.data_type in (3, 4):
            return View("delayed", False, "no_entitlement" if symbol.delayed else "delayed_asked")
        return View("live" if symbol.fresh(net, now) else "quiet", False)
    if not symbol.market_open(now):
        unpriced = symbol.price_time == 0
        return View("closed", unpriced, net.outage or ("no_price" if unpriced else None))
    reason = net.outage or cause(symbol, net, now)
    if net.outage is None and symbol.source == SOURCE_SNAPSHOT and _served_by_snapshot(symbol, net, now):
        return View("snapshot", False, reason)
    if symbol.source == SOURCE_HISTORY:
        return View("history", True, reason)
    return View("stale" if symbol.price_time or not _in_grace(symbol, net, now) else "pending", True, reason)


def cause(symbol: Symbol, net: Net, now: int) -> str:
    """Why a symbol with a working link has no trusted stream. The wider cause comes first."""
    if symbol.competing:
        return "competing_session"
    if symbol.farm_down:
        return "farm_down"
    if symbol.dead:
        return "feed_dead"
    if net.silent:
        return "link_silent"
    if symbol.answerless:
        return "no_answer"
    if symbol.stream is None or symbol.stream.sent_at == 0:
        return "subscribing"
    if symbol.suspect:
        return "verifying"
    if symbol.last_tick < symbol.subscribed_at and now - symbol.subscribed_at < net.stale_after:
        return "awaiting_tick"
    return "no_ticks"


def next_change(symbol: Symbol, net: Net, now: int) -> int:
    """The earliest time at which `derive` may say something else, without a further input."""
    times = [
        symbol.last_tick + net.stale_after,
        symbol.last_tick + min(net.stale_after, net.link_limit),
        symbol.verified_until,
        symbol.price_time + snapshot_life(net),
        max(symbol.planned_at, symbol.subscribed_at) + net.stale_after,
    ]
    edge = symbol.hours.next_change(now) if symbol.hours is not None else None
    if edge is not None:
        times.append(edge)
    return min((time for time in times if time > now), default=NEVER)


def snapshot_life(net: Net) -> int:
    """For how long a snapshot's price may stand for a current one, ns."""
    return 2 * net.stale_after


def _served_by_snapshot(symbol: Symbol, net: Net, now: int) -> bool:
    return symbol.source == SOURCE_SNAPSHOT and now - symbol.price_time < snapshot_life(net)


def _in_grace(symbol: Symbol, net: Net, now: int) -> bool:
    """A new symbol may wait for its first price as long as any other may be silent, or until it is asked for."""
    if net.outage is not None or symbol.subscribed_at == 0:
        return True
    return now - max(symbol.planned_at, symbol.subscribed_at) < net.stale_after
