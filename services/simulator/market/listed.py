"""What the simulator lists by itself: US stocks and ETFs, some stocks abroad, indices, currencies, crypto, futures.

Prices and volumes are rough anchors for invented prices, not data. Contract ids and ISINs of the well-known are the
real ones, so that a client's stored ids find them.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

from services.simulator.market.contracts import Instrument, us_stock
from services.simulator.market.derived import third_friday
from services.simulator.market.identity import invented_isin

_MONTH_CODES = "FGHJKMNQUVXZ"

# symbol, name, primary exchange, price, volatility a day in %, million shares a day, kind, and where they are known the
# contract id and ISIN as Interactive Brokers and the registrars have them
_STOCKS = """
SPY|SPDR S&P 500 ETF TRUST|ARCA|585|0.9|62|ETF|756733|US78462F1030
QQQ|INVESCO QQQ TRUST SERIES 1|NASDAQ|512|1.2|41|ETF|320227571|US46090E1038
IWM|ISHARES RUSSELL 2000 ETF|ARCA|222|1.3|29|ETF|9579970|US4642876555
DIA|SPDR DJIA TRUST|ARCA|428|0.8|3|ETF|73128548|US78467X1090
VTI|VANGUARD TOTAL STOCK MKT ETF|ARCA|290|0.9|3|ETF|12340041|US9229087690
VOO|VANGUARD S&P 500 ETF|ARCA|538|0.9|6|ETF|136155102|US9229083632
EFA|ISHARES MSCI EAFE ETF|ARCA|77|0.9|15|ETF||US4642874659
EEM|ISHARES MSCI EMERGING MARKETS|ARCA|43|1.1|27|ETF||US4642872349
TLT|ISHARES 20+ YEAR TREASURY BD|NASDAQ|89|0.9|38|ETF|15547841|US4642874329
IEF|ISHARES 7-10 YEAR TREASURY B|NASDAQ|93|0.4|7|ETF||US4642874402
SHY|ISHARES 1-3 YEAR TREASURY BO|NASDAQ|82|0.1|4|ETF||US4642874576
BIL|SPDR BLOOMBERG 1-3 MONTH T-B|ARCA|91.5|0.02|8|ETF||
LQD|ISHARES IBOXX INVESTMENT GRA|ARCA|108|0.4|25|ETF||US4642872422
HYG|ISHARES IBOXX HIGH YLD CORP|ARCA|79|0.4|37|ETF|43652089|US4642885135
GLD|SPDR GOLD SHARES|ARCA|246|1.0|9|ETF|51529211|US78463V1070
SLV|ISHARES SILVER TRUST|ARCA|27|1.7|18|ETF|39039301|US46428Q1094
USO|UNITED STATES OIL FUND LP|ARCA|74|1.9|4|ETF||
VNQ|VANGUARD REAL ESTATE ETF|ARCA|90|1.1|4|ETF||US9229085538
XLK|TECHNOLOGY SELECT SECT SPDR|ARCA|233|1.3|5|ETF||US81369Y8030
XLF|FINANCIAL SELECT SECTOR SPDR|ARCA|48|1.0|37|ETF||US81369Y6059
XLE|ENERGY SELECT SECTOR SPDR|ARCA|87|1.3|14|ETF||US81369Y5069
XLV|HEALTH CARE SELECT SECTOR|ARCA|138|0.8|8|ETF||US81369Y2090
AAPL|APPLE INC|NASDAQ|243|1.4|46|COMMON|265598|US0378331005
MSFT|MICROSOFT CORP|NASDAQ|421|1.3|19|COMMON|272093|US5949181045
NVDA|NVIDIA CORP|NASDAQ|137|2.6|210|COMMON|4815747|US67066G1040
AMZN|AMAZON.COM INC|NASDAQ|222|1.6|37|COMMON|3691937|US0231351067
GOOGL|ALPHABET INC-CL A|NASDAQ|192|1.6|26|COMMON|208813719|US02079K3059
META|META PLATFORMS INC-CLASS A|NASDAQ|604|1.8|13|COMMON|107113386|US30303M1027
TSLA|TESLA INC|NASDAQ|394|3.4|88|COMMON|76792991|US88160R1014
AVGO|BROADCOM INC|NASDAQ|229|2.4|24|COMMON||US11135F1012
BRK B|BERKSHIRE HATHAWAY INC-CL B|NYSE|453|0.9|4|COMMON|72063691|US0846707026
JPM|JPMORGAN CHASE & CO|NYSE|241|1.3|9|COMMON|1520593|US46625H1005
V|VISA INC-CLASS A SHARES|NYSE|314|1.1|6|COMMON|49462172|US92826C8394
MA|MASTERCARD INC - A|NYSE|521|1.1|2.5|COMMON||US57636Q1040
XOM|EXXON MOBIL CORP|NYSE|107|1.3|15|COMMON|13977|US30231G1022
CVX|CHEVRON CORP|NYSE|147|1.2|8|COMMON||US1667641005
UNH|UNITEDHEALTH GROUP INC|NYSE|512|1.6|4|COMMON||US91324P1021
JNJ|JOHNSON & JOHNSON|NYSE|144|0.9|7|COMMON||US4781601046
PG|PROCTER & GAMBLE CO/THE|NYSE|166|0.9|6|COMMON||US7427181091
KO|COCA-COLA CO/THE|NYSE|62|0.8|15|COMMON||US1912161007
PEP|PEPSICO INC|NASDAQ|149|0.9|6|COMMON||US7134481081
WMT|WALMART INC|NYSE|91|1.1|17|COMMON|13824|US9311421039
HD|HOME DEPOT INC|NYSE|389|1.2|3.5|COMMON||US4370761029
DIS|WALT DISNEY CO/THE|NYSE|111|1.4|9|COMMON|6459|US2546871060
BAC|BANK OF AMERICA CORP|NYSE|44|1.4|36|COMMON|10098|US0605051046
INTC|INTEL CORP|NASDAQ|20|2.6|70|COMMON|270639|US4581401001
AMD|ADVANCED MICRO DEVICES|NASDAQ|125|2.6|39|COMMON|4391|US0079031078
NFLX|NETFLIX INC|NASDAQ|881|1.7|3.5|COMMON|15124833|US64110L1061
F|FORD MOTOR CO|NYSE|9.9|1.8|54|COMMON|9599491|US3453708600
T|AT&T INC|NYSE|22.7|1.2|33|COMMON||US00206R1023
IBM|INTL BUSINESS MACHINES CORP|NYSE|224|1.3|4|COMMON|8314|US4592001014
"""

# symbol, name, exchange, currency, price, volatility a day in %, millions a day, tick, farm, contract id, ISIN
_ABROAD = """
SAP|SAP SE|IBIS|EUR|238|1.4|1.2|0.02|eufarm|14204|DE0007164600
BMW|BAYERISCHE MOTOREN WERKE AG|IBIS|EUR|78|1.5|1.4|0.02|eufarm|14094|DE0005190003
ASML|ASML HOLDING NV|AEB|EUR|690|1.9|0.7|0.1|eufarm||NL0010273215
VUSD|VANGUARD S&P 500 UCITS ETF|LSEETF|USD|112|0.9|0.2|0.01|eufarm||IE00B3XXRP09
RY|ROYAL BANK OF CANADA|TSE|CAD|172|0.9|4|0.01|usfarm.nj||CA7800871021
SHOP|SHOPIFY INC - CLASS A|TSE|CAD|154|3.0|1.5|0.01|usfarm.nj||CA82509L1076
7203|TOYOTA MOTOR CORP|TSEJ|JPY|2960|1.7|25|0.5|hfarm||JP3633400001
700|TENCENT HOLDINGS LTD|SEHK|HKD|412|1.8|18|0.2|hfarm||KYG875721634
AAPL|APPLE INC|MEXI|MXN|4990|1.4|0.01|0.01|usfarm||US0378331005
AMD|ADVANCED MICRO DEVICES|MEXI|MXN|2570|2.6|0.01|0.01|usfarm||US0079031078
MSFT|MICROSOFT CORP|MEXI|MXN|8650|1.3|0.01|0.01|usfarm||US5949181045
TSLA|TESLA INC|MEXI|MXN|8090|3.4|0.02|0.01|usfarm||US88160R1014
AAPL|APPLE INC|EBS|CHF|221|1.4|0.01|0.01|eufarm||US0378331005
AMD|ADVANCED MICRO DEVICES|EBS|CHF|114|2.6|0.01|0.01|eufarm||US0079031078
"""

_INDICES = (
    ("SPX", "S&P 500 Stock Index", "CBOE", 5860.0, 0.9, 416904),
    ("NDX", "NASDAQ 100 Stock Index", "NASDAQ", 21080.0, 1.2, 416843),
    ("VIX", "CBOE Volatility Index", "CBOE", 17.4, 5.0, 13455763),
)
_CURRENCIES = (
    ("EUR", "USD", "European Monetary Union Euro", 1.0365, 0.4, 0.00005, 5, 12087792),
    ("GBP", "USD", "British pound", 1.2412, 0.4, 0.00005, 5, 12087797),
    ("AUD", "USD", "Australian dollar", 0.6218, 0.5, 0.00005, 5, 14433401),
    ("USD", "JPY", "United States dollar", 157.35, 0.5, 0.005, 3, 15016059),
    ("USD", "CHF", "United States dollar", 0.9085, 0.4, 0.00005, 5, 12087820),
    ("USD", "CAD", "United States dollar", 1.4391, 0.3, 0.00005, 5, 15016062),
)
_DOLLARS = {"HKD": 0.1286, "MXN": 0.0487}  # of currencies without a pair above
_FUTURES = (
    ("ES", "E-mini S&P 500", "CME", "50", 5895.0, 0.9, 0.25, 1_400_000, "SPX"),
    ("NQ", "E-mini NASDAQ 100", "CME", "20", 21250.0, 1.2, 0.25, 600_000, "NDX"),
    ("MES", "Micro E-Mini S&P 500 Stock Price Index", "CME", "5", 5895.0, 0.9, 0.25, 1_000_000, "SPX"),
    ("BIT", "Nano Bitcoin", "COINDERIV", "0.01", 94_300.0, 2.8, 5.0, 150_000, ""),
    ("ZC", "Corn Futures", "CBOT", "5000", 452.5, 1.5, 0.25, 200_000, ""),
)
# type, symbol, name, exchange, currency, price, volatility a day in %, volume, tick, decimals, farm, contract id
_OTHERS = (
    ("CMDTY", "XAUUSD", "London Gold", "SMART", "USD", 2650.0, 0.9, 0, 0.01, 2, "cashfarm", 69067924),
    ("CMDTY", "XAGUSD", "London Silver", "SMART", "USD", 30.4, 1.6, 0, 0.005, 3, "cashfarm", 77124483),
    ("BOND", "912810ZZ9", "US T 4 1/4 11/15/34", "SMART", "USD", 98.5, 0.3, 900, 0.001, 3, "usfarm", 990_500_001),
    ("FUND", "VINIX", "VANGUARD INST INDEX FUND", "FUNDSERV", "USD", 480.25, 0.9, 0, 0.01, 2, "usfarm", 990_500_002),
)
_WARRANTS = (("SAP", "SAP SE call", "FWB", "EUR", 2.15, 4.0, 40_000, 240.0, "C", "0.1", 990_500_100),)
_IN_CENTS = {"ZC": 100}  # price magnifiers: the prices of these are in a hundredth of the currency
_CRYPTO = (
    ("BTC", "Bitcoin cryptocurrency", 94_300.0, 2.8, 0.25, 2, 479624278),
    ("ETH", "Ethereum cryptocurrency", 3_340.0, 3.6, 0.05, 2, 495759171),
)


def usual(today: date) -> Iterator[Instrument]:
    """What the simulator trades by itself; futures expire on `today` or later."""
    for number, line in enumerate(_STOCKS.strip().splitlines(), 1):
        symbol, name, primary, price, daily, millions, kind, known, isin = line.split("|")
        yield us_stock(
            int(known or 990_000_000 + number), symbol, name, float(price), float(daily) / 100, _volume(millions),
            primary, stock_type=kind, industry="" if kind == "ETF" else "Simulated", isin=isin or invented_isin(symbol),
        )  # fmt: skip
    yield from _abroad()
    for symbol, name, exchange, level, daily_percent, con_id in _INDICES:
        yield _listed(con_id, symbol, name, level, daily_percent, 0, sec_type="IND", exchange=exchange)
    for base, quote, name, level, daily_percent, tick, decimals, con_id in _CURRENCIES:
        pair = f"{base}.{quote}"
        yield _listed(
            con_id, base, name, level, daily_percent, 0, sec_type="CASH", exchange="IDEALPRO", currency=quote,
            tick=tick, decimals=decimals, farm="cashfarm", local_symbol=pair, trading_class=pair, market_name=pair,
            market_rule=239,
        )  # fmt: skip
    for symbol, name, level, daily_percent, tick, decimals, con_id in _CRYPTO:
        yield _listed(
            con_id, symbol, name, level, daily_percent, 2_000, sec_type="CRYPTO", exchange="PAXOS", tick=tick,
            decimals=decimals, local_symbol=f"{symbol}.USD", market_rule=239,
        )  # fmt: skip
    for kind, symbol, name, exchange, currency, level, daily_percent, volume, tick, decimals, farm, con_id in _OTHERS:
        yield _listed(
            con_id, symbol, name, level, daily_percent, volume, sec_type=kind, exchange=exchange, currency=currency,
            tick=tick, decimals=decimals, farm=farm, expiry="20341115" if kind == "BOND" else "", called=symbol,
        )  # fmt: skip
    for symbol, name, exchange, currency, level, daily_percent, volume, strike, right, multiplier, con_id in _WARRANTS:
        yield _listed(
            con_id, symbol, name, level, daily_percent, volume, sec_type="WAR", exchange=exchange, currency=currency,
            farm="eufarm", multiplier=multiplier, expiry=f"{third_friday(today.year + 1, 12):%Y%m%d}", strike=strike,
            right=right, local_symbol=f"{symbol}W{con_id % 1000}", under_symbol=symbol, under_sec_type="STK",
            called=f"{symbol}:WAR",
        )  # fmt: skip
    for number, future in enumerate(_FUTURES, 1):
        yield from _quarters(today, 990_300_000 + 100 * number, *future)


def _listed(
    con_id: int, symbol: str, name: str, price: float, daily_percent: float, volume: int, **more: Any
) -> Instrument:
    """An instrument whose local symbol, trading class and market are its symbol, if `more` does not say otherwise."""
    names = {"local_symbol": symbol, "trading_class": symbol, "market_name": symbol}
    return Instrument(con_id, symbol, name, price, daily_percent / 100, volume, **names | more)


def _volume(millions: str) -> int:
    return int(float(millions) * 1_000_000)


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
            price, traded = level * (1 + 0.01 * found), max(1000, volume // 20**found)
            found += 1
            yield _listed(
                ids + found, symbol, name, price, daily, traded, sec_type="FUT", exchange=exchange, tick=tick,
                farm="usfuture", multiplier=multiplier, expiry=f"{last:%Y%m%d}",
                local_symbol=f"{symbol}{_MONTH_CODES[month - 1]}{year % 10}", under_symbol=under,
                under_sec_type="IND" if under else "", market_rule=67, magnifier=_IN_CENTS.get(symbol, 1),
                time_zone="US/Central", expires_at="08:30:00 US/Central",
            )  # fmt: skip
        year, month = (year, month + 3) if month < 12 else (year + 1, 3)


def exchange_rate(currency: str, to: str) -> float:
    """What a unit of one currency is worth in another, at the prices that anchor the markets. Raises KeyError."""
    if currency == to:
        return 1.0
    return {(row[0], row[1]): row[3] for row in _CURRENCIES}[currency, to]


def in_dollars(currency: str) -> float:
    """What a unit of a currency is worth in US dollars, at the same prices. Raises KeyError for one that no listed
    contract has."""
    if currency in _DOLLARS:
        return _DOLLARS[currency]
    try:
        return exchange_rate(currency, "USD")
    except KeyError:
        return 1 / exchange_rate("USD", currency)


def _abroad() -> Iterator[Instrument]:
    """Stocks of other countries, and what US stocks are called there."""
    for number, line in enumerate(_ABROAD.strip().splitlines(), 1):
        symbol, name, exchange, currency, price, daily, millions, tick, farm, con_id, isin = line.split("|")
        yield _listed(
            int(con_id or 990_400_000 + number), symbol, name, float(price), float(daily), _volume(millions),
            exchange=exchange, primary=exchange, currency=currency, tick=float(tick),
            decimals=len(tick.partition(".")[2]), farm=farm, stock_type="ETF" if exchange == "LSEETF" else "COMMON",
            isin=isin, called=f"{symbol}:{exchange}:{currency}",
        )  # fmt: skip
