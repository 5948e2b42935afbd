"""Any package of the official client in a process of its own, with its own threads: connects to PORT at its default
settings, asks what a user asks, prints one JSON line. QQQ is not entitled: its prices are delayed.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper

USUAL = {2104, 2106, 2158, 10167}


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

    def wait(self, name: str, enough: Callable[[list[Any]], bool] = bool) -> list[Any]:
        with self.news:
            assert self.news.wait_for(lambda: enough(self.seen.get(name, [])), 20), (name, self.complaints)
            return self.seen[name]

    def error(self, *arguments: Any) -> None:
        if not USUAL & set(arguments):
            self.complaints.append(repr(arguments))

    def nextValidId(self, orderId: int) -> None:
        self.keep("ready", orderId)

    def managedAccounts(self, accountsList: str) -> None:
        self.keep("accounts", accountsList)

    def currentTime(self, time: int) -> None:
        self.keep("time", time)

    def marketDataType(self, reqId: int, marketDataType: int) -> None:
        self.keep(f"type {reqId}", marketDataType)

    def tickPrice(self, reqId: int, tickType: int, price: float, attrib: Any) -> None:
        self.keep(f"price {reqId}", tickType)

    def tickSize(self, reqId: int, tickType: int, size: Any) -> None:
        self.keep(f"size {reqId}", tickType)

    def tickSnapshotEnd(self, reqId: int) -> None:
        self.keep("snapshot end", reqId)

    def contractDetails(self, reqId: int, contractDetails: Any) -> None:
        self.keep("details", contractDetails)

    def contractDetailsEnd(self, reqId: int) -> None:
        self.keep("details end", reqId)

    def historicalData(self, reqId: int, bar: Any) -> None:
        self.keep("bars", bar.close)

    def historicalDataEnd(self, reqId: int, start: str, end: str) -> None:
        self.keep("bars end", reqId)

    def realtimeBar(self, reqId: int, *bar: Any) -> None:
        self.keep("real-time bars", bar)

    def tickByTickAllLast(self, reqId: int, *tick: Any) -> None:
        self.keep("trades", tick)

    def tickByTickBidAsk(self, reqId: int, *tick: Any) -> None:
        self.keep("quotes", tick)

    def historicalTicks(self, reqId: int, ticks: list[Any], done: bool) -> None:
        self.keep("past mid-points", len(ticks))

    def historicalTicksBidAsk(self, reqId: int, ticks: list[Any], done: bool) -> None:
        self.keep("past quotes", len(ticks))

    def historicalTicksLast(self, reqId: int, ticks: list[Any], done: bool) -> None:
        self.keep("past trades", len(ticks))


def stock(symbol: str) -> Contract:
    made = Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, "STK", "SMART", "USD"
    return made


def ask(app: App) -> None:
    """Every kind of request, then wait for all that answers them."""
    spy, version = stock("SPY"), app.serverVersion()
    app.reqCurrentTime()
    app.reqMktData(1, spy, "", False, False, [])
    app.reqMktData(2, spy, "", True, False, [])
    app.reqContractDetails(3, stock("AAPL"))
    app.reqHistoricalData(4, spy, "", "1800 S", "1 min", "TRADES", 1, 2, False, [])
    app.reqRealTimeBars(5, spy, 5, "TRADES", False, [])
    app.reqMarketDataType(3)
    app.reqMktData(6, stock("QQQ"), "", False, False, [])
    wanted = ["snapshot end", "details end", "bars end", "real-time bars", "time"]
    if version >= 140:
        app.reqTickByTickData(7, spy, "AllLast", 0, False)
        app.reqTickByTickData(8, spy, "BidAsk", 0, False)
        before = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(time.time() - 60))
        for request, what in enumerate(("TRADES", "BID_ASK", "MIDPOINT"), 9):
            app.reqHistoricalTicks(request, spy, "", before, 10, what, 1, True, [])
        wanted += ["trades", "quotes", "past trades", "past quotes", "past mid-points"]
    for name in wanted:
        app.wait(name)
    app.wait("price 1", lambda found: len(found) >= 20)
    app.wait("price 6", lambda found: {66, 67, 68} <= set(found))


def session(port: int) -> dict[str, Any]:
    app = App()
    app.connect("127.0.0.1", port, 32)
    loop = threading.Thread(target=app.run, daemon=True)
    loop.start()
    app.wait("ready")
    version = app.serverVersion()
    ask(app)
    (details,) = app.seen["details"]
    result = {
        "version": version,
        "complaints": app.complaints,
        "accounts": app.seen["accounts"],
        "time": app.seen["time"][0],
        "isin": [pair.value for pair in details.secIdList or []],
        "hours": details.liquidHours,
        "live": sorted(set(app.seen["price 1"])),
        "sizes": sorted(set(app.seen["size 1"])),
        "delayed": sorted(set(app.seen["price 6"])),
        "types": [app.seen["type 1"][0], app.seen["type 6"][0]],
        "snapshot": sorted(set(app.seen["price 2"])),
        "bars": len(app.seen["bars"]),
        "real_time_bars": len(app.seen["real-time bars"]),
        "tick_by_tick": [len(app.seen.get(name, ())) for name in ("trades", "quotes")],
        "past_ticks": [sum(app.seen.get(f"past {name}", ())) for name in ("trades", "quotes", "mid-points")],
    }
    app.disconnect()
    loop.join(5)
    assert not loop.is_alive()
    return result


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    print(json.dumps(session(int(sys.argv[1]))))
