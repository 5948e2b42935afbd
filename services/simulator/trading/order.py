"""An order: what a client asked for, and how far it has come. `order_of` makes one of the fields that a client sent,
and refuses what IB would refuse, or what the simulator does not do, with IB's code.

Prices are in the contract's currency (in cents, where its price magnifier says so), sizes in shares or contracts.
Codes and their meaning: TWS API documentation, message codes. The texts are the simulator's own, but for their
beginnings, by which clients tell them apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

from services.simulator.market.contracts import Instrument
from services.simulator.refused import Refused, invalid

Said = Mapping[str, Any]
"""The fields of an order that a client set, by IB's names; one that it left open is absent."""
Side = Literal["BUY", "SELL"]
Status = Literal["PendingSubmit", "PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive"]

ZERO: Final = Decimal(0)
DONE: Final = ("Filled", "Cancelled", "Inactive")
LIMITED: Final = ("LMT", "STP LMT", "TRAIL LIMIT", "LIT")
STOPS: Final = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")
TOUCHED: Final = ("MIT", "LIT")
TRAILS: Final = ("TRAIL", "TRAIL LIMIT")
KINDS: Final = ("MKT", "LMT", *STOPS, *TOUCHED)
TIMES_IN_FORCE: Final = ("DAY", "GTC", "IOC", "FOK", "GTD")
TRIGGER_METHODS: Final = (0, 1, 2, 3, 4, 7, 8)
TRADABLE: Final = ("STK", "OPT", "FUT", "CASH", "CFD", "CRYPTO")

# What no order of the simulator may have: its rules of filling know nothing of it.
_NOT_DONE: Final = {
    "conditions": "conditions", "algoStrategy": "algorithms", "hedgeType": "hedges", "cashQty": "quantities in cash",
    "adjustedOrderType": "adjusted stops", "deltaNeutralOrderType": "delta-neutral hedges", "faGroup": "allocations",
    "scaleTable": "scale tables", "scalePriceIncrement": "scales", "comboLegs": "combinations",
    "slOrderType": "attached orders", "ptOrderType": "attached orders", "activeStartTime": "times of activity",
    "percentOffset": "relative prices",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asked for. `stop`: of a stop, where it triggers; of a trailing one, how far behind it stays, or
    `trail_percent` of the price. `said` holds every field, to be echoed."""

    side: Side
    quantity: Decimal
    kind: str
    limit: Decimal | None
    stop: Decimal | None
    trail_percent: Decimal | None
    trail_stop: Decimal | None
    limit_offset: Decimal | None
    tif: str
    good_till: str
    good_after: str
    oca_group: str
    oca_type: int
    parent: int
    transmit: bool
    outside_rth: bool
    trigger_method: int
    all_or_none: bool
    least: Decimal  # of a first fill
    what_if: bool
    said: Said = field(repr=False, compare=False)

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


class Standing(NamedTuple):
    """How an order stands at one moment: what an orderStatus message tells."""

    status: Status
    filled: Decimal
    remaining: Decimal
    average: Decimal
    last: Decimal
    why_held: str


@dataclass(slots=True, eq=False)
class Working:
    """An order that was accepted, open or done."""

    client_id: int
    order_id: int
    perm_id: int
    instrument: Instrument
    exchange: str
    order: Order
    placed: int  # UTC nanoseconds
    sent: bool = False  # transmitted; until then nobody but its own client's next order knows of it
    status: Status = "PendingSubmit"
    parent: "Working | None" = None
    children: "list[Working]" = field(default_factory=list)
    oca_group: str = ""
    oca_type: int = 0
    quantity: Decimal = ZERO  # in all; an OCA group reduces it
    filled: Decimal = ZERO
    value: Decimal = ZERO  # sum of price times size of its fills
    last: Decimal = ZERO
    commission: Decimal = ZERO
    stop: Decimal | None = None  # where it triggers; a trailing one's moves
    limit: Decimal | None = None
    triggered: bool = False
    confirmations: int = 0  # looks in a row at which the price was beyond the stop
    rested: bool = False  # was in the market without being filled at once
    looked: bool = False  # the market has seen it
    expires: int = 0  # UTC nanoseconds; 0: never
    begins: int = 0  # good after this time
    done: int = 0  # when it was filled or cancelled
    reason: str = ""

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status not in DONE

    @property
    def waits_for_parent(self) -> bool:
        return self.parent is not None and self.parent.status != "Filled"

    @property
    def why_held(self) -> str:
        """As gateways were seen to write it: `child`, `trigger`, or both."""
        if self.status != "PreSubmitted":
            return ""
        waits = ["child"] if self.waits_for_parent else []
        waits += ["trigger"] if self.order.kind in (*STOPS, *TOUCHED) and not self.triggered else []
        return ",".join(waits)

    @property
    def standing(self) -> Standing:
        average = self.value / self.filled if self.filled else ZERO
        remaining = ZERO if self.status == "Filled" else self.remaining
        return Standing(self.status, self.filled, remaining, average, self.last, self.why_held)


def order_of(said: Said) -> Order:
    """The order in these fields. Raises Refused."""
    for name, what in _NOT_DONE.items():
        if said.get(name):
            raise invalid(f"the simulator does no orders with {what} ({name})")
    side = str(said.get("action", "")).upper()
    if side not in ("BUY", "SELL"):
        raise invalid(f"the action {side!r} is neither BUY nor SELL")
    kind = str(said.get("orderType", "")).upper()
    if kind not in KINDS:
        raise Refused(387, f"Unsupported order type for this exchange and security type: {kind!r}")
    tif = str(said.get("tif", "") or "DAY").upper()
    if tif not in TIMES_IN_FORCE:
        raise Refused(10052, f"Invalid time in force: {tif!r}")
    if tif in ("IOC", "FOK") and kind not in ("MKT", "LMT"):
        raise Refused(111, f"The order type {kind} and the time in force {tif} are not compatible")
    trigger_method = int(said.get("triggerMethod", 0))
    if trigger_method not in TRIGGER_METHODS:
        raise invalid(f"trigger method {trigger_method} does not exist")
    order = Order(
        side=side,  # type: ignore[arg-type]  # it is one of the two, see above
        quantity=_quantity(said),
        kind=kind,
        limit=_price(said, "lmtPrice") if kind in LIMITED else None,
        stop=_price(said, "auxPrice") if kind not in ("MKT", "LMT") else None,
        trail_percent=_price(said, "trailingPercent") if kind in TRAILS else None,
        trail_stop=_price(said, "trailStopPrice") if kind in TRAILS else None,
        limit_offset=_price(said, "lmtPriceOffset") if kind == "TRAIL LIMIT" else None,
        tif=tif,
        good_till=str(said.get("goodTillDate", "")),
        good_after=str(said.get("goodAfterTime", "")),
        oca_group=str(said.get("ocaGroup", "")),
        oca_type=int(said.get("ocaType", 0)),
        parent=int(said.get("parentId", 0)),
        transmit=bool(said.get("transmit", False)),
        outside_rth=bool(said.get("outsideRth", False)),
        trigger_method=trigger_method,
        all_or_none=bool(said.get("allOrNone", False)) or tif == "FOK",
        least=Decimal(int(said.get("minQty", 0))),
        what_if=bool(said.get("whatIf", False)),
        said=said,
    )
    _complete(order)
    return order


def check_contract(order: Order, instrument: Instrument) -> None:
    """Whether the order fits what it is for. Raises Refused."""
    if instrument.sec_type not in TRADABLE:
        raise Refused(201, f"Order rejected - reason:{instrument.sec_type} {instrument.key} cannot be traded")
    if instrument.sec_type != "CRYPTO" and order.quantity % 1:
        raise Refused(10243, "Fractional-sized order cannot be placed via API")
    if instrument.sec_type == "CRYPTO" and order.quantity < Decimal("0.00000001"):
        raise Refused(388, f"Order size {order.quantity} is smaller than the minimum required size of 0.00000001.")
    tick = Decimal(instrument.tick_text)
    absolute = (order.limit, order.stop if order.kind not in TRAILS else None, order.trail_stop)
    if any(price is not None and price % tick for price in absolute):
        raise Refused(110, "The price does not conform to the minimum price variation for this contract.")


def _complete(order: Order) -> None:
    """Raises Refused for an order that lacks what its type needs."""
    if order.kind in ("LMT", "STP LMT", "LIT") and order.limit is None:
        raise invalid(f"a {order.kind} order needs a limit price (lmtPrice)")
    if order.kind in ("STP", "STP LMT", *TOUCHED) and order.stop is None:
        raise invalid(f"a {order.kind} order needs a stop price (auxPrice)")
    if order.kind in TRAILS and not order.stop and not order.trail_percent:
        raise invalid(f"a {order.kind} order needs an amount (auxPrice) or a percentage")
    if order.kind in TRAILS and order.trail_percent and not ZERO < order.trail_percent < 100:
        raise invalid(f"a trailing percentage of {order.trail_percent}")
    if order.kind == "TRAIL LIMIT" and order.limit_offset is None and (order.limit is None or order.trail_stop is None):
        raise invalid("a TRAIL LIMIT order needs lmtPriceOffset, or both lmtPrice and trailStopPrice")
    if order.tif == "GTD" and not order.good_till:
        raise Refused(391, "The order has no good-till date (goodTillDate)")
    if order.oca_type not in (0, 1, 2, 3):
        raise invalid(f"an OCA type of {order.oca_type}")


def _quantity(said: Said) -> Decimal:
    text = str(said.get("totalQuantity", "0"))
    try:
        quantity = Decimal(text)
    except InvalidOperation:
        raise invalid(f"{text[:20]!r} is no quantity") from None
    if not quantity.is_finite() or quantity < 0:
        raise invalid(f"{text[:20]!r} is no quantity")
    if quantity == 0:
        raise Refused(434, "The order size cannot be zero.")
    return quantity


def _price(said: Said, name: str) -> Decimal | None:
    price = said.get(name)
    if price is None:
        return None
    if not isfinite(price):
        raise invalid(f"{name} is {price}")
    return Decimal(repr(float(price)))
