"""A project's configuration: the JSON of its newest `project_config` version, checked once, pure.

`parse_config` is called with what the database gave and returns values that the core can rely on. What the
planner does not use is ignored: the configuration belongs to the user's own programs.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from messages.errors import IbStreamError
from services.base import generic_ticks

TICK_BY_TICK: Final = ("Last", "AllLast", "BidAsk", "MidPoint")
REAL_TIME_BARS: Final = ("TRADES", "MIDPOINT", "BID", "ASK")
ALL: Final = "*"  # in place of a symbol: every one that is not named


class Theme(msgspec.Struct, frozen=True):
    """A group of symbols: the universe's members of category `key`, plus `manual`, less `exclude`."""

    key: str
    weight: float = 1.0  # 0 or less: the theme is out
    priority: float = 0.0  # a symbol in several themes belongs to the one with the largest number
    manual: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class ProjectConfig(msgspec.Struct, frozen=True):
    """What the planner reads from a configuration. Symbols are as the user wrote them."""

    benchmark: tuple[str, ...] = ()
    risk_off_symbols: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    themes: tuple[Theme, ...] = ()
    asset_types: frozenset[str] = frozenset()  # lower case; empty: all
    contracts: Mapping[str, object] = {}  # overrides: symbol -> notation or map
    options: Mapping[str, str] = {}  # chains: the underlying, and a line that says which options
    tick_by_tick: Mapping[str, str] = {}  # by symbol as written: one of TICK_BY_TICK
    real_time_bars: Mapping[str, str] = {}  # likewise: one of REAL_TIME_BARS
    generic_ticks: Mapping[str, frozenset[int]] = {}  # by symbol as written; ALL: of every other one


def parse_config(content: object, where: str) -> ProjectConfig:
    """The configuration in `content`: JSON text or bytes, a map that the driver has decoded, or None.

    `where` names its place for the reader of an error. Raises IbStreamError `schema_unexpected`.
    """
    if isinstance(content, (bytes, bytearray, memoryview)):
        content = bytes(content).decode("utf-8-sig", "replace")
    if content is None or (isinstance(content, str) and not content.strip()):
        return ProjectConfig()
    if isinstance(content, str):
        try:
            content = json.loads(content.lstrip("\ufeff"))
        except (ValueError, RecursionError):
            raise _unexpected(where, "is not JSON") from None
    if not isinstance(content, Mapping):
        raise _unexpected(where, f"is {_kind(content)}; expected a JSON object")
    contracts, options = content.get("contracts"), content.get("options")
    no_contracts = f"has `contracts` that are {_kind(contracts)}; expected an object by symbol"
    no_options = 'has `options` that are no texts by symbol, such as {"SPY": "5 strikes, 3 expiries"}'
    return ProjectConfig(
        benchmark=_texts(content.get("benchmark"), "benchmark", where),
        risk_off_symbols=_texts(content.get("risk_off_symbols"), "risk_off_symbols", where),
        symbols=_texts(content.get("symbols"), "symbols", where),
        themes=_themes(content.get("themes"), where),
        asset_types=frozenset(t.lower() for t in _texts(content.get("asset_types"), "asset_types", where)),
        contracts=_by_symbol(contracts, lambda _: True, where, no_contracts),
        options=_by_symbol(options, lambda line: isinstance(line, str), where, no_options),
        tick_by_tick=_chosen(content.get("tick_by_tick"), "tick_by_tick", TICK_BY_TICK, where),
        real_time_bars=_chosen(content.get("real_time_bars"), "real_time_bars", REAL_TIME_BARS, where),
        generic_ticks=_generic_ticks(content.get("generic_ticks"), where),
    )


def _themes(value: object, where: str) -> tuple[Theme, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _unexpected(where, f"has `themes` that are {_kind(value)}; expected a list")
    themes = []
    for entry in value:
        if not isinstance(entry, Mapping) or not str(entry.get("key") or "").strip():
            raise _unexpected(where, "has a theme without a `key`")
        key = str(entry["key"]).strip()
        themes.append(
            Theme(
                key=key,
                weight=_number(entry.get("weight"), 1.0, f"weight of theme {key[:40]!r}", where),
                priority=_number(entry.get("priority"), 0.0, f"priority of theme {key[:40]!r}", where),
                manual=_texts(entry.get("manual"), f"manual of theme {key[:40]!r}", where),
                exclude=_texts(entry.get("exclude"), f"exclude of theme {key[:40]!r}", where),
            )
        )
    return tuple(themes)


def _by_symbol(value: object, fits: Callable[[object], bool], where: str, otherwise: str) -> Mapping[str, Any]:
    """An object by symbol whose values all fit."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(map(fits, value.values())):
        raise _unexpected(where, otherwise)
    return {str(symbol): one for symbol, one in value.items()}


def _chosen(value: object, name: str, known: tuple[str, ...], where: str) -> Mapping[str, str]:
    otherwise = f"has `{name}` that is no object by symbol of {', '.join(known)}"
    return _by_symbol(value, lambda one: one in known, where, otherwise)


def _generic_ticks(value: object, where: str) -> Mapping[str, frozenset[int]]:
    """A list or text for all symbols, or an object by symbol in which `*` stands for all others."""
    if value is None:
        return {}
    by_symbol = value if isinstance(value, Mapping) else {ALL: value}
    try:
        return {
            str(symbol): generic_ticks.parse(",".join(_texts(chosen, "generic_ticks", where)))
            for symbol, chosen in by_symbol.items()
        }
    except IbStreamError as error:
        if error.code == "schema_unexpected":
            raise
        raise _unexpected(where, f"has `generic_ticks` that cannot be read: {error.message}") from None


def _texts(value: object, name: str, where: str) -> tuple[str, ...]:
    """A list, or a comma-separated string, without blanks."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        raise _unexpected(where, f"has `{name}` that is {_kind(value)}; expected a list or a comma-separated text")
    texts = []
    for entry in value:
        if entry is None:
            continue
        if isinstance(entry, bool) or not isinstance(entry, (str, int)):
            raise _unexpected(where, f"has {_kind(entry)} in `{name}`; expected texts")
        texts.append(str(entry).strip())
    return tuple(text for text in texts if text)


def _number(value: object, default: float, name: str, where: str) -> float:
    if value is None or value == "":
        return default
    try:
        number = float(value)  # type: ignore[arg-type]  # what is not a number raises
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _unexpected(where, f"has a {name} that is not a number")
    return number


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _unexpected(where: str, what: str) -> IbStreamError:
    return IbStreamError("schema_unexpected", f"{where} {what}")
