"""What the data of a symbol is worth: a report over a span of time, for people and for programs.

Given by `ibstream quality` and GET /quality. What each figure means and how it is found: services/quotes/quality.py.
"""

from typing import Final, Literal, get_args

import msgspec

from messages.candles import Blind

Mark = Literal["blind", "crossed", "locked", "outliers", "off_bars", "zero_prices", "stuck", "slow", "clock", "split"]
MARKS: Final[tuple[Mark, ...]] = get_args(Mark)
"""What should be looked at. None is a verdict on the price of now, which `good_until` alone gives."""


class Hole(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A gap of the ledger, as far as it lies in the span. Times in UTC ISO 8601 with `Z`."""

    start: str
    end: str | None = None  # null: it lasts
    reason: str
    filled_bars: int | None = None  # one-minute bars of history in it; 0: history has none; null: not asked


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A price that stood far from the one before it and the one after it. Prices as IB sent them."""

    time: str
    field: str
    price: float
    before: float
    after: float


class SymbolQuality(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One symbol, as one gateway saw it. Counts are of the span; a figure of which nothing is known is absent."""

    symbol: str
    gateway: str | None = None  # where there are several
    marks: list[Mark] = []  # what should be looked at; empty: nothing was found
    ticks: int
    coverage: float | None = None  # share of the time for which it was planned, in which its price was trusted
    blind: list[Blind] = []  # why not, longest first
    gaps: list[Hole] = []  # by their start, a hundred at most
    crossed: int = 0  # times that the bid went above the ask
    crossed_seconds: float = 0.0
    locked: int = 0  # times that the bid came to be the ask
    locked_seconds: float = 0.0
    outliers: int = 0
    worst_outliers: list[Outlier] = []  # the first few
    bar_minutes: int = 0  # minutes with trades here and a bar of IB
    bars_outside: int = 0  # of these: minutes with a price that IB's bars do not reach
    zero_prices: int = 0
    stuck_seconds: float = 0.0  # longest time in which ticks came and no price moved
    ticks_by_hour: list[int] = []  # of each hour of the span
    usual_by_hour: list[float] = []  # the same on earlier days; empty: not known
    clock_seconds: float | None = None  # how far receipt lags behind exchange time in the middle, in the worst hour
    last: float | None = None  # last trade's price of the span, as IB sent it
    split: str | None = None  # the price jumped as in a split of this ratio, `4:1`


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Of every symbol that ticked, or was planned, from `start` on and before `end`, as far as the journal reached:
    `until`. Times in UTC ISO 8601 with `Z`."""

    start: str
    end: str
    until: str
    symbols: list[SymbolQuality]
