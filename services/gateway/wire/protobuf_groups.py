"""Many protobuf ticks at once: frames of one length are alike byte for byte but for their numbers, so that a slice with
the frame's length as its stride is a column of them.

Used by protobuf_ticks.py for large drains, and only for the ticks that gateways send all the time. Every byte that is
no number is checked; when one is not as expected, or a request is not known, nothing is taken, and the frames are read
one by one instead.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import count
from math import nan
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from messages.fields import NUMERIC_STRING_FIELDS
from services.gateway.wire.columns import from_little_endian

_PRICE, _SIZE, _GENERIC, _STRING = 201, 202, 245, 246  # message ids: their last byte, the others are 0
_LENGTH_BYTE, _ID_BYTE, _REQUEST_AT = 3, 7, 9  # places in a frame, from the first byte of its length
_DIGITS: Final = 37  # as many may be a size; the unset one has more
_decode_numbers: Final = msgspec.json.Decoder(list[float]).decode


class NotPlain(Exception):
    """Among the frames is one that must be looked at closely."""


class Rows(NamedTuple):
    """Columns of the ticks, in the order of the frames, and where these end."""

    end: int
    ids: list[int]
    fields: list[int]
    values: list[float]
    sizes: list[float]


def read_groups(data: bytes, at: int, stop: int, symbols: Mapping[int, int]) -> Rows:
    """The ticks of the whole frames that begin between `at` and `stop`. `symbols` gives the symbol id of a request by
    the bytes of its number on the wire (`wire_number`). Raises NotPlain."""
    frames: defaultdict[int, list[bytes]] = defaultdict(list)
    lengths: list[int] = []
    room = len(data)
    last = min(stop, room - _LENGTH_BYTE)
    while at < last:
        length = data[at + _LENGTH_BYTE]
        end = at + 4 + length
        if end > room:
            break
        frames[length].append(data[at:end])
        lengths.append(length)
        at = end
    rows = Rows(at, [], [], [], [])
    places: dict[int, Iterator[int]] = {}
    for length, group in frames.items():
        places[length] = count(len(rows.ids))
        try:
            _Group(b"".join(group), 4 + length, len(group)).read(symbols, rows)
        except (KeyError, IndexError, msgspec.DecodeError):
            raise NotPlain from None
    if len(frames) < 2:
        return rows
    in_order = itemgetter(*map(next, map(places.__getitem__, lengths)))
    return Rows(at, *(list(in_order(column)) for column in rows[1:]))


def wire_number(request: int) -> int:
    """A request id as protobuf writes it, its bytes taken for a little-endian number."""
    found = shift = 0
    while request > 0x7F:
        found |= (request & 0x7F | 0x80) << shift
        request >>= 7
        shift += 8
    return found | request << shift


class _Group:
    """`count` frames of `size` bytes each."""

    def __init__(self, data: bytes, size: int, count: int) -> None:
        self.data, self.size, self.count = data, size, count

    def read(self, symbols: Mapping[int, int], rows: Rows) -> None:
        """Append their ticks. Raises NotPlain, KeyError for an unknown request, IndexError for frames that are too
        short, and msgspec.DecodeError for a text that is no number."""
        for place in (0, 1, 2, 4, 5, 6):
            self.expect(place, 0)
        kind = self.data[_ID_BYTE]
        self.expect(_ID_BYTE, kind)
        self.expect(_REQUEST_AT - 1, 0x08)
        width = 1
        while self.data[_REQUEST_AT + width - 1] & 0x80:
            width += 1
        at = _REQUEST_AT + width
        if width > 5 or self.size < at + 4:
            raise NotPlain
        self.expect(at, 0x10)
        fields = self.column(at + 1)
        if max(fields) > 0x7F:
            raise NotPlain
        if kind == _PRICE:
            values = self.doubles(at + 2)
            sizes = self.numbers(at + 11, 0x22, followed_by=2)
            self.expect(self.size - 2, 0x28)
            if max(self.column(self.size - 1)) > 0x7F:
                raise NotPlain
        elif kind == _GENERIC and self.size == at + 11:
            values, sizes = self.doubles(at + 2), [nan] * self.count
        elif kind == _SIZE or (kind == _STRING and not set(fields) - NUMERIC_STRING_FIELDS):
            values, sizes = self.numbers(at + 2, 0x1A, followed_by=0), [nan] * self.count
        else:
            raise NotPlain
        requests = from_little_endian(array("Q"), self.interleaved(_REQUEST_AT, width))
        rows.ids.extend(map(symbols.__getitem__, requests))
        rows.fields.extend(fields)
        rows.values.extend(values)
        rows.sizes.extend(sizes)

    def column(self, place: int) -> bytes:
        return self.data[place :: self.size]

    def expect(self, place: int, byte: int) -> None:
        if self.column(place).count(byte) != self.count:
            raise NotPlain

    def interleaved(self, place: int, width: int) -> bytearray:
        """Numbers of eight bytes, little-endian, of which so many are there."""
        found = bytearray(8 * self.count)
        for byte in range(width):
            found[byte::8] = self.column(place + byte)
        return found

    def doubles(self, at: int) -> list[float]:
        self.expect(at, 0x19)
        return list(from_little_endian(array("d"), self.interleaved(at + 1, 8)))

    def numbers(self, at: int, tag: int, followed_by: int) -> list[float]:
        """Texts of one length, with a tag and their length before, and so many bytes behind them."""
        digits = self.size - followed_by - at - 2
        if not 0 < digits <= _DIGITS:
            raise NotPlain
        self.expect(at, tag)
        self.expect(at + 1, digits)
        stride = digits + 1
        text = bytearray(b",") * (self.count * stride + 1)
        for digit in range(digits):
            text[digit + 1 :: stride] = self.column(at + 2 + digit)
        text[0], text[-1] = b"[]"
        found = _decode_numbers(text)
        if len(found) != self.count:
            raise NotPlain
        return found
