"""What generic ticks and option computations mean in a quote: the parts `generic` and `greeks`. Pure; used by book.py.

As everywhere in a quote: what another source brought before is left out, prices are divided by the price magnifier,
counts are multiplied by their unit and absent where it is not known, and what IB withdrew is absent.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from messages.generic import (
    GREEKS,
    NUMBERS,
    PARTS,
    PRICES,
    READERS,
    SIZES,
    VOLUMES,
    WORDS,
    Computation,
    GenericTicks,
    Greeks,
    TradeReport,
)
from services.quotes.numbers import UNSET, in_currency, price_of

Cell = tuple[int, float | str, float, int]


class Scale(NamedTuple):
    """How IB's numbers of one symbol are to be taken. `since`, UTC nanoseconds: what came before is not of the source
    in force. Units: shares or contracts for each one, 0 where that is not known."""

    since: int
    size: float
    volume: float
    magnifier: float

    def price(self, value: float | None) -> float | None:
        return None if value is None else in_currency(value, self.magnifier)


def generic_of(cells: Mapping[int, Cell], scale: Scale) -> GenericTicks | None:
    """None when there is nothing."""
    found: dict[str, Any] = {}
    for field, (_, value, size, time) in cells.items():
        if time < scale.since:
            continue
        if isinstance(value, str):
            if field in WORDS:
                found[WORDS[field]] = value or None
            elif field in PARTS:
                found[PARTS[field]] = _part(field, value, scale)
        elif not isfinite(value) or abs(value) > UNSET:
            continue
        elif field in PRICES:
            found[PRICES[field]] = price_of(value, size, scale.magnifier)
        elif field in SIZES:
            found[SIZES[field]] = value * scale.size if scale.size else None
        elif field in VOLUMES:
            found[VOLUMES[field]] = value * scale.volume if scale.volume else None
        elif field in NUMBERS:
            found[NUMBERS[field]] = value
    return GenericTicks(**found) if any(value is not None for value in found.values()) else None


def greeks_of(cells: Mapping[int, Cell], scale: Scale) -> Greeks | None:
    """None when IB computed nothing. Of a live computation and its delayed twin the newer one counts."""
    found: dict[str, Computation] = {}
    for field, (_, value, _, time) in sorted(cells.items(), key=_row):
        if field not in GREEKS or time < scale.since or not isinstance(value, str):
            continue
        read = READERS[field](value)
        if isinstance(read, Computation):
            found[GREEKS[field]] = msgspec.structs.replace(
                read,
                price=scale.price(read.price),
                dividends=scale.price(read.dividends),
                underlying=scale.price(read.underlying),
            )
        else:
            found.pop(GREEKS[field], None)
    return Greeks(**found) if found else None


def _row(item: tuple[int, Cell]) -> int:
    return item[1][0]


def _part(field: int, text: str, scale: Scale) -> object:
    read = READERS[field](text)
    if isinstance(read, TradeReport):
        return msgspec.structs.replace(
            read,
            price=scale.price(read.price),
            vwap=scale.price(read.vwap),
            size=read.size * scale.size if read.size is not None and scale.size else None,
            volume=read.volume * scale.volume if read.volume is not None and scale.volume else None,
        )
    return read
