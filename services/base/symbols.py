"""Symbols: the notation of a contract, and the one name that its file, topic and plan entry share.

The planner, the sink, the CLI and the web use it. `parse` refuses whatever could not be a symbol, so a
name that it returns is safe as a file name anywhere, and parsing a name gives that name again.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from messages.errors import IbStreamError
from messages.events import PlannedSymbol
from services.base import identity

SEC_TYPES: Final = ("STK", "IND", "CASH", "FUT", "OPT", "FOP", "WAR", "BOND", "CRYPTO", "CMDTY", "CFD", "FUND")
WITH_STRIKE: Final = frozenset({"OPT", "FOP", "WAR"})
"""Types whose contract is an expiry, a strike and a right: calls and puts."""
UNSERVED: Final = {
    "BAG": "a combination is priced by its legs; name each leg",
    "CONTFUT": "a continuous future has bars and no market data; name its month",
    "NEWS": "news are a generic tick (292) of a symbol",
    "IOPT": "an Eurex OTC product is served as WAR, where IB has it as one",
}
"""Types that IB knows and that are not served, and why."""
MAX_ROLL_DAYS: Final = 366
MAX_SYMBOL: Final = 32  # characters of SYMBOL alone
MAX_NOTATION: Final = 128

_PLAIN = re.compile(r"[A-Z0-9]{1,32}")  # most symbols: their own name, no other rule applies
_SYMBOL = re.compile(r"[A-Z0-9](?:[A-Z0-9&+-]|[. ](?![. ]))*(?<! )")
_EXCHANGE = re.compile(r"[A-Z0-9][A-Z0-9.-]{0,15}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MONTH = re.compile(r"\d{6}(?:\d\d)?")
_FUTURE_LOCAL = re.compile(r"[A-Z0-9]{1,5}[FGHJKMNQUVXZ]\d{1,2}")  # month code and year: ESZ6
_OCC = re.compile(
    r"([A-Z0-9]{1,6}) *(\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))([CP])(\d{8})"
)  # AAPL  260117C00240000
_OCC_LENGTH = 16  # the shortest
_STRIKE = re.compile(r"\d{1,7}(?:\.\d{1,5})?")
_RIGHTS = {"C": "C", "CALL": "C", "P": "P", "PUT": "P"}
_ROLLS: Final[Mapping[str, Literal["front", "second"]]] = {"FRONT": "front", "SECOND": "second"}
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
    last_trade_date: str = ""  # of what ends: YYYYMM or YYYYMMDD
    strike: float = 0.0  # of an option or warrant
    right: str = ""  # C or P
    trading_class: str = ""  # where the symbol has several kinds: SPXW
    con_id: int = 0  # IB's own id: no other contract is meant
    sec_id: str = ""  # `ISIN:US0378331005`: what IB is asked for in place of the symbol
    roll: Literal["", "front", "second"] = ""  # of a future whose month follows from the day
    roll_days: int = -1  # days before its last trade date on which a month gives way; -1: not said
    roll_by: Literal["", "days", "volume"] = ""  # the rule by which it does; empty: not said


def parse(text: str) -> Contract:
    """The contract behind `SYMBOL` or `SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]]`, or behind a name.

    A plain symbol is a stock or ETF on SMART in USD. The fifth part is the primary exchange; for a future
    its month (`ES:CME:USD:FUT:202612`; `ESZ6:CME:USD:FUT` gives the local symbol instead), or `front` or `second`
    for the month that follows from the day. Case does not matter, and a dot and a space are one: `BRK.B` is `BRK B`,
    which is how IB writes it for US stocks.

    The name is upper case, with dots for spaces and `_` for `:`; SMART, USD, STK and the primary exchange
    of such a stock are not part of it. So `brk b` is `BRK.B`, and `SAP:IBIS:EUR:STK` is `SAP_IBIS_EUR`.

    Options, futures options and warrants are `SYMBOL:EXCHANGE:CURRENCY:OPT:EXPIRY:STRIKE:RIGHT[:CLASS]`
    (`SPX:SMART:USD:OPT:20261218:5900:C:SPXW`), and US options their OCC symbol too: `AAPL  261218C00240000`, whose
    name has no spaces.

    Raises IbStreamError `invalid_symbol`.
    """
    if isinstance(text, str) and _PLAIN.fullmatch(text) and (len(text) < _OCC_LENGTH or not _OCC.fullmatch(text)):
        return Contract(text, text)
    if not isinstance(text, str) or not text.strip(" "):
        raise _invalid(text, "it is empty")
    if len(text) > MAX_NOTATION:
        raise _invalid(text, f"it has {len(text)} characters")
    if not text.isascii() or not text.isprintable():
        raise _invalid(text, "it has characters that no symbol has")
    if occ := _OCC.fullmatch(text.upper().strip(" ")):
        return _us_option(*occ.groups())
    parts = [part.strip(" ") for part in text.upper().replace("_", ":").split(":")]
    if len(parts) > 3 and parts[3] in UNSERVED:
        raise _invalid(text, f"{parts[3]} is not served: {UNSERVED[parts[3]]}")
    with_strike = len(parts) > 3 and parts[3] in WITH_STRIKE
    if with_strike and len(parts) not in (7, 8):
        raise _invalid(text, f"expected SYMBOL:EXCHANGE:CURRENCY:{parts[3]}:EXPIRY:STRIKE:RIGHT[:CLASS]")
    if not with_strike and len(parts) not in (1, 3, 4, 5):
        raise _invalid(text, "expected SYMBOL or SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]]")
    base = re.sub(" +", " ", parts[0])
    if len(base) > MAX_SYMBOL or not _SYMBOL.fullmatch(base):
        raise _invalid(text, "a symbol is letters and digits, with single dots, spaces or hyphens inside")
    base = base.replace(" ", ".")
    if len(parts) == 1:
        return Contract(name=base, ib_symbol=_ib_symbol(base, "USD", "STK"))
    if "" in parts:
        raise _invalid(text, "one of its parts is empty")
    if with_strike:
        return _with_strike(text, base, *parts[1:])
    exchange, currency, sec_type, fifth = (*parts[1:], *("STK", "")[len(parts) - 3 :])
    is_future = sec_type == "FUT"
    roll: Literal["", "front", "second"] = _ROLLS.get(fifth, "") if is_future else ""
    contract = Contract(
        name=_name(base, exchange, currency, sec_type, fifth),
        ib_symbol=_ib_symbol(base, currency, sec_type),
        exchange=exchange,
        currency=currency,
        sec_type=sec_type,
        primary_exchange="" if is_future else fifth,
        local_symbol=base if is_future and not fifth and _FUTURE_LOCAL.fullmatch(base) else "",
        last_trade_date=fifth if is_future and not roll else "",
        roll=roll,
    )
    return _checked(contract, text)


def _us_option(root: str, day: str, right: str, strike: str) -> Contract:
    """By its OCC symbol, which is IB's local symbol for it."""
    return Contract(
        name=f"{root}{day}{right}{strike}",
        ib_symbol=root,
        sec_type="OPT",
        local_symbol=f"{root:<6}{day}{right}{strike}",
        last_trade_date=f"20{day}",
        strike=int(strike) / 1000,
        right=right,
    )


def occ_symbol(root: str, expiry: str, strike: float, right: str) -> str:
    """The OCC symbol of a US option, without spaces: what `parse` takes. `expiry` is YYYYMMDD."""
    return f"{root.replace(' ', '')}{expiry[2:]}{right}{round(strike * 1000):08d}"


def _with_strike(
    text: str, base: str, exchange: str, currency: str, sec_type: str, expiry: str, strike: str, right: str,
    trading_class: str = "",
) -> Contract:  # fmt: skip
    if not _STRIKE.fullmatch(strike) or not float(strike):
        raise _invalid(text, f"{_short(strike)} is not a strike")
    if right not in _RIGHTS:
        raise _invalid(text, f"{_short(right)} is neither C nor P")
    written = f"{float(strike):.5f}".rstrip("0").rstrip(".")
    last = [trading_class] if trading_class else []
    return _checked(
        Contract(
            name="_".join((base, exchange, currency, sec_type, expiry, written, _RIGHTS[right], *last)),
            ib_symbol=_ib_symbol(base, currency, sec_type),
            exchange=exchange,
            currency=currency,
            sec_type=sec_type,
            last_trade_date=expiry,
            strike=float(strike),
            right=_RIGHTS[right],
            trading_class=trading_class,
        ),
        text,
    )


def override(contract: Contract, change: object) -> Contract:
    """The contract with what a project's configuration says of it; its name stays.

    `change` is a notation (`BMW:IBIS:EUR`), or a map with any of `ib_symbol`, `exchange`, `currency`,
    `sec_type`, `primary_exchange`, `local_symbol`, `last_trade_date`, `strike`, `right`, `trading_class`,
    `roll_days` and `roll_by`; or with what identifies it: `con_id`, `isin`, `cusip` or `figi`.

    Raises IbStreamError `invalid_symbol`.
    """
    if isinstance(change, str):
        return msgspec.structs.replace(parse(change), name=contract.name)
    if not isinstance(change, Mapping):
        raise _invalid(contract.name, "its override is neither a notation nor a map")
    change, known = dict(change), {key: str(change[key]).strip() for key in identity.COLUMNS if change.get(key)}
    for key in identity.COLUMNS:
        change.pop(key, None)
    contract = identified(contract, known)
    fields = set(Contract.__struct_fields__) - {"name", "con_id", "sec_id", "roll"}
    unknown = sorted(str(key) for key in change if key not in fields)
    if unknown:
        raise _invalid(
            contract.name,
            f"its override has {_short(unknown[0])}; known are {', '.join(sorted(fields | {*identity.COLUMNS}))}",
        )
    changes: dict[str, object] = {key: str(value).strip() for key, value in change.items()}
    for key in ("exchange", "currency", "sec_type", "primary_exchange", "right", "trading_class"):
        if key in changes:
            changes[key] = str(changes[key]).upper()
    if "strike" in changes:
        if not _STRIKE.fullmatch(str(changes["strike"])):
            raise _invalid(contract.name, f"its override has a strike that is no number: {_short(changes['strike'])}")
        changes["strike"] = float(str(changes["strike"]))
    if "roll_days" in changes:
        changes["roll_days"] = _roll_days(contract, str(changes["roll_days"]))
    if "roll_by" in changes:
        changes["roll_by"] = _roll_by(contract, str(changes["roll_by"]))
    return _checked(msgspec.structs.replace(contract, **changes), contract.name)


def identified(contract: Contract, known: Mapping[str, str]) -> Contract:
    """The contract with the surest of what identifies it, by the names of `identity.COLUMNS`.

    Raises IbStreamError `invalid_symbol`, also for one that is not the surest.
    """
    con_id, sec_id = 0, ""
    for key, text in known.items():
        if key == "con_id":
            con_id = identity.con_id(text)
        elif text:
            found = identity.sec_id(key.upper(), text)
            sec_id = sec_id or found
    if not con_id and not sec_id:
        return contract
    return msgspec.structs.replace(contract, con_id=con_id, sec_id="" if con_id else sec_id)


def _roll_days(contract: Contract, text: str) -> int:
    if not contract.roll:
        raise _invalid(contract.name, "its override has roll_days, and it does not roll")
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > MAX_ROLL_DAYS:
        raise _invalid(contract.name, f"its override has roll_days that are no number of 0 to {MAX_ROLL_DAYS}")
    return int(text)


def _roll_by(contract: Contract, text: str) -> str:
    if not contract.roll:
        raise _invalid(contract.name, "its override has roll_by, and it does not roll")
    if text.lower() not in ("days", "volume"):
        raise _invalid(contract.name, f"its override has a roll_by that is neither days nor volume: {_short(text)}")
    return text.lower()


_ALIKE: Final = tuple(name for name in Contract.__struct_fields__ if name in PlannedSymbol.__struct_fields__)
"""What a contract and its place in a plan call the same; only the two symbols are told otherwise."""


def planned(contract: Contract, reason: str, priority: int = 0) -> PlannedSymbol:
    """The contract as a plan has it."""
    alike: dict[str, Any] = {name: getattr(contract, name) for name in _ALIKE}
    alike["ib_symbol"] = contract.ib_symbol if contract.ib_symbol != contract.name else ""
    return PlannedSymbol(symbol=contract.name, reason=reason, priority=priority, **alike)


def contract_from_plan(planned: PlannedSymbol) -> Contract:
    """The contract behind a place in a plan."""
    alike: dict[str, Any] = {name: getattr(planned, name) for name in _ALIKE}
    return Contract(name=planned.symbol, **alike | {"ib_symbol": planned.ib_symbol or planned.symbol})


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
    if sec_type in ("STK", "OPT") and currency == "USD" and not base.endswith("."):
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
    whole = contract.local_symbol or (contract.last_trade_date and contract.strike and contract.right in ("C", "P"))
    if contract.sec_type in WITH_STRIKE and not whole:
        raise _invalid(text, f"{contract.sec_type} needs an expiry, a strike, and C or P")
    if contract.trading_class and not _EXCHANGE.fullmatch(contract.trading_class):
        raise _invalid(text, f"{_short(contract.trading_class)} is not a trading class")
    if contract.roll and (contract.last_trade_date or contract.local_symbol or contract.sec_type != "FUT"):
        raise _invalid(text, "a future that rolls has no month of its own")
    if contract.sec_type == "FUT" and not (contract.last_trade_date or contract.local_symbol or contract.roll):
        examples = "ES:CME:USD:FUT:202612, ESZ6:CME:USD:FUT or ES:CME:USD:FUT:front"
        raise _invalid(text, f"a future needs its month, as in {examples}")
    for free in (contract.ib_symbol, contract.local_symbol or "-"):
        if not _FREE.fullmatch(free):
            raise _invalid(text, f"{_short(free)} is not what IB could call it")
    return contract


def _short(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 40 else f"{shown[:36]}…{shown[-1]}"


def _invalid(text: object, why: str) -> IbStreamError:
    return IbStreamError("invalid_symbol", f"{_short(text)} is not a symbol: {why}")
