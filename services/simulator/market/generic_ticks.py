"""Ticks that a client gets only where its generic tick list asks for them (TWS API documentation, available tick
types; odd-lot quotes by the names of server version 225 and its tick ids). Pure.
"""

from collections.abc import Callable
from math import sqrt

from services.simulator.market.contracts import Instrument
from services.simulator.market.market import Quotes
from services.simulator.market.prices import ASK, BID, GENERIC, LAST, PRICE, SIZE, STRING, Tick
from services.simulator.market.shown import TRADING_DAYS
from services.simulator.protocol.versions import ODD_LOT_QUOTES

RT_VOLUME, ODD_LOTS = "233", "787"
SHORTABLE_SHARES = 85_888_008  # as a captured gateway had it


def _volatility(instrument: Instrument) -> float:
    """A year's, as a part of the price."""
    return instrument.daily * sqrt(TRADING_DAYS)


def _range(one: Instrument) -> list[Tick]:
    """Lows and highs of 13, 26 and 52 weeks, and the average volume of 90 days, which IB gives in hundreds."""
    ticks = [
        Tick(PRICE, field, f"{one.price * (1 + sign * _volatility(one) * part):.{one.decimals}f}")
        for field, sign, part in ((15, -1, 0.5), (16, 1, 0.5), (17, -1, 0.7), (18, 1, 0.7), (19, -1, 0.9), (20, 1, 0.9))
    ]
    return [*ticks, Tick(SIZE, 21, "", one.volume // 100)]


_STOCKS = ("STK", "IND")
_AT_START: dict[str, tuple[tuple[str, ...], Callable[[Instrument], list[Tick]]]] = {
    "100": (_STOCKS, lambda one: [Tick(SIZE, 29, "", one.volume // 90), Tick(SIZE, 30, "", one.volume // 120)]),
    "101": (_STOCKS, lambda one: [Tick(SIZE, 27, "", one.volume // 9), Tick(SIZE, 28, "", one.volume // 12)]),
    "104": (_STOCKS, lambda one: [Tick(GENERIC, 23, f"{_volatility(one):.8f}")]),
    "106": (_STOCKS, lambda one: [Tick(GENERIC, 24, f"{_volatility(one) * 1.08:.8f}")]),
    "165": (_STOCKS, _range),
    "236": (("STK",), lambda one: [Tick(GENERIC, 46, "3.0"), Tick(SIZE, 89, "", SHORTABLE_SHARES)]),
    "411": (_STOCKS, lambda one: [Tick(GENERIC, 58, f"{_volatility(one):.8f}")]),
    "456": (("STK",), lambda one: [Tick(STRING, 59, ",,,")]),  # no dividend is known, past or to come
    "588": (("FUT",), lambda one: [Tick(SIZE, 86, "", one.volume * 2)]),
}


def at_start(instrument: Instrument, wanted: frozenset[str]) -> list[Tick]:
    """What comes once, live or delayed."""
    return [
        tick
        for name, (kinds, make) in _AT_START.items()
        if name in wanted and instrument.sec_type in kinds
        for tick in make(instrument)
    ]


def along(feed: Quotes, wanted: frozenset[str], made: list[Tick], version: int) -> list[Tick]:
    """What comes along with a step of the market."""
    fields = {tick.field for tick in made}
    out = [feed.rt_volume()] if RT_VOLUME in wanted and LAST in fields else []
    if ODD_LOTS in wanted and version >= ODD_LOT_QUOTES and feed.instrument.in_lots and fields & {BID, ASK}:
        out += _odd_lots(feed)
    return out


def _odd_lots(feed: Quotes) -> list[Tick]:
    """The best bid and ask of less than a round lot: a cent inside the market where there is room."""
    one = feed.instrument
    size = max(1, one.round_lot // 4)
    bid, ask = float(feed.quote("bid")[0]), float(feed.quote("ask")[0])
    step = one.tick if ask - bid > 2.5 * one.tick else 0.0
    out = []
    for price, field in ((bid + step, 105), (ask - step, 106)):
        out.append(Tick(PRICE, field, f"{price:.{one.decimals}f}", size))
        out += [Tick(SIZE, field + 2, "", size), Tick(STRING, field + 4, "Q")]
    return out
