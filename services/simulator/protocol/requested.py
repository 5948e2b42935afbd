"""What a client asks, whatever its encoding: one typed object a request, so that handlers know nothing of bytes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.simulator.market.contracts import Wanted
from services.simulator.market.scans import Scan


class Nothing(NamedTuple):
    """A request of which nothing matters but that it came."""


class ById(NamedTuple):
    """A request, or a cancel, of which only the id matters; of an order, the order's id."""

    request: int


class StartApi(NamedTuple):
    client_id: int


class MarketData(NamedTuple):
    request: int
    contract: Wanted
    generic: str
    snapshot: bool
    regulatory: bool


class MarketDepth(NamedTuple):
    request: int
    contract: Wanted
    rows: int
    smart: bool


class MarketDataType(NamedTuple):
    kind: int


class RealTimeBars(NamedTuple):
    request: int
    contract: Wanted
    seconds: int
    what: str


class TickByTick(NamedTuple):
    """`kind`: Last, AllLast, BidAsk or MidPoint. `past`: how many past ticks come first."""

    request: int
    contract: Wanted
    kind: str
    past: int


class OfContract(NamedTuple):
    """A request of which only the id and the contract matter."""

    request: int
    contract: Wanted


class MatchingSymbols(NamedTuple):
    request: int
    pattern: str


class OptionParams(NamedTuple):
    request: int
    symbol: str
    exchange: str  # of options on a future; empty: all
    sec_type: str
    con_id: int


class MarketRule(NamedTuple):
    rule: int


class HistoricalData(NamedTuple):
    request: int
    contract: Wanted
    end: str
    bar: str
    duration: str
    what: str
    date_format: int
    keep_up_to_date: bool


class HeadTimestamp(NamedTuple):
    request: int
    contract: Wanted
    what: str
    date_format: int


class Histogram(NamedTuple):
    """`period`: `3 days`, `1 week` and the like."""

    request: int
    contract: Wanted
    period: str


class HistoricalTicks(NamedTuple):
    request: int
    contract: Wanted
    start: str
    end: str
    most: int
    what: str


class HistoricalNews(NamedTuple):
    """`providers`: their codes, with `+` between them."""

    request: int
    con_id: int
    providers: str
    start: str
    end: str
    most: int


class NewsArticle(NamedTuple):
    request: int
    provider: str
    article: str


class Scanner(NamedTuple):
    request: int
    scan: Scan


class DisplayGroup(NamedTuple):
    request: int
    group: int


class DisplayGroupContract(NamedTuple):
    request: int
    contract: str


class OfAccount(NamedTuple):
    """A request of which only the id and the account matter; an empty one is the only one."""

    request: int
    account: str


class AccountUpdates(NamedTuple):
    subscribe: bool
    account: str


class AccountSummary(NamedTuple):
    request: int
    tags: str


class PlaceOrder(NamedTuple):
    """An order, new or changed: `said` are the fields that the client set, by IB's names."""

    request: int
    contract: Wanted
    said: Mapping[str, Any]


class AutoOpenOrders(NamedTuple):
    bind: bool


class CompletedOrders(NamedTuple):
    api_only: bool


class Executions(NamedTuple):
    """A filter: what is empty or 0 lets everything through. `days`: the last so many; `dates` as numbers, YYYYMMDD."""

    request: int
    client_id: int
    account: str
    time: str
    symbol: str
    sec_type: str
    exchange: str
    side: str
    days: int = 0
    dates: tuple[int, ...] = ()


class ProfitOf(NamedTuple):
    request: int
    account: str
    con_id: int
