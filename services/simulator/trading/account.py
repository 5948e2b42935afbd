"""What the simulator's one account is worth: a million dollars at first, and what orders make of it. All figures are
computed of the ledger and of the prices at that moment, to the cent, and agree with each other. Pure.

Margins are invented round parts of what a position is worth (`MARGINS`): they refuse an order that is far too large,
and prove nothing about IB's own.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from services.simulator.market.contracts import Instrument
from services.simulator.market.listed import in_dollars
from services.simulator.trading.commissions import cents
from services.simulator.trading.ledger import ON_MARGIN, Ledger, Position, factor
from services.simulator.trading.order import ZERO

BASE_CURRENCY: Final = "USD"
CURRENCIES: Final = ("USD", "EUR")  # that the ledger knows before anything was traded; all cash is in the first
CASH: Final = Decimal("1000000.00")
NONE: Final = "0.00"
LEDGER_TAG: Final = "$LEDGER"
BASE: Final = "BASE"  # all currencies together

# What part of a position's worth is wanted when it is opened, and to keep it.
MARGINS: Final = {
    "STK": (Decimal("0.5"), Decimal("0.25")),
    "OPT": (Decimal(1), Decimal(1)),
    "FUT": (Decimal("0.1"), Decimal("0.08")),
    "CASH": (Decimal("0.03"), Decimal("0.03")),
    "CFD": (Decimal("0.2"), Decimal("0.2")),
    "CRYPTO": (Decimal(1), Decimal(1)),
}

_EQUITY = ("EquityWithLoanValue", "NetLiquidation", "PreviousDayEquityWithLoanValue", "RegTEquity")
_AVAILABLE = ("AvailableFunds", "FullAvailableFunds", "LookAheadAvailableFunds", "SMA")
_EXCESS = ("ExcessLiquidity", "FullExcessLiquidity", "LookAheadExcessLiquidity")
_TOTAL_CASH = ("TotalCashValue", "SettledCash")
_INITIAL = ("FullInitMarginReq", "InitMarginReq", "LookAheadInitMarginReq", "RegTMargin")
_MAINTENANCE = ("FullMaintMarginReq", "LookAheadMaintMarginReq", "MaintMarginReq")
_NOTHING = ("AccruedCash", "AccruedDividend", "Guarantee")
_PLAIN = {
    "AccountType": "SIMULATED", "DayTradesRemaining": "-1", "DayTradesRemainingT+1": "-1",
    "DayTradesRemainingT+2": "-1", "DayTradesRemainingT+3": "-1", "DayTradesRemainingT+4": "-1",
    "HighestSeverity": "0", "LookAheadNextChange": "0",
}  # fmt: skip
_LEDGER_OF_NOTHING = (
    "AccruedCash", "CorporateBondValue", "FundValue", "FutureOptionValue", "IssuerOptionValue",
    "MoneyMarketFundValue", "MutualFundValue", "NetDividend", "TBillValue", "TBondValue", "WarrantValue",
)  # fmt: skip


class Value(NamedTuple):
    """One figure: money in `currency`, or a plain number or word without one."""

    tag: str
    value: str
    currency: str


class Figures(NamedTuple):
    """The account at one moment, in the base currency. `equity` is cash and all that positions add to it."""

    cash: Decimal
    equity: Decimal
    gross: Decimal
    initial: Decimal
    maintenance: Decimal
    realized: Decimal
    unrealized: Decimal


class Profit(NamedTuple):
    """Since the day began, of what is still held, and what was realized today; in the base currency."""

    daily: Decimal
    unrealized: Decimal
    realized: Decimal


class Impact(NamedTuple):
    """What a trade would do to margins and equity: before, and after it; and its commission."""

    before: Figures
    after: Figures
    commission: Decimal
    currency: str


class Account:
    """`price`: the last price of a contract, None where there is none."""

    def __init__(self, price: Callable[[Instrument], Decimal | None]) -> None:
        self.ledger = Ledger(CASH, BASE_CURRENCY)
        self._price = price
        self._begin: dict[int, tuple[Decimal, Decimal]] = {}  # profit in all and realized, when the day began

    def new_day(self) -> None:
        """What was gained until now is not this day's."""
        self._begin = {key: (self._gained(one), one.realized) for key, one in self.ledger.positions.items()}

    def held(self) -> list[Position]:
        return [one for one in self.ledger.positions.values() if one.quantity]

    def hold(self, instrument: Instrument, quantity: Decimal) -> None:
        """Have so many, as if they had been traded at the last price (before there is one, at 1), free of charge."""
        known = self.ledger.positions.get(instrument.con_id)
        price = self._price(instrument)
        self.ledger.positions.setdefault(instrument.con_id, Position(instrument))
        if change := quantity - (known.quantity if known is not None else ZERO):
            self.ledger.trade(instrument, change, Decimal(1) if price is None else price, ZERO)

    def price(self, position: Position) -> Decimal:
        """What a position is valued at: its last price, before there is one what it has cost."""
        found = self._price(position.instrument)
        return position.average_cost / factor(position.instrument) if found is None else found

    def figures(self) -> Figures:
        ledger, held = self.ledger, self.held()
        cash = equity = realized = unrealized = gross = initial = maintenance = ZERO
        for currency in ledger.currencies:
            of_it = [one for one in held if one.instrument.currency == currency]
            cash += in_base(ledger.cash(currency), currency)
            added = sum((ledger.worth(one, self.price(one)) for one in of_it), ledger.cash(currency))
            equity += in_base(added, currency)
            realized += in_base(ledger.realized(currency), currency)
        for one in held:
            value = in_base(abs(one.value(self.price(one))), one.instrument.currency)
            gross += ZERO if one.instrument.sec_type in ON_MARGIN else value
            unrealized += in_base(one.unrealized(self.price(one)), one.instrument.currency)
            at_first, to_keep = MARGINS[one.instrument.sec_type]
            initial, maintenance = initial + cents(value * at_first), maintenance + cents(value * to_keep)
        return Figures(cash, equity, gross, initial, maintenance, realized, unrealized)

    def impact(self, instrument: Instrument, size: Decimal, price: Decimal, commission: Decimal) -> Impact:
        """What the account would be after a trade; `size` is below 0 for a sale."""
        before = self.figures()
        held = self.ledger.positions.get(instrument.con_id)
        quantity = held.quantity if held else ZERO
        worth = price * factor(instrument)
        change = in_base(cents((abs(quantity + size) - abs(quantity)) * worth), instrument.currency)
        paid = ZERO if instrument.sec_type in ON_MARGIN else in_base(cents(size * worth), instrument.currency)
        fee = in_base(commission, instrument.currency)
        at_first, to_keep = MARGINS[instrument.sec_type]
        after = before._replace(
            cash=before.cash - paid - fee,
            equity=before.equity - fee,
            initial=max(ZERO, before.initial + cents(change * at_first)),
            maintenance=max(ZERO, before.maintenance + cents(change * to_keep)),
        )
        return Impact(before, after, commission, instrument.currency)

    def profit(self) -> Profit:
        """Of all positions together."""
        every = [self.profit_of(con_id) for con_id in self.ledger.positions]
        daily, unrealized, realized = (
            (sum(column, ZERO) for column in zip(*every, strict=True)) if every else (ZERO,) * 3
        )
        return Profit(daily, unrealized, realized)

    def profit_of(self, con_id: int) -> Profit:
        """Of one contract. Raises KeyError for one that was never held."""
        one = self.ledger.positions[con_id]
        gained, realized = self._begin.get(con_id, (ZERO, ZERO))
        found = (self._gained(one) - gained, one.unrealized(self.price(one)), one.realized - realized)
        return Profit(*(in_base(amount, one.instrument.currency) for amount in found))

    def _gained(self, one: Position) -> Decimal:
        return one.realized + one.unrealized(self.price(one))

    # --- as IB names the figures ---

    def values(self) -> list[Value]:
        """All figures of the account, without its ledger."""
        now = self.figures()
        available, excess = now.equity - now.initial, now.equity - now.maintenance
        money = {
            **dict.fromkeys(_EQUITY, now.equity), **dict.fromkeys(_AVAILABLE, available),
            **dict.fromkeys(_EXCESS, excess), **dict.fromkeys(_TOTAL_CASH, now.cash),
            **dict.fromkeys(_INITIAL, now.initial), **dict.fromkeys(_MAINTENANCE, now.maintenance),
            **dict.fromkeys(_NOTHING, ZERO),
            "BuyingPower": max(ZERO, available / MARGINS["STK"][0]),
            "GrossPositionValue": now.gross,
        }  # fmt: skip
        plain = {
            **_PLAIN,
            "Cushion": f"{excess / now.equity if now.equity else ZERO:.6g}",
            "Leverage": f"{now.gross / now.equity if now.equity else ZERO:.2f}",
        }
        found = [Value(tag, value, "") for tag, value in plain.items()]
        return sorted(found + [Value(tag, f"{amount:.2f}", BASE_CURRENCY) for tag, amount in money.items()])

    def ledger_of(self, currency: str) -> list[Value]:
        """The cash ledger in one currency, or in all together as `BASE`."""
        every = list(dict.fromkeys((*CURRENCIES, *self.ledger.currencies)))
        chosen = every if currency == BASE else [currency]

        def total(of: Callable[[str], Decimal]) -> str:
            amounts = (in_base(of(one), one) if currency == BASE else of(one) for one in chosen)
            return f"{sum(amounts, ZERO):.2f}"

        def worth(one: str, *kinds: str) -> Decimal:
            positions = [p for p in self.held() if p.instrument.currency == one]
            return sum(
                (self.ledger.worth(p, self.price(p)) for p in positions if not kinds or p.instrument.sec_type in kinds),
                ZERO,
            )

        rate = "1.00" if currency == BASE else f"{in_dollars(currency):.4f}"
        found = {"Currency": currency, "RealCurrency": currency, "ExchangeRate": rate}
        found |= dict.fromkeys(_LEDGER_OF_NOTHING, NONE)
        found |= dict.fromkeys(("CashBalance", "TotalCashBalance"), total(self.ledger.cash))
        found["NetLiquidationByCurrency"] = total(lambda one: self.ledger.cash(one) + worth(one))
        found["StockMarketValue"] = total(lambda one: worth(one, "STK"))
        found["OptionMarketValue"] = total(lambda one: worth(one, "OPT"))
        found["Cryptocurrency"] = total(lambda one: worth(one, "CRYPTO"))
        found["FuturesPNL"] = total(lambda one: worth(one, "FUT"))
        found["FxCashBalance"] = NONE
        found["RealizedPnL"] = total(self.ledger.realized)
        found["UnrealizedPnL"] = total(
            lambda one: sum((p.unrealized(self.price(p)) for p in self.held() if p.instrument.currency == one), ZERO)
        )
        return sorted(Value(tag, value, currency) for tag, value in found.items())

    def currencies(self) -> list[str]:
        """`BASE`, and every currency that the ledger has."""
        return list(dict.fromkeys((BASE, *CURRENCIES, *self.ledger.currencies)))

    def everything(self) -> list[Value]:
        """What account updates tell: the figures, and the ledger of every currency and of all together."""
        return self.values() + [value for currency in self.currencies() for value in self.ledger_of(currency)]

    def summary(self, tags: str) -> list[Value]:
        """The figures that these tags (separated by commas) ask for. `$LEDGER`: the ledger of all currencies
        together, `$LEDGER:EUR` of one, `$LEDGER:ALL` of each and of all together; a tag or a currency that is unknown
        has none."""
        wanted = {tag.strip() for tag in tags.split(",")}
        found = [value for value in self.values() if value.tag in wanted]
        asked = {tag.partition(":")[2] or BASE for tag in wanted if tag.partition(":")[0] == LEDGER_TAG}
        chosen = [one for one in self.currencies() if one in asked or "ALL" in asked]
        return found + [value for one in chosen for value in self.ledger_of(one)]


def in_base(amount: Decimal, currency: str) -> Decimal:
    """An amount in the account's own currency, to the cent."""
    return amount if currency == BASE_CURRENCY else cents(amount * Decimal(repr(in_dollars(currency))))
