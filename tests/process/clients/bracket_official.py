"""Any package of the official client in a process of its own: a bracket order's whole life on PORT, as one JSON line.

The entry is filled at the market; then the profit taker's price is changed so that it is filled too, and the stop loss
is cancelled by its group.
"""

import json
import sys
import threading
from decimal import Decimal
from typing import Any

from ibapi.contract import Contract
from ibapi.order import Order

from tests.process.clients.official import App

NAMES = ("entry", "profit", "loss")


class Trader(App):
    first = 0

    def orderStatus(self, orderId: int, status: str, filled: Any, remaining: Any, *rest: Any) -> None:
        life = self.seen.setdefault(f"status {NAMES[orderId - self.first]}", [])
        if not life or life[-1] != status:
            self.keep(f"status {NAMES[orderId - self.first]}", status)

    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:
        is_child = order.parentId == self.first
        shape = [contract.symbol, order.action, order.orderType, float(order.totalQuantity), is_child]
        self.keep(f"open {NAMES[orderId - self.first]}", shape)

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        name = NAMES[execution.orderId - self.first]
        self.keep(f"fills {name}", [execution.side, float(execution.shares), execution.price])

    def commissionReport(self, commissionReport: Any) -> None:
        self.keep("charges", commissionReport.commission)

    def commissionAndFeesReport(self, commissionAndFeesReport: Any) -> None:
        self.keep("charges", commissionAndFeesReport.commissionAndFees)

    def position(self, account: str, contract: Any, position: Any, avgCost: float) -> None:
        self.keep("positions", float(position))

    def error(self, *arguments: Any) -> None:
        code = next((value for value in arguments[1:] if isinstance(value, int) and 100 <= value < 20_000), 0)
        if code == 202:
            self.keep("cancelled", NAMES[arguments[0] - self.first])
        else:
            super().error(*arguments)


def order(action: str, kind: str, **fields: Any) -> Order:
    made = Order()
    made.action, made.orderType, made.totalQuantity = action, kind, Decimal(100)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def session(port: int) -> dict[str, Any]:
    app = Trader()
    app.connect("127.0.0.1", port, clientId=41)
    thread = threading.Thread(target=app.run, daemon=True)
    thread.start()
    first = app.first = app.wait("ready")[0]
    spy = Contract()
    spy.symbol, spy.secType, spy.exchange, spy.currency = "SPY", "STK", "SMART", "USD"
    app.reqPositions()
    app.placeOrder(first, spy, order("BUY", "MKT", transmit=False))
    app.placeOrder(first + 1, spy, order("SELL", "LMT", lmtPrice=5000.0, parentId=first, transmit=False))
    app.placeOrder(first + 2, spy, order("SELL", "STP", auxPrice=1.0, parentId=first))
    app.wait("status entry", lambda life: life[-1:] == ["Filled"])
    app.wait("status profit", lambda life: life[-1:] == ["Submitted"])
    app.placeOrder(first + 1, spy, order("SELL", "LMT", lmtPrice=2.0, parentId=first))
    app.wait("status profit", lambda life: life[-1:] == ["Filled"])
    app.wait("status loss", lambda life: life[-1:] == ["Cancelled"])
    app.wait("cancelled")
    app.wait("positions", lambda held: held[-1:] == [0])
    app.wait("charges", lambda paid: len(paid) == sum(len(app.seen.get(f"fills {name}", [])) for name in NAMES))
    result = {
        "version": app.serverVersion(),
        "complaints": app.complaints,
        "life": {name: app.seen[f"status {name}"] for name in NAMES},
        "shape": {name: app.seen[f"open {name}"][0] for name in NAMES},
        "sides": {name: sorted({side for side, _, _ in app.seen.get(f"fills {name}", [])}) for name in NAMES},
        "filled": {name: sum(size for _, size, _ in app.seen.get(f"fills {name}", [])) for name in NAMES},
        "cancelled": app.seen["cancelled"],
        "charged": round(sum(app.seen["charges"]), 2),
        "held": app.seen["positions"][-1],
    }
    app.disconnect()
    thread.join(10)
    return result


if __name__ == "__main__":
    print(json.dumps(session(int(sys.argv[1]))))
