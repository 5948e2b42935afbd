"""Symbols: the notation of a contract, and the one name that its file, topic and plan entry share.

The planner, the sink, the CLI and the web use it. `parse` refuses whatever could not be a symbol, so a
name that it returns is safe as a file name anywhere, and parsing a name gives that name again.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from messages.errors import IbStreamError

SEC_TYPES: Final = ("STK", "IND", "CASH", "FUT", "CRYPTO", "CMDTY", "CFD", "FUND")
MAX_SYMBOL: Final = 32  # characters of SYMBOL alone
MAX_NOTATION: Final = 128

_PLAIN = re.compile(r"[A-Z0-9]{1,32}")  # most symbols: their own name, no other rule applies
_SYMBOL = re.compile(r"[A-Z0-9](?:[A-Z0-9&+-]|[. ](?![. ]))*(?<! )")
_EXCHANGE = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,15}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MONTH = re.compile(r"\d{6}(?:\d\d)?")
_FUTURE_LOCAL = re.compile(r"[A-Z0-9]{1,5}[FGHJKMNQUVXZ]\d{1,2}")  # month code and year: ESZ6
_FREE = re.compile(r"[!-~](?:[ -~]{0,30}[!-~])?")  # a local symbol, as an exchange writes it


class Contract(msgspec.Struct, frozen=True, gc=False):
    """What IB needs to know of a symbol. `name` is the symbol's name everywhere in ibstream."""

    name: str
    ib_symbol: str
    exchange: str = "SMART"
    currency: str = "USD"
    sec_type: str = "STK"
    primary_exchange: str = ""
    local_symbol: str = ""
    last_trade_date: str = ""  # of a future: YYYYMM or YYYYMMDD


def parse(text: str) -> Contract:
    """The contract behind `SYMBOL` or `SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]]`, or behind a name.

    A plain symbol is a stock or ETF on SMART in USD. The fifth part is the primary exchange; for a future
    its month (`ES:CME:USD:FUT:202612`; `ESZ6:CME:USD:FUT` gives the local symbol instead). Case does not
    matter, and a dot and a space are one: `BRK.B` is `BRK B`, which is how IB writes it for US stocks.

    The name is upper case, with dots for spaces and `_` for `:`; SMART, USD, STK and the primary exchange
    of such a stock are not part of it. So `brk b` is `BRK.B`, and `SAP:IBIS:EUR:STK` is `SAP_IBIS_EUR`.

    Raises IbStreamError `invalid_symbol`.
    """
    if isinstance(text, str) and _PLAIN.fullmatch(text):
        return Contract(text, text)
    if not isinstance(text, str) or not text.strip(" "):
        raise _invalid(text, "it is empty")
    if len(text) > MAX_NOTATION:
        raise _invalid(text, f"it has {len(text)} characters")
    if not text.isascii() or not text.isprintable():
        raise _invalid(text, "it has characters that no symbol has")
    parts = [part.strip(" ") for part in text.upper().replace("_", ":").split(":")]
    if len(parts) not in (1, 3, 4, 5):
        raise _invalid(text, "expected SYMBOL or SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]]")
    base = re.sub(" +", " ", parts[0])
    if len(base) > MAX_SYMBOL or not _SYMBOL.fullmatch(base):
        raise _invalid(text, "a symbol is letters and digits, with single dots, spaces or hyphens inside")
    base = base.replace(" ", ".")
    if len(parts) == 1:
        return Contract(name=base, ib_symbol=_ib_symbol(base, "USD", "STK"))
    if "" in parts:
        raise _invalid(text, "one of its parts is empty")
    exchange, currency, sec_type, fifth = (*parts[1:], *("STK", "")[len(parts) - 3 :])
    is_future = sec_type == "FUT"
    contract = Contract(
        name=_name(base, exchange, currency, sec_type, fifth),
        ib_symbol=_ib_symbol(base, currency, sec_type),
        exchange=exchange,
        currency=currency,
        sec_type=sec_type,
        primary_exchange="" if is_future else fifth,
        local_symbol=base if is_future and not fifth and _FUTURE_LOCAL.fullmatch(base) else "",
        last_trade_date=fifth if is_future else "",
    )
    return _checked(contract, text)


def override(contract: Contract, change: object) -> Contract:
    """The contract with what a project's configuration says of it; its name stays.

    `change` is a notation (`BMW:IBIS:EUR`), or a map with any of `ib_symbol`, `exchange`, `currency`,
    `sec_type`, `primary_exchange`, `local_symbol` and `last_trade_date`.

    Raises IbStreamError `invalid_symbol`.
    """
    if isinstance(change, str):
        return msgspec.structs.replace(parse(change), name=contract.name)
    if not isinstance(change, Mapping):
        raise _invalid(contract.name, "its override is neither a notation nor a map")
    fields = set(Contract.__struct_fields__) - {"name"}
    unknown = sorted(str(key) for key in change if key not in fields)
    if unknown:
        raise _invalid(contract.name, f"its override has {_short(unknown[0])}; known are {', '.join(sorted(fields))}")
    changes = {key: str(value).strip() for key, value in change.items()}
    for key in ("exchange", "currency", "sec_type", "primary_exchange"):
        if key in changes:
            changes[key] = changes[key].upper()
    return _checked(msgspec.structs.replace(contract, **changes), contract.name)


def name_of(text: str) -> str:
    """The name of a symbol, however it was written. Raises IbStreamError `invalid_symbol`."""
    return parse(text).name


def file_name(text: str) -> str:
    """The name of a symbol's file in the stream folder: its name and `.json`.

    Raises IbStreamError `invalid_symbol`.
    """
    return f"{parse(text).name}.json"


def _name(base: str, exchange: str, currency: str, sec_type: str, fifth: str) -> str:
    if (exchange, currency, sec_type) == ("SMART", "USD", "STK"):
        return base
    if fifth:
        return "_".join((base, exchange, currency, sec_type, fifth))
    if sec_type != "STK":
        return "_".join((base, exchange, currency, sec_type))
    return "_".join((base, exchange, currency))


def _ib_symbol(base: str, currency: str, sec_type: str) -> str:
    """US stocks carry their class after a space at IB (`BRK B`), others after a dot (`RCI.B` in Toronto)."""
    if sec_type == "STK" and currency == "USD" and not base.endswith("."):
        return base.replace(".", " ")
    return base


def _checked(contract: Contract, text: str) -> Contract:
    if not _EXCHANGE.fullmatch(contract.exchange):
        raise _invalid(text, f"{_short(contract.exchange)} is not an exchange")
    if not _CURRENCY.fullmatch(contract.currency):
        raise _invalid(text, f"{_short(contract.currency)} is not a currency of three letters")
    if contract.sec_type not in SEC_TYPES:
        raise _invalid(text, f"{_short(contract.sec_type)} is not one of {', '.join(SEC_TYPES)}")
    if contract.primary_exchange and not _EXCHANGE.fullmatch(contract.primary_exchange):
        raise _invalid(text, f"{_short(contract.primary_exchange)} is not a primary exchange")
    if contract.last_trade_date and not _MONTH.fullmatch(contract.last_trade_date):
        raise _invalid(text, f"{_short(contract.last_trade_date)} is not a month or day, as 202612 or 20261218")
    if contract.sec_type == "FUT" and not contract.last_trade_date and not contract.local_symbol:
        raise _invalid(text, "a future needs its month, as in ES:CME:USD:FUT:202612 or ESZ6:CME:USD:FUT")
    for free in (contract.ib_symbol, contract.local_symbol or "-"):
        if not _FREE.fullmatch(free):
            raise _invalid(text, f"{_short(free)} is not what IB could call it")
    return contract


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 40 else f"{shown[:36]}…{shown[-1]}"


def _invalid(text: object, why: str) -> IbStreamError:
    return IbStreamError("invalid_symbol", f"{_short(text)} is not a symbol: {why}")
