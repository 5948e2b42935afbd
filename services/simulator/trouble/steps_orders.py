"""Steps about orders: what somebody does by hand in the gateway itself, and orders that are rejected."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from services.simulator.protocol.requests_orders import deliver
from services.simulator.refused import Refused
from services.simulator.trading.order import check_contract, order_of
from services.simulator.trouble.registry import Undo, check_of, step

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

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
