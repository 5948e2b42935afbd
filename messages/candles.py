"""Candles: what a symbol traded in an interval, and in which part of it that was seen.

The same message everywhere: topic `candle.{interval}.{SYMBOL}`, HTTP, the event stream, command line and client.
How trades are told from L1, what is missed, and what coverage means: services/quotes/README.md.
"""

from typing import Final, Literal, get_args

import msgspec

from messages.events import MarketDataType, PriceSource

Interval = Literal["1s", "5s", "1m", "5m", "15m", "1h", "1d"]
INTERVALS: Final[tuple[Interval, ...]] = get_args(Interval)

SECONDS: Final[dict[Interval, int]] = {"1s": 1, "5s": 5, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
"""The length of each. They begin at whole multiples of it in UTC; a day is a session, and may be shorter or longer."""


class Blind(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an interval in which the symbol's price was not to be trusted, and why: a quote's `reason`, or a
    gap's."""

    reason: str
    seconds: float


class Candle(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a symbol traded from `start` on and before `end`, by the time at which it was received.

    Prices in the contract's currency, volume in shares or contracts. A candle without prices says that nothing was
    seen of an interval in which prices were missing; an interval in which nothing traded, and that was seen whole,
    has no candle.
    """

    symbol: str
    interval: Interval
    start: str  # UTC ISO 8601 with `Z`
    end: str
    session: str | None = None  # of a day: its date by the exchange, YYYY-MM-DD
    hours: Literal["exchange", "utc"] | None = None  # of a day: `utc` where the contract's hours are not known
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None  # absent where its unit is not known
    vwap: float | None = None  # average price by volume; absent where a part is of IB's bars, which tell none
    trades: int = 0  # reports of a trade that came; IB gathers several trades in one
    coverage: float  # share of the interval so far in which the price was streamed and trusted, 0 to 1
    blind: list[Blind] = []  # why not, longest first
    filled: float = 0.0  # share of the interval whose numbers are of IB's history bars
    source: PriceSource | None = None  # `mock` if any part of it is; `ib_history` if all of it is of bars
    market_data_type: MarketDataType | None = None  # of its newest trade
    rolled: str | None = None  # of a future that rolled in it: `ESZ6 ESH7`, the month before and the one after
    complete: bool  # it is over. What is learned later of it (a gap, bars of IB) comes as the same candle again
