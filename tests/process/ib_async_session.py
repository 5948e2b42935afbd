"""Today's ib_async in a process of its own: connects to PORT, asks what a user asks, prints one JSON line."""

import asyncio
import json
import logging
import sys
from typing import Any

from ib_async import IB, Forex, Index, Stock

USUAL = {2104, 2106, 2158}


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def session(port: int) -> dict[str, Any]:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    ib = IB()
    ib.errorEvent += lambda request, code, text, _: code in USUAL or complaints.lines.append(f"{request} {code} {text}")
    await ib.connectAsync("127.0.0.1", port, clientId=31, timeout=10, raiseSyncErrors=True)
    contracts = [Stock("SPY", "SMART", "USD"), Stock("BRK B", "SMART", "USD"), Index("SPX", "CBOE"), Forex("EURUSD")]
    apple = Stock("AAPL", "SMART", "USD")
    await ib.qualifyContractsAsync(*contracts, apple)
    tickers = [ib.reqMktData(contract) for contract in contracts]
    updates = 0
    async with asyncio.timeout(20):
        while updates < 10:
            await ib.pendingTickersEvent
            updates += 1
    (snapshot,) = await ib.reqTickersAsync(apple)
    (details,) = await ib.reqContractDetailsAsync(contracts[0])
    bars = await ib.reqHistoricalDataAsync(contracts[0], "", "1800 S", "1 min", "TRADES", True)
    days = await ib.reqHistoricalDataAsync(contracts[0], "", "5 D", "1 day", "TRADES", True)
    result = {
        "version": ib.client.serverVersion(),
        "accounts": ib.managedAccounts(),
        "ids": [contract.conId for contract in contracts],
        "quotes": [[t.bid, t.ask, t.last, t.close] for t in tickers],
        "snapshot": [snapshot.bid, snapshot.ask, snapshot.last],
        "hours": details.liquidHours,
        "bars": [len(bars), len(days)],
        "head": str(await ib.reqHeadTimeStampAsync(contracts[0], "TRADES", True, 1)),
        "time": (await ib.reqCurrentTimeAsync()).timestamp(),
        "complaints": complaints.lines,
    }
    ib.disconnect()
    return result


if __name__ == "__main__":
    print(json.dumps(asyncio.run(session(int(sys.argv[1])))))
