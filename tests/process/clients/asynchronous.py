"""ib_async or its forerunner ib_insync in a process of its own: connects to PORT at its default settings, asks what a
user asks, prints one JSON line. QQQ is not entitled: its prices are delayed.

Usage: asynchronous.py PACKAGE PORT
"""

import asyncio
import importlib
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

USUAL = {2104, 2106, 2158, 10167}


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not any(f"{code}," in record.getMessage() for code in USUAL):
            self.lines.append(record.getMessage())


async def updated(ticker: Any, ready: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not ready(ticker):
            await asyncio.sleep(0.05)


async def session(name: str, port: int) -> dict[str, Any]:
    package = importlib.import_module(name)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    ib = package.IB()
    ib.RequestTimeout = 20
    ib.errorEvent += lambda request, code, text, _: code in USUAL or complaints.lines.append(f"{request} {code} {text}")
    await ib.connectAsync("127.0.0.1", port, clientId=31)
    contracts = [package.Stock("SPY", "SMART", "USD"), package.Stock("BRK B", "SMART", "USD"),
                 package.Index("SPX", "CBOE"), package.Forex("EURUSD")]  # fmt: skip
    apple, delayed = package.Stock("AAPL", "SMART", "USD"), package.Stock("QQQ", "SMART", "USD")
    await ib.qualifyContractsAsync(*contracts, apple, delayed)
    spy = contracts[0]
    tickers = [ib.reqMktData(contract) for contract in contracts]
    trades = ib.reqTickByTickData(spy, "AllLast")
    five_seconds = ib.reqRealTimeBars(spy, 5, "TRADES", False)
    for ticker in tickers:
        await updated(ticker, lambda one: one.close > 0)
    (snapshot,) = await ib.reqTickersAsync(apple)
    (details,) = await ib.reqContractDetailsAsync(apple)
    bars = await ib.reqHistoricalDataAsync(spy, "", "1800 S", "1 min", "TRADES", True)
    days = await ib.reqHistoricalDataAsync(spy, "", "5 D", "1 day", "TRADES", True)
    before = datetime.now(UTC) - timedelta(minutes=1)
    shown = ("TRADES", "BID_ASK", "MIDPOINT")
    past = [await ib.reqHistoricalTicksAsync(spy, "", before, 10, what, True) for what in shown]
    ib.reqMarketDataType(3)
    late = ib.reqMktData(delayed)
    await updated(late, lambda one: one.last > 0 and one.bid > 0 and one.marketDataType == 3)
    await updated(trades, lambda one: one.tickByTicks or one.last > 0)
    await updated(five_seconds, len)
    result = {
        "version": ib.client.serverVersion(),
        "complaints": complaints.lines,
        "accounts": ib.managedAccounts(),
        "time": (await ib.reqCurrentTimeAsync()).timestamp(),
        "isin": [pair.value for pair in details.secIdList or []],
        "hours": details.liquidHours,
        "ids": [contract.conId for contract in contracts],
        "quotes": [[t.bid, t.ask, t.last, t.close] for t in tickers],
        "delayed": [late.bid, late.ask, late.last],
        "types": [tickers[0].marketDataType, late.marketDataType],
        "snapshot": [snapshot.bid, snapshot.ask, snapshot.last],
        "bars": len(bars),
        "days": len(days),
        "head": str(await ib.reqHeadTimeStampAsync(spy, "TRADES", True, 1)),
        "real_time_bars": len(five_seconds),
        "past_ticks": [len(ticks) for ticks in past],
    }
    ib.disconnect()
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(session(sys.argv[1], int(sys.argv[2])))))
