"""The official client in a process of its own, with its own threads: connects to PORT, prints one JSON line."""

import json
import logging
import sys
import threading
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

USUAL = {2104, 2106, 2158}


class App(EWrapper, EClient):
    def __init__(self) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, self)
        self.seen: dict[str, list[Any]] = {}
        self.complaints: list[str] = []
        self.news = threading.Condition()

    def keep(self, name: str, value: Any = None) -> None:
        with self.news:
            self.seen.setdefault(name, []).append(value)
            self.news.notify_all()

    def wait(self, name: str, count: int = 1) -> list[Any]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.seen.get(name, ())) >= count, 20), (name, self.complaints)
            return self.seen[name]

    def error(self, *arguments: Any) -> None:
        if not USUAL & set(arguments):
            self.complaints.append(repr(arguments))

    def nextValidId(self, orderId: int) -> None:
        self.keep("ready", orderId)

    def tickPrice(self, reqId: int, tickType: int, price: float, attrib: Any) -> None:
        self.keep(f"price {reqId}", [tickType, price])

    def tickSize(self, reqId: int, tickType: int, size: Any) -> None:
        self.keep(f"size {reqId}", [tickType, int(size)])

    def tickSnapshotEnd(self, reqId: int) -> None:
        self.keep("snapshot end", reqId)

    def contractDetails(self, reqId: int, contractDetails: Any) -> None:
        self.keep("details", contractDetails.liquidHours)

    def contractDetailsEnd(self, reqId: int) -> None:
        self.keep("details end", reqId)

    def historicalData(self, reqId: int, bar: Any) -> None:
        self.keep("bar", bar.close)

    def historicalDataEnd(self, reqId: int, start: str, end: str) -> None:
        self.keep("bars end", reqId)


def session(port: int) -> dict[str, Any]:
    app = App()
    app.connect("127.0.0.1", port, 32)
    loop = threading.Thread(target=app.run, daemon=True)
    loop.start()
    app.wait("ready")
    spy = Contract()
    spy.symbol, spy.secType, spy.exchange, spy.currency = "SPY", "STK", "SMART", "USD"
    app.reqMktData(1, spy, "", False, False, [])
    app.reqMktData(2, spy, "", True, False, [])
    app.reqContractDetails(3, spy)
    app.reqHistoricalData(4, spy, "", "1800 S", "1 min", "TRADES", 1, 2, False, [])
    for name in ("snapshot end", "details end", "bars end"):
        app.wait(name)
    app.wait("price 1", 20)
    result = {
        "version": app.serverVersion(),
        "prices": {field for field, _ in app.seen["price 1"]},
        "sizes": {field for field, _ in app.seen["size 1"]},
        "snapshot": {field for field, _ in app.seen["price 2"]},
        "hours": app.seen["details"][0],
        "bars": len(app.seen["bar"]),
        "complaints": app.complaints,
    }
    app.disconnect()
    loop.join(5)
    return {key: sorted(value) if isinstance(value, set) else value for key, value in result.items()}


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    print(json.dumps(session(int(sys.argv[1]))))
