"""What the order desk has to say, in the order in which it happened. Who hears it, and in which bytes, is the
protocol's affair.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from services.simulator.trading.account import Impact
from services.simulator.trading.order import Standing, Working


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill. `number` counts all fills of the account; `cumulative` and `average` are the order's after it."""

    number: int
    time: int  # UTC nanoseconds
    of: Working
    size: Decimal
    price: Decimal
    cumulative: Decimal
    average: Decimal
    removed: bool  # it took liquidity
    commission: Decimal
    realized: Decimal | None  # None: it closed nothing

    @property
    def exec_id(self) -> str:
        """In four parts, as IB writes them."""
        return f"0000d1a5.{self.of.perm_id & 0xFFFFFFFF:08x}.{self.number:08x}.01"


class OrderTold(NamedTuple):
    """openOrder and orderStatus, or of these the second alone."""

    of: Working
    standing: Standing
    whole: bool = True


class Executed(NamedTuple):
    execution: Execution


class Charged(NamedTuple):
    """The commission report, which follows an execution."""

    execution: Execution


class Told(NamedTuple):
    """An error or a warning under an order's id."""

    client_id: int
    order_id: int
    code: int
    text: str


class Bound(NamedTuple):
    """A manual order got an id."""

    of: Working


class Foreseen(NamedTuple):
    """The answer to a what-if order, of which nothing else is left."""

    of: Working
    impact: Impact


Event = OrderTold | Executed | Charged | Told | Bound | Foreseen
