"""What IB sends of a symbol where it is asked for by a generic tick, and of every option: by name, in plain numbers.

Views hold these structs; the fold of quotes, the client and the tools read IB's texts with the functions. The journal
keeps the ticks as IB sent them: a text is taken apart where it is read, so that what is not understood today is not
lost. A reader gives None for a text that it cannot read, and leaves out a part that IB did not tell.

Sources: TWS API documentation, "Available Tick Types"; the official client's `ticktype.py` and decoder; frames of
gateways (tests/data/captures: ticks 21, 46, 59, 84, 89).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from typing import Final

import msgspec

UNKNOWN_RATIO: Final = -99999.99  # in the fundamental ratios: IB has none


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of a quote. What IB did not send is absent."""


class TradeReport(_Part, frozen=True):
    """RTVolume (tick 48, generic tick 233) and RT trade volume (77, generic 375: without trades that do not set the
    last price). `size` and `volume` are shares or contracts, absent where the unit of IB's numbers is not known."""

    price: float | None = None
    size: float | None = None
    time: str | None = None  # of the trade, UTC ISO 8601, exact to the millisecond
    volume: float | None = None  # of the day
    vwap: float | None = None  # of the day
    single: bool | None = None  # filled by a single market maker


class Dividends(_Part, frozen=True):
    """Tick 59, generic tick 456: for each share, in the contract's currency."""

    past_12_months: float | None = None
    next_12_months: float | None = None
    next_date: str | None = None  # YYYY-MM-DD
    next_amount: float | None = None


class News(_Part, frozen=True):
    """The newest headline (message 84, generic tick 292)."""

    time: str | None = None  # UTC ISO 8601
    provider: str | None = None
    article_id: str | None = None
    headline: str | None = None


class Computation(_Part, frozen=True):
    """What IB computes of an option at one price. `implied_volatility` is a year's, as a part of 1; `vega` is for one
    point of volatility, `theta` for a day, `dividends` the present value of those until the option ends."""

    implied_volatility: float | None = None
    delta: float | None = None
    price: float | None = None  # of the option
    dividends: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    underlying: float | None = None  # price of the underlying


class Greeks(_Part, frozen=True):
    """An option's computations at its bid, ask and last (ticks 10 to 12, delayed 80 to 82) and by IB's model (13, 83);
    `custom` (53) answers a question that somebody asked."""

    bid: Computation | None = None
    ask: Computation | None = None
    last: Computation | None = None
    model: Computation | None = None
    custom: Computation | None = None


class GenericTicks(_Part, frozen=True):
    """By the generic tick that brings it (in brackets). Prices in the contract's currency, rates as a part of 1 a
    year, counts in shares or contracts."""

    option_call_volume: float | None = None  # [100] of the day, of all options on the symbol
    option_put_volume: float | None = None
    option_call_open_interest: float | None = None  # [101]
    option_put_open_interest: float | None = None
    option_historical_vol: float | None = None  # [104] 30 days
    avg_opt_volume: float | None = None  # [105] contracts a day, 90 days
    option_implied_vol: float | None = None  # [106] 30 days ahead
    index_future_premium: float | None = None  # [162] points that the nearest future is above the index
    low_13_week: float | None = None  # [165]
    high_13_week: float | None = None
    low_26_week: float | None = None
    high_26_week: float | None = None
    low_52_week: float | None = None
    high_52_week: float | None = None
    avg_volume_raw: float | None = None  # [165] of 90 days: IB's number, in a unit that it does not tell
    creditman_mark_price: float | None = None  # [221]
    auction_volume: float | None = None  # [225] shares that would trade if the auction were now
    auction_price: float | None = None
    auction_imbalance: float | None = None  # shares without a counterpart
    regulatory_imbalance: float | None = None  # the same, as the exchange must publish it
    mark_price: float | None = None  # [232] what IB values a position by
    rt_volume: TradeReport | None = None  # [233]
    shortable: float | None = None  # [236] above 2.5: 1000 shares at least; above 1.5: if they can be borrowed
    shortable_shares: float | None = None
    fundamentals: dict[str, float | str] | None = None  # [258] ratios by IB's names, such as PEEXCLXOR
    news: News | None = None  # [292]
    trade_count: float | None = None  # [293] of the day
    trade_rate: float | None = None  # [294] trades a minute
    volume_rate: float | None = None  # [295] shares a minute
    last_rth_trade: float | None = None  # [318] last price of the regular hours
    rt_trade_volume: TradeReport | None = None  # [375]
    rt_historical_vol: float | None = None  # [411] 30 days, in real time
    dividends: Dividends | None = None  # [456]
    bond_factor_multiplier: float | None = None  # [460]
    etf_nav_bid: float | None = None  # [576]
    etf_nav_ask: float | None = None
    etf_nav_last: float | None = None  # [577]
    etf_nav_close: float | None = None  # [578]
    etf_nav_prior_close: float | None = None
    etf_nav_high: float | None = None  # [614]
    etf_nav_low: float | None = None
    etf_frozen_nav_last: float | None = None  # [623]
    estimated_ipo_midpoint: float | None = None  # [586]
    final_ipo_last: float | None = None
    futures_open_interest: float | None = None  # [588]
    short_term_volume_3_min: float | None = None  # [595]
    short_term_volume_5_min: float | None = None
    short_term_volume_10_min: float | None = None
    creditman_slow_mark_price: float | None = None  # [619]
    odd_lot_bid: float | None = None  # [787] of less than a round lot
    odd_lot_ask: float | None = None
    odd_lot_bid_size: float | None = None
    odd_lot_ask_size: float | None = None
    odd_lot_bid_exch: str | None = None
    odd_lot_ask_exch: str | None = None
    bid_yield: float | None = None  # of a bond, without being asked for
    ask_yield: float | None = None
    last_yield: float | None = None


PARTS: Final[dict[int, str]] = {47: "fundamentals", 48: "rt_volume", 59: "dividends", 62: "news", 77: "rt_trade_volume"}
"""Fields of GenericTicks whose tick is a text of several parts."""

WORDS: Final[dict[int, str]] = {109: "odd_lot_bid_exch", 110: "odd_lot_ask_exch"}
"""Those whose tick is one text."""

PRICES: Final[dict[int, str]] = {
    15: "low_13_week", 16: "high_13_week", 17: "low_26_week", 18: "high_26_week", 19: "low_52_week",
    20: "high_52_week", 35: "auction_price", 37: "mark_price", 57: "last_rth_trade", 78: "creditman_mark_price",
    79: "creditman_slow_mark_price", 92: "etf_nav_close", 93: "etf_nav_prior_close", 94: "etf_nav_bid",
    95: "etf_nav_ask", 96: "etf_nav_last", 97: "etf_frozen_nav_last", 98: "etf_nav_high", 99: "etf_nav_low",
    101: "estimated_ipo_midpoint", 102: "final_ipo_last", 105: "odd_lot_bid", 106: "odd_lot_ask",
}  # fmt: skip
"""Those that are prices: divided by the price magnifier, and -1 or 0 without a size means that there is none."""

SIZES: Final[dict[int, str]] = {107: "odd_lot_bid_size", 108: "odd_lot_ask_size"}
"""Those that count as bid and ask sizes do."""

VOLUMES: Final[dict[int, str]] = {
    56: "volume_rate", 63: "short_term_volume_3_min", 64: "short_term_volume_5_min", 65: "short_term_volume_10_min",
}  # fmt: skip
"""Those that count as the day's volume does."""

NUMBERS: Final[dict[int, str]] = {
    21: "avg_volume_raw", 23: "option_historical_vol", 24: "option_implied_vol", 27: "option_call_open_interest",
    28: "option_put_open_interest", 29: "option_call_volume", 30: "option_put_volume", 31: "index_future_premium",
    34: "auction_volume", 36: "auction_imbalance", 46: "shortable", 50: "bid_yield", 51: "ask_yield",
    52: "last_yield", 54: "trade_count", 55: "trade_rate", 58: "rt_historical_vol", 60: "bond_factor_multiplier",
    61: "regulatory_imbalance", 86: "futures_open_interest", 87: "avg_opt_volume", 89: "shortable_shares",
    103: "bid_yield", 104: "ask_yield",
}  # fmt: skip
"""Those that are what they are."""

GREEKS: Final[dict[int, str]] = {
    10: "bid", 11: "ask", 12: "last", 13: "model", 53: "custom", 80: "bid", 81: "ask", 82: "last", 83: "model",
}  # fmt: skip
"""Fields of Greeks."""

GENERIC_NUMBERS: Final = frozenset({*PRICES, *SIZES, *VOLUMES, *NUMBERS})
GENERIC_TEXTS: Final = frozenset({*PARTS, *WORDS, *GREEKS})
GENERIC_FIELDS: Final = GENERIC_NUMBERS | GENERIC_TEXTS
"""Tick fields of which a quote's `generic` and `greeks` are made."""


def trade_report(text: str) -> TradeReport | None:
    """`701.28;1;1348075471534;67854;701.46918464;true`: price, size, time in ms, volume, VWAP, single. A part may be
    empty. Sizes are IB's numbers here."""
    parts = text.split(";")
    if len(parts) != 6:
        return None
    moment = _number(parts[2])
    found = TradeReport(
        price=_number(parts[0]),
        size=_number(parts[1]),
        time=_iso(moment) if moment is not None else None,
        volume=_number(parts[3]),
        vwap=_number(parts[4]),
        single={"true": True, "false": False}.get(parts[5].lower()),
    )
    return found if found != TradeReport() else None


def dividends(text: str) -> Dividends | None:
    """`0.83,0.92,20130219,0.23`; commas alone when none is known."""
    parts = text.split(",")
    if len(parts) != 4:
        return None
    day = parts[2].strip()
    found = Dividends(
        past_12_months=_number(parts[0]),
        next_12_months=_number(parts[1]),
        next_date=f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and day.isdigit() else None,
        next_amount=_number(parts[3]),
    )
    return found if found != Dividends() else None


def fundamentals(text: str) -> dict[str, float | str] | None:
    """`TTMNPMGN=21.5;CURRENCY=USD;NLOW=80.6`. Ratios that IB marks as not available are left out."""
    found: dict[str, float | str] = {}
    for part in text.split(";"):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not value:
            continue
        number = _number(value)
        if number != UNKNOWN_RATIO:
            found[name] = value if number is None else number
    return found or None


def news(text: str) -> News | None:
    """`1672531200000;BRFG;BRFG$04fb9da2;Headline; that may hold anything`."""
    parts = text.split(";", 3)
    if len(parts) != 4:
        return None
    moment = _number(parts[0])
    time = _iso(moment) if moment else None
    return News(time=time, provider=parts[1] or None, article_id=parts[2] or None, headline=parts[3] or None)


def computation(text: str) -> Computation | None:
    """Eight numbers with semicolons between, empty where IB did not compute one; in the order of the struct."""
    parts = text.split(";")
    if len(parts) != len(Computation.__struct_fields__):
        return None
    found = Computation(**dict(zip(Computation.__struct_fields__, map(_number, parts), strict=True)))
    return found if found != Computation() else None


Part = TradeReport | Dividends | News | Computation | dict[str, float | str]

READERS: Final[dict[int, Callable[[str], Part | None]]] = {
    47: fundamentals,
    48: trade_report,
    59: dividends,
    62: news,
    77: trade_report,
    **dict.fromkeys(GREEKS, computation),
}
"""By tick field: what takes its text apart."""


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and abs(number) < 1e300 else None


def _iso(milliseconds: float) -> str | None:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{int(milliseconds) % 1000:03d}000Z"
