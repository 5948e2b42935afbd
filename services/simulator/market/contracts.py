"""The simulator's security master: some 40 US stocks and ETFs, a few indices, currencies and futures, and
synthetic stocks SIM0001, SIM0002 … for load. `Master.find` answers what IB would for a client's contract.

Prices and volumes are rough anchors for invented prices, not data. Contract ids are invented too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

US_STOCK_EXCHANGES = "SMART,NYSE,ARCA,NASDAQ,BATS,IEX,MEMX"
SMART_COMPONENTS = (("NYSE", "N"), ("ARCA", "P"), ("NASDAQ", "Q"), ("BATS", "Z"), ("IEX", "V"), ("MEMX", "U"))
BBO_EXCHANGE = "9c0001"  # the key of the map above
SYNTHETIC_IDS = 991_000_000
_MONTH_CODES = "FGHJKMNQUVXZ"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable thing. `price` anchors the walk; `daily` is its volatility a day; `volume` a usual day's."""

    con_id: int
    symbol: str
    name: str
    price: float
    daily: float
    volume: int
    sec_type: str = "STK"
    exchange: str = "SMART"
    primary: str = ""
    currency: str = "USD"
    tick: float = 0.01
    decimals: int = 2
    spread: int = 1  # usual width of the market, in ticks
    farm: str = "usfarm"
    stock_type: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    multiplier: str = ""
    expiry: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    market_name: str = ""
    under_con_id: int = 0
    under_symbol: str = ""
    under_sec_type: str = ""
    market_rule: int = 26
    called: str = ""  # what scenarios and statistics call it, where that is not its symbol

    @property
    def in_lots(self) -> bool:
        """US stocks: old versions get their sizes in round lots of 100."""
        return self.sec_type == "STK" and self.currency == "USD"

    @property
    def key(self) -> str:
        """How scenarios, statistics and logs call it: `SPY`, `EUR.USD`, `ESZ5`."""
        return self.called or (self.symbol if self.sec_type in ("STK", "IND") else self.local_symbol)

    @property
    def has_quotes(self) -> bool:
        return self.sec_type != "IND"

    @property
    def has_trades(self) -> bool:
        return self.sec_type != "CASH"

    @property
    def tick_text(self) -> str:
        return f"{self.tick:.{self.decimals}f}"

    @property
    def valid_exchanges(self) -> str:
        if self.sec_type != "STK":
            return self.exchange
        if self.currency == "USD":
            return US_STOCK_EXCHANGES
        return ",".join(dict.fromkeys(["SMART", self.exchange, self.primary or self.exchange]))

    @property
    def contract_month(self) -> str:
        return self.expiry[:6]


class Wanted(NamedTuple):
    """A contract as a client described it; an empty field is a field that it left open."""

    con_id: int
    symbol: str
    sec_type: str
    expiry: str
    exchange: str
    primary: str
    currency: str
    local_symbol: str
    trading_class: str


# symbol, name, primary exchange, farm, price, volatility a day in %, million shares a day
_STOCKS = """
SPY|SPDR S&P 500 ETF TRUST|ARCA|585|0.9|62|ETF
QQQ|INVESCO QQQ TRUST SERIES 1|NASDAQ|512|1.2|41|ETF
IWM|ISHARES RUSSELL 2000 ETF|ARCA|222|1.3|29|ETF
DIA|SPDR DJIA TRUST|ARCA|428|0.8|3|ETF
VTI|VANGUARD TOTAL STOCK MKT ETF|ARCA|290|0.9|3|ETF
VOO|VANGUARD S&P 500 ETF|ARCA|538|0.9|6|ETF
EFA|ISHARES MSCI EAFE ETF|ARCA|77|0.9|15|ETF
EEM|ISHARES MSCI EMERGING MARKETS|ARCA|43|1.1|27|ETF
TLT|ISHARES 20+ YEAR TREASURY BD|NASDAQ|89|0.9|38|ETF
IEF|ISHARES 7-10 YEAR TREASURY B|NASDAQ|93|0.4|7|ETF
SHY|ISHARES 1-3 YEAR TREASURY BO|NASDAQ|82|0.1|4|ETF
BIL|SPDR BLOOMBERG 1-3 MONTH T-B|ARCA|91.5|0.02|8|ETF
LQD|ISHARES IBOXX INVESTMENT GRA|ARCA|108|0.4|25|ETF
HYG|ISHARES IBOXX HIGH YLD CORP|ARCA|79|0.4|37|ETF
GLD|SPDR GOLD SHARES|ARCA|246|1.0|9|ETF
SLV|ISHARES SILVER TRUST|ARCA|27|1.7|18|ETF
USO|UNITED STATES OIL FUND LP|ARCA|74|1.9|4|ETF
VNQ|VANGUARD REAL ESTATE ETF|ARCA|90|1.1|4|ETF
XLK|TECHNOLOGY SELECT SECT SPDR|ARCA|233|1.3|5|ETF
XLF|FINANCIAL SELECT SECTOR SPDR|ARCA|48|1.0|37|ETF
XLE|ENERGY SELECT SECTOR SPDR|ARCA|87|1.3|14|ETF
XLV|HEALTH CARE SELECT SECTOR|ARCA|138|0.8|8|ETF
AAPL|APPLE INC|NASDAQ|243|1.4|46|COMMON
MSFT|MICROSOFT CORP|NASDAQ|421|1.3|19|COMMON
NVDA|NVIDIA CORP|NASDAQ|137|2.6|210|COMMON
AMZN|AMAZON.COM INC|NASDAQ|222|1.6|37|COMMON
GOOGL|ALPHABET INC-CL A|NASDAQ|192|1.6|26|COMMON
META|META PLATFORMS INC-CLASS A|NASDAQ|604|1.8|13|COMMON
TSLA|TESLA INC|NASDAQ|394|3.4|88|COMMON
AVGO|BROADCOM INC|NASDAQ|229|2.4|24|COMMON
BRK B|BERKSHIRE HATHAWAY INC-CL B|NYSE|453|0.9|4|COMMON
JPM|JPMORGAN CHASE & CO|NYSE|241|1.3|9|COMMON
V|VISA INC-CLASS A SHARES|NYSE|314|1.1|6|COMMON
MA|MASTERCARD INC - A|NYSE|521|1.1|2.5|COMMON
XOM|EXXON MOBIL CORP|NYSE|107|1.3|15|COMMON
CVX|CHEVRON CORP|NYSE|147|1.2|8|COMMON
UNH|UNITEDHEALTH GROUP INC|NYSE|512|1.6|4|COMMON
JNJ|JOHNSON & JOHNSON|NYSE|144|0.9|7|COMMON
PG|PROCTER & GAMBLE CO/THE|NYSE|166|0.9|6|COMMON
KO|COCA-COLA CO/THE|NYSE|62|0.8|15|COMMON
PEP|PEPSICO INC|NASDAQ|149|0.9|6|COMMON
WMT|WALMART INC|NYSE|91|1.1|17|COMMON
HD|HOME DEPOT INC|NYSE|389|1.2|3.5|COMMON
DIS|WALT DISNEY CO/THE|NYSE|111|1.4|9|COMMON
BAC|BANK OF AMERICA CORP|NYSE|44|1.4|36|COMMON
INTC|INTEL CORP|NASDAQ|20|2.6|70|COMMON
AMD|ADVANCED MICRO DEVICES|NASDAQ|125|2.6|39|COMMON
NFLX|NETFLIX INC|NASDAQ|881|1.7|3.5|COMMON
F|FORD MOTOR CO|NYSE|9.9|1.8|54|COMMON
T|AT&T INC|NYSE|22.7|1.2|33|COMMON
"""

_INDICES = (
    ("SPX", "S&P 500 Stock Index", "CBOE", 5860.0, 0.9),
    ("NDX", "NASDAQ 100 Stock Index", "NASDAQ", 21080.0, 1.2),
    ("VIX", "CBOE Volatility Index", "CBOE", 17.4, 5.0),
)
_CURRENCIES = (
    ("EUR", "USD", "European Monetary Union Euro", 1.0365, 0.4, 0.00005, 5),
    ("GBP", "USD", "British pound", 1.2412, 0.4, 0.00005, 5),
    ("AUD", "USD", "Australian dollar", 0.6218, 0.5, 0.00005, 5),
    ("USD", "JPY", "United States dollar", 157.35, 0.5, 0.005, 3),
    ("USD", "CHF", "United States dollar", 0.9085, 0.4, 0.00005, 5),
    ("USD", "CAD", "United States dollar", 1.4391, 0.3, 0.00005, 5),
)
_FUTURES = (
    ("ES", "E-mini S&P 500", "CME", "50", 5895.0, 0.9, 0.25, 1_400_000, "SPX"),
    ("NQ", "E-mini NASDAQ 100", "CME", "20", 21250.0, 1.2, 0.25, 600_000, "NDX"),
    ("MES", "Micro E-Mini S&P 500 Stock Price Index", "CME", "5", 5895.0, 0.9, 0.25, 1_000_000, "SPX"),
)
_EXCHANGE_ALIASES = {"ISLAND": "NASDAQ", "GLOBEX": "CME", "AMEX": "ARCA"}


class Master:
    """Everything that exists: `listed`, and as many of SIM0001 … as `synthetic` says."""

    def __init__(self, listed: Iterable[Instrument], synthetic: int = 1000) -> None:
        self._synthetic = synthetic
        self._by_id: dict[int, Instrument] = {}
        self._by_symbol: dict[str, list[Instrument]] = {}
        for instrument in listed:
            self._add(instrument)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(list(self._by_id.values()))

    def by_key(self, key: str) -> Instrument | None:
        """The instrument that a scenario calls `key`; synthetic ones come into being here."""
        made = self._synthesize(key)
        return made or next((one for one in self if one.key == key), None)

    def find(self, wanted: Wanted) -> list[Instrument]:
        """All matches: none is error 200, several are ambiguous (a future without its month)."""
        if wanted.con_id:
            if 0 < wanted.con_id - SYNTHETIC_IDS <= self._synthetic:
                self._synthesize(f"SIM{wanted.con_id - SYNTHETIC_IDS:04d}")
            found = [self._by_id[wanted.con_id]] if wanted.con_id in self._by_id else []
        else:
            name = wanted.symbol or wanted.local_symbol
            self._synthesize(name)
            found = self._by_symbol.get(name.upper(), [])
        return [one for one in found if _matches(one, wanted)]

    def search(self, pattern: str, most: int = 16) -> list[Instrument]:
        """Symbols that begin with `pattern`, then names that contain it."""
        text = pattern.strip().upper()
        self._synthesize(text)
        stocks = [one for one in self if one.sec_type in ("STK", "IND")]
        first = [one for one in stocks if one.symbol.startswith(text)]
        return (first + [one for one in stocks if one not in first and text in one.name.upper()])[:most]

    def _synthesize(self, symbol: str) -> Instrument | None:
        if not (symbol.startswith("SIM") and symbol[3:].isdigit() and len(symbol) >= 7):
            return None
        number = int(symbol[3:])
        if not 0 < number <= self._synthetic or symbol != f"SIM{number:04d}":
            return None
        known = self._by_symbol.get(symbol)
        if known:
            return known[0]
        made = Instrument(
            con_id=SYNTHETIC_IDS + number,
            symbol=symbol,
            name=f"SYNTHETIC STOCK {number}",
            price=10.0 + number * 37 % 490,
            daily=0.01 + number * 13 % 20 / 1000,
            volume=1_000_000 + number * 7919 % 40_000_000,
            primary="NASDAQ" if number % 2 else "NYSE",
            farm="usfarm" if number % 2 else "usfarm.nj",
            stock_type="COMMON",
            local_symbol=symbol,
            trading_class="NMS",
            market_name="NMS",
        )
        self._add(made)
        return made

    def _add(self, instrument: Instrument) -> None:
        assert instrument.con_id not in self._by_id
        self._by_id[instrument.con_id] = instrument
        for name in {instrument.symbol, instrument.local_symbol}:
            self._by_symbol.setdefault(name, []).append(instrument)


def _matches(one: Instrument, wanted: Wanted) -> bool:
    exchange = _EXCHANGE_ALIASES.get(wanted.exchange, wanted.exchange)
    primary = _EXCHANGE_ALIASES.get(wanted.primary, wanted.primary)
    return (
        (not wanted.symbol or wanted.symbol.upper() == one.symbol)
        and (not wanted.sec_type or wanted.sec_type == one.sec_type)
        and (not wanted.currency or wanted.currency == one.currency)
        and (not wanted.local_symbol or wanted.local_symbol.upper() == one.local_symbol)
        and (not wanted.trading_class or wanted.trading_class == one.trading_class)
        and (not wanted.expiry or one.expiry.startswith(wanted.expiry))
        and (not exchange or exchange in one.valid_exchanges.split(","))
        and (not primary or not one.primary or primary == one.primary)
    )


def usual(today: date) -> Iterator[Instrument]:
    """What the simulator trades by itself; futures expire on `today` or later."""
    for number, line in enumerate(_STOCKS.strip().splitlines(), 1):
        symbol, name, primary, price, daily, millions, kind = line.split("|")
        trading_class = "NMS" if primary == "NASDAQ" else symbol.replace(" ", "")
        yield Instrument(
            con_id=990_000_000 + number,
            symbol=symbol,
            name=name,
            price=float(price),
            daily=float(daily) / 100,
            volume=int(float(millions) * 1_000_000),
            primary=primary,
            spread=max(1, round(float(price) / 250)),
            farm="usfarm" if primary == "NASDAQ" else "usfarm.nj",
            stock_type=kind,
            industry="" if kind == "ETF" else "Simulated",
            local_symbol=symbol,
            trading_class=trading_class,
            market_name=trading_class,
        )
    for number, (symbol, name, exchange, level, daily_percent) in enumerate(_INDICES, 1):
        yield Instrument(
            con_id=990_100_000 + number,
            symbol=symbol,
            name=name,
            price=level,
            daily=daily_percent / 100,
            volume=0,
            sec_type="IND",
            exchange=exchange,
            local_symbol=symbol,
            trading_class=symbol,
            market_name=symbol,
        )
    for number, (base, quote, name, level, daily_percent, tick, decimals) in enumerate(_CURRENCIES, 1):
        yield Instrument(
            con_id=990_200_000 + number,
            symbol=base,
            name=name,
            price=level,
            daily=daily_percent / 100,
            volume=0,
            sec_type="CASH",
            exchange="IDEALPRO",
            currency=quote,
            tick=tick,
            decimals=decimals,
            farm="cashfarm",
            local_symbol=f"{base}.{quote}",
            trading_class=f"{base}.{quote}",
            market_name=f"{base}.{quote}",
            market_rule=239,
        )
    for number, future in enumerate(_FUTURES, 1):
        yield from _quarters(today, 990_300_000 + 100 * number, *future)


def _quarters(
    today: date, ids: int, symbol: str, name: str, exchange: str, multiplier: str,
    level: float, daily: float, tick: float, volume: int, under: str,
) -> Iterator[Instrument]:  # fmt: skip
    """The next four quarterly contracts: they end on the third Friday of March, June, September, December."""
    found = 0
    year, month = today.year, (today.month + 2) // 3 * 3
    while found < 4:
        last = third_friday(year, month)
        if last >= today:
            found += 1
            yield Instrument(
                con_id=ids + found,
                symbol=symbol,
                name=name,
                price=level * (1 + 0.01 * (found - 1)),
                daily=daily / 100,
                volume=max(1000, volume // 20 ** (found - 1)),
                sec_type="FUT",
                exchange=exchange,
                tick=tick,
                farm="usfuture",
                multiplier=multiplier,
                expiry=f"{last:%Y%m%d}",
                local_symbol=f"{symbol}{_MONTH_CODES[month - 1]}{year % 10}",
                trading_class=symbol,
                market_name=symbol,
                under_symbol=under,
                under_sec_type="IND",
                market_rule=67,
            )
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)
