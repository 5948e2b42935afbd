"""What hangs on another contract: the options of a stock or index, CFDs of stocks, continuous futures.

Pure functions of that contract and the day. The chain that option parameters announce is the chain that exists.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from services.base.clock import SECOND
from services.simulator.market.contracts import Instrument
from services.simulator.market.identity import derived_id

MONTHS = 3
WEEKLIES = 2
STRIKES_EACH_WAY = 10
CLOSE_OF_DAY = 21  # UTC: four in the afternoon in New York, in winter


def derive(today: date, sec_type: str, bases: Sequence[Instrument]) -> list[Instrument]:
    """All contracts of a type (contracts.DERIVED) that hang on any of these."""
    if sec_type == "OPT":
        return [one for base in bases for one in chain(base, today)]
    if sec_type == "FOP":
        return [one for base in bases if base.sec_type == "FUT" for one in future_options(base, today)]
    if sec_type == "CFD":
        return [cfd(base) for base in bases if base.in_lots]
    return continuous([base for base in bases if base.sec_type == "FUT"])


class OptionSeries(NamedTuple):
    """Options of one trading class on an underlying."""

    exchange: str
    trading_class: str
    multiplier: str
    expirations: list[str]
    strikes: list[float]


def option_series(under: Instrument, today: date) -> list[OptionSeries]:
    """What is listed of options on a stock, an index or a future; of anything else nothing."""
    if under.sec_type == "FUT":
        classes = ((under.symbol, monthly(under, today)), (f"{under.symbol}W", weekly(under, today)))
        return [
            OptionSeries(under.exchange, name, under.multiplier, days, strikes(under)) for name, days in classes if days
        ]
    if not under.in_lots and under.sec_type != "IND":
        return []
    return [OptionSeries("SMART", under.symbol, "100", expirations(today), strikes(under))]


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def expirations(today: date) -> list[str]:
    """The third Fridays of the next months, as IB writes days."""
    months = [today.replace(day=1) + timedelta(days=31 * n) for n in range(1, MONTHS + 1)]
    return [f"{third_friday(month.year, month.month):%Y%m%d}" for month in months]


def monthly(under: Instrument, today: date) -> list[str]:
    """Of a future: the third Fridays of its own month and of the two before it."""
    own = date(int(under.expiry[:4]), int(under.expiry[4:6]), 1)
    firsts = [own - timedelta(days=days) for days in (45, 15, 0)]
    days = [f"{third_friday(first.year, first.month):%Y%m%d}" for first in firsts]
    return [day for day in days if f"{today:%Y%m%d}" <= day]


def weekly(under: Instrument, today: date) -> list[str]:
    """Of a future that ends within a quarter: the next Fridays that are no third ones."""
    days = [today + timedelta(days=(4 - today.weekday()) % 7 + 7 * week) for week in range(WEEKLIES + 1)]
    fridays = [f"{day:%Y%m%d}" for day in days if day != third_friday(day.year, day.month)][:WEEKLIES]
    quarter = f"{today + timedelta(days=91):%Y%m%d}"
    return [day for day in fridays if day < under.expiry <= quarter]


def strikes(under: Instrument) -> list[float]:
    """Around the price that anchors the underlying's market, in its currency."""
    step = next(step for above, step in ((1000, 50.0), (100, 5.0), (15, 1.0), (0, 0.5)) if under.price > above)
    middle = round(under.price / step) * step
    return [strike for n in range(-STRIKES_EACH_WAY, STRIKES_EACH_WAY + 1) if (strike := middle + step * n) > 0]


def chain(under: Instrument, today: date) -> list[Instrument]:
    """All options of a US stock or index; none of anything else."""
    if not under.in_lots and under.sec_type != "IND":
        return []
    return [
        _option(under, expiry, strike, right)
        for expiry in expirations(today)
        for strike in strikes(under)
        for right in ("C", "P")
    ]


def _option(under: Instrument, expiry: str, strike: float, right: str) -> Instrument:
    root = under.symbol.replace(" ", "")
    local_symbol = f"{root:<6}{expiry[2:]}{right}{round(strike * 1000):08d}"
    return replace(
        under, con_id=derived_id(local_symbol), sec_type="OPT", exchange="SMART", primary="", volume=2_000, tick=0.01,
        decimals=2, spread=max(2, round(under.price / 40)), stock_type="", multiplier="100", expiry=expiry,
        strike=strike, right=right, local_symbol=local_symbol, trading_class=root, market_name=root,
        under_con_id=under.con_id, under_symbol=under.symbol, under_sec_type=under.sec_type, under=under, isin="",
        invented=False, called=local_symbol,
    )  # fmt: skip


def future_options(under: Instrument, today: date) -> list[Instrument]:
    """The options of a future: those that end with it, and those that end before."""
    return [
        _future_option(under, series.trading_class, expiry, strike, right)
        for series in option_series(under, today)
        for expiry in series.expirations
        for strike in series.strikes
        for right in ("C", "P")
    ]


def _future_option(under: Instrument, trading_class: str, expiry: str, strike: float, right: str) -> Instrument:
    series = under.local_symbol if expiry == under.expiry else f"{trading_class}{expiry[2:]}"
    called = f"{series} {right}{strike:g}"
    return replace(
        _option(under, expiry, strike, right), con_id=derived_id(called), sec_type="FOP", exchange=under.exchange,
        volume=5_000, multiplier=under.multiplier, local_symbol=called, trading_class=trading_class,
        market_name=under.symbol, farm=under.farm, called=called,
    )  # fmt: skip


def ends_at(option: Instrument) -> int:
    """When an option ends, UTC nanoseconds."""
    day = datetime.strptime(option.expiry, "%Y%m%d").replace(hour=CLOSE_OF_DAY, tzinfo=UTC)
    return int(day.timestamp()) * SECOND


def cfd(stock: Instrument) -> Instrument:
    """The contract for difference on a stock: it has the stock's prices, and its market data are the stock's."""
    called = f"{stock.symbol}:CFD"
    return replace(
        stock, con_id=derived_id(called), sec_type="CFD", exchange="SMART", primary="", stock_type="", isin="",
        under_con_id=stock.con_id, under_symbol=stock.symbol, under_sec_type="STK", under=stock, invented=False,
        called=called,
    )  # fmt: skip


def continuous(futures: Sequence[Instrument]) -> list[Instrument]:
    """The future that ends first, as a continuous one: IB gives it that future's contract id."""
    return [replace(one, sec_type="CONTFUT") for one in sorted(futures, key=lambda one: one.expiry)[:1]]
