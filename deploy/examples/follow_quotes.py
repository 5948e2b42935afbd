"""Follow prices and know at every moment whether they may be used: `python follow_quotes.py data SPY QQQ`.

`ibstream` comes with the checkout or the wheel, and needs pyzmq and msgspec. `data` may also be the address of the web
API, http://host:8765. A quote that nobody renews comes once more, stale, when its time is over.
"""

import sys

import ibstream

address, *symbols = sys.argv[1:] or ["data"]
with ibstream.connect(address) as client:
    for quote in client.quotes(*symbols):
        if quote.stale:
            print(f"{quote.symbol}: not to be used: {quote.reason}", flush=True)
        else:
            print(
                f"{quote.symbol}: {quote.bid} {quote.ask} {quote.last} ({quote.source}) until {quote.good_until}",
                flush=True,
            )
