"""Any US stock, invented by its name: the same name is the same stock in every run, with a price and volume that
could be true, an exchange, a long name, an ISIN whose digits check and a contract id (identity.py).
"""

import random

from services.simulator.market.contracts import Instrument, us_stock
from services.simulator.market.identity import invented_id, invented_isin

_TRADES = ("HOLDINGS", "INDUSTRIES", "TECHNOLOGIES", "RESOURCES", "PHARMACEUTICALS", "FINANCIAL", "ENERGY", "BRANDS",
           "SYSTEMS", "LOGISTICS", "MATERIALS", "NETWORKS")  # fmt: skip
_FORMS = ("INC", "CORP", "CO", "GROUP INC", "PLC", "LTD")


def invent(ticker: str) -> Instrument:
    """The stock that a well-formed ticker (identity.is_ticker) stands for."""
    dice = random.Random(f"stock {ticker}")  # noqa: S311 - prices, not secrets
    price = round(min(900.0, max(2.5, dice.lognormvariate(3.7, 0.9))), 2)
    primary = "NASDAQ" if dice.random() < 0.5 else "NYSE"
    name = f"{ticker} {dice.choice(_TRADES)} {dice.choice(_FORMS)}"
    daily, volume = dice.uniform(0.009, 0.035), int(min(30e6, max(150e3, dice.lognormvariate(14.5, 1.0))))
    return us_stock(
        invented_id(ticker), ticker, name, price, daily, volume, primary,
        stock_type="COMMON", industry="Simulated", isin=invented_isin(ticker), invented=True,
    )  # fmt: skip
