"""What a trade costs: IBKR's published fixed prices for the kinds of contract that the simulator trades, without the
fees of exchanges. An order of several fills pays its minimum once. Pure.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from services.simulator.market.contracts import Instrument

CENT: Final = Decimal("0.01")


class Rate(NamedTuple):
    """For each share or contract, and as a part of the value; at least so much an order, at most that part of it."""

    each: Decimal
    part: Decimal
    least: Decimal
    most: Decimal | None = None


_US_STOCK = Rate(Decimal("0.005"), Decimal(0), Decimal(1), Decimal("0.01"))
_ABROAD = {"JPY": Rate(Decimal(0), Decimal("0.0008"), Decimal(80))}
_OTHER_STOCK = Rate(Decimal(0), Decimal("0.0005"), Decimal(3))
_RATES: Final = {
    "OPT": Rate(Decimal("0.65"), Decimal(0), Decimal(1)),
    "FUT": Rate(Decimal("0.85"), Decimal(0), Decimal(0)),
    "CASH": Rate(Decimal(0), Decimal("0.00002"), Decimal(2)),
    "CFD": Rate(Decimal("0.005"), Decimal(0), Decimal(1)),
    "CRYPTO": Rate(Decimal(0), Decimal("0.0018"), Decimal("1.75"), Decimal("0.01")),
}


def cents(amount: Decimal) -> Decimal:
    """Rounded to a hundredth of the currency, halves away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def commission(instrument: Instrument, size: Decimal, value: Decimal) -> Decimal:
    """Of an order that has traded `size` for `value` in all, in the contract's currency."""
    if instrument.sec_type == "STK":
        rate = _US_STOCK if instrument.currency == "USD" else _ABROAD.get(instrument.currency, _OTHER_STOCK)
    else:
        rate = _RATES[instrument.sec_type]
    found = max(rate.least, rate.each * size + rate.part * value)
    if rate.most is not None:
        found = min(found, rate.most * value)
    return cents(found)
