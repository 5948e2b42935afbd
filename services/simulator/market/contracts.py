"""The simulator's security master: what is listed, synthetic stocks SIM0001, SIM0002 … for load, and any other US
stock, invented by its name when somebody asks for it. `Master.find` answers what IB would for a client's contract.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from services.simulator.market.identity import invented_ticker, is_derived, is_ticker

US_STOCK_EXCHANGES = "SMART,NYSE,ARCA,NASDAQ,BATS,IEX,MEMX"
US_EXCHANGES = frozenset(US_STOCK_EXCHANGES.split(","))
SMART_COMPONENTS = (("NYSE", "N"), ("ARCA", "P"), ("NASDAQ", "Q"), ("BATS", "Z"), ("IEX", "V"), ("MEMX", "U"))
BBO_EXCHANGE = "9c0001"  # the key of the map above
SYNTHETIC_IDS = 991_000_000


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
    under: "Instrument | None" = None  # whose prices make this one's
    strike: float = 0.0
    right: str = ""
    market_rule: int = 26
    magnifier: int = 1  # prices are in this part of the currency: 100 for cents
    isin: str = ""
    invented: bool = False  # by its name alone, see invented.py
    lot: int = 0  # shares in a round lot, where somebody said it
    time_zone: str = ""  # of its hours, where that is not the market's own
    expires_at: str = ""  # the time of day and its zone, which follow the last trade date
    called: str = ""  # what scenarios and statistics call it, where that is not its symbol

    @property
    def in_lots(self) -> bool:
        """US stocks: old versions get their sizes in round lots."""
        return self.sec_type == "STK" and self.currency == "USD" and self.exchange in US_EXCHANGES

    @property
    def round_lot(self) -> int:
        """Shares in a round lot: of US stocks by price, as NYSE and NASDAQ have it since November 2025."""
        if not self.in_lots:
            return 1
        return self.lot or next((lot for above, lot in _ROUND_LOTS if self.price > above), 100)

    @property
    def expires(self) -> str:
        """The last trade date as contract details give it first: with the time of day, where there is one."""
        return f"{self.expiry} {self.expires_at}".rstrip()

    @property
    def market_rules(self) -> str:
        """A market rule for each of the valid exchanges."""
        return ",".join([str(self.market_rule)] * (self.valid_exchanges.count(",") + 1))

    @property
    def sec_ids(self) -> tuple[tuple[str, str], ...]:
        """Identifiers by their tags."""
        return (("ISIN", self.isin),) if self.isin else ()

    @property
    def key(self) -> str:
        """How scenarios, statistics and logs call it: `SPY`, `EUR.USD`, `ESZ5`."""
        return self.called or (self.symbol if self.sec_type in ("STK", "IND") else self.local_symbol)

    @property
    def has_quotes(self) -> bool:
        return self.sec_type not in ("IND", "FUND")

    @property
    def has_trades(self) -> bool:
        return self.sec_type not in ("CASH", "CMDTY")

    @property
    def tick_text(self) -> str:
        return f"{self.tick:.{self.decimals}f}"

    @property
    def valid_exchanges(self) -> str:
        if self.sec_type != "STK":
            return self.exchange
        if self.in_lots:
            return US_STOCK_EXCHANGES
        return ",".join(dict.fromkeys(["SMART", self.exchange, self.primary or self.exchange]))

    @property
    def contract_month(self) -> str:
        return self.expiry[:6]


def us_stock(
    con_id: int, symbol: str, name: str, price: float, daily: float, volume: int, primary: str, **more: Any
) -> Instrument:
    """A stock or ETF that is listed in the US, on `primary`."""
    nasdaq = primary == "NASDAQ"
    trading_class = "NMS" if nasdaq else symbol.replace(" ", "")
    return Instrument(
        con_id, symbol, name, price, daily, volume, primary=primary, spread=max(1, round(price / 250)),
        farm="usfarm" if nasdaq else "usfarm.nj", local_symbol=symbol, trading_class=trading_class,
        market_name=trading_class, **more,
    )  # fmt: skip


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
    strike: float = 0.0
    right: str = ""  # C or P
    expired: bool = False  # those that have expired are wanted too
    sec_id: tuple[str, str] = ("", "")  # its tag and the identifier: ISIN, US0378331005


DERIVED = ("OPT", "FOP", "CFD", "CONTFUT")
Derive = Callable[[str, Sequence[Instrument]], list[Instrument]]


def known_strike(strike: float) -> float:
    """0 for one that is not given: the official client sends its largest number then."""
    return strike if 0 < strike < sys.float_info.max else 0.0


_ROUND_LOTS = ((10_000, 1), (1_000, 10), (250, 40))
_EXCHANGE_ALIASES = {"ISLAND": "NASDAQ", "GLOBEX": "CME", "AMEX": "ARCA"}


class Master:
    """Everything that exists: `listed`, as many of SIM0001 … as `synthetic` says, and, unless it is closed, every
    US stock that `invent` makes of a well-formed ticker. `derive` makes what hangs on them, by security type."""

    def __init__(
        self,
        listed: Iterable[Instrument],
        synthetic: int = 1000,
        invent: Callable[[str], Instrument] | None = None,
        derive: Derive | None = None,
    ) -> None:
        self._synthetic = synthetic
        self._invent, self._derive = invent, derive
        self._by_id: dict[int, Instrument] = {}
        self._by_symbol: dict[str, list[Instrument]] = {}
        for instrument in listed:
            self.add(instrument)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(list(self._by_id.values()))

    def by_key(self, key: str) -> Instrument | None:
        """The instrument that a scenario calls `key`; synthetic and invented ones come into being here."""
        made = self._synthesize(key)
        return made or next((one for one in self if one.key == key), None) or self._invented(key)

    def find(self, wanted: Wanted) -> list[Instrument]:
        """All matches: none is error 200, several are ambiguous (a future without its month)."""
        if wanted.sec_id[1] and not wanted.con_id:
            listed = [one for one in self if wanted.sec_id in _known_by(one)]
        elif wanted.con_id:
            self._recall(wanted.con_id)
            listed = [self._by_id[wanted.con_id]] if wanted.con_id in self._by_id else []
        else:
            name = (wanted.symbol or wanted.local_symbol).upper()
            self._synthesize(name)
            listed = self._by_symbol.get(name, [])
        if wanted.sec_type in DERIVED:
            return self._find_derived(wanted, listed)
        found = [match for one in listed if (match := _match(one, wanted)) is not None]
        return found or ([] if wanted.con_id or wanted.sec_id[1] else self._find_invented(wanted))

    def search(self, pattern: str, most: int = 16) -> list[Instrument]:
        """Symbols that begin with `pattern`, then names that contain it; at last the stock of just that name."""
        text = pattern.strip().upper()
        self._synthesize(text)
        stocks = [one for one in self if one.sec_type in ("STK", "IND")]
        found = [one for one in stocks if one.symbol.startswith(text)]
        found += [one for one in stocks if one not in found and text in one.name.upper()]
        if not any(one.symbol == text for one in found) and (made := self._invented(text)) is not None:
            found = [*found[: most - 1], made]
        return found[:most]

    def add(self, instrument: Instrument, first: bool = False) -> None:
        """List one more; `first`: before what has the same symbol."""
        assert instrument.con_id not in self._by_id
        self._by_id[instrument.con_id] = instrument
        for name in {instrument.symbol, instrument.local_symbol}:
            same = self._by_symbol.setdefault(name, [])
            same.insert(0 if first else len(same), instrument)

    def remove(self, instrument: Instrument) -> None:
        """End what `add` did."""
        del self._by_id[instrument.con_id]
        for name in {instrument.symbol, instrument.local_symbol}:
            self._by_symbol[name].remove(instrument)

    def _find_derived(self, wanted: Wanted, listed: list[Instrument]) -> list[Instrument]:
        """Options, CFDs and continuous futures, made of the contracts that they hang on."""
        if self._derive is None:
            return []
        bases = [one for one in listed if one.under is None]
        if not wanted.con_id:
            name = wanted.symbol.upper() or self._by_root(wanted.local_symbol[:6].strip().upper())
            self._invented(name)
            bases = [*self._by_symbol.get(name, [])]
        made = [one for one in listed if one.under is not None] or self._derive(wanted.sec_type, bases)
        return [self._keep(match) for one in made if (match := _match(one, wanted)) is not None]

    def _by_root(self, root: str) -> str:
        """The symbol that options call by this root: they leave out its space."""
        return next((one for one in self._by_symbol if one.replace(" ", "") == root), root)

    def _keep(self, derived: Instrument) -> Instrument:
        """The contract under its id, or under the next free one if another has that."""
        if derived.under is None:
            return derived
        while (known := self._by_id.get(derived.con_id)) is not None:
            if known.called == derived.called:
                return known
            derived = replace(derived, con_id=derived.con_id + 1)
        self._by_id[derived.con_id] = derived
        return derived

    def _find_invented(self, wanted: Wanted) -> list[Instrument]:
        name = (wanted.symbol or wanted.local_symbol).upper()
        if wanted.sec_type not in ("", "STK") or (not wanted.sec_type and name in self._by_symbol):
            return []
        made = self._invented(name) if _is_american(wanted) else None
        match = None if made is None else _match(made, wanted)
        return [] if match is None else [match]

    def _invented(self, symbol: str) -> Instrument | None:
        """The stock that is made of this name, where none is known; an index is no stock."""
        if self._invent is None or not is_ticker(symbol):
            return None
        known = self._by_symbol.get(symbol, [])
        if any(one.sec_type == "IND" for one in known):
            return None
        stock = next((one for one in known if one.in_lots), None)
        if stock is None:
            stock = self._invent(symbol)
            self.add(stock)
        return stock

    def _recall(self, con_id: int) -> None:
        """Bring back what an id stands for that was made in an earlier run."""
        if 0 < con_id - SYNTHETIC_IDS <= self._synthetic:
            self._synthesize(f"SIM{con_id - SYNTHETIC_IDS:04d}")
        ticker = invented_ticker(con_id)
        if con_id in self._by_id:
            return
        if ticker is not None:
            self._invented(ticker)
        elif is_derived(con_id) and self._derive is not None:
            bases = [one for one in self if one.under is None]
            made = [one for kind in ("CFD", "OPT", "FOP") for one in self._derive(kind, bases)]
            for one in [one for one in made if one.con_id == con_id]:
                self._keep(one)

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
        self.add(made)
        return made


def _known_by(one: Instrument) -> tuple[tuple[str, str], ...]:
    """By what it can be asked for: a US ISIN has the CUSIP in it."""
    cusip = (("CUSIP", one.isin[2:11]),) if one.isin.startswith("US") else ()
    return (*one.sec_ids, *cusip)


def _is_american(wanted: Wanted) -> bool:
    exchanges = {_EXCHANGE_ALIASES.get(one, one) for one in (wanted.exchange, wanted.primary) if one}
    return wanted.currency in ("", "USD") and exchanges <= US_EXCHANGES


def _match(one: Instrument, wanted: Wanted) -> Instrument | None:
    """The instrument, if it is what is wanted. An invented stock is listed on the exchange where the client says."""
    exchange = _EXCHANGE_ALIASES.get(wanted.exchange, wanted.exchange)
    primary = _EXCHANGE_ALIASES.get(wanted.primary, wanted.primary)
    matches = (
        (not wanted.symbol or wanted.symbol.upper() == one.symbol)
        and (not wanted.sec_type or wanted.sec_type == one.sec_type)
        and (not wanted.currency or wanted.currency == one.currency)
        and (not wanted.local_symbol or wanted.local_symbol.upper() == one.local_symbol)
        and (not wanted.trading_class or wanted.trading_class == one.trading_class)
        and (not wanted.expiry or one.expiry.startswith(wanted.expiry[:8]))
        and (not wanted.strike or wanted.strike == one.strike)
        and (not wanted.right or wanted.right == one.right)
        and (not exchange or exchange in one.valid_exchanges.split(","))
    )
    if not matches:
        return None
    if primary and one.invented and primary in US_EXCHANGES - {"SMART"}:
        return replace(one, primary=primary)
    return one if not primary or not one.primary or primary == one.primary else None
