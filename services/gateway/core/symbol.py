"""The facts of one symbol, in parts: each is named for what it tells, and says who writes it.

The core keeps a `Symbol` for each planned one. What its facts amount to is derived from them alone (symbol_state.py).
Times are UTC nanoseconds, 0 for never; spans are nanoseconds.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from messages.events import ContractQualified, PlannedSymbol, SymbolChanged
from services.base.trading_hours import Hours
from services.gateway.core.deadlines import SECOND
from services.gateway.core.governor import Kind, Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.regions import region

BUSY: Final = 8  # as many usual ticks missed in a row are no accident


class Cut(NamedTuple):
    """Why it is not streamed, and the plan's sentence."""

    reason: Literal["line_limit", "plan_limit"]
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


@dataclass(slots=True)
class SharedFacts:
    """What all symbols share, as far as it bears on their state. Times and spans are nanoseconds."""

    stale_after: int
    link_limit: int
    busy_limit: int = 4 * SECOND  # silence that is no accident in a symbol that ticks many times as often
    outage: str | None = "nothing_planned"  # the link's reason while no prices can come, else None
    silent: bool = False  # no symbol ticks, and nothing has confirmed that this is right
    newest_tick: int = 0


@dataclass(slots=True)
class OpenRequests:
    """Those that wait for their turn or for an answer, one of a kind at most. Written by `Requests`."""

    stream: Request | None = None
    snapshot: Request | None = None
    history: Request | None = None
    details: Request | None = None
    options: Request | None = None
    tick_by_tick: Request | None = None
    bars: Request | None = None
    month_bars: Request | None = None

    def fine(self, kind: Kind) -> Request | None:
        return self.tick_by_tick if kind is Kind.TICK_BY_TICK else self.bars

    def release(self, request: Request) -> None:
        """It has ended. Nothing happens where another has taken its place."""
        for kind in self.__slots__:
            if getattr(self, kind) is request:
                setattr(self, kind, None)


@dataclass(slots=True)
class Ticks:
    """How its stream ticks. Written by the core for each turn of the loop that brings some."""

    rhythm_since: int
    last: int = 0
    count: int = 0  # turns that brought some, since `rhythm_since`
    rhythm: int = 0  # usual time between two of them

    def feel_rhythm(self) -> None:
        """How often it ticks when it does. Called now and then; the silence since its last tick is no part of it."""
        if self.count and self.last > self.rhythm_since:
            self.rhythm = (self.last - self.rhythm_since) // self.count
            self.count, self.rhythm_since = 0, self.last


@dataclass(slots=True)
class Price:
    """Where the price in its file comes from, and what the tick stream was told of it. Written by `Context`."""

    floor: int = 0  # a price of this time was given when it was planned before
    time: int = 0  # the newest price of a source other than the stream: when it was current
    source: int | None = None  # messages.fields.SOURCE_*
    mark: int | None = None  # the source, as told
    fields_since: int = 0  # since when its source brings the fields of its quote, as told
    contract_told: bool = False


@dataclass(slots=True)
class Feed:
    """Which market data it gets. Written by the core, and by `Answers` where IB refuses the live one."""

    data_type: int | None = None  # 1 to 4, as IB said
    delayed: bool = False  # ask for delayed data: the live one is not entitled
    halted: bool = False


@dataclass(slots=True)
class Trust:
    """What speaks for its stream and against it. Written by `Recovery` and `Silence`; a broken farm by `Farms`, another
    session by `Competing`."""

    first_asked_at: int = 0  # when it was first subscribed, on this connection
    stream_since: int = 0  # from when on its stream's fields may be shown: subscribed, or found dead since
    proven: bool = False  # ticks came from the stream at least once
    suspect_since: int = 0  # ticks and checks up to here prove nothing about now
    verified_at: int = 0
    verified_until: int = 0
    dead: bool = False
    farm_down: bool = False
    competing: bool = False

    def subscribed(self, now: int) -> None:
        self.stream_since = now
        self.first_asked_at = self.first_asked_at or now

    def found_dead(self, now: int) -> None:
        """What the stream brought before, it may have failed to correct."""
        self.dead = True
        self.stream_since = self.suspect_since = now


@dataclass(slots=True)
class Cure:
    """What is being done about its silence. Written by `Recovery`; it ends with the subscription (`over`)."""

    step: Literal["trust", "probing", "resubscribed", "failed"] = "trust"
    resubscribes: int = 0  # in vain, in a row
    failed_at: int = 0  # when the step `failed` began
    retry_at: int = 0
    renewals: int = 0  # since IB ended its stream again and again
    renewed_at: int = 0
    hold_until: int = 0  # it is not subscribed before

    def over(self) -> None:
        self.step = "trust"


@dataclass(slots=True)
class Snapshots:
    """What became of those that were asked for. Written by `Requests`, and by `Recovery` when one has come back."""

    asked_at: int = 0  # when the last one was asked for
    took: int = 0  # how long the last one took
    in_vain: int = 0  # in a row without a price


@dataclass(slots=True)
class Bars:
    """How IB's history is asked for its bars. Written by `Ladder`, and by `Answers` as IB wants it."""

    asked_at: int = 0  # when the last ones for the fallback were asked for
    kind: str | None = None  # the kind of bars that IB wants to be asked for
    behind: int = 0  # ns: newer bars are not entitled


@dataclass(slots=True)
class Contract:
    """What IB knows of it. Written by `Contracts`; the route by `Answers`."""

    con_id: int = 0
    hours: Hours | None = None
    asked_at: int = 0
    listing: str | None = None  # which of several contracts it is, and by what rule
    undecided: bool = False  # the plan's demand was not met, or is ambiguous: no subscription before details settle it
    rolls_at: int = 0  # of a future that rolls: from when on another month is meant
    rivals: tuple[ContractQualified, ...] = ()  # of one that rolls by volume: its front month, and those after it
    route: Route | None = None  # a CFD's market data is that of its stock


@dataclass(slots=True)
class Refusal:
    """What IB refuses of it. Written by `Contracts`; what IB said of a stream that has not ticked by `Answers`."""

    rejection: Rejection | None = None
    count: int = 0  # rejections in a row, without a tick between
    retried_at: int = 0  # when it was tried again last
    advisory: Advisory | None = None
    complaint: tuple[int, str] | None = None  # code and text of the last error

    def ticked(self) -> None:
        self.count, self.complaint = 0, None


@dataclass(slots=True)
class Gap:
    """Written by `Gaps`."""

    start: int = 0  # of the one that is open
    torn_at: int = 0  # until when an earlier run of the gateway streamed it
    refusals: int = 0  # of bars that fill it, in a row


@dataclass(slots=True, eq=False)
class Symbol:
    """One planned symbol. The core writes what is not a part's."""

    planned: PlannedSymbol
    planned_at: int
    price: Price = field(default_factory=Price)
    name: str = ""
    region: str = ""
    cut: Cut | None = None  # also written by `Lines`
    ticks: Ticks = field(init=False)
    requests: OpenRequests = field(default_factory=OpenRequests)
    feed: Feed = field(default_factory=Feed)
    trust: Trust = field(default_factory=Trust)
    cure: Cure = field(default_factory=Cure)
    snapshots: Snapshots = field(default_factory=Snapshots)
    bars: Bars = field(default_factory=Bars)
    contract: Contract = field(default_factory=Contract)
    refusal: Refusal = field(default_factory=Refusal)
    gap: Gap = field(default_factory=Gap)
    said: SymbolChanged | None = None

    def __post_init__(self) -> None:
        self.name = self.planned.symbol
        self.region = region(self.planned)
        self.ticks = Ticks(self.planned_at)

    def know(self, details: ContractQualified, hours: Hours | None) -> None:
        """IB's details of its contract; the exchange tells the region."""
        contract = self.contract
        contract.con_id, contract.hours, contract.listing = details.con_id, hours, details.note or None
        self.region = region(self.planned, details.primary_exchange)

    def begin_anew(self, now: int, since: int) -> None:
        """It is another contract from now on, subscribed from `since` on: nothing that was known of the old one holds,
        but for what its farm and the session say."""
        self.planned_at = now
        self.ticks, self.feed, self.cure = Ticks(since), Feed(), Cure(hold_until=since)
        self.price = Price(floor=since)
        self.trust = Trust(farm_down=self.trust.farm_down, competing=self.trust.competing)
        self.snapshots, self.bars, self.refusal = Snapshots(), Bars(), Refusal()
        self.contract = Contract(asked_at=self.contract.asked_at)

    @property
    def month_unknown(self) -> bool:
        """It is a future that rolls, and which month it is has not been told: no price can be asked for."""
        return bool(self.planned.roll) and not self.planned.con_id and not self.contract.con_id

    @property
    def priority(self) -> int:
        return self.planned.priority

    @property
    def subscribed_at(self) -> int:
        stream = self.requests.stream
        return stream.sent_at if stream is not None else 0

    @property
    def price_time(self) -> int:
        """When its newest price of any source was current."""
        return max(self.price.time, self.ticks.last)

    @property
    def suspect(self) -> bool:
        """Something happened to the link or a farm since the stream last proved itself, by a tick or by a snapshot that
        shows what it brought."""
        return self.trust.suspect_since > max(self.ticks.last, self.subscribed_at, self.trust.verified_at)

    def market_open(self, now: int) -> bool:
        """Unknown hours count as open: nothing is excused by them."""
        hours = self.contract.hours
        return hours is None or hours.is_open(now) is not False

    def patience(self, shared: SharedFacts) -> int:
        """For how long it may be silent and still be trusted: shorter for one that usually ticks several times over."""
        busy = 0 < self.ticks.rhythm * BUSY <= shared.busy_limit
        return min(shared.busy_limit, shared.stale_after) if busy else shared.stale_after

    def silent_since(self, now: int) -> int:
        """Since when a tick could have come and did not."""
        hours = self.contract.hours
        opened = hours.opened_at(now) if hours is not None else None
        return max(self.ticks.last, self.subscribed_at, self.trust.suspect_since, opened or 0)

    def fresh(self, shared: SharedFacts, now: int) -> bool:
        """Its stream brought a tick so lately that it may be trusted."""
        limit = self.patience(shared)
        if shared.silent:
            limit = min(limit, shared.link_limit)
        return self.ticks.last > self.trust.suspect_since and now - self.ticks.last < limit

    def quiet(self, now: int) -> bool:
        """IB confirmed lately that the stream misses nothing, and nothing has happened since that makes this void."""
        return self.trust.verified_at > self.trust.suspect_since and now < self.trust.verified_until

    def doubt(self, since: int) -> None:
        """What came up to `since` proves nothing about now, and what was done about its silence is over."""
        self.trust.suspect_since = since
        self.cure.step = "trust"

    def subscription_lost(self) -> None:
        """Its stream is gone, and with it all that was known of it."""
        trust = self.trust
        trust.first_asked_at = 0
        trust.dead = trust.farm_down = trust.competing = self.feed.halted = False
        self.cure.resubscribes = self.snapshots.in_vain = 0
