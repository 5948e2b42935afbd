"""What the official client's values are to us: sizes and numbers, contracts both ways, times of bars. Pure.

Used by official_client.py.
"""

from datetime import UTC, datetime
from math import nan
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibapi.contract import Contract

from messages.events import ContractQualified, HeldContract, PlannedSymbol
from services.base.clock import SECOND
from services.base.symbols import WITH_STRIKE

UNSET_SIZE = 2**127 - 1  # the official client's unset Decimal


def size_of(value: Any) -> float:
    """A size, volume or count; NaN for an unset one."""
    return nan if value == UNSET_SIZE or value < 0 else float(value)


NAMED_LOCALLY: Final = WITH_STRIKE | {"FUT"}


def number_of(value: Any) -> float:
    """A number of contract details, be it a text, a Decimal or unset; 0 for none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 < number < 1e30 else 0.0


def contract_of(planned: PlannedSymbol, con_id: int) -> Contract:
    """The official contract for a planned symbol; the exchange always goes with a contract id. One without a type is
    what IB named in a reroute: its id and exchange alone."""
    contract = Contract()
    if not planned.sec_type:
        contract.conId, contract.exchange = con_id or planned.con_id, planned.exchange
        return contract
    if planned.local_symbol and planned.sec_type in NAMED_LOCALLY:  # which says all: IB takes it without the rest
        contract.localSymbol, contract.secType, contract.conId = planned.local_symbol, planned.sec_type, con_id
        contract.exchange, contract.currency = planned.exchange, planned.currency
        return contract
    if planned.con_id:  # which says all
        contract.conId, contract.exchange = con_id or planned.con_id, planned.exchange
        return contract
    if not planned.sec_id:
        contract.symbol = planned.ib_symbol or planned.symbol
    elif not con_id:
        contract.secIdType, _, contract.secId = planned.sec_id.partition(":")
    contract.secType = planned.sec_type
    contract.exchange = planned.exchange
    contract.currency = planned.currency
    contract.primaryExchange = planned.primary_exchange
    contract.localSymbol = planned.local_symbol
    contract.lastTradeDateOrContractMonth = planned.last_trade_date
    contract.right, contract.tradingClass = planned.right, planned.trading_class
    if planned.strike:
        contract.strike = planned.strike
    contract.conId = con_id
    return contract


def bar_time(text: str) -> int:
    """The start of a bar, UTC nanoseconds: Unix seconds (formatDate 2), a date, or `YYYYMMDD HH:MM:SS [zone]`,
    in UTC with a hyphen between and, from server version 214 on, a `Z` at the end.

    Raises ValueError. Source: TWS API documentation, "Historical Bars", formatDate.
    """
    if text.isdigit() and len(text) == 8:
        return int(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * SECOND
    if text.isdigit():
        return int(text) * SECOND
    day, _, rest = text.replace("-", " ", 1).partition(" ")
    clock, _, zone = rest.strip().removesuffix("Z").partition(" ")
    moment = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")
    try:
        known = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"{text!r} is in an unknown time zone") from None
    return int(moment.replace(tzinfo=known).timestamp()) * SECOND


def held_contract(contract: Any) -> HeldContract:
    """The contract of a position."""
    return HeldContract(
        con_id=int(contract.conId),
        symbol=contract.symbol or "",
        sec_type=contract.secType or "",
        currency=contract.currency or "",
        exchange=contract.exchange or "",
        local_symbol=contract.localSymbol or "",
        last_trade_date=contract.lastTradeDateOrContractMonth or "",
        strike=number_of(contract.strike),
        right=(contract.right or "")[:1].replace("0", "").replace("?", ""),
        trading_class=contract.tradingClass or "",
    )


def qualified(details: Any, round_lot: float) -> ContractQualified:
    """Contract details as the core takes them, without the symbol, which the core knows. `round_lot` is told where only
    the message itself has it."""
    contract = details.contract
    return ContractQualified(
        symbol="",
        con_id=int(contract.conId),
        sec_type=contract.secType,
        exchange=contract.exchange,
        currency=contract.currency,
        primary_exchange=contract.primaryExchange or "",
        local_symbol=contract.localSymbol or "",
        long_name=details.longName or "",
        min_tick=float(details.minTick or 0.0),
        time_zone=details.timeZoneId or "",
        trading_hours=details.tradingHours or "",
        liquid_hours=details.liquidHours or "",
        price_magnifier=int(details.priceMagnifier or 1),
        multiplier=number_of(contract.multiplier) or 1.0,
        trading_class=contract.tradingClass or "",
        last_trade_date=contract.lastTradeDateOrContractMonth or "",
        contract_month=details.contractMonth or "",
        size_increment=number_of(getattr(details, "sizeIncrement", None)),
        suggested_size_increment=number_of(getattr(details, "suggestedSizeIncrement", None)) or round_lot,
        last_price_precision=number_of(getattr(details, "lastPricePrecision", None)),
        last_size_precision=number_of(getattr(details, "lastSizePrecision", None)),
    )
