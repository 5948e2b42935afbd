"""Requests about orders and executions, and what the order desk has to say to whom.

An order's client hears of it while it is connected, and so does the master client, if one is set; client 0 hears of
manual orders once they are bound. Everybody may ask for the open and the completed orders of all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.client import Client
from services.simulator.market.hours import parse_moment
from services.simulator.protocol import requests_account
from services.simulator.protocol.handlers import handles
from services.simulator.protocol.requested import (
    AutoOpenOrders,
    ById,
    CompletedOrders,
    Executions,
    Nothing,
    PlaceOrder,
)
from services.simulator.protocol.requests_history import moment_text
from services.simulator.protocol.requests_market import resolve
from services.simulator.protocol.rows import ChargeRow, ExecutionRow, OrderRow, StatusRow
from services.simulator.refused import invalid
from services.simulator.trading.desk import MANUAL, UNBOUND
from services.simulator.trading.events import Bound, Charged, Executed, Execution, Foreseen, OrderTold, Told
from services.simulator.trading.order import LIMITED, TRAILS, Standing, Working

if TYPE_CHECKING:
    from services.simulator.core import Core

READ_ONLY = "the simulator was started read-only, and takes no orders"
_SIDES = {"BUY": "BOT", "BOT": "BOT", "SELL": "SLD", "SLD": "SLD", "SSHORT": "SLD"}
MANUAL_REQUEST = -1  # the request id of an execution that nobody asked for


# --- what clients ask ---


@handles(3)
def place(core: Core, client: Client, asked: PlaceOrder) -> None:
    if core.config.read_only:
        raise invalid(READ_ONLY)
    wanted = asked.contract
    if wanted.sec_type == "BAG":
        raise invalid("the simulator does no combinations")
    instrument = resolve(core, wanted)
    exchange = wanted.exchange or instrument.exchange
    core.desk.place(client.client_id, asked.request, asked.said, instrument, exchange)
    deliver(core)


@handles(4)
def cancel(core: Core, client: Client, asked: ById) -> None:
    if core.config.read_only:
        raise invalid(READ_ONLY)
    core.desk.cancel(client.client_id, asked.request)
    deliver(core)


@handles(58)
def cancel_all(core: Core, client: Client, asked: Nothing) -> None:
    core.desk.cancel_all()
    deliver(core)


@handles(21)
def exercise(core: Core, client: Client, asked: ById) -> None:
    raise invalid("the simulator exercises no options")


@handles(5)
def open_orders(core: Core, client: Client, asked: Nothing) -> None:
    """This client's. Asking binds what was placed by hand to client 0."""
    if client.client_id == MANUAL:
        core.desk.bind()
        deliver(core)
    _send_open(core, client, [one for one in core.desk.open_orders() if one.client_id == client.client_id])


@handles(16)
def all_open_orders(core: Core, client: Client, asked: Nothing) -> None:
    _send_open(core, client, core.desk.open_orders())


@handles(15)
def auto_open_orders(core: Core, client: Client, asked: AutoOpenOrders) -> None:
    if client.client_id != MANUAL:
        raise invalid("only the client with id 0 can bind manual orders")
    core.desk.binds = asked.bind


@handles(99)
def completed_orders(core: Core, client: Client, asked: CompletedOrders) -> None:
    for one in core.desk.completed_orders():
        if not (asked.api_only and one.client_id == MANUAL and one.order_id == UNBOUND):
            core.send(client, client.replies.completed_order(_completed_row(core, client, one)))
    core.send(client, client.replies.completed_orders_end())


@handles(7)
def executions(core: Core, client: Client, asked: Executions) -> None:
    """Today's, of all clients, that pass the filter; with the commission of each."""
    try:
        since = parse_moment(asked.time, core.world.hours.time_zone) if asked.time else 0
    except ValueError:
        raise invalid(f"{asked.time[:40]!r} is no date and time") from None
    for one in [one for one in core.desk.executions if _passes(core, asked, since, one)]:
        core.send(client, client.replies.execution(asked.request, execution_row(core, client, one)))
        core.send(client, client.replies.commission_report(charge_row(one)))
    core.send(client, client.replies.executions_end(asked.request))


def _passes(core: Core, asked: Executions, since: int, one: Execution) -> bool:
    local = core.world.hours.local
    days_ago = (local(core.now).date() - local(one.time).date()).days
    found, instrument = one.of, one.of.instrument
    in_time = int(f"{local(one.time):%Y%m%d}") in asked.dates if asked.dates else days_ago < max(1, asked.days)
    return (
        in_time
        and one.time >= since
        and asked.client_id in (0, found.client_id)
        and asked.account in ("", SIMULATED_ACCOUNT)
        and asked.symbol.upper() in ("", instrument.symbol)
        and asked.sec_type in ("", instrument.sec_type)
        and asked.exchange in ("", found.exchange, _traded_on(found))
        and (not asked.side or _SIDES.get(asked.side.upper()) == _side(found))
    )


def _send_open(core: Core, client: Client, chosen: list[Working]) -> None:
    for one in chosen:
        core.send(client, client.replies.open_order(order_row(one, one.standing.status)))
        core.send(client, client.replies.order_status(status_row(one, one.standing)))
    core.send(client, client.replies.open_order_end())


# --- what the desk says ---


def turn(core: Core) -> None:
    """Let orders meet the market, and tell what came of it."""
    core.desk.turn()
    deliver(core)
    requests_account.turn(core)


def deliver(core: Core) -> None:
    """Everything that happened since the last time, to whom it concerns."""
    events, core.desk.events = core.desk.events, []
    if not events:
        return
    by_id = {client.client_id: client for client in core.ready_clients()}
    traded: dict[int, Working] = {}
    for event in events:
        match event:
            case Told(client_id, order_id, code, text):
                for client in _hearing(core, by_id, client_id, order_id):
                    core.error(client, order_id, code, text)
            case Executed(execution) | Charged(execution):
                traded[execution.of.instrument.con_id] = execution.of
                for client in _hearing(core, by_id, execution.of.client_id, execution.of.order_id):
                    _send_execution(core, client, event)
            case OrderTold(one, standing, whole):
                for client in _hearing(core, by_id, one.client_id, one.order_id):
                    if whole:
                        core.send(client, client.replies.open_order(order_row(one, standing.status)))
                    core.send(client, client.replies.order_status(status_row(one, standing)))
            case Bound(one):
                for client in _hearing(core, by_id, one.client_id, one.order_id):
                    core.send(client, client.replies.order_bound(one.perm_id, one.client_id, one.order_id))
            case Foreseen(one):
                for client in _hearing(core, by_id, one.client_id, one.order_id):
                    core.send(client, client.replies.open_order(_foreseen_row(event)))
    for one in traded.values():
        requests_account.position_changed(core, one.instrument.con_id)


def _hearing(core: Core, by_id: dict[int, Client], client_id: int, order_id: int) -> list[Client]:
    if client_id == MANUAL and order_id == UNBOUND:
        return []
    return [by_id[one] for one in dict.fromkeys((client_id, core.config.master_client_id)) if one in by_id]


def _send_execution(core: Core, client: Client, event: Executed | Charged) -> None:
    if isinstance(event, Executed):
        core.send(client, client.replies.execution(MANUAL_REQUEST, execution_row(core, client, event.execution)))
    else:
        core.send(client, client.replies.commission_report(charge_row(event.execution)))


# --- rows ---


def order_row(one: Working, status: str) -> OrderRow:
    state: dict[str, Any] = {"status": status}
    if one.filled:
        state |= {"commissionAndFees": float(one.commission), "commissionAndFeesCurrency": one.instrument.currency}
    return OrderRow(one.order_id, one.instrument, one.exchange, _said(one), state)


def _foreseen_row(event: Foreseen) -> OrderRow:
    one, impact = event.of, event.impact
    state: dict[str, Any] = {"status": "PreSubmitted", "commissionAndFeesCurrency": impact.currency}
    state |= dict.fromkeys(
        ("commissionAndFees", "minCommissionAndFees", "maxCommissionAndFees"), float(impact.commission)
    )
    for name, field in (("initMargin", "initial"), ("maintMargin", "maintenance"), ("equityWithLoan", "equity")):
        before, after = getattr(impact.before, field), getattr(impact.after, field)
        state |= {f"{name}Before": float(before), f"{name}Change": float(after - before), f"{name}After": float(after)}
    return OrderRow(one.order_id, one.instrument, one.exchange, _said(one), state)


def _completed_row(core: Core, client: Client, one: Working) -> OrderRow:
    ended = f"Filled Size: {plain(one.filled)}" if one.status == "Filled" else one.reason or "Cancelled by Trader"
    state = {"status": one.status, "completedTime": moment_text(core, client, one.done), "completedStatus": ended}
    said = _said(one) | {"filledQuantity": plain(one.filled), "parentPermId": one.parent.perm_id if one.parent else 0}
    return OrderRow(one.order_id, one.instrument, one.exchange, said, state)


def _said(one: Working) -> dict[str, Any]:
    """What the client said, and what has become of it."""
    said = dict(one.order.said)
    said |= {
        "clientId": one.client_id, "permId": one.perm_id, "account": SIMULATED_ACCOUNT, "tif": one.order.tif,
        "orderType": one.order.kind, "totalQuantity": plain(one.quantity), "parentId": one.order.parent,
    }  # fmt: skip
    if one.oca_group:
        said |= {"ocaGroup": one.oca_group, "ocaType": one.oca_type}
    if one.order.kind in LIMITED and one.limit is not None:
        said["lmtPrice"] = float(one.limit)
    if one.order.kind in TRAILS and one.stop is not None:
        said["trailStopPrice"] = float(one.stop)
    return said


def status_row(one: Working, standing: Standing) -> StatusRow:
    return StatusRow(
        one.order_id, standing.status, plain(standing.filled), plain(standing.remaining), float(standing.average),
        one.perm_id, one.order.parent, float(standing.last), one.client_id, standing.why_held,
    )  # fmt: skip


def execution_row(core: Core, client: Client, one: Execution) -> ExecutionRow:
    of = one.of
    return ExecutionRow(
        of.order_id, of.instrument, of.exchange, one.exec_id, moment_text(core, client, one.time), SIMULATED_ACCOUNT,
        _traded_on(of), _side(of), plain(one.size), float(one.price), of.perm_id, of.client_id, plain(one.cumulative),
        float(one.average), str(of.order.said.get("orderRef", "")), 2 if one.removed else 1,
    )  # fmt: skip


def charge_row(one: Execution) -> ChargeRow:
    realized = None if one.realized is None else float(one.realized)
    return ChargeRow(one.exec_id, float(one.commission), one.of.instrument.currency, realized)


def plain(number: Decimal) -> str:
    """A quantity without needless digits."""
    return f"{number.normalize():f}"


def _side(one: Working) -> str:
    return "BOT" if one.order.side == "BUY" else "SLD"


def _traded_on(one: Working) -> str:
    """A smart order is executed on an exchange: here on the contract's primary one."""
    return one.exchange if one.exchange != "SMART" else one.instrument.primary or one.exchange
