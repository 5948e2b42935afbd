"""The rows of the tick block that is being built, as columns: filled by the decoders of the wire, and by the gateway
with rows of its own; turned into the block that is journalled and published.
"""

import sys
from array import array
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any, Final

from messages.events import TickBlock
from messages.fields import QUOTE_FIELD

NUMBERS: Final = frozenset(field for field in QUOTE_FIELD if field < 200)
"""IB's fields that hold a number whatever kind of tick brings it: never the place of a text."""

FEW: Final = 32  # rows, below which plain Python is faster than a row of array operations


class Columns:
    """Rows of the tick block being built, in the order of arrival. Plain lists are the fastest to extend."""

    __slots__ = ("fields", "ids", "sizes", "texts", "values")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.fields: list[int] = []
        self.values: list[float] = []
        self.sizes: list[float] = []
        self.texts: list[str] = []

    def __len__(self) -> int:
        return len(self.ids)

    def clear(self) -> None:
        for column in (self.ids, self.fields, self.values, self.sizes, self.texts):
            column.clear()

    def add(self, symbol_id: int, field: int, value: float, size: float = nan) -> None:
        """One row from elsewhere: a callback of the official decoder, or one of our own fields."""
        self.ids.append(symbol_id)
        self.fields.append(field)
        self.values.append(value)
        self.sizes.append(size)

    def extend(self, ids: list[int], fields: list[int], values: list[float], sizes: list[float]) -> None:
        """Many rows at once."""
        self.ids += ids
        self.fields += fields
        self.values += values
        self.sizes += sizes

    def add_text(self, symbol_id: int, field: int, text: str) -> None:
        """One text row; in a field that is a number (45 and 88 come as texts) the number, or NaN when it is none."""
        if field not in NUMBERS:
            self.add(symbol_id, field, float(len(self.texts)))
            self.texts.append(text)
            return
        try:
            value = float(text)
        except ValueError:
            value = nan
        self.add(symbol_id, field, value)

    def keys(self) -> "Sequence[int]":
        """Of each row, its symbol id (at most 32 bits) times 256 plus its field: one number to look things up by."""
        if len(self.ids) < FEW:
            return [symbol_id << 8 | field for symbol_id, field in zip(self.ids, self.fields, strict=True)]
        ids = little_endian(array("I", self.ids))
        keys = bytearray(8 * len(self.ids))
        keys[0::8] = bytes(self.fields)
        for byte in range(4):
            keys[byte + 1 :: 8] = ids[byte::4]
        return from_little_endian(array("Q"), keys)

    def to_block(self, epoch: int, first_seq: int, time_ns: int, names: Mapping[int, str]) -> TickBlock:
        """The rows as a block. `names` gives the symbol of each symbol id; `time_ns`: when the bytes came."""
        ids = sorted(set(self.ids))
        return TickBlock(
            epoch=epoch,
            first_seq=first_seq,
            count=len(self.ids),
            time=time_ns,
            ids=ids,
            symbols=[names[symbol_id] for symbol_id in ids],
            symbol=little_endian(array("I", self.ids)),
            field=bytes(self.fields),
            value=little_endian(array("d", self.values)),
            size=little_endian(array("d", self.sizes)),
            texts=self.texts.copy(),
        )


def little_endian(column: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def from_little_endian(column: "array[Any]", data: bytes | bytearray) -> "array[Any]":
    """The empty column, filled."""
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
