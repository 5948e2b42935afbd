"""Which of the contracts that IB knows under a symbol is meant: a rule, never the order in which they came.

Called by contracts.py with the answers to one question for contract details. A demand of the plan (IB's own id, or
currency, exchange and primary exchange) is met or the symbol is refused; what is left open is settled in favour of the
currency's home exchanges; what that leaves open is named, so that the user can settle it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from messages.events import ContractQualified, PlannedSymbol

_NAMES: Final = {
    "ISLAND": "NASDAQ",
    "NASDAQ.NMS": "NASDAQ",
    "NASDAQ.SCM": "NASDAQ",
    "GLOBEX": "CME",
    "ECBOT": "CBOT",
    "BELFOX": "EURONEXT.BE",
    "DTB": "EUREX",
    "AMEX": "AMERICAN",
    "NYSEAMEX": "AMERICAN",
    "NYSEARCA": "ARCA",
}
"""Exchanges that IB renamed, or knows by two names: other name -> the one to compare by."""

_HOME: Final = {
    "USD": frozenset({"NYSE", "NASDAQ", "ARCA", "AMERICAN", "BATS", "IEX", "PINK", "LTSE", "CBOE", "CME", "CBOT"}),
    "CAD": frozenset({"TSE", "VENTURE", "AEQLIT"}),
    "GBP": frozenset({"LSE", "LSEETF", "LSEIOB1"}),
    "CHF": frozenset({"EBS"}),
    "AUD": frozenset({"ASX"}),
    "HKD": frozenset({"SEHK"}),
    "JPY": frozenset({"TSEJ"}),
    "SEK": frozenset({"SFB"}),
}
"""The exchanges at home where a currency is."""

AMBIGUOUS: Final = "ambiguous_contract"
NOT_OFFERED: Final = "listing_not_offered"


class Choice(NamedTuple):
    """What is meant: `contract`, or why none is: `refusal` and `message`. `message` also tells of a tie that a rule
    settled."""

    contract: ContractQualified | None
    refusal: str = ""
    message: str = ""


def same_exchange(one: str, other: str) -> bool:
    """Are these the names of one exchange?"""
    return _canonical(one) == _canonical(other)


def at_home(contract: ContractQualified) -> bool:
    """Is it listed on an exchange of the country whose currency it has?"""
    return _canonical(contract.primary_exchange or contract.exchange) in _HOME.get(contract.currency, ())


def listed_on(contract: ContractQualified, exchange: str) -> bool:
    """Is this its primary exchange? Where IB told none, the one that it named."""
    return same_exchange(contract.primary_exchange or contract.exchange, exchange)


def choose(offered: Sequence[ContractQualified], planned: PlannedSymbol) -> Choice:
    """Which one of those on offer the plan means. There is at least one."""
    if planned.con_id:
        left = [each for each in offered if each.con_id == planned.con_id]
    else:
        left = [each for each in offered if each.currency == planned.currency]
    if not left:
        return _not_offered(f"of the id {planned.con_id}" if planned.con_id else f"in {planned.currency}", offered)
    if planned.primary_exchange:
        # Without a primary exchange in its answer IB has not told; that it answered must do.
        left = [each for each in left if _meets(each, planned.primary_exchange)]
        if not left:
            return _not_offered(f"on {planned.primary_exchange}", offered)
    on_exchange = [each for each in left if same_exchange(each.exchange, planned.exchange)]
    left = on_exchange or left
    named = _narrowed(left, lambda each: (planned.ib_symbol or planned.symbol) in _own_names(each))
    home = _narrowed(named, lambda each: _is_home(each, planned.currency))
    if len({each.con_id for each in home}) > 1:
        return Choice(None, AMBIGUOUS, f"IB knows {_list(home)}; add the primary exchange to the symbol")
    best = min(home, key=lambda each: (each.exchange, each.primary_exchange))
    others = [each for each in left if each.con_id != best.con_id]
    if not others:
        return Choice(best)
    return Choice(best, message=f"{_describe(best)} was taken, as the home listing; IB also knows {_list(others)}")


def _meets(contract: ContractQualified, exchange: str) -> bool:
    told = contract.primary_exchange or ("" if contract.exchange == "SMART" else contract.exchange)
    return not told or same_exchange(told, exchange) or same_exchange(contract.exchange, exchange)


def _narrowed(contracts: list[ContractQualified], fits: Callable[[ContractQualified], bool]) -> list[ContractQualified]:
    """Those that fit, or all where none does."""
    return [each for each in contracts if fits(each)] or contracts


def _is_home(contract: ContractQualified, currency: str) -> bool:
    return _canonical(contract.primary_exchange or contract.exchange) in _HOME.get(currency, ())


def _own_names(contract: ContractQualified) -> tuple[str, str]:
    return contract.local_symbol, contract.trading_class


def _canonical(exchange: str) -> str:
    return _NAMES.get(exchange.upper(), exchange.upper())


def _not_offered(what: str, offered: Iterable[ContractQualified]) -> Choice:
    return Choice(None, NOT_OFFERED, f"IB has no such contract {what}; on offer: {_list(offered)}")


def _list(contracts: Iterable[ContractQualified]) -> str:
    return ", ".join(sorted({_describe(each) for each in contracts}))


def _describe(contract: ContractQualified) -> str:
    where = contract.primary_exchange or contract.exchange
    name = f"{contract.local_symbol} " if contract.local_symbol else ""
    return f"{name}{where} {contract.currency} (conId {contract.con_id})"
