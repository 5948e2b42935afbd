"""What bars of trades become when a client asks for something else to be shown (TWS API documentation, historical
data types): quotes, mid-points, volatilities. Pure.
"""

from math import sqrt

from services.simulator.market.contracts import Instrument
from services.simulator.market.trades import RawBar

TRADES = frozenset({"TRADES", "ADJUSTED_LAST", "AGGTRADES"})
QUOTES = frozenset({"MIDPOINT", "BID", "ASK", "BID_ASK"})
VOLATILITIES = {"HISTORICAL_VOLATILITY": 1.0, "OPTION_IMPLIED_VOLATILITY": 1.08}
SHOWN = TRADES | QUOTES | VOLATILITIES.keys() | {"SCHEDULE"}
TRADING_DAYS = 252


def has(instrument: Instrument, what: str) -> bool:
    """Whether such a thing exists of the instrument: no trades of currencies, no quotes of an index."""
    if what in TRADES:
        return instrument.has_trades
    if what in QUOTES:
        return instrument.has_quotes
    return instrument.sec_type in ("STK", "IND")


def shown(bar: RawBar, instrument: Instrument, what: str) -> RawBar:
    """The bar as `what`. Only trades have a volume and a count, else both are -1."""
    if what in TRADES:
        return bar if instrument.volume else bar._replace(volume=-1, trades=-1)
    opened, high, low, close = bar[1:5]
    half = instrument.spread * instrument.tick / 2
    if what in VOLATILITIES:
        yearly = instrument.daily * sqrt(TRADING_DAYS) * VOLATILITIES[what]
        # The lower the price, the higher the volatility.
        opened, high, low, close = (yearly * instrument.price / price for price in (opened, low, high, close))
    elif what == "BID_ASK":  # the average bid, the highest ask, the lowest bid, the average ask
        opened, close = sum(bar[1:5]) / 4 - half, sum(bar[1:5]) / 4 + half
        high, low = high + half, low - half
    elif what != "MIDPOINT":
        shift = -half if what == "BID" else half
        opened, high, low, close = (price + shift for price in bar[1:5])
    return RawBar(bar.start, opened, high, low, close, -1, -1)
