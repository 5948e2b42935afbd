"""The order desk: takes orders, changes and cancels from clients, lets them meet the market, and keeps the account.

Pure: time, quotes and hours come from a `Venue`; what happens is appended to `events`, for the caller to deliver and
to clear. Orders are filled in `turn`, never while they are placed. Memory is bounded by a day: `new_day` forgets what
is done, and executions older than a week.
"""

from decimal import Decimal
from typing import Final

from services.base.clock import DAY
from services.base.prices import midpoint
from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.market.contracts import Instrument
from services.simulator.refused import Refused, invalid
from services.simulator.trading import matching
from services.simulator.trading.account import Account
from services.simulator.trading.commissions import commission
from services.simulator.trading.events import Bound, Charged, Event, Executed, Execution, Foreseen, OrderTold, Told
from services.simulator.trading.ledger import factor
from services.simulator.trading.matching import Fill, Quote, Shown
from services.simulator.trading.order import (
    STOPS,
    TOUCHED,
    TRAILS,
    ZERO,
    Order,
    Said,
    Status,
    Working,
    check_contract,
    order_of,
)
from services.simulator.trading.venue import Venue

FIRST_PERM_ID: Final = 1_700_000_001
EXECUTIONS_KEPT: Final = 7 * DAY
MANUAL: Final = 0  # the client id of orders that no client placed
UNBOUND: Final = 0  # their order id, until client 0 asks for them
CANCELED: Final = "Order Canceled - reason:"


class Desk:
    def __init__(self, venue: Venue) -> None:
        self.events: list[Event] = []
        self.executions: list[Execution] = []
        self.account = Account(lambda instrument: mark(venue.quote(instrument)))
        self._venue = venue
        self._orders: dict[tuple[int, int], Working] = {}
        self._open: dict[int, dict[int, Working]] = {}  # by contract, then by permanent id: in order of time
        self._done: list[Working] = []
        self._groups: dict[str, list[Working]] = {}  # open orders that cancel each other
        self._shown: dict[int, Shown] = {}
        self._fresh: set[int] = set()  # contracts with an order that the market has not seen yet
        self._highest: dict[int, int] = {}  # order id of each client
        self._perm_ids = self._numbers = 0
        self.binds = False  # manual orders get an id at once
        self.rejects: dict[str, str] = {}  # why orders of an instrument are rejected, by its key

    # --- what clients see ---

    def next_id(self, client_id: int) -> int:
        """The first order id that the client may use."""
        return self._highest.get(client_id, 0) + 1

    def open_orders(self) -> list[Working]:
        """Of all clients, oldest first."""
        found = [one for orders in self._open.values() for one in orders.values() if one.sent]
        return sorted(found, key=lambda one: one.perm_id)

    def completed_orders(self) -> list[Working]:
        """Filled, cancelled and rejected today, in that order."""
        return list(self._done)

    def needs(self, con_id: int) -> bool:
        """Whether the desk wants the price of a contract: for an open order, or a position."""
        position = self.account.ledger.positions.get(con_id)
        return con_id in self._open or (position is not None and bool(position.quantity))

    # --- what clients ask ---

    def place(self, client_id: int, order_id: int, said: Said, instrument: Instrument, exchange: str) -> None:
        """A new order, or a change of one that is open. A refusal is told under its id."""
        try:
            order = order_of(said)
            known = self._orders.get((client_id, order_id))
            if order.what_if:
                self._check(order, instrument)
                self._foresee(Working(client_id, order_id, 0, instrument, exchange, order, self._venue.now))
            elif known is not None:
                self._change(known, order, instrument)
            else:
                self._check_new(client_id, order_id, order, instrument)
                self._accept(client_id, order_id, order, instrument, exchange)
        except Refused as refusal:
            self._tell(client_id, order_id, refusal)

    def place_manual(self, said: Said, instrument: Instrument) -> None:
        """An order by hand, in the gateway itself. Raises Refused."""
        order = order_of({"transmit": True, **said})
        check_contract(order, instrument)
        one = self._made(MANUAL, UNBOUND, order, instrument, instrument.exchange)
        if self.binds:
            self._bind(one)
        self._send(one)

    def bind(self) -> None:
        """Give every open manual order an id, by which client 0 can change and cancel it."""
        for one in self.open_orders():
            if one.client_id == MANUAL and one.order_id == UNBOUND:
                self._bind(one)

    def cancel(self, client_id: int, order_id: int) -> None:
        one = self._orders.get((client_id, order_id))
        if one is None:
            text = f"OrderId {order_id} that needs to be cancelled is not found."
            self._tell(client_id, order_id, Refused(10147, text))
        elif not one.is_open:
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {one.status}."
            self._tell(client_id, order_id, Refused(10148, text))
        else:
            self._cancel(one)

    def cancel_manually(self, instrument: Instrument) -> None:
        """Somebody cancels every open order of a contract by hand."""
        for one in list(self._open.get(instrument.con_id, {}).values()):
            self._cancel(one)

    def cancel_all(self) -> None:
        """Every open order, of every client and by hand."""
        for one in [one for orders in self._open.values() for one in orders.values()]:
            self._cancel(one)

    # --- time ---

    def turn(self) -> None:
        """Let open orders meet the market."""
        for con_id in list(self._open):
            orders = list(self._open.get(con_id, {}).values())
            if not orders:
                continue  # their group ended with an order of another contract, in this turn
            quote = self._venue.quote(orders[0].instrument)
            shown = self._shown.get(con_id)
            stale = shown is None or shown.is_stale(quote, self._venue.now)
            if not stale and con_id not in self._fresh:
                continue
            if shown is None or stale:
                shown = self._shown[con_id] = Shown.of(quote, self._venue.now)
            self._fresh.discard(con_id)
            for one in orders:
                if one.sent and one.is_open:
                    self._meet(one, quote, shown, seen=not stale and one.looked)
            self._let_go(orders[0].instrument)

    def new_day(self) -> None:
        """Midnight of the exchange: today's profit begins anew, and yesterday's orders are forgotten."""
        self.account.new_day()
        for one in self._done:
            self._orders.pop((one.client_id, one.order_id), None)
        self._done.clear()
        first = self._venue.now - EXECUTIONS_KEPT
        self.executions = [one for one in self.executions if one.time >= first]

    # --- placing ---

    def _check_new(self, client_id: int, order_id: int, order: Order, instrument: Instrument) -> None:
        if order_id < self.next_id(client_id):
            raise Refused(103, "Duplicate order id")
        self._check(order, instrument)
        if order.parent and (client_id, order.parent) not in self._orders:
            raise Refused(135, f"Can't find order with id = {order.parent}")

    def _check(self, order: Order, instrument: Instrument) -> None:
        check_contract(order, instrument)
        account = order.said.get("account", "")
        if account not in ("", SIMULATED_ACCOUNT):
            raise invalid(f"invalid account code {account!r}")
        for text in filter(None, (order.good_till if order.tif == "GTD" else "", order.good_after)):
            try:
                self._venue.moment(text)
            except ValueError:
                raise Refused(391, f"{text[:40]!r} is no date and time") from None

    def _accept(self, client_id: int, order_id: int, order: Order, instrument: Instrument, exchange: str) -> None:
        one = self._made(client_id, order_id, order, instrument, exchange)
        self._highest[client_id] = max(order_id, self._highest.get(client_id, 0))
        parent = self._orders[client_id, order.parent] if order.parent else None
        if parent is not None:
            one.parent = parent
            parent.children.append(one)
            if not one.oca_group:
                self._join_group(one, str(parent.perm_id), 3)
        if reason := self._rejection(one):
            self._finish(one, "Inactive", reason)
            self.events.append(Told(client_id, order_id, 201, f"Order rejected - reason:{reason}"))
            self.events.append(OrderTold(one, one.standing, whole=False))
        elif order.transmit:
            self._transmit(one)

    def _foresee(self, one: Working) -> None:
        order, instrument = one.order, one.instrument
        one.status, one.quantity = "PreSubmitted", order.quantity
        size, price = order.sign * order.quantity, self._expected(order, instrument)
        fee = commission(instrument, order.quantity, order.quantity * price * factor(instrument))
        self.events.append(Foreseen(one, self.account.impact(instrument, size, price, fee)))

    def _made(self, client_id: int, order_id: int, order: Order, instrument: Instrument, exchange: str) -> Working:
        self._perm_ids += 1
        one = Working(client_id, order_id, FIRST_PERM_ID + self._perm_ids - 1, instrument, exchange, order,
                      self._venue.now)  # fmt: skip
        if order.oca_group:
            self._join_group(one, order.oca_group, order.oca_type or 1)
        self._take_over(one, order)
        if order_id != UNBOUND:
            self._orders[client_id, order_id] = one
        if instrument.con_id not in self._open:
            self._open[instrument.con_id] = {}
            self._venue.watch(instrument)
        self._open[instrument.con_id][one.perm_id] = one
        return one

    def _take_over(self, one: Working, order: Order) -> None:
        """What the order says from now on."""
        one.order, one.quantity = order, order.quantity
        one.limit = order.limit
        one.stop = order.trail_stop if order.kind in TRAILS else order.stop
        one.triggered = one.rested = one.looked = False
        one.confirmations = 0
        one.begins = self._venue.moment(order.good_after) if order.good_after else 0
        if order.tif == "GTD":
            one.expires = self._venue.moment(order.good_till)
        else:
            one.expires = self._venue.day_end(one.instrument) if order.tif == "DAY" else 0

    def _rejection(self, one: Working) -> str:
        """Why the exchange or the account does not take the order; empty if they do."""
        parent = one.parent
        if one.instrument.key in self.rejects:
            return self.rejects[one.instrument.key]
        if parent is not None and parent.status in ("Cancelled", "Inactive"):
            return "the parent order is not active"
        if parent is not None:
            return ""  # it closes what the parent opens
        held = self.account.ledger.positions.get(one.instrument.con_id)
        size = one.order.sign * one.quantity
        if held is not None and held.quantity * size < 0 and abs(size) <= abs(held.quantity):
            return ""
        price = self._expected(one.order, one.instrument)
        after = self.account.impact(one.instrument, size, price, ZERO).after
        if after.initial <= after.equity:
            return ""
        return f"the margin that it needs ({after.initial}) is more than the equity ({after.equity})"

    def _expected(self, order: Order, instrument: Instrument) -> Decimal:
        """At about which price it would be filled; 0 where nothing is known."""
        quote = self._venue.quote(instrument)
        market = quote.ask if order.side == "BUY" else quote.bid
        return next((price for price in (order.limit, market, quote.last) if price is not None), ZERO)

    def _transmit(self, one: Working) -> None:
        """Send it, with what waited for it: its parent and the parent's other children."""
        family = [one]
        if one.parent is not None:
            family = [one.parent, *one.parent.children]
        for other in family:
            if not other.sent and other.is_open:
                self._send(other)

    def _send(self, one: Working) -> None:
        one.sent = True
        one.status = self._waiting_status(one)
        self._fresh.add(one.instrument.con_id)
        self.events.append(OrderTold(one, one.standing))
        quote = self._venue.quote(one.instrument)
        if not one.parent and not matching.is_open(quote, one.order):
            text = "Order Message:\nWarning: the market is closed. The order waits until it opens."
            self.events.append(Told(one.client_id, one.order_id, 399, text))

    def _waiting_status(self, one: Working) -> Status:
        quote = self._venue.quote(one.instrument)
        waits = one.waits_for_parent or one.begins > self._venue.now or not matching.is_open(quote, one.order)
        is_stop = one.order.kind in (*STOPS, *TOUCHED) and not one.triggered
        return "PreSubmitted" if waits or is_stop else "Submitted"

    def _change(self, one: Working, order: Order, instrument: Instrument) -> None:
        if one.status == "Filled":
            raise Refused(104, "Cannot modify a filled order.")
        if not one.is_open:
            raise Refused(103, "Duplicate order id")
        self._check(order, instrument)
        before = one.order
        same = (instrument.con_id, order.side, order.parent) == (one.instrument.con_id, before.side, before.parent)
        if not same or (order.oca_group and order.oca_group != one.oca_group):
            raise Refused(105, "Order being modified does not match original order.")
        if order.quantity <= one.filled:
            raise Refused(201, f"Order rejected - reason:{one.filled} of it are filled already")
        moved = (order.kind, order.stop, order.trail_percent, order.trail_stop, order.limit) != (
            before.kind, before.stop, before.trail_percent, before.trail_stop, before.limit)  # fmt: skip
        kept = (one.triggered, one.stop, one.limit, one.rested)
        self._take_over(one, order)
        if not moved:
            one.triggered, one.stop, one.limit, one.rested = kept
        if one.sent:
            one.status = self._waiting_status(one)
            self._fresh.add(one.instrument.con_id)
            self.events.append(OrderTold(one, one.standing))
        elif order.transmit:
            self._transmit(one)

    # --- the market ---

    def _meet(self, one: Working, quote: Quote, shown: Shown, seen: bool) -> None:
        """One look of the market at an order. `seen`: at this very quote already."""
        now = self._venue.now
        if one.expires and now >= one.expires:
            self._cancel(one)
            return
        if seen or one.waits_for_parent or now < one.begins:
            return
        at_once = one.order.tif in ("IOC", "FOK")
        if not matching.is_open(quote, one.order):
            if at_once:
                self._cancel(one, "the market is closed")
            return
        one.looked = True
        matching.watch(one, quote)
        if one.status == "PreSubmitted" and self._waiting_status(one) == "Submitted":
            one.status = "Submitted"
            self.events.append(OrderTold(one, one.standing))
        found = matching.fill(one, quote, shown)
        if found is not None:
            self._fill(one, found)
        if at_once and one.is_open:
            self._cancel(one)

    def _fill(self, one: Working, found: Fill) -> None:
        left = one.remaining
        one.filled += found.size
        one.value += found.size * found.price
        one.last = found.price
        charged = commission(one.instrument, one.filled, one.value * factor(one.instrument))
        fee, one.commission = charged - one.commission, charged
        realized = self.account.ledger.trade(one.instrument, one.order.sign * found.size, found.price, fee)
        self._numbers += 1
        execution = Execution(self._numbers, self._venue.now, one, found.size, found.price, one.filled,
                              one.value / one.filled, found.removed, fee, realized)  # fmt: skip
        self.executions.append(execution)
        if not one.remaining:
            self._finish(one, "Filled")
        self.events += (Executed(execution), OrderTold(one, one.standing), Charged(execution))
        self._reduce_others(one, found.size / left)
        if one.status == "Filled":
            self._activate_children(one)

    def _activate_children(self, parent: Working) -> None:
        for one in [one for one in parent.children if one.sent and one.is_open]:
            self._fresh.add(one.instrument.con_id)
            one.status = self._waiting_status(one)
            self.events.append(OrderTold(one, one.standing))

    def _reduce_others(self, one: Working, part: Decimal) -> None:
        """One cancels all: the others of its group end, or become smaller by the same part of what they are."""
        if not one.oca_group:
            return
        for other in [other for other in self._groups.get(one.oca_group, ()) if other is not one]:
            if not other.is_open:
                continue  # it ended with one before it
            if one.oca_type == 1 or not one.remaining:
                self._cancel(other)
                continue
            left = other.remaining * (1 - part)
            if other.instrument.sec_type != "CRYPTO":
                left = left.to_integral_value()
            other.quantity = other.filled + left
            if left > 0:
                self.events.append(OrderTold(other, other.standing))
            else:
                self._cancel(other)

    def _cancel(self, one: Working, reason: str = "") -> None:
        if not one.is_open:
            return
        was_sent = one.sent
        self._finish(one, "Cancelled", reason)
        if was_sent:
            self.events.append(OrderTold(one, one.standing, whole=False))
        self.events.append(Told(one.client_id, one.order_id, 202, CANCELED + reason))
        for child in one.children:
            self._cancel(child)

    def _finish(self, one: Working, status: Status, reason: str = "") -> None:
        one.status, one.done, one.reason = status, self._venue.now, reason
        self._open[one.instrument.con_id].pop(one.perm_id, None)
        self._leave_group(one)
        self._done.append(one)
        self._let_go(one.instrument)

    def _join_group(self, one: Working, name: str, kind: int) -> None:
        """Orders of one group are of one account: whichever client placed them."""
        one.oca_group, one.oca_type = name, kind
        self._groups.setdefault(name, []).append(one)

    def _leave_group(self, one: Working) -> None:
        group = self._groups.get(one.oca_group, [])
        if one in group:
            group.remove(one)
        if not group:
            self._groups.pop(one.oca_group, None)

    def _let_go(self, instrument: Instrument) -> None:
        """Forget the market of a contract that has no open order any more."""
        if instrument.con_id in self._open and not self._open[instrument.con_id]:
            del self._open[instrument.con_id]
            self._shown.pop(instrument.con_id, None)
            self._fresh.discard(instrument.con_id)
            if not self.needs(instrument.con_id):
                self._venue.release(instrument)

    def _bind(self, one: Working) -> None:
        one.order_id = self.next_id(MANUAL)
        self._highest[MANUAL] = one.order_id
        self._orders[MANUAL, one.order_id] = one
        self.events.append(Bound(one))

    def _tell(self, client_id: int, order_id: int, refusal: Refused) -> None:
        self.events.append(Told(client_id, order_id, refusal.code, refusal.text))


def mark(quote: Quote) -> Decimal | None:
    """What a position is valued at: the last price, of what has no trades the middle of bid and ask."""
    return quote.last if quote.last is not None else midpoint(quote.bid, quote.ask)
