"""What replies are made of, before any encoding: bars, hours, past ticks, orders and what becomes of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.simulator.market.contracts import Instrument


class Verbatim(str):
    """Text that is sent as it is, though a client that undoes escapes cannot read it."""


class BarRow(NamedTuple):
    """One bar as the wire wants it: `time` is text already; `volume` in shares or contracts; `decimals` of prices."""

    time: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    wap: float
    trades: int


class Hours(NamedTuple):
    """A contract's hours as IB writes them, in `time_zone`."""

    time_zone: str
    trading: str
    liquid: str


class OrderRow(NamedTuple):
    """An order as openOrder and completedOrder tell it: its fields and those of its state, by IB's names."""

    order_id: int
    instrument: Instrument
    exchange: str
    said: Mapping[str, Any]
    state: Mapping[str, Any]


class StatusRow(NamedTuple):
    """Quantities are text, prices in the contract's currency."""

    order_id: int
    status: str
    filled: str
    remaining: str
    average: float
    perm_id: int
    parent_id: int
    last: float
    client_id: int
    why_held: str


class ExecutionRow(NamedTuple):
    """One fill. `exchange` is where the order was sent to, `venue` where it was filled; `side` is BOT or SLD;
    `liquidity` 1 where the order gave it, 2 where it took it."""

    order_id: int
    instrument: Instrument
    exchange: str
    exec_id: str
    time: str
    account: str
    venue: str
    side: str
    size: str
    price: float
    perm_id: int
    client_id: int
    cumulative: str
    average: float
    order_ref: str
    liquidity: int


class ChargeRow(NamedTuple):
    """What a fill cost, and the profit that it realized (None: it closed nothing)."""

    exec_id: str
    commission: float
    currency: str
    realized: float | None


class PositionRow(NamedTuple):
    """`quantity` is text; `average_cost` of one share or contract, with its multiplier."""

    instrument: Instrument
    quantity: str
    price: float
    value: float
    average_cost: float
    unrealized: float
    realized: float

    @property
    def exchange(self) -> str:
        """As positions name it: of futures none, since some trade on several (TWS API documentation, "Positions")."""
        found = self.instrument
        return "" if found.sec_type in ("FUT", "FOP") else found.primary or found.exchange
