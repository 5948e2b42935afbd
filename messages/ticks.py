"""The rows of a tick block, one by one: for tools and people. Folds work on the columns instead."""

import sys
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from messages.events import TickBlock
from messages.fields import TEXT_FIELDS, TICK_NAME, WIRE_TEXT_FIELDS
from messages.generic import READERS, Part

_TEXTS = TEXT_FIELDS | WIRE_TEXT_FIELDS


class Tick(NamedTuple):
    """One tick message, as IB sent it. Prices in the contract's currency, sizes as delivered."""

    seq: int
    symbol: str
    field: int  # `messages.fields`
    value: float | str  # a text field's text, any other's number
    size: float | None  # that came with a price

    @property
    def name(self) -> str:
        """The quote field that it sets, or IB's name for it; of one that is newer `tick_` and its number."""
        return TICK_NAME.get(self.field, f"tick_{self.field}")

    @property
    def parts(self) -> Part | None:
        """What a text of several parts holds, by name (`messages.generic`): RTVolume, dividends, fundamental ratios,
        news, option computations. None for any other tick, and for a text that cannot be read."""
        reader = READERS.get(self.field)
        return reader(self.value) if reader is not None and isinstance(self.value, str) else None


def symbol_ids(block: TickBlock) -> "array[int]":
    """The column `symbol`. Raises ValueError when the block's columns are not `count` long."""
    count = block.count
    if not (
        len(block.symbol) == 4 * count
        and len(block.field) == count
        and len(block.value) == len(block.size) == 8 * count
        and len(block.ids) == len(block.symbols)
    ):
        raise ValueError("a tick block whose columns are not as long as it says")
    return column("I", block.symbol)


def ticks(block: TickBlock) -> Iterator[Tick]:
    """Raises ValueError for a block that contradicts itself."""
    names = dict(zip(block.ids, block.symbols, strict=True))
    rows = zip(symbol_ids(block), block.field, column("d", block.value), column("d", block.size), strict=True)
    for number, (symbol, field, value, size) in enumerate(rows):
        if symbol not in names:
            raise ValueError(f"a tick block with the symbol id {symbol} that it does not name")
        yield Tick(
            seq=block.first_seq + number,
            symbol=names[symbol],
            field=field,
            value=_text(block.texts, value) if field in _TEXTS else value,
            size=None if size != size else size,
        )


def _text(texts: list[str], index: float) -> float | str:
    return texts[int(index)] if 0 <= index < len(texts) else index


def column(kind: Any, data: bytes | bytearray) -> "array[Any]":
    """A column of a tick block, whose bytes are little endian, as an array of `kind`."""
    found = array(kind)
    found.frombytes(data)
    if sys.byteorder == "big":
        found.byteswap()
    return found
