"""Events: what a writer journals first and then publishes, block by block.

A block is what one turn of the writer's loop produced. Its bytes are one row in the journal, one frame on
the bus and one message in any outside engine. Sequence numbers count events, rise by one, and never repeat
in a stream, across epochs too; an epoch is one run of the writer.
"""

from typing import Literal

import msgspec

MarketDataType = Literal["realtime", "frozen", "delayed", "delayed_frozen"]
PriceSource = Literal["ib_stream", "ib_snapshot", "ib_history", "mock"]


class TickBlock(msgspec.Struct, tag="ticks", array_like=True, frozen=True):
    """Ticks in the order in which IB sent them, as columns. One row is one tick message: one event.

    `ids` and `symbols` name the symbols in the block; the columns are little-endian and `count` long:
    `symbol` u32 (one of `ids`), `field` u8 (`messages.fields`), `value` f64 (price, size, number, or for a
    text field the index into `texts`), `size` f64 (the size that came with a price; NaN without one).
    """

    epoch: int
    first_seq: int
    count: int
    time: int  # when the bytes were received, UTC nanoseconds
    ids: list[int]
    symbols: list[str]
    symbol: bytes
    field: bytes
    value: bytes
    size: bytes
    texts: list[str] = []


class Event(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True):
    """Base of the events that travel in an EventBlock."""


# --- link events (gateway) ---------------------------------------------------------------------------------

LinkPhase = Literal[
    "idle",  # nothing planned: no connection wanted
    "connecting",  # TCP connect under way
    "handshake",  # connected; waiting for the version answer and the ready messages
    "ready",  # requests may be sent and prices flow
    "no_ib",  # the socket is up, the gateway has lost IB (1100)
    "backoff",  # waiting before the next try
]


class LinkChanged(Event, tag="link_changed", frozen=True):
    """The state of the connection to the IB gateway. `reason` is a stable word when the phase is not `ready`."""

    phase: LinkPhase
    reason: str | None = None
    detail: str | None = None
    host: str | None = None
    port: int | None = None
    server_version: int | None = None
    account_kind: Literal["simulator", "paper", "live"] | None = None
    expected: bool = False  # inside a known reset window: no alert
    retry_in: float | None = None  # seconds, with phase backoff
    clock_skew: float | None = None  # seconds that the gateway's clock is ahead of ours, where it is more than one


class FarmChanged(Event, tag="farm_changed", frozen=True):
    """A data farm broke, came back or went idle (2103 to 2108, 2157, 2158)."""

    farm: str
    kind: Literal["market_data", "history", "sec_def"]
    state: Literal["ok", "inactive", "broken"]


class SymbolChanged(Event, tag="symbol_changed", frozen=True):
    """A symbol's state machine moved. `stale`: the price in its file must not be trusted as current."""

    symbol: str
    state: str  # pending, live, quiet, stale, snapshot, history, delayed, halted, closed, rejected, over_limit, removed
    stale: bool
    reason: str | None = None  # a stable word, null when all is well
    code: int | None = None  # the IB error code behind it
    message: str | None = None
    market_data_type: MarketDataType | None = None


class IbError(Event, tag="ib_error", frozen=True):
    """One `error` message from IB, or one of the client's own, named and classified. All are kept."""

    code: int
    name: str  # stable word; `unknown` for a code that no table names
    kind: Literal["info", "warning", "symbol", "link", "fatal"]
    message: str
    symbol: str | None = None
    repeats: int = 1  # identical messages within a second are one event


class ContractQualified(Event, tag="contract_qualified", frozen=True):
    """Contract details, as IB answered. Hours are IB's own text, in `time_zone`."""

    symbol: str
    con_id: int
    sec_type: str
    exchange: str
    currency: str
    primary_exchange: str = ""
    local_symbol: str = ""
    long_name: str = ""
    min_tick: float = 0.0
    time_zone: str = ""
    trading_hours: str = ""
    liquid_hours: str = ""
    price_magnifier: int = 1  # IB sends prices times this number: 100 where it quotes cents of `currency`
    multiplier: float = 1.0  # what one contract is worth in units of its price: 50 for ES; 1 for a stock
    trading_class: str = ""
    last_trade_date: str = ""  # of a future: YYYYMMDD
    size_increment: float = 0.0  # 0: IB did not say
    suggested_size_increment: float = 0.0  # the round lot; 0: IB did not say
    last_price_precision: float = 0.0  # the steps in which last prices and sizes come; 0: IB did not say
    last_size_precision: float = 0.0
    note: str = ""  # where IB knows several: which one was taken, and by what rule
    sec_id: str = ""  # where it was asked for by one: `ISIN:US0378331005`
    contract_month: str = ""  # of a future or option: YYYYMM


class ContractRolled(Event, tag="contract_rolled", frozen=True):
    """A future that rolls (`ES:CME:USD:FUT:front`) is another contract from here on: the seam in its history. What the
    stream `ticks` has of the symbol before this event's time is the old one's. ContractQualified follows."""

    symbol: str
    con_id: int
    local_symbol: str
    contract_month: str  # YYYYMM
    last_trade_date: str
    old_con_id: int
    old_local_symbol: str
    old_contract_month: str
    old_last_trade_date: str
    roll_days: int  # so many days before its last trade date a month counts no more, by whatever rule
    rule: Literal["days", "volume"] = "days"  # why it rolled: the calendar, or the new month traded more
    day: str = ""  # by volume: the whole day that was compared, YYYYMMDD
    volume: float = 0.0  # by volume: contracts of the new month that day
    old_volume: float = 0.0  # and of the old one


class MonthVolume(msgspec.Struct, frozen=True):
    """What one month of a future traded in a day, in contracts."""

    con_id: int
    local_symbol: str
    contract_month: str  # YYYYMM
    volume: float


class MonthsTraded(Event, tag="months_traded", frozen=True):
    """The months of a future that rolls by volume, on the newest whole day that IB has bars of: the front month of the
    day first. Months of which that day is not known are not there."""

    symbol: str
    day: str  # YYYYMMDD
    months: list[MonthVolume]


class Bar(msgspec.Struct, array_like=True, frozen=True):
    """One bar. `time` is its start, UTC nanoseconds; volume in the units that IB delivered."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class BarsReceived(Event, tag="bars_received", frozen=True):
    """Bars from IB history, kept for charts, gap filling and the last rung of the degrade ladder."""

    symbol: str
    bar_seconds: int
    bars: list[Bar]
    purpose: Literal["fallback", "gap_fill"]
    mock: bool = False
    volume_unit: float = 0.0  # shares or contracts that one of the bars' volume stands for; 0: nobody knows


class GapOpened(Event, tag="gap_opened", frozen=True):
    """From `start` on, a planned symbol has no streamed prices."""

    symbol: str
    start: int
    reason: str


class GapClosed(Event, tag="gap_closed", frozen=True):
    symbol: str
    start: int
    end: int
    reason: str


class GapFilled(Event, tag="gap_filled", frozen=True):
    """One-minute bars from history now cover the gap; `bars` is how many (0: history had none)."""

    symbol: str
    start: int
    end: int
    bars: int


class OptionClass(msgspec.Struct, frozen=True):
    """Options of one kind on an underlying: `trading_class` as IB calls it (SPX, SPXW), expirations as YYYYMMDD. Not
    every strike is listed for every expiration."""

    trading_class: str
    multiplier: str
    expirations: list[str]
    strikes: list[float]


class OptionsListed(Event, tag="options_listed", frozen=True):
    """What IB lists of options on a planned symbol, on one exchange."""

    symbol: str
    exchange: str
    classes: list[OptionClass]


class OptionsCentred(Event, tag="options_centred", frozen=True):
    """The strike nearest to the symbol's price is another one."""

    symbol: str
    strike: float


class HeldContract(msgspec.Struct, frozen=True, omit_defaults=True):
    """A contract of which an account holds some, long or short, as IB names it. How many, at what cost and in which
    account is not passed on."""

    con_id: int
    symbol: str
    sec_type: str
    currency: str
    exchange: str = ""  # empty: IB did not say
    local_symbol: str = ""
    last_trade_date: str = ""
    strike: float = 0.0
    right: str = ""
    trading_class: str = ""


class PositionsChanged(Event, tag="positions_changed", frozen=True):
    """What the accounts of a gateway hold, where IBSTREAM_POSITIONS has it asked: complete each time, so the newest one
    is all that a consumer needs. With a `reason` it is what was known last, and may have changed since."""

    held: list[HeldContract]
    as_of: int  # UTC nanoseconds: when IB last said so; 0: never
    reason: str | None = None  # link_down, refused, no_answer, unreadable, too_many, off
    message: str | None = None


class LineLimitLearned(Event, tag="line_limit_learned", frozen=True):
    """IB said 101: no more than `limit` market data lines may be open."""

    limit: int


# --- control events (supervisor) ---------------------------------------------------------------------------


class StreamStarted(Event, tag="stream_started", frozen=True):
    """The stream is wanted. Folded with StreamStopped, this is the desired state; it survives a restart."""

    project_id: int | None = None
    decision_snapshot_id: int | None = None
    symbols: list[str] | None = None
    max_symbols: int | None = None
    market_data_type: Literal["realtime", "frozen", "delayed", "delayed_frozen"] | None = None
    refresh_interval_seconds: float | None = None
    generic_ticks: str | None = None


class StreamStopped(Event, tag="stream_stopped", frozen=True):
    pass


class PlanRefreshRequested(Event, tag="plan_refresh_requested", frozen=True):
    """Somebody asked the planner to read the database now."""


class ServiceChanged(Event, tag="service_changed", frozen=True):
    """A service appeared, went silent, came back, or said that something is wrong with it."""

    service: str
    state: Literal["up", "down", "failing"]
    pid: int | None = None
    detail: str | None = None


class StatusChanged(Event, tag="status_changed", frozen=True):
    """The overall status moved: the link history of the card, and what alerts hang on."""

    status: str
    reason: str | None = None


class AlertAdded(Event, tag="alert_added", frozen=True):
    """A price alert that somebody set. Its id is this event's sequence number; the grammar of `rule` stands in
    services/quotes/alert_rules.py."""

    rule: str  # in its canonical words: `SPY rises above 600`
    pause: float = 900.0  # seconds: least time between two of its alerts for one symbol
    note: str = ""


class AlertRemoved(Event, tag="alert_removed", frozen=True):
    id: int


class AlertFired(Event, tag="alert_fired", frozen=True):
    """A price alert came true at `at`, which is a time of the streams and not of this event."""

    id: int
    symbol: str
    at: int  # UTC nanoseconds
    text: str
    value: float | None = None  # the price, the move or the spread in percent or price, or the seconds
    source: PriceSource | None = None


LinkEvent = (
    LinkChanged
    | FarmChanged
    | SymbolChanged
    | IbError
    | ContractQualified
    | ContractRolled
    | MonthsTraded
    | BarsReceived
    | GapOpened
    | GapClosed
    | GapFilled
    | LineLimitLearned
    | OptionsListed
    | OptionsCentred
    | PositionsChanged
)
ControlEvent = (
    StreamStarted
    | StreamStopped
    | PlanRefreshRequested
    | ServiceChanged
    | StatusChanged
    | AlertAdded
    | AlertRemoved
    | AlertFired
)


class UnknownEvent(Event, tag="unknown", frozen=True):
    """Stands where a newer program wrote an event that this one does not know: it counts, and says nothing."""

    name: str


AnyEvent = LinkEvent | ControlEvent | UnknownEvent


class EventBlock(msgspec.Struct, tag="events", tag_field="type", frozen=True):
    """A block of the streams `link` and `control`."""

    epoch: int
    first_seq: int
    time: int  # UTC nanoseconds
    events: list[AnyEvent]

    @property
    def count(self) -> int:
        return len(self.events)


# --- plan (planner) ----------------------------------------------------------------------------------------


class PlannedSymbol(msgspec.Struct, frozen=True, omit_defaults=True):
    """One symbol of a plan: its contract, why it is there, and how important it is (0 is first)."""

    symbol: str  # the name of its file and topic
    reason: str  # such as `decision_snapshot 12, rank 3`
    priority: int
    sec_type: str = "STK"
    exchange: str = "SMART"
    currency: str = "USD"
    primary_exchange: str = ""
    local_symbol: str = ""
    last_trade_date: str = ""
    ib_symbol: str = ""  # what IB calls it, where that differs from `symbol`
    gateway: str = ""  # which of several gateways serves it; empty where there is one
    home: str = ""  # the gateway that it goes back to, where that is another one
    generic_ticks: str = ""  # what IB is asked for beside prices and sizes, by its numbers: `233,236`
    strike: float = 0.0  # of an option or warrant
    right: str = ""  # C or P
    trading_class: str = ""
    con_id: int = 0  # IB's own id: it alone says which contract is meant
    sec_id: str = ""  # `ISIN:US0378331005`, CUSIP or FIGI: says so in place of the symbol
    tick_by_tick: str = ""  # Last, AllLast, BidAsk or MidPoint: asked for beside the stream
    real_time_bars: str = ""  # TRADES, MIDPOINT, BID or ASK: what bars of five seconds show, likewise
    chain: str = ""  # the symbol to whose chain this option belongs: it follows that one's price
    roll: Literal["", "front", "second"] = ""  # of a future: its month follows from the day
    roll_days: int = -1  # days before its last trade date on which a month gives way; -1: as the gateway is set
    roll_by: Literal["", "days", "volume"] = ""  # the rule by which it does; empty: as the gateway is set
    held: bool = False  # an account of the gateways has a position in it


class PlannedChain(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options that follow the price of a planned symbol: so many strikes around it, of the next expiries."""

    underlying: str
    strikes: int
    expiries: int
    rights: str = "CP"  # calls, puts or both
    generic_ticks: str = ""  # of each option, as in PlannedSymbol


class CutSymbol(msgspec.Struct, frozen=True, omit_defaults=True):
    """A symbol that the plan leaves out of streaming, and why. It is served from snapshots by rotation."""

    symbol: str
    reason: str
    priority: int
    contract: PlannedSymbol | None = None
    limit: Literal["max_symbols", "lines"] = "max_symbols"  # whose limit: the user's, or IB's on market data lines

    @property
    def gateway(self) -> str:
        return self.contract.gateway if self.contract is not None else ""

    @property
    def held(self) -> bool:
        return self.contract is not None and self.contract.held


class Plan(msgspec.Struct, tag="plan", tag_field="type", frozen=True):
    """The current subscription plan: complete each time, so the newest one is all that a consumer needs.

    It is an event of the stream `plan` (one event a block) and the value of the last-value topic `plan`.
    """

    epoch: int
    first_seq: int
    time: int  # UTC nanoseconds
    started: bool  # the desired state that this plan answers; False: nothing is to be subscribed
    symbols: list[PlannedSymbol]
    cut: list[CutSymbol] = []
    project_id: int | None = None
    project_name: str | None = None
    decision_snapshot_id: int | None = None
    market_data_type: MarketDataType = "realtime"
    allow_delayed: bool = True
    problem_code: str | None = None  # set when the last refresh failed and the last good plan stays in force
    problem: str | None = None
    problem_since: int | None = None
    warnings: list[str] = []
    refresh_token: int = 0  # rises when a refresh was asked for by hand: rejected symbols are tried again
    answers: int = 0  # sequence number, in `control`, of the start or stop that it answers; 0: not known
    chains: list[PlannedChain] = []

    @property
    def count(self) -> int:
        return 1


Block = TickBlock | EventBlock | Plan
