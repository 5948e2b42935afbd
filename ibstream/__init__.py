"""ibstream for your own program: prices that refuse to be old.

    import ibstream

    client = ibstream.connect("data")                            # the data root, on the same machine
    client = ibstream.connect("http://host:8765", token="...")   # the web API, from anywhere
    quote = client.price("SPY", max_age=2, sources={"ib_stream"})  # a quote, or an error that says why not
    data = ibstream.open_data("data")                            # all that was recorded, as data frames

`price` answers only while now is before the quote's `good_until`: whatever has died, an old price is never returned.
Needs pyzmq and msgspec, no more. Prices are in the contract's currency; sizes of US stocks in shares; times UTC.
"""

from ibstream.client import Client, connect
from ibstream.errors import (
    CommandRefused,
    IbstreamError,
    InvalidAddress,
    StalePrice,
    StreamStopped,
    UnknownSymbol,
    Unreachable,
)
from ibstream.frames import Data, open_data
from ibstream.ticks import Mark
from messages.candles import Blind, Candle
from messages.events import Plan
from messages.ticks import Tick
from messages.views import Quote, Status

__all__ = [
    "Blind",
    "Candle",
    "Client",
    "CommandRefused",
    "Data",
    "IbstreamError",
    "InvalidAddress",
    "Mark",
    "Plan",
    "Quote",
    "StalePrice",
    "Status",
    "StreamStopped",
    "Tick",
    "UnknownSymbol",
    "Unreachable",
    "connect",
    "open_data",
]
