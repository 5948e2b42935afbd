"""Which contract a recorded request is for: its name in ibstream's notation, and what IB said of it.

Two contracts of one symbol, such as a stock and its options, have two names, so that no tick is told as another's.
"""

from typing import Final

from google.protobuf.message import DecodeError
from ibapi.contract import Contract, ContractDetails
from ibapi.decoder import Decoder
from ibapi.wrapper import EWrapper

from messages.errors import IbStreamError
from messages.events import ContractQualified
from services.base.symbols import WITH_STRIKE, name_of
from services.simulator.market.contracts import Wanted, known_strike
from services.simulator.protocol.wire import Envelope

DETAILS: Final = 10


class _Details(EWrapper):  # type: ignore[misc]
    """Keeps the contract details of one message."""

    found: ContractDetails | None = None

    def contractDetails(self, reqId: int, contractDetails: ContractDetails) -> None:
        self.found = contractDetails


def contract_details(envelope: Envelope, version: int) -> ContractDetails | None:
    """What a message of contract details says, by the official decoder; None for one that it cannot read."""
    kept = _Details()
    decoder = Decoder(kept, version)
    try:
        if envelope.body is None:
            decoder.interpret(tuple(field.encode() for field in envelope.fields), envelope.kind)
        else:
            decoder.processProtoBuf(envelope.body, envelope.kind)
    except (ArithmeticError, AttributeError, DecodeError, LookupError, TypeError, ValueError):
        return None
    return kept.found


def described(contract: Contract) -> Wanted:
    """The contract as a request would have it in full."""
    return Wanted(
        contract.conId, contract.symbol, contract.secType, contract.lastTradeDateOrContractMonth, contract.exchange,
        contract.primaryExchange, contract.currency, contract.localSymbol, contract.tradingClass,
        known_strike(contract.strike), contract.right[:1].upper(),
    )  # fmt: skip


def named(asked: Wanted) -> str:
    """The contract's name in ibstream; empty where it has none, or the request leaves open which one it is."""
    kind, expiry = asked.sec_type or "STK", asked.expiry.split(" ")[0]
    parts = [asked.symbol, asked.exchange or "SMART", asked.currency or "USD", kind]
    if kind in WITH_STRIKE and not asked.strike:
        parts = [asked.local_symbol]
    elif kind in WITH_STRIKE:
        parts += [expiry, f"{asked.strike:g}", asked.right, *([asked.trading_class] if asked.trading_class else [])]
    elif kind == "FUT" and expiry:
        parts.append(expiry)
    elif kind == "FUT":
        parts[0] = asked.local_symbol
    try:
        return name_of(":".join(parts))
    except IbStreamError:
        return ""


def qualified(name: str, details: ContractDetails) -> ContractQualified:
    """What a replay tells of the contract."""
    contract = details.contract
    return ContractQualified(
        symbol=name,
        con_id=contract.conId,
        sec_type=contract.secType,
        exchange=contract.exchange,
        currency=contract.currency,
        primary_exchange=contract.primaryExchange,
        local_symbol=contract.localSymbol,
        long_name=details.longName,
        min_tick=details.minTick,
        trading_class=contract.tradingClass,
        suggested_size_increment=_size(details.suggestedSizeIncrement),
    )


def _size(told: object) -> float:
    """0 for an unset one, which is the largest Decimal."""
    value = float(str(told))
    return value if value < 1e15 else 0.0
