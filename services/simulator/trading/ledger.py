"""Cash and positions to the cent. In each currency, at any time: cash + what positions have cost = what the account
began with + realized profit, where costs and profits include commissions. Pure.

What is bought is paid for in full, but for futures, currency pairs and CFDs: of these only profit and commission
reach the cash (a pair is settled in its second currency; the first is not delivered).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from services.simulator.market.contracts import Instrument
from services.simulator.trading.commissions import cents
from services.simulator.trading.order import ZERO

ON_MARGIN: Final = ("FUT", "CASH", "CFD")


def factor(instrument: Instrument) -> Decimal:
    """What a price of 1 is worth for one contract."""
    return Decimal(instrument.multiplier or 1) / instrument.magnifier


@dataclass(slots=True)
class Position:
    """`quantity` is below 0 if sold short, and so is `cost` then. `cost` includes the commissions `fees`."""

    instrument: Instrument
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO
    realized: Decimal = ZERO

    @property
    def average_cost(self) -> Decimal:
        """Of one share or contract, with its multiplier and commissions, as IB counts it."""
        return abs(self.cost / self.quantity) if self.quantity else ZERO

    def value(self, price: Decimal) -> Decimal:
        return cents(self.quantity * price * factor(self.instrument))

    def unrealized(self, price: Decimal) -> Decimal:
        return self.value(price) - self.cost if self.quantity else ZERO


class Ledger:
    def __init__(self, cash: Decimal, currency: str) -> None:
        self.positions: dict[int, Position] = {}
        self._paid: dict[str, Decimal] = {currency: cash}  # cash as if all had been paid in full

    @property
    def currencies(self) -> list[str]:
        return list(self._paid)

    def cash(self, currency: str) -> Decimal:
        borrowed = (one.cost - one.fees for one in self._of(currency) if one.instrument.sec_type in ON_MARGIN)
        return self._paid.get(currency, ZERO) + sum(borrowed, ZERO)

    def worth(self, position: Position, price: Decimal) -> Decimal:
        """What the position adds to the account beside the cash."""
        value = position.value(price)
        on_margin = position.instrument.sec_type in ON_MARGIN
        return value - position.cost + position.fees if on_margin else value

    def realized(self, currency: str) -> Decimal:
        return sum((one.realized for one in self._of(currency)), ZERO)

    def trade(self, instrument: Instrument, size: Decimal, price: Decimal, commission: Decimal) -> Decimal | None:
        """Book a fill; `size` is below 0 for a sale. The profit that it realized, None if it closed nothing."""
        position = self.positions.setdefault(instrument.con_id, Position(instrument))
        currency = instrument.currency
        amount = cents(size * price * factor(instrument))
        self._paid[currency] = self._paid.get(currency, ZERO) - amount - commission
        held = position.quantity
        closing = min(abs(size), abs(held)) if held * size < 0 else ZERO
        part = cents(amount * closing / abs(size))
        fee = cents(commission * closing / abs(size))
        realized = None
        if closing:
            cost, fees = cents(position.cost * closing / abs(held)), cents(position.fees * closing / abs(held))
            realized = -part - fee - cost
            position.realized += realized
            position.cost, position.fees = position.cost - cost, position.fees - fees
        position.cost += amount - part + commission - fee
        position.fees += commission - fee
        position.quantity += size
        return realized

    def _of(self, currency: str) -> list[Position]:
        return [one for one in self.positions.values() if one.instrument.currency == currency]
