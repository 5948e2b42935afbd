"""The plainest streaming examples of two clients, as their documentation has them: connect, subscribe, run the loop.

Usage: plain.py official|ib_async HOST PORT
"""

import sys

from ib_async import IB, Stock
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.wrapper import EWrapper


class Official(EWrapper, EClient):
    def __init__(self) -> None:
        EClient.__init__(self, self)

    def nextValidId(self, orderId: int) -> None:
        contract = Contract()
        contract.symbol, contract.secType, contract.exchange, contract.currency = "SPY", "STK", "SMART", "USD"
        self.reqMktData(1, contract, "", False, False, [])


def official(host: str, port: int) -> None:
    app = Official()
    app.connect(host, port, 1)
    app.run()


def ib_async(host: str, port: int) -> None:
    ib = IB()
    ib.connect(host, port, clientId=1)
    contract = Stock("SPY", "SMART", "USD")
    ib.qualifyContracts(contract)
    ib.reqMktData(contract)
    ib.run()


if __name__ == "__main__":
    {"official": official, "ib_async": ib_async}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
