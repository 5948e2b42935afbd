"""What the server knows of one connected client and its subscriptions."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from services.simulator.market.contracts import Instrument
from services.simulator.market.depth import Book
from services.simulator.market.scans import Scan
from services.simulator.market.ticks import Form, Heads, form, heads
from services.simulator.protocol.message_limits import HistoryPacing, MessageRate
from services.simulator.protocol.replies import Replies
from services.simulator.protocol.rows import PositionRow
from services.simulator.protocol.wire import FrameReader
from services.simulator.trading.account import Profit
from services.simulator.trouble.faults import Asked

Phase = Literal["greeting", "versioned", "ready", "closing"]


class KeptBars(NamedTuple):
    """`seconds` long, showing `what`, with times as `date_format` says."""

    instrument: Instrument
    seconds: int
    what: str
    date_format: int


@dataclass
class DepthLine:
    """Market depth of `rows` a side; `smart`: of all exchanges together. `told`: the book as the client has it."""

    instrument: Instrument
    rows: int
    smart: bool
    told: Book


@dataclass
class Watching:
    """What the client wants to hear of the account, with what it was told last; by request id, but for the two that
    have none: `updates` (None: unsubscribed) with its `portfolio` by contract, and `positions`."""

    updates: dict[tuple[str, str], str] | None = None
    portfolio: dict[int, PositionRow] = field(default_factory=dict)
    positions: bool = False
    updates_multi: dict[int, dict[tuple[str, str], str]] = field(default_factory=dict)
    positions_multi: set[int] = field(default_factory=set)
    summaries: dict[int, tuple[str, dict[tuple[str, str], str]]] = field(default_factory=dict)
    profit: dict[int, Profit | None] = field(default_factory=dict)
    profit_of: dict[int, tuple[int, Any]] = field(default_factory=dict)


@dataclass
class Client:
    conn: int
    rate: MessageRate
    phase: Phase = "greeting"
    reader: FrameReader = field(default_factory=FrameReader)
    replies: Replies = field(default_factory=lambda: Replies(100))
    client_id: int = -1
    data_type: int = 1  # as asked for with reqMarketDataType
    subscriptions: dict[int, "Subscription"] = field(default_factory=dict)
    real_time_bars: dict[int, tuple[Instrument, str]] = field(default_factory=dict)  # and what they show
    kept_bars: dict[int, KeptBars] = field(default_factory=dict)  # historical bars that are kept up to date
    tick_by_tick: dict[int, tuple[Instrument, str]] = field(default_factory=dict)
    depth: dict[int, DepthLine] = field(default_factory=dict)
    scans: dict[int, Scan] = field(default_factory=dict)
    groups: dict[int, int] = field(default_factory=dict)  # display groups that it follows
    history: HistoryPacing = field(default_factory=HistoryPacing)
    deaf: bool = False  # nothing that it says is ever answered
    silent_until: int = 0  # nothing is sent before this time
    dribble_until: int = 0  # bytes are sent one at a time before this time
    held: bytearray = field(default_factory=bytearray)  # what silence and dribbling keep back
    held_ticks: int = 0
    watching: Watching = field(default_factory=Watching)
    lost_ids: set[int] = field(default_factory=set)  # lines that IB dropped; cancelling one is no error

    def is_closing(self) -> bool:
        return self.phase == "closing"


@dataclass
class Subscription:
    """A market data line. `dead`: it counts, but nothing flows until the client subscribes anew. `image_due`: it
    missed ticks, and is told everything when it flows again."""

    client: Client
    request: int
    instrument: Instrument
    generic: frozenset[str]
    delayed: bool = False
    asked: Asked = "stream"
    partial: bool = False  # 10090: only last, volume and the day's prices are entitled
    feed_type: int = 1  # the market data type that the client was told of, less our own doing
    dead: bool = False
    image_due: bool = False
    form: Form = field(init=False)
    head: Heads = field(init=False)

    def __post_init__(self) -> None:
        self.form = form(self.client.replies.version)
        self.head = heads(self.request, self.form)
