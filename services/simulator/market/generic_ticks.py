"""Ticks that a client gets only where its generic tick list asks for them (TWS API documentation, available tick
types; odd-lot quotes by the names of server version 225 and its tick ids; legal lists as gateways answered them). Pure.
"""

from collections.abc import Callable
from math import sqrt

from services.simulator.market.contracts import SYNTHETIC_IDS, Instrument
from services.simulator.market.market import Quotes
from services.simulator.market.prices import ASK, BID, GENERIC, LAST, PRICE, SIZE, STRING, Tick
from services.simulator.market.shown import TRADING_DAYS
from services.simulator.protocol.versions import ODD_LOT_QUOTES

ODD_LOTS = "787"
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
_FRACTION = 0.26  # a quarter's dividend, for each 100 of the price
_MARKS = {"221": 78, "232": 37, "318": 57, "619": 79}  # prices that follow the last one
_TRADES = {"233": 48, "375": 77}
NEWS = "292"

LEGAL: dict[int, str] = {
    100: "Option Volume", 101: "Option Open Interest", 104: "hvolat", 105: "Average Opt Volume", 106: "impvolat",
    165: "Misc. Stats", 221: "Creditman Mark Price", 225: "Auction", 232: "Pl Price", 233: "RTVolume",
    236: "inventory", 258: "Fundamentals", 292: "Wide_news", 293: "TradeCount", 294: "TradeRate", 295: "VolumeRate",
    318: "LastRTHTrade", 375: "RTTrdVolume", 411: "rthistvol", 456: "IBDividends", 460: "Bond Factor Multiplier",
    576: "EtfNavBidAsk(navbidask)", 577: "EtfNavLast(navlast)", 578: "EtfNavClose(navclose)", 586: "IPOHLMPRC",
    587: "Pl Price Delayed", 588: "Futures Open Interest", 595: "Short-Term Volume X Mins",
    614: "EtfNavMisc(high/low)", 619: "Creditman Slow Mark Price", 623: "EtfFrozenNavLast(fznavlast)", 787: "OddLot",
}  # fmt: skip
"""What gateways name as legal when they refuse a list, in 2022 to 2026, and 104, which older ones take."""


def refusal(asked: str, sec_type: str) -> str | None:
    """What IB says of a list of which one number is not legal: it refuses the whole request."""
    numbers = [one.partition(":")[0] for one in asked.replace(" ", "").split(",") if one and one != "mdoff"]
    if all(one.isdigit() and int(one) in LEGAL for one in numbers):
        return None
    legal = ",".join(f"{number}({name})" for number, name in LEGAL.items())
    return f"Error validating request.-'bQ' : cause - Incorrect generic tick list of {asked}.  " + (
        f"Legal ones for ({sec_type}) are: {legal}"
    )


def _auction(one: Instrument) -> list[Tick]:
    price = f"{one.price:.{one.decimals}f}"
    sizes = [Tick(SIZE, field, "", one.volume // part) for field, part in ((34, 50), (36, 400), (61, 500))]
    return [*sizes, Tick(PRICE, 35, price)]


def _ratios(one: Instrument) -> list[Tick]:
    ratios = f"CURRENCY={one.currency};NPRICE={one.price:.2f};PEEXCLXOR={one.price / 12:.5f};TTMNPMGN=-99999.99"
    return [Tick(STRING, 47, f"{ratios};NHIG={one.price * 1.2:.2f};NLOW={one.price * 0.8:.2f}")]


def _dividends(one: Instrument) -> list[Tick]:
    """Of a common stock; none is known of the others, past or to come."""
    if one.stock_type != "COMMON":
        return [Tick(STRING, 59, ",,,")]
    each = one.price * _FRACTION / 100
    return [Tick(STRING, 59, f"{4 * each:.2f},{4.2 * each:.2f},20290614,{1.05 * each:.2f}")]


def _offering(one: Instrument) -> list[Tick]:
    """Synthetic stocks have just been floated."""
    if not SYNTHETIC_IDS < one.con_id < SYNTHETIC_IDS + 1_000_000:
        return []
    return [Tick(PRICE, field, f"{one.price * part:.{one.decimals}f}") for field, part in ((101, 0.9), (102, 0.95))]


_AT_START: dict[str, tuple[tuple[str, ...], Callable[[Instrument], list[Tick]]]] = {
    "100": (_STOCKS, lambda one: [Tick(SIZE, 29, "", one.volume // 90), Tick(SIZE, 30, "", one.volume // 120)]),
    "101": (_STOCKS, lambda one: [Tick(SIZE, 27, "", one.volume // 9), Tick(SIZE, 28, "", one.volume // 12)]),
    "104": (_STOCKS, lambda one: [Tick(GENERIC, 23, f"{_volatility(one):.8f}")]),
    "105": (_STOCKS, lambda one: [Tick(SIZE, 87, "", one.volume // 60)]),
    "106": (_STOCKS, lambda one: [Tick(GENERIC, 24, f"{_volatility(one) * 1.08:.8f}")]),
    "165": (_STOCKS, _range),
    "225": (("STK",), _auction),
    "236": (("STK",), lambda one: [Tick(GENERIC, 46, "3.0"), Tick(SIZE, 89, "", SHORTABLE_SHARES)]),
    "258": (("STK",), _ratios),
    "293": (("STK",), lambda one: [Tick(GENERIC, 54, f"{one.volume // 120}.0")]),
    "294": (("STK",), lambda one: [Tick(GENERIC, 55, f"{one.volume / 46_800:.1f}")]),
    "295": (("STK",), lambda one: [Tick(GENERIC, 56, f"{one.volume / 390:.1f}")]),
    "411": (_STOCKS, lambda one: [Tick(GENERIC, 58, f"{_volatility(one):.8f}")]),
    "456": (("STK",), _dividends),
    "586": (("STK",), _offering),
    "588": (("FUT",), lambda one: [Tick(SIZE, 86, "", one.volume * 2)]),
    "595": (("STK",), lambda one: [Tick(SIZE, 63 + n, "", one.volume // (130, 78, 39)[n]) for n in range(3)]),
}


def at_start(feed: Quotes, wanted: frozenset[str]) -> list[Tick]:
    """What comes once, live or delayed."""
    instrument = feed.instrument
    return [
        tick
        for name, (kinds, make) in _AT_START.items()
        if name in wanted and instrument.sec_type in kinds
        for tick in make(instrument)
    ] + _marks(feed, wanted)


def _marks(feed: Quotes, wanted: frozenset[str]) -> list[Tick]:
    return [Tick(PRICE, field, feed.quote("last")[0]) for name, field in _MARKS.items() if name in wanted]


def along(feed: Quotes, wanted: frozenset[str], made: list[Tick], version: int) -> list[Tick]:
    """What comes along with a step of the market."""
    fields = {tick.field for tick in made}
    out = []
    if LAST in fields:
        out = [feed.rt_volume()._replace(field=field) for name, field in _TRADES.items() if name in wanted]
        out += _marks(feed, wanted)
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
