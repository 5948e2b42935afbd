"""Steps about orders and positions: what somebody does by hand in the gateway itself, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from services.simulator.protocol.requests_account import position_changed
from services.simulator.protocol.requests_orders import deliver
from services.simulator.refused import Refused
from services.simulator.trading.order import check_contract, order_of
from services.simulator.trouble.faults import Answer
from services.simulator.trouble.registry import Undo, check_of, step

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

NO_POSITIONS = "Error validating request: the accounts' positions are not told to this client"
_PRICES = {"limit": "lmtPrice", "stop": "auxPrice"}


@step
def manual_order(
    on: Director,
    symbol: str,
    action: Literal["BUY", "SELL"] = "BUY",
    quantity: int = 100,
    kind: Literal["MKT", "LMT", "STP"] = "MKT",
    limit: float = 0.0,
    stop: float = 0.0,
) -> None:
    """Somebody places an order by hand, for each of these symbols: without an id, until client 0 asks for its open
    orders, or has asked to bind them."""
    arguments = {"action": action, "quantity": quantity, "kind": kind, "limit": limit, "stop": stop}
    for instrument in on.instruments(symbol):
        on.core.desk.place_manual(_said(arguments), instrument)
    deliver(on.core)


@check_of("manual_order")
def _can_be_placed(on: Director, arguments: Mapping[str, Any]) -> None:
    try:
        order = order_of(_said(arguments))
        for instrument in on.instruments(arguments["symbol"]):
            check_contract(order, instrument)
    except Refused as refusal:
        raise ValueError(refusal.text) from None


def _said(arguments: Mapping[str, Any]) -> dict[str, Any]:
    said = {"orderType": arguments.get("kind", "MKT"), "action": arguments.get("action", "BUY"), "tif": "GTC"}
    said["totalQuantity"] = str(arguments.get("quantity", 100))
    return said | {theirs: arguments[ours] for ours, theirs in _PRICES.items() if arguments.get(ours)}


@step
def manual_cancel(on: Director, symbol: str) -> None:
    """Somebody cancels every open order of these symbols by hand, whoever placed it: 202."""
    for instrument in on.instruments(symbol):
        on.core.desk.cancel_manually(instrument)
    deliver(on.core)


@step
def reject_orders(on: Director, symbol: str, reason: str = "the exchange does not take it") -> Undo:
    """201: new orders of these symbols are rejected."""
    for key in on.keys(symbol):
        on.core.desk.rejects[key] = reason
    return partial(accept_orders, on, symbol)


@step
def accept_orders(on: Director, symbol: str) -> None:
    """End `reject_orders`."""
    for key in on.keys(symbol):
        on.core.desk.rejects.pop(key, None)


@step
def hold(on: Director, symbol: str, quantity: int = 100) -> None:
    """The account has so many of these symbols, short if below 0, none with 0: without an order, and told at once to
    whoever asked for positions."""
    for instrument in on.instruments(symbol):
        on.core.desk.account.hold(instrument, Decimal(quantity))
        position_changed(on.core, instrument.con_id)


@step
def refuse_positions(on: Director, code: int = 321, message: str = "", silent: bool = False) -> Undo:
    """Who asks what the account holds gets this error; with `silent` no answer at all."""
    on.core.world.faults.positions = Answer(code, "" if silent else message or NO_POSITIONS, True)
    return partial(tell_positions, on)


@step
def tell_positions(on: Director) -> None:
    """End `refuse_positions`."""
    on.core.world.faults.positions = None
