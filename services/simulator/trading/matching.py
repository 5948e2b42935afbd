"""By which rules an order meets the market; services/simulator/README.md has them in words. Pure: the market comes in
as a `Quote`, what is left of its shown sizes as a `Shown`.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from services.base.clock import SECOND
from services.base.prices import midpoint
from services.simulator.trading.order import LIMITED, STOPS, TOUCHED, TRAILS, ZERO, Order, Working

DOUBLE: Final = (1, 3)  # trigger methods that want the price beyond the stop twice in a row
REFRESHED: Final = SECOND  # after which shown sizes are there anew, though the quote has not changed


class Quote(NamedTuple):
    """The market of one contract now; a price is None where there is none. `trading`: orders are filled; `regular`:
    so are those that are for regular hours alone."""

    bid: Decimal | None
    bid_size: Decimal
    ask: Decimal | None
    ask_size: Decimal
    last: Decimal | None
    trading: bool = True
    regular: bool = True


class Fill(NamedTuple):
    size: Decimal
    price: Decimal
    removed: bool  # liquidity was taken, not given


@dataclass(slots=True)
class Shown:
    """The sizes that are still to be had at a quote: what one order took, no other can take."""

    quote: Quote
    since: int
    bid_size: Decimal
    ask_size: Decimal

    @classmethod
    def of(cls, quote: Quote, now: int) -> "Shown":
        return cls(quote, now, quote.bid_size, quote.ask_size)

    def is_stale(self, quote: Quote, now: int) -> bool:
        return quote != self.quote or now - self.since >= REFRESHED


def is_open(quote: Quote, order: Order) -> bool:
    """Whether the market fills such an order now."""
    return quote.trading and (quote.regular or order.outside_rth)


def watch(one: Working, quote: Quote) -> None:
    """Let a stop follow the market, and trigger."""
    if one.triggered or one.order.kind not in (*STOPS, *TOUCHED):
        return
    prices = _watched(one, quote)
    if not prices:
        return
    if one.order.kind in TRAILS:
        _trail(one, prices[0])
    assert one.stop is not None
    beyond = any(_is_beyond(one, price, one.stop) for price in prices)
    one.confirmations = one.confirmations + 1 if beyond else 0
    one.triggered = one.confirmations >= (2 if _method(one) in DOUBLE else 1)


def fill(one: Working, quote: Quote, shown: Shown) -> Fill | None:
    """What the order gets now; sizes are taken from `shown`."""
    if not is_open(quote, one.order):
        return None
    if one.order.kind in (*STOPS, *TOUCHED) and not one.triggered:
        return None
    buys = one.order.side == "BUY"
    price, size = (quote.ask, shown.ask_size) if buys else (quote.bid, shown.bid_size)
    limited = one.order.kind in LIMITED
    if price is None or (limited and one.limit is not None and (price > one.limit if buys else price < one.limit)):
        one.rested = True
        return None
    taken = min(size, one.remaining)
    least = one.remaining if one.order.all_or_none else min(one.order.least, one.remaining) if not one.filled else ZERO
    if taken <= 0 or taken < least:
        return None
    if buys:
        shown.ask_size -= taken
    else:
        shown.bid_size -= taken
    if limited and one.rested and one.limit is not None:
        return Fill(taken, one.limit, removed=False)
    return Fill(taken, price, removed=True)


def _method(one: Working) -> int:
    """The trigger method; by default the last price, for options and pairs two bids or asks in a row."""
    default = 1 if one.instrument.sec_type in ("OPT", "CASH") else 2
    return one.order.trigger_method or default


def _watched(one: Working, quote: Quote) -> list[Decimal]:
    """The prices that can trigger the stop: a stop to buy watches the ask, one to sell the bid."""
    side = quote.ask if one.order.side == "BUY" else quote.bid
    middle = midpoint(quote.bid, quote.ask)
    chosen = {1: [side], 2: [quote.last], 3: [quote.last], 4: [side], 7: [quote.last, side], 8: [middle]}
    return [price for price in chosen[_method(one)] if price is not None]


def _is_beyond(one: Working, price: Decimal, stop: Decimal) -> bool:
    """A stop triggers where the price is worse for its side, what waits to be touched where it is better."""
    rises = (one.order.side == "BUY") == (one.order.kind in STOPS)
    return price >= stop if rises else price <= stop


def _trail(one: Working, price: Decimal) -> None:
    """The stop follows the price at its distance, and never goes back."""
    order, tick = one.order, Decimal(one.instrument.tick_text)
    distance = price * order.trail_percent / 100 if order.trail_percent else order.stop
    assert distance is not None
    stop = ((price + order.sign * distance) / tick).to_integral_value() * tick
    if one.stop is not None:
        stop = min(one.stop, stop) if order.side == "BUY" else max(one.stop, stop)
    if one.stop != stop or one.limit is None:
        one.stop = stop
        one.limit = stop + order.sign * offset if (offset := _offset(one)) is not None else one.limit


def _offset(one: Working) -> Decimal | None:
    """How far the limit of a trailing order is beyond its stop."""
    order = one.order
    if order.limit_offset is not None:
        return order.limit_offset
    if order.kind == "TRAIL LIMIT" and order.limit is not None and order.trail_stop is not None:
        return order.sign * (order.limit - order.trail_stop)
    return None
