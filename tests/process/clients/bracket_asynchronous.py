"""ib_async in a process of its own: a bracket order's whole life on PORT, as one JSON line; as bracket_official.py.

Usage: bracket_asynchronous.py PACKAGE PORT
"""

import asyncio
import importlib
import json
import sys
from typing import Any

from tests.process.clients.bracket_official import NAMES


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def session(name: str, port: int) -> dict[str, Any]:
    package = importlib.import_module(name)
    ib = package.IB()
    complaints: list[str] = []
    cancelled: list[int] = []

    def note(request: int, code: int, text: str, contract: Any) -> None:
        if code == 202:
            cancelled.append(request)
        elif code not in (2104, 2106, 2158):
            complaints.append(f"{request} {code} {text}")

    ib.errorEvent += note
    await ib.connectAsync("127.0.0.1", port, clientId=42)
    (spy,) = await ib.qualifyContractsAsync(package.Stock("SPY", "SMART", "USD"))
    first, second, third = (ib.client.getReqId() for _ in NAMES)
    entry = package.MarketOrder("BUY", 100, orderId=first, transmit=False)
    profit = package.LimitOrder("SELL", 100, 5000.0, orderId=second, parentId=first, transmit=False)
    loss = package.StopOrder("SELL", 100, 1.0, orderId=third, parentId=first)
    trades = dict(zip(NAMES, [ib.placeOrder(spy, one) for one in (entry, profit, loss)], strict=True))
    await until(lambda: trades["entry"].isDone() and trades["profit"].orderStatus.status == "Submitted")
    shape = {
        name: [trade.contract.symbol, one.action, one.orderType, one.totalQuantity, one.parentId == first]
        for name, trade in trades.items()
        for one in [trade.order]
    }
    profit.lmtPrice, profit.transmit = 2.0, True
    ib.placeOrder(spy, profit)
    await until(lambda: all(trade.isDone() for trade in trades.values()) and not ib.positions())
    fills = {name: trade.fills for name, trade in trades.items()}
    await until(lambda: all(fill.commissionReport.execId for some in fills.values() for fill in some))
    result = {
        "version": ib.client.serverVersion(),
        "complaints": complaints,
        "life": {name: life(trade) for name, trade in trades.items()},
        "shape": shape,
        "sides": {name: sorted({fill.execution.side for fill in some}) for name, some in fills.items()},
        "filled": {name: sum(fill.execution.shares for fill in some) for name, some in fills.items()},
        "cancelled": [NAMES[number - first] for number in cancelled],
        "charged": round(sum(fill.commissionReport.commission for some in fills.values() for fill in some), 2),
        "held": sum(position.position for position in ib.positions()),
    }  # fmt: skip
    ib.disconnect()
    return result


def life(trade: Any) -> list[str]:
    """The statuses in their order, less the client's own first one."""
    found: list[str] = []
    for entry in trade.log:
        if entry.status != "PendingSubmit" and (not found or found[-1] != entry.status):
            found.append(entry.status)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(session(sys.argv[1], int(sys.argv[2])))))
