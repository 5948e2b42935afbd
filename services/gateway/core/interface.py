"""The vocabulary between the gateway's I/O loop (the adapter) and its pure core.

`core.handle(event, now)` takes one input of this file and returns the effects to carry out, in order.
Times are UTC nanoseconds, `now` included. Nothing here, and nothing in the core, does I/O or reads a clock.

What the adapter guarantees:
- One connection at a time. After it carried out `Disconnect` it delivers nothing more of that connection,
  not even its `SocketClosed`.
- Inputs come in the order in which IB sent their messages. What one drain of the socket held is: the rare
  messages one by one, then one `TicksSeen`.
- `EmitTicks` rows go into the tick block of the same turn, after the rows that IB sent in it.
- `Timer` comes at least every 0.25 s: what is due comes so much late at most.
"""

import msgspec

from messages.events import Bar, ContractQualified, HeldContract, LinkEvent, Plan, PlannedSymbol

NAN = float("nan")
_UNSET = 1e308  # beyond: IB's unset double


def is_number(value: float) -> bool:
    """Whether a price, size or volume says one: not what IB sends for none (-1, 0, an unset double). A price of exactly
    -1 or 0, which spreads and futures may have, cannot be told from it without its size, and is passed over."""
    return value not in (-1, 0) and -_UNSET < value < _UNSET


class Input(msgspec.Struct, frozen=True):
    """Base of what the adapter tells the core."""


# --- plan and time -----------------------------------------------------------------------------------------


class PlanChanged(Input, frozen=True):
    plan: Plan


class Timer(Input, frozen=True):
    """Time passed."""


# --- connection --------------------------------------------------------------------------------------------


class SocketOpened(Input, frozen=True):
    """TCP is up; the adapter sends the version line and startApi by itself. The core watches the deadline."""


class SocketFailed(Input, frozen=True):
    """`Connect` came to nothing. `reason`: refused, unreachable, timeout."""

    reason: str
    detail: str = ""


class SocketClosed(Input, frozen=True):
    """The connection ended, and not by `Disconnect`.

    `reason`: eof (closed by the other side), reset, bad_frame (garbage, absurd length), bad_version.
    """

    reason: str
    detail: str = ""


class GreetingSeen(Input, frozen=True):
    """A part of the greeting came; `missing` names what has not come yet: nextValidId, managedAccounts."""

    missing: str


class Ready(Input, frozen=True):
    """nextValidId and managedAccounts are both here: requests may be sent."""

    server_version: int
    accounts: tuple[str, ...]


class EndpointSeen(Input, frozen=True):
    """The answer to `ProbeEndpoint`: `up` when it completed the version handshake."""

    up: bool


# --- what IB said ------------------------------------------------------------------------------------------


class OfRequest(Input, frozen=True):
    """Base of what comes for one request."""

    req_id: int


class TicksSeen(Input, frozen=True):
    """Requests for which this drain brought at least one price, size or volume of now.

    That is bid, ask, last, their sizes and volume, and their delayed twins; not close, open, high and low,
    and not a withdrawn price (-1 or 0 with size 0) alone. Streams and snapshots alike. `delayed` are those of them
    that brought delayed ones alone.
    """

    req_ids: set[int] | frozenset[int]
    delayed: set[int] | frozenset[int] = frozenset()


class MarketDataTypeSeen(OfRequest, frozen=True):
    """What is delivered for a request: 1 realtime, 2 frozen, 3 delayed, 4 delayed frozen."""

    data_type: int


class IbErrorSeen(OfRequest, frozen=True):
    """An `error` message; `req_id` is -1 when it belongs to no request."""

    code: int
    message: str


class ContractSeen(OfRequest, frozen=True):
    """One answer to a contract details request. The adapter leaves its `symbol` empty: the core knows it."""

    details: ContractQualified


class ContractEnd(OfRequest, frozen=True):
    """No more answers come to a contract details request."""


class SnapshotEnd(OfRequest, frozen=True):
    """A snapshot is complete. IB takes up to about 11 s, and may leave fields out.

    `prices`: the newest value per tick field (`messages.fields`) that the snapshot brought; `streamed`: the
    newest per field that the symbol's stream (`Snapshot.stream_req_id`) brought so far. By comparing them the
    core tells a quiet symbol from a dead feed. Wanted are bid, ask, last and volume, or their delayed twins.
    """

    prices: dict[int, float]
    streamed: dict[int, float] = {}


class BarsSeen(OfRequest, frozen=True):
    """Bars of one history answer; `Bar.time` is the bar's start, UTC nanoseconds."""

    bars: list[Bar]


class BarsEnd(OfRequest, frozen=True):
    """No more bars come."""


class StreamRead(OfRequest, frozen=True):
    """The answer to `ReadStream`, in the same turn: the newest value per tick field that the stream brought so far."""

    values: dict[int, float]


class OptionParamsSeen(OfRequest, frozen=True):
    """Options on an underlying: one exchange and trading class of the answer."""

    exchange: str
    trading_class: str
    multiplier: str
    expirations: tuple[str, ...]
    strikes: tuple[float, ...]


class OptionParamsEnd(OfRequest, frozen=True):
    """No more options come."""


class PositionSeen(Input, frozen=True):
    """An account holds some of a contract, or none any more. The account's name goes no further than the core."""

    account: str
    contract: HeldContract
    held: bool


class PositionUnreadable(Input, frozen=True):
    """A position came, and nobody can tell which."""


class PositionsEnd(Input, frozen=True):
    """All that is held was told; what comes from now on are changes."""


class CurrentTimeSeen(Input, frozen=True):
    """The gateway's clock: it answers. `seconds` since 1970."""

    seconds: int


class HaltSeen(OfRequest, frozen=True):
    """Tick 49 or, `delayed`, 90: 0 trading, 1 regulatory halt, 2 volatility halt, -1 unknown."""

    value: int
    delayed: bool = False


class RerouteSeen(OfRequest, frozen=True):
    """Message 91: the data of this request is that of another contract, and must be asked for as such (a CFD's is
    that of its stock). Message 92 says the same of market depth, which nobody here asks for."""

    con_id: int
    exchange: str


Answer = (
    MarketDataTypeSeen
    | HaltSeen
    | RerouteSeen
    | ContractSeen
    | ContractEnd
    | SnapshotEnd
    | BarsSeen
    | BarsEnd
    | StreamRead
    | OptionParamsSeen
    | OptionParamsEnd
)
"""What comes for one request alone."""

Position = PositionSeen | PositionUnreadable | PositionsEnd

Event = (
    PlanChanged
    | Timer
    | SocketOpened
    | SocketFailed
    | SocketClosed
    | GreetingSeen
    | Ready
    | EndpointSeen
    | TicksSeen
    | IbErrorSeen
    | CurrentTimeSeen
    | Position
    | Answer
)


class Output(msgspec.Struct, frozen=True):
    """Base of what the core asks of the adapter."""


# --- connection --------------------------------------------------------------------------------------------


class Connect(Output, frozen=True):
    """Open a TCP connection, and do the handshake with the configured client id.

    The adapter answers SocketOpened or SocketFailed, then Ready. The core gives up by `Disconnect` after
    `ib_connect_timeout` in each of the two steps.
    """

    host: str
    port: int


class Disconnect(Output, frozen=True):
    """Close the connection, or give up opening it. All its requests are gone."""

    reason: str


class ProbeEndpoint(Output, frozen=True):
    """Beside the running connection: does the other endpoint answer a version handshake?

    Connect, read the version answer, close; never send startApi (it would take the client id). Answer
    `EndpointSeen` within `ib_connect_timeout`.
    """

    host: str
    port: int


class ForRequest(Output, frozen=True):
    """Base of what is asked under a request id."""

    req_id: int


class ForContract(ForRequest, frozen=True):
    """Base of what is asked of a contract."""

    planned: PlannedSymbol


class ReadStream(ForRequest, frozen=True):
    """What did this stream bring? Asked of the adapter, no message to the gateway. Answer `StreamRead`."""


# --- requests: each is exactly one message to the gateway ---------------------------------------------------


class Subscribe(ForContract, frozen=True):
    """reqMktData, streaming. `con_id` is 0 while the contract is not qualified; `generic_ticks` as in
    PlannedSymbol."""

    con_id: int = 0
    generic_ticks: str = ""


class Snapshot(ForContract, frozen=True):
    """reqMktData with snapshot=True and regulatorySnapshot=False, always: the other one costs money."""

    con_id: int = 0
    stream_req_id: int = -1  # the symbol's open stream, for `SnapshotEnd.streamed`


class CancelMktData(ForRequest, frozen=True):
    """cancelMktData."""


class Forget(ForRequest, frozen=True):
    """IB has ended this stream by itself: what still comes for it is nobody's. Nothing is sent."""


class ContractDetails(ForContract, frozen=True):
    """reqContractDetails."""


class TickByTick(ForContract, frozen=True):
    """reqTickByTickData, of one kind: Last, AllLast, BidAsk or MidPoint."""

    con_id: int
    what: str


class CancelTickByTick(ForRequest, frozen=True):
    """cancelTickByTickData."""


class RealTimeBars(ForContract, frozen=True):
    """reqRealTimeBars: five seconds, in and out of regular hours."""

    con_id: int
    what: str


class CancelRealTimeBars(ForRequest, frozen=True):
    """cancelRealTimeBars."""


class OptionParams(ForContract, frozen=True):
    """reqSecDefOptParams."""

    con_id: int


class History(ForContract, frozen=True):
    """reqHistoricalData, formatDate 2, useRTH 0, no updates. `end` 0 means until now."""

    end: int
    duration: str  # such as `1800 S`
    bar_size: str = "1 min"
    what_to_show: str = "TRADES"
    con_id: int = 0


class CancelHistory(ForRequest, frozen=True):
    """cancelHistoricalData."""


class SetMarketDataType(Output, frozen=True):
    """reqMarketDataType, for the requests that follow: 1 realtime, 2 frozen, 3 delayed, 4 delayed frozen."""

    data_type: int


class AskPositions(Output, frozen=True):
    """reqPositions: of all accounts, with what changes later."""


class CancelPositions(Output, frozen=True):
    """cancelPositions."""


class AskTime(Output, frozen=True):
    """reqCurrentTime."""


# --- what is published -------------------------------------------------------------------------------------


class Emit(Output, frozen=True):
    """An event for the stream `link`."""

    event: LinkEvent


Row = tuple[int, float, float, str]
"""Field, value, size (NaN without one), text (for the text fields, else empty)."""


class EmitTicks(Output, frozen=True):
    """Rows of our own for the stream `ticks`."""

    symbol: str
    rows: list[Row]


Effect = (
    Connect
    | Disconnect
    | ProbeEndpoint
    | Subscribe
    | Snapshot
    | CancelMktData
    | Forget
    | ContractDetails
    | OptionParams
    | TickByTick
    | CancelTickByTick
    | RealTimeBars
    | CancelRealTimeBars
    | History
    | CancelHistory
    | SetMarketDataType
    | AskTime
    | AskPositions
    | CancelPositions
    | ReadStream
    | Emit
    | EmitTicks
)
