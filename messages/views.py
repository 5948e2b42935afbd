"""Views: what people and other programs read. Maps with names; times are UTC ISO 8601 with `Z`.

Contract: the field names here are those of the files and of the last-value topics.
"""

from typing import Final, Literal

import msgspec

from messages.events import MarketDataType, PriceSource
from messages.generic import GenericTicks, Greeks
from messages.quality import Mark

UNVOUCHED: Final = "quotes_unvouched"
"""Metric in the sink's heartbeat: prices that the streams call current and that it does not vouch for in a file."""

StatusWord = Literal["stopped", "starting", "connected", "degraded", "disconnected"]


class Quote(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The current quote of one symbol. A field that was never received, or that IB withdrew, is absent.

    Every field of prices and sizes was brought by `source` at `since` or later; what it did not bring is absent.
    Prices in `currency`: where IB sends them times a `price_magnifier`, they are divided here. Sizes and
    volume are shares or contracts, worked out of IB's numbers by their unit (round lots, for one); where that is not
    known they are absent.
    """

    symbol: str
    timestamp: str | None = None  # when the newest of its bid, ask and last was received
    source: PriceSource | None = None
    since: str | None = None  # absent before version 0.2.0: there fields of several sources may stand together
    bid: float | None = None
    ask: float | None = None
    last: float | None = None
    close: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last_size: float | None = None
    volume: float | None = None
    volume_raw: float | None = None  # where the unit of the volume is not known: the number that IB sent
    currency: str | None = None
    exchange: str | None = None
    price_magnifier: int | None = None  # where it is not 1: IB sends so many times the prices that stand here
    multiplier: float | None = None  # where it is not 1: what one contract is worth in units of its price
    local_symbol: str | None = None  # of a future: which contract it is, as the exchange writes it
    contract_month: str | None = None  # of a future: YYYYMM
    market_data_type: MarketDataType | None = None
    exchange_time: str | None = None
    halted: bool | None = None
    stale: bool
    reason: str | None = None  # why it is stale: a stable word
    good_until: str | None = None  # the price may be used before this moment; a stale quote has none
    epoch: int
    seq: int
    gateway: str | None = None  # where there are several: whose price it is, and so whose epoch and seq
    greeks: Greeks | None = None  # of an option
    generic: GenericTicks | None = None  # what its generic ticks brought
    held: bool | None = None  # true where an account has a position in it, with IBSTREAM_POSITIONS; else absent


class Head(msgspec.Struct, frozen=True):
    """Where a writer stands in one of its streams: `durable_seq` is on disk, `seq` is written."""

    epoch: int
    seq: int
    durable_seq: int


class PriceTime(msgspec.Struct, frozen=True):
    """When a symbol's newest price was received, UTC nanoseconds, and who brought it (`SOURCES` in fields.py)."""

    time: int
    source: int


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """What each service says of itself, once a second, on `heartbeat.{service}`."""

    service: str
    pid: int
    time: int  # UTC nanoseconds
    started_at: int
    interval: float  # seconds until the next one
    loop_lag_ms: float  # the longest that the loop was late in the last ten seconds
    heads: dict[str, Head] = {}  # streams that it writes
    cursors: dict[str, int] = {}  # streams that it follows: the last sequence number applied
    source_heard: int | None = None  # gateway: when IB was last heard, UTC nanoseconds; 0 without a connection
    prices: dict[str, PriceTime] = {}  # gateway: symbols whose newest price or its source is another than told before
    problem: str | None = None  # a sentence, while something is wrong with the service itself
    metrics: dict[str, float] = {}  # `name` or `name{label="value"}`, Prometheus style


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["up", "down", "failing"]
    pid: int | None = None
    epoch: int | None = None
    head_seq: int | None = None
    heads: dict[str, Head] = {}
    last_heartbeat: str | None = None
    loop_lag_ms: float | None = None
    detail: str | None = None


class SymbolStatus(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    source: PriceSource | None = None
    age: float | None = None  # seconds since the last price was received
    reason: str | None = None
    code: int | None = None
    message: str | None = None
    why: str | None = None  # why it is planned
    priority: int | None = None
    market_data_type: MarketDataType | None = None
    streaming: bool = True  # False: cut from the plan, served from snapshots by rotation
    gateway: str | msgspec.UnsetType = msgspec.UNSET  # where there are several: the one that serves it
    # what to look at in its data of today (UTC), as in the quality report; empty: nothing; absent: nobody has looked
    marks: list[Mark] | msgspec.UnsetType = msgspec.UNSET
    held: bool | msgspec.UnsetType = msgspec.UNSET  # true where an account has a position in it; else absent
    local_symbol: str | msgspec.UnsetType = msgspec.UNSET  # of a future: which contract it is by now, as in its quote
    contract_month: str | msgspec.UnsetType = msgspec.UNSET  # of a future: YYYYMM


class LockOwner(msgspec.Struct, frozen=True, kw_only=True):
    owner: str  # `pid@host`
    since: str


class LastError(msgspec.Struct, frozen=True, kw_only=True):
    time: str
    code: int
    name: str
    message: str
    symbol: str | None = None


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Details of the connection to IB, for people."""

    phase: str
    reason: str | None = None
    detail: str | None = None
    endpoint: str | None = None
    server_version: int | None = None
    expected: bool = False
    since: str | None = None
    farms: dict[str, str] = {}  # by name; a name that is unusual for its kind has that behind it
    clock_skew: float | None = None  # seconds that the gateway's clock is ahead of ours, where it is more than one


class SnapshotChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A decision snapshot that a start may name."""

    id: int
    date: str | None = None  # its snapshot_date: YYYY-MM-DD where the database has a date
    usable: bool = True  # its status is `success`
    count: int | None = None  # symbols in its CSV; null when it was not counted, or cannot be
    problem: str | None = None  # why its CSV cannot be read


class ProjectChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A project that a start may name, with the snapshot that it would stream: the newest usable one."""

    id: int
    name: str
    archived: bool = False  # a start refuses it
    snapshot: SnapshotChoice | None = None


class PriceAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A price alert that is set."""

    id: int
    rule: str
    pause: float  # seconds: least time between two of its alerts for one symbol
    note: str = ""
    added: str
    count: int = 0  # how often it came
    last: "AlertNotice | None" = None


class AlertNotice(msgspec.Struct, frozen=True, kw_only=True):
    """That a price alert came."""

    id: int
    symbol: str
    time: str  # of the price or the silence, not of the telling
    text: str
    value: float | None = None
    source: PriceSource | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole status: `_status.json`, the topic `status`, `ibstream status --json` and GET /status."""

    status: StatusWord
    reason: str | None = None
    message: str | None = None  # the reason in words
    last_heartbeat: str | None = None
    subscribed_symbols: list[str] = []
    ib_error_count: int = 0
    ib_errors_by_code: dict[str, int] = {}
    last_error: LastError | None = None
    market_data_type: str | None = None
    degraded_since: str | None = None
    last_snapshot_refresh: str | None = None
    project_id: int | None = None
    decision_snapshot_id: int | None = None
    api_mode: Literal["mock", "ib"]
    services: dict[str, ServiceStatus] = {}
    symbols: dict[str, SymbolStatus] = {}
    lock: LockOwner | None = None
    link: LinkStatus | None = None  # of several the first that is in trouble
    links: dict[str, LinkStatus] | msgspec.UnsetType = msgspec.UNSET  # of each, where there are several
    plan_problem: str | None = None  # why the last refresh of the plan failed, while an older plan is in force
    plan_problem_code: str | None = None  # the same for programs: one of messages/errors.py
    warnings: list[str] = []
    good_until: str | None = None  # what is said here holds before this moment

    @property
    def links_by_gateway(self) -> dict[str, LinkStatus]:
        """Of each gateway; one alone has no name."""
        if isinstance(self.links, dict):
            return self.links
        return {"": self.link} if self.link is not None else {}
