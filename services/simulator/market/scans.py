"""Market scanners over the listed US stocks: what there is to scan, and the rows that come of it."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from services.simulator.market.contracts import Instrument

MOST = 50  # rows of one scan, as at IB
_CODES = {
    "TOP_PERC_GAIN": "Top % Gainers",
    "TOP_PERC_LOSE": "Top % Losers",
    "MOST_ACTIVE": "Most Active",
    "HOT_BY_VOLUME": "Hot by Volume",
    "HIGH_OPEN_GAP": "Top Close-to-Open % Gainers",
}
_LOCATIONS = {"STK.US.MAJOR": "Listed/NASDAQ", "STK.US": "US stocks", "STK.NASDAQ": "NASDAQ", "STK.NYSE": "NYSE"}


class Scan(NamedTuple):
    """What is asked for; prices and volume of 0 set no bound. `filters` are the tags of the newer way, as they came."""

    code: str
    instrument: str
    location: str
    rows: int
    above_price: float = 0.0
    below_price: float = 0.0
    above_volume: int = 0
    filters: Mapping[str, str] = MappingProxyType({})


class Seen(NamedTuple):
    """What a scan knows of a stock: its price, and its change since the last close as a part of it."""

    stock: Instrument
    price: float
    change: float


_FILTERS: dict[str, Callable[[Seen, float], bool]] = {
    "priceAbove": lambda one, bound: one.price >= bound,
    "priceBelow": lambda one, bound: one.price <= bound,
    "volumeAbove": lambda one, bound: one.stock.volume >= bound,
    "changePercAbove": lambda one, bound: 100 * one.change >= bound,
    "changePercBelow": lambda one, bound: 100 * one.change <= bound,
}


def parameters() -> str:
    """What can be scanned for, as the XML that clients look into."""
    codes = "".join(
        f"<ScanType><displayName>{_escaped(name)}</displayName><scanCode>{code}</scanCode>"
        "<instruments>STK</instruments></ScanType>"
        for code, name in _CODES.items()
    )
    places = "".join(
        f"<Location><displayName>{_escaped(name)}</displayName><locationCode>{code}</locationCode>"
        "<instruments>STK</instruments></Location>"
        for code, name in _LOCATIONS.items()
    )
    filters = "".join(
        f"<RangeFilter><AbstractField><code>{tag}</code></AbstractField></RangeFilter>" for tag in _FILTERS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ScanParameterResponse><InstrumentList><Instrument>'
        "<name>US Stocks</name><type>STK</type></Instrument></InstrumentList>"
        f"<LocationTree>{places}</LocationTree><ScanTypeList>{codes}</ScanTypeList>"
        f"<FilterList>{filters}</FilterList></ScanParameterResponse>"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def refusal(scan: Scan) -> str | None:
    """What is wrong with a scan, in words."""
    if scan.code not in _CODES:
        return f"unknown scan code {scan.code!r}"
    if scan.instrument != "STK" or scan.location not in _LOCATIONS:
        return f"only US stocks can be scanned here, not {scan.instrument!r} in {scan.location!r}"
    for tag, value in scan.filters.items():
        if tag not in _FILTERS:
            return f"unknown filter {tag!r}; there are {', '.join(_FILTERS)}"
        try:
            float(value)
        except ValueError:
            return f"filter {tag!r} is {value[:20]!r}, not a number"
    return None


def rows(scan: Scan, seen: Iterable[Seen]) -> list[Instrument]:
    """The stocks of a scan, the first rank first."""
    wanted = [one for one in seen if _within(scan, one)]
    wanted.sort(key=_order(scan.code))
    count = scan.rows if 0 < scan.rows < MOST else MOST
    return [one.stock for one in wanted[:count]]


def _within(scan: Scan, one: Seen) -> bool:
    place = scan.location.removeprefix("STK.")
    return (
        (place.startswith("US") or one.stock.primary == place)
        and one.price >= scan.above_price
        and (not scan.below_price or one.price <= scan.below_price)
        and one.stock.volume >= scan.above_volume
        and all(_FILTERS[tag](one, float(bound)) for tag, bound in scan.filters.items())
    )


def _order(code: str) -> Callable[[Seen], float]:
    match code:
        case "TOP_PERC_LOSE":
            return lambda one: one.change
        case "TOP_PERC_GAIN" | "HIGH_OPEN_GAP":
            return lambda one: -one.change
        case _:
            return lambda one: -one.stock.volume
