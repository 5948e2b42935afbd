"""What the simulator's one account is worth: a million dollars in cash, and nothing else. So every margin is 0, all
of it may be spent, and the figures agree with each other. Pure; asked by the requests about accounts.
"""

from typing import Final, NamedTuple

from services.simulator.market.listed import exchange_rate

BASE_CURRENCY: Final = "USD"
CURRENCIES: Final = ("USD", "EUR")  # that the ledger knows; all cash is in the first
CASH: Final = "1000000.00"
NONE: Final = "0.00"
LEDGER_TAG: Final = "$LEDGER"

_ALL_CASH = (
    "AvailableFunds", "BuyingPower", "EquityWithLoanValue", "ExcessLiquidity", "FullAvailableFunds",
    "FullExcessLiquidity", "LookAheadAvailableFunds", "LookAheadExcessLiquidity", "NetLiquidation",
    "PreviousDayEquityWithLoanValue", "RegTEquity", "SMA", "SettledCash", "TotalCashValue",
)  # fmt: skip
_NOTHING = (
    "AccruedCash", "AccruedDividend", "FullInitMarginReq", "FullMaintMarginReq", "GrossPositionValue", "Guarantee",
    "InitMarginReq", "LookAheadInitMarginReq", "LookAheadMaintMarginReq", "MaintMarginReq", "RegTMargin",
)  # fmt: skip
_PLAIN = {
    "AccountType": "SIMULATED", "Cushion": "1", "DayTradesRemaining": "-1", "DayTradesRemainingT+1": "-1",
    "DayTradesRemainingT+2": "-1", "DayTradesRemainingT+3": "-1", "DayTradesRemainingT+4": "-1",
    "HighestSeverity": "0", "Leverage": "0.00", "LookAheadNextChange": "0",
}  # fmt: skip
_LEDGER_OF_CASH = ("CashBalance", "TotalCashBalance", "NetLiquidationByCurrency")
_LEDGER_OF_NOTHING = (
    "AccruedCash", "CorporateBondValue", "FundValue", "FutureOptionValue", "FuturesPNL", "FxCashBalance",
    "IssuerOptionValue", "MoneyMarketFundValue", "MutualFundValue", "NetDividend", "OptionMarketValue", "RealizedPnL",
    "StockMarketValue", "TBillValue", "TBondValue", "UnrealizedPnL", "WarrantValue",
)  # fmt: skip


class Value(NamedTuple):
    """One figure: money in `currency`, or a plain number or word without one."""

    tag: str
    value: str
    currency: str


def values() -> list[Value]:
    """All figures of the account, without its ledger."""
    plain = [Value(tag, value, "") for tag, value in _PLAIN.items()]
    cash = [Value(tag, CASH, BASE_CURRENCY) for tag in _ALL_CASH]
    return sorted(plain + cash + [Value(tag, NONE, BASE_CURRENCY) for tag in _NOTHING])


def ledger(currency: str) -> list[Value]:
    """The cash ledger in one currency, or in all together as `BASE`."""
    cash = CASH if currency in ("BASE", BASE_CURRENCY) else NONE
    rate = "1.00" if currency == "BASE" else f"{exchange_rate(currency, BASE_CURRENCY):.4f}"
    found = [Value("Currency", currency, currency), Value("RealCurrency", currency, currency)]
    found += [Value(tag, cash, currency) for tag in _LEDGER_OF_CASH]
    found += [Value(tag, NONE, currency) for tag in _LEDGER_OF_NOTHING]
    return sorted([*found, Value("ExchangeRate", rate, currency)])


def everything() -> list[Value]:
    """What account updates tell: the figures, and the ledger of every currency and of all together."""
    return values() + [value for currency in ("BASE", *CURRENCIES) for value in ledger(currency)]


def summary(tags: str) -> list[Value]:
    """The figures that these tags (separated by commas) ask for. `$LEDGER`: the ledger of all currencies together,
    `$LEDGER:EUR` of one, `$LEDGER:ALL` of each and of all together; a tag or a currency that is unknown has none."""
    wanted = {tag.strip() for tag in tags.split(",")}
    found = [value for value in values() if value.tag in wanted]
    asked = {tag.partition(":")[2] or "BASE" for tag in wanted if tag.partition(":")[0] == LEDGER_TAG}
    known = ("BASE", *CURRENCIES)
    return found + [value for one in known if one in asked or "ALL" in asked for value in ledger(one)]
