"""The symbol state machine: what is known of one symbol, and the state and reason that follow from it.

The core keeps a `Symbol` for each planned one and writes down facts: ticks, answers, refusals. `derive` alone
decides what these facts are called, so that a state is never left over from an event that was missed, and a
state that is not all clear always has a reason.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from messages.events import ContractQualified, PlannedSymbol
from messages.fields import SOURCE_HISTORY, SOURCE_SNAPSHOT
from services.gateway.core.deadlines import NEVER, SECOND
from services.gateway.core.governor import Request
from services.gateway.core.ib_errors import IbCode
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
    "ambiguous_contract": "IB knows several contracts of this name, and no rule settles which is meant",
    "listing_not_offered": "IB has the symbol, but not on the exchange or in the currency that the plan names",
    "expired": "the future has expired",
}
"""Why a symbol is not all clear, besides the link's own reasons and the names of IB's errors."""


_PLACES: Final = {
    "us": "AMERICAN AMEX ARCA BATS BEX BYX CBOE CHX DRCTEDGE EDGEA IEX ISLAND LTSE MEMX NASDAQ NYSE NYSENAT PEARL "
    "PHLX PINK",
    "usfut": "CBOT CFE CME COMEX ECBOT GLOBEX ICEUS NYBOT NYMEX",
    "ca": "AEQLIT ALPHA CHIX_CA OMEGA PURE TSE VENTURE CDE",
    "eu": "AEB BATEEN BATEUK BM BVL BVME BVME.ETF CHIXEN CHIXUK CPH DTB EBS EUREX EUREXUK FTA FWB FWB2 GETTEX HEX IBIS "
    "IBIS2 ICEEU ICEEUSOFT IPE LSE LSEETF LSEIOB1 MATIF MEFFRV MONEP N.RIGA OMS OSE.OSLO PRA SBF SFB SWB TGATE VIRTX "
    "VSE WSE",
    "asia": "ASX CHINEXT HKFE HKSE KSE NSE OSE.JPN OSE SEHK SEHKNTL SEHKSZSE SGX SNFE TSEJ TWSE",
    "crypto": "PAXOS ZEROHASH",
    "cash": "IDEALPRO",
}
_REGION_OF: Final = {exchange: region for region, exchanges in _PLACES.items() for exchange in exchanges.split()}
_EUROPE: Final = frozenset({"EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "HUF", "CZK"})
_ASIA: Final = frozenset({"HKD", "JPY", "CNH", "SGD", "KRW", "INR", "AUD", "NZD", "TWD"})
_ANYWHERE: Final = "anywhere"


def region(planned: PlannedSymbol, primary_exchange: str = "") -> str:
    """Which of IB's data farms may serve it: cash, usfut, us, ca, eu, asia, crypto; or `anywhere`, of an exchange that
    this table does not know. The exchange decides, the primary one first (`primary_exchange`: as IB's details name
    it); the currency only where SMART is all that is known."""
    if planned.sec_type in ("CASH", "CMDTY"):
        return "cash"
    if planned.sec_type == "CRYPTO":
        return "crypto"
    exchange = planned.primary_exchange or (planned.exchange if planned.exchange != "SMART" else primary_exchange)
    if exchange and exchange != "SMART":
        return _REGION_OF.get(exchange, _ANYWHERE)
    if planned.currency in _EUROPE:
        return "eu"
    if planned.currency in _ASIA:
        return "asia"
    if planned.currency == "CAD":
        return "ca"
    return "usfut" if planned.sec_type in ("FUT", "CONTFUT", "FOP") else "us"


class View(NamedTuple):
    """What is said of a symbol."""

    state: State
    stale: bool
    reason: str | None = None
    code: int | None = None
    message: str | None = None


class Route(NamedTuple):
    """The contract under which IB delivers a symbol's market data, where it is not the symbol's own."""

    con_id: int
    exchange: str


class Advisory(NamedTuple):
    """IB said that data may be missing. Until `until` some may follow all the same; then it is a refusal."""

    entry: IbCode
    message: str
    until: int


class Rejection(NamedTuple):
    """Why a symbol is refused. `code` is IB's, None where its answer did not meet the plan; `con_id` is the contract
    that was refused, 0 where none was named."""

    name: str
    code: int | None
    message: str
    con_id: int = 0
    at: int = 0


BUSY: Final = 8  # as many usual ticks missed in a row are no accident


@dataclass(slots=True)
class SharedFacts:
    """What all symbols share, as far as it bears on their state. Times and spans are nanoseconds."""

    stale_after: int
    link_limit: int
    busy_limit: int = 4 * SECOND  # silence that is no accident in a symbol that ticks many times as often
    outage: str | None = "nothing_planned"  # the link's reason while no prices can come, else None
    silent: bool = False  # no symbol ticks, and nothing has confirmed that this is right
    newest_tick: int = 0


@dataclass(slots=True, eq=False)
class Symbol:
    """The facts of one symbol. Times are UTC ns, 0 for never."""

    planned: PlannedSymbol
    planned_at: int
    name: str = ""
    region: str = ""
    cut_reason: str | None = None  # line_limit or plan_limit: it is not streamed
    cut_message: str | None = None
    # the requests that it holds
    stream: Request | None = None
    snapshot: Request | None = None
    history: Request | None = None
    details: Request | None = None
    # prices
    last_tick: int = 0  # of the stream
    ticks: int = 0  # turns of the loop that brought some, since `rhythm_since`
    rhythm: int = 0  # usual time between two of them
    rhythm_since: int = 0
    price_time: int = 0  # the newest price of any source: when it was current
    floor: int = 0  # a price of this time was given when it was planned before
    source: int | None = None  # what the price in its file comes from (messages.fields.SOURCE_*)
    mark: int | None = None  # the source as last written to the tick stream
    stream_since: int = 0  # from when on its stream's fields may be shown: subscribed, or found dead since
    fields_since: int = 0  # as last written to the tick stream: since when its source brings the fields of its quote
    data_type: int | None = None  # 1 to 4, as IB said
    said_type: int | None = None
    halted: bool = False
    # trust
    first_asked_at: int = 0  # when it was first subscribed, on this connection
    proven: bool = False  # ticks came from the stream at least once
    suspect_since: int = 0  # ticks and checks up to here prove nothing about now
    verified_at: int = 0
    verified_until: int = 0
    dead: bool = False
    answerless: int = 0  # snapshots in a row without a price
    farm_down: bool = False
    competing: bool = False
    # recovery
    step: Literal["trust", "probing", "resubscribed", "failed"] = "trust"
    resubscribes: int = 0  # in vain, in a row
    failed_at: int = 0  # when the step `failed` began
    retry_at: int = 0
    renewals: int = 0  # since IB ended its stream again and again
    renewed_at: int = 0
    hold_until: int = 0  # it is not subscribed before
    probe_took: int = 0  # how long its last snapshot took
    # the ladder
    snapshot_at: int = 0  # when the last one was asked for
    history_at: int = 0
    # the contract
    con_id: int = 0
    hours: Hours | None = None
    contract_asked_at: int = 0
    told_contract: bool = False
    route: Route | None = None  # a CFD's market data is that of its stock
    rejection: Rejection | None = None
    rejections: int = 0  # in a row, without a tick between
    retried_at: int = 0  # when it was tried again last
    listing: str | None = None  # which of several contracts it is, and by what rule
    undecided: bool = False  # the plan's demand was not met, or is ambiguous: no subscription before details settle it
    advisory: Advisory | None = None
    complaint: tuple[int, str] | None = None  # code and text of the last error for a stream that has not ticked
    bars_of: str | None = None  # the kind of bars that IB wants to be asked for
    bars_behind: int = 0  # ns: newer bars are not entitled
    fill_refusals: int = 0  # of bars for its gaps, in a row
    delayed: bool = False  # ask for delayed data: the live one is not entitled
    # what was said last
    said: View | None = None
    gap_start: int = 0
    torn_at: int = 0  # until when an earlier run of the gateway streamed it

    def __post_init__(self) -> None:
        self.name = self.planned.symbol
        self.region = region(self.planned)
        self.rhythm_since = self.planned_at

    def know(self, contract: ContractQualified) -> None:
        """Details came: the exchange tells the region."""
        self.region = region(self.planned, contract.primary_exchange)

    @property
    def priority(self) -> int:
        return self.planned.priority

    @property
    def subscribed_at(self) -> int:
        return self.stream.sent_at if self.stream is not None else 0

    @property
    def suspect(self) -> bool:
        """Something happened to the link or a farm since the stream last proved itself, by a tick or by a snapshot that
        shows what it brought."""
        return self.suspect_since > max(self.last_tick, self.subscribed_at, self.verified_at)

    def market_open(self, now: int) -> bool:
        """Unknown hours count as open: nothing is excused by them."""
        return self.hours is None or self.hours.is_open(now) is not False

    def feel_rhythm(self) -> None:
        """How often it ticks when it does. Called now and then; the silence since its last tick is no part of it."""
        if self.ticks and self.last_tick > self.rhythm_since:
            self.rhythm = (self.last_tick - self.rhythm_since) // self.ticks
            self.ticks, self.rhythm_since = 0, self.last_tick

    def patience(self, shared: SharedFacts) -> int:
        """For how long it may be silent and still be trusted: shorter for one that usually ticks several times over."""
        busy = 0 < self.rhythm * BUSY <= shared.busy_limit
        return min(shared.busy_limit, shared.stale_after) if busy else shared.stale_after

    def silent_since(self, now: int) -> int:
        """Since when a tick could have come and did not."""
        opened = self.hours.opened_at(now) if self.hours is not None else None
        return max(self.last_tick, self.subscribed_at, self.suspect_since, opened or 0)

    def fresh(self, shared: SharedFacts, now: int) -> bool:
        """Its stream brought a tick so lately that it may be trusted."""
        limit = self.patience(shared)
        if shared.silent:
            limit = min(limit, shared.link_limit)
        return self.last_tick > self.suspect_since and now - self.last_tick < limit

    def quiet(self, now: int) -> bool:
        """IB confirmed lately that the stream misses nothing, and nothing has happened since that makes this void."""
        return self.verified_at > self.suspect_since and now < self.verified_until


def derive(symbol: Symbol, shared: SharedFacts, now: int) -> View:
    """What the facts amount to."""
    if symbol.rejection is not None:
        return View("rejected", True, symbol.rejection.name, symbol.rejection.code, symbol.rejection.message)
    if symbol.cut_reason is not None:
        reason = shared.outage or symbol.cut_reason
        return View("over_limit", not _served_by_snapshot(symbol, shared, now), reason, None, symbol.cut_message)
    if shared.outage is None and (symbol.fresh(shared, now) or (symbol.quiet(now) and not _outlived(symbol, shared))):
        if symbol.halted:
            return View("halted", False, "halted")
        if symbol.data_type in (3, 4):
            return View("delayed", False, "no_entitlement" if symbol.delayed else "delayed_asked")
        return View("live" if symbol.fresh(shared, now) else "quiet", False)
    if not symbol.market_open(now):
        unpriced = symbol.price_time == 0
        return View("closed", unpriced, shared.outage or ("no_price" if unpriced else None))
    reason = shared.outage or cause(symbol, shared, now)
    code, message = symbol.complaint or (None, None)
    if shared.outage is None and symbol.source == SOURCE_SNAPSHOT and _served_by_snapshot(symbol, shared, now):
        return View("snapshot", False, reason, code, message)
    if symbol.source == SOURCE_HISTORY:
        return View("history", True, reason, code, message)
    state: State = "stale" if symbol.price_time or not _in_grace(symbol, shared, now) else "pending"
    return View(state, True, reason, code, message)


def cause(symbol: Symbol, shared: SharedFacts, now: int) -> str:
    """Why a symbol with a working link has no trusted stream. The wider cause comes first."""
    if symbol.competing:
        return "competing_session"
    if symbol.farm_down:
        return "farm_down"
    if symbol.dead:
        return "feed_dead"
    if shared.silent:
        return "link_silent"
    if symbol.answerless:
        return "no_answer"
    if symbol.stream is None or symbol.stream.sent_at == 0:
        return "subscribing"
    if symbol.suspect:
        return "verifying"
    if symbol.last_tick < symbol.subscribed_at and now - symbol.subscribed_at < shared.stale_after:
        return "awaiting_tick"
    return "no_ticks"


def next_change(symbol: Symbol, shared: SharedFacts, now: int) -> int:
    """The earliest time at which `derive` may say something else, without a further input."""
    times = [
        symbol.last_tick + symbol.patience(shared),
        symbol.last_tick + min(symbol.patience(shared), shared.link_limit),
        symbol.verified_until,
        symbol.price_time + snapshot_life(shared),
        max(symbol.planned_at, symbol.first_asked_at) + shared.stale_after,
        max(symbol.planned_at, symbol.subscribed_at) + shared.stale_after,
    ]
    edge = symbol.hours.next_change(now) if symbol.hours is not None else None
    if edge is not None:
        times.append(edge)
    return min((time for time in times if time > now), default=NEVER)


def snapshot_life(shared: SharedFacts) -> int:
    """For how long a snapshot's price may stand for a current one, ns."""
    return 2 * shared.stale_after


def _outlived(symbol: Symbol, shared: SharedFacts) -> bool:
    """All are silent, and it was verified before that began: this proves nothing about now."""
    return shared.silent and symbol.verified_at <= shared.newest_tick


def _served_by_snapshot(symbol: Symbol, shared: SharedFacts, now: int) -> bool:
    return symbol.source == SOURCE_SNAPSHOT and now - symbol.price_time < snapshot_life(shared)


def _in_grace(symbol: Symbol, shared: SharedFacts, now: int) -> bool:
    """A new symbol may wait for its first price as long as any other may be silent, or until it is asked for."""
    if shared.outage is not None or symbol.first_asked_at == 0:
        return True
    return now - max(symbol.planned_at, symbol.first_asked_at) < shared.stale_after
