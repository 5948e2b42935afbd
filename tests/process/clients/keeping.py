"""A little program with ib_async that keeps one price alive through whatever a gateway does, for rehearsals.

Usage: keeping.py HOST PORT [FAULT]. FAULT `forgets`: it never subscribes anew after 1101. `doubles`: it does so after
1102 as well, though prices go on. `orders`: it places its order again after every new connection.
"""

import asyncio
import logging
import sys

from ib_async import IB, MarketOrder, Stock

ASK_TIME_EVERY, ANSWER_WITHIN, PRICE_WITHIN, PAUSE = 1.0, 2.0, 3.0, 0.5  # seconds


class Keeper:
    def __init__(self, host: str, port: int, fault: str) -> None:
        self.host, self.port, self.fault = host, port, fault
        self.ib = IB()
        self.contract = Stock("SPY", "SMART", "USD")
        self.ib.errorEvent += self.on_error
        self.look_again = False
        self.order_id = 0

    async def run(self) -> None:
        while True:
            try:
                await self.ib.connectAsync(self.host, self.port, clientId=7, timeout=4)
                await self.ib.qualifyContractsAsync(self.contract)
                self.ib.reqMktData(self.contract)
                if self.fault == "orders":
                    self.order_id += 1000
                    self.ib.placeOrder(self.contract, MarketOrder("BUY", 1, orderId=self.order_id))
                while self.ib.isConnected():
                    await asyncio.wait_for(self.ib.reqCurrentTimeAsync(), ANSWER_WITHIN)
                    if self.look_again:
                        self.look_again = False
                        await self.see_whether_prices_come()
                    await asyncio.sleep(ASK_TIME_EVERY)
            except (OSError, TimeoutError, asyncio.CancelledError):
                pass
            self.ib.disconnect()
            await asyncio.sleep(PAUSE)

    async def see_whether_prices_come(self) -> None:
        before = self.ib.ticker(self.contract).time
        await asyncio.sleep(PRICE_WITHIN)
        if self.ib.isConnected() and self.ib.ticker(self.contract).time == before:
            self.subscribe_anew()

    def subscribe_anew(self) -> None:
        self.ib.cancelMktData(self.contract)
        self.ib.reqMktData(self.contract)

    def on_error(self, request: int, code: int, text: str, contract: object) -> None:
        if code == 1101 and self.fault != "forgets":
            self.subscribe_anew()
        elif code == 1102 and self.fault == "doubles":
            self.ib.client.reqMktData(self.ib.client.getReqId(), self.contract, "", False, False, [])
        elif code in (1102, 2104):
            self.look_again = True


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(Keeper(sys.argv[1], int(sys.argv[2]), *(sys.argv[3:] or [""])).run())
