"""The tick fast path from server version 201 on: protobuf and text side by side, told apart message by message.

What it promises stands in tick_decoder.py. A frame begins with a 4-byte message id. Over 200 it is that of a text
message plus 200, and protobuf follows; otherwise text fields do (source: TWS API `client.py`, and frames of gateways).

How: gateways write a message's fields in the order of their numbers. So what stands before the price or size of a
tick (message, request, tick field) is one of a few hundred texts, and so is what follows a price: each is read once
and then known. A frame that is written in another way, which protobuf allows, goes to the official decoder.
"""

from math import nan
from struct import Struct
from struct import error as StructError
from typing import Final, TypeVar

from messages.fields import NUMERIC_STRING_FIELDS
from services.gateway.wire.columns import Columns
from services.gateway.wire.protobuf_groups import NotPlain, read_groups, wire_number
from services.gateway.wire.text_ticks import FIRST_OWN_FIELD, HEADER, MAX_FRAME, SLAB, Odd, TextTickDecoder

BINARY_IDS: Final = 201  # server version from which message ids are binary
PROTOBUF: Final = 200  # message ids over this one are protobuf
_ID: Final = 4  # bytes
_MANY_BYTES: Final = 4096  # from which on groups are faster than one by one
_KNOWN: Final = 1 << 14  # heads and tails that are kept: far more than there are of a hundred symbols

_PRICE, _SIZE, _GENERIC, _STRING = range(4)
_KINDS: Final = {
    (PROTOBUF + message).to_bytes(_ID, "big"): kind
    for message, kind in ((1, _PRICE), (2, _SIZE), (45, _GENERIC), (46, _STRING))
}
_TEXT_TICKS: Final = {message.to_bytes(_ID, "big"): b"%d\0" % message for message in (1, 2, 45, 46)}

# Field number and wire type of protobuf, in one byte.
_REQUEST, _FIELD, _NUMBER, _TEXT, _PRICE_SIZE = b"\x08\x10\x19\x1a\x22"
_LAST_VALUE_FIELD: Final = 4  # number of the last field that holds what a row is made of
_VALUE_TAG: Final = (_NUMBER, _TEXT, _NUMBER, _TEXT)  # by kind
_LARGE: Final = 1e37
_UNSET_SIZE: Final = b"170141183460469231731687303715884105727"  # the official client's unset Decimal
_ZEROS: Final = b"\0\0\0"
_double: Final = Struct("<d").unpack_from

Value = TypeVar("Value")


class ProtobufTickDecoder(TextTickDecoder):
    """As TextTickDecoder, for frames with a binary message id."""

    def __init__(self, server_version: int, odd: Odd | None = None) -> None:
        super().__init__(server_version, odd)
        self._symbols: dict[int, int] = {}  # as `routes`, by the request's number on the wire
        self._heads: dict[bytes, tuple[int, int, int]] = {}  # from the id to the value's tag -> kind, symbol id, field
        self._head_end = HEADER + _ID  # where the value stood in the frame before
        self._sizes: dict[bytes, float] = {}  # what follows a price -> its size

    def add(self, request: int, symbol_id: int) -> None:
        super().add(request, symbol_id)
        self._symbols[wire_number(request)] = symbol_id
        self._heads.clear()

    def remove(self, request: int) -> None:
        super().remove(request)
        self._symbols.pop(wire_number(request), None)
        self._heads.clear()

    def _take_slab(self, data: bytes, at: int, columns: Columns, rare: list[bytes]) -> tuple[int, int | None]:
        if len(data) - at >= _MANY_BYTES:
            try:
                rows = read_groups(data, at, at + SLAB, self._symbols)
            except NotPlain:
                pass
            else:
                columns.extend(rows.ids, rows.fields, rows.values, rows.sizes)
                if rows.end - at >= _MANY_BYTES:
                    return rows.end, None
                at = rows.end
        return self._take_one_by_one(data, at, columns, rare)

    def _take_one_by_one(self, data: bytes, at: int, columns: Columns, rare: list[bytes]) -> tuple[int, int | None]:
        heads, sizes_known, head_end = self._heads, self._sizes, self._head_end
        add_id, add_field = columns.ids.append, columns.fields.append
        add_value, add_size = columns.values.append, columns.sizes.append
        stop, last = min(at + SLAB, len(data)), len(data) - HEADER
        while at < stop and at <= last:
            end = at + HEADER + data[at + 3]
            value_at = at + head_end
            try:
                kind, symbol_id, field = heads[data[at + HEADER : value_at]]
                if kind == _PRICE:
                    size = sizes_known[data[value_at + 8 : end]]
                    value = _double(data, value_at)[0]
                elif kind == _GENERIC:
                    if end - value_at != 8:
                        raise KeyError
                    value, size = _double(data, value_at)[0], nan
                else:
                    if data[value_at] != end - value_at - 1:
                        raise KeyError
                    value, size = float(data[value_at + 1 : end]), nan
                    if value > _LARGE:  # it may be the unset one
                        raise KeyError
                if data[at : at + 3] != _ZEROS or end > len(data):
                    raise KeyError
            except (KeyError, ValueError, IndexError, StructError):
                length = int.from_bytes(data[at : at + HEADER], "big")
                end = at + HEADER + length
                if end > len(data) or not 1 <= length <= MAX_FRAME:
                    return at, length
                if data[at + HEADER : at + HEADER + _ID] in _TEXT_TICKS:
                    end = self._take_texts(data, at, stop, columns, rare)
                else:
                    self._take_frame(data[at + HEADER : end], columns, rare)
                    head_end = self._head_end
            else:
                add_id(symbol_id)
                add_field(field)
                add_value(value)
                add_size(size)
            at = end
        return at, None if at <= last else 1

    def _take_texts(self, data: bytes, at: int, stop: int, columns: Columns, rare: list[bytes]) -> int:
        """Take the tick in text at `at`, which is whole, and those right behind it. Returns where they end."""
        pieces: list[bytes] = []
        while at < stop and at + HEADER <= len(data):
            end = at + HEADER + int.from_bytes(data[at : at + HEADER], "big")
            message = _TEXT_TICKS.get(data[at + HEADER : at + HEADER + _ID])
            if message is None or end > len(data) or not HEADER + _ID <= end - at <= HEADER + MAX_FRAME:
                break
            body = data[at + HEADER + _ID : end]
            pieces.append(b"\1" + message + body[:-1] if body.endswith(b"\0") else b"\0" + message + body)
            at = end
        self._take(pieces, columns, rare)
        return at

    def _payload(self, piece: bytes) -> bytes:
        message, _, rest = super()._payload(piece).partition(b"\0")
        return int(message).to_bytes(_ID, "big") + rest

    def _take_frame(self, body: bytes, columns: Columns, rare: list[bytes]) -> None:
        """Take a frame that does not look like one before it."""
        kind = _KINDS.get(body[:_ID])
        if kind is None:
            rare.append(body)
            return
        try:
            request, field, value_at = _read_head(body)
            if body[value_at - 1] != _VALUE_TAG[kind] or field >= FIRST_OWN_FIELD:
                raise ValueError("not a tick of IB as gateways write it")
            value, size = self._read_value(kind, field, body, value_at)
        except (ValueError, IndexError, StructError):
            self._leave(body, rare)
            return
        symbol_id = self.routes.get(request)
        if symbol_id is None:
            self.unrouted += 1
            return
        if isinstance(value, str):
            columns.add_text(symbol_id, field, value)
            return
        if len(self._heads) >= _KNOWN:
            self._heads.clear()
        self._heads[body[:value_at]] = kind, symbol_id, field
        self._head_end = HEADER + value_at
        columns.add(symbol_id, field, value, size)

    def _read_value(self, kind: int, field: int, body: bytes, at: int) -> tuple[float | str, float]:
        """Value (or text) and size. Raises ValueError or IndexError when the rest of the frame is anything else."""
        if kind in (_PRICE, _GENERIC):
            (value,) = _double(body, at)
            rest = body[at + 8 :]
            return value, self._read_price_size(rest) if kind == _PRICE else _nothing_more(rest, 0, nan)
        rest = body[at:]
        text = _read_text(rest, 0)
        if kind == _STRING and field not in NUMERIC_STRING_FIELDS:
            return _nothing_more(rest, 1 + len(text), text.decode()), nan
        number = _nothing_more(rest, 1 + len(text), float(text))
        return (nan if kind == _SIZE and text == _UNSET_SIZE else number), nan

    def _read_price_size(self, rest: bytes) -> float:
        """The size that follows a price."""
        if rest[0] != _PRICE_SIZE:
            raise ValueError("no size")
        text = _read_text(rest, 1)
        size = _nothing_more(rest, 2 + len(text), nan if text == _UNSET_SIZE else float(text))
        if len(self._sizes) >= _KNOWN:
            self._sizes.clear()
        self._sizes[rest] = size
        return size


def _read_text(body: bytes, at: int) -> bytes:
    """A text of less than 128 bytes."""
    length = body[at]
    text = body[at + 1 : at + 1 + length]
    if length > 0x7F or len(text) != length:
        raise ValueError("a long text, or one that is cut off")
    return text


def _nothing_more(body: bytes, at: int, value: Value) -> Value:
    """The value, if nothing follows but the attributes of a price and fields that are not known here."""
    while at < len(body):
        tag, at = _read_varint(body, at)
        if tag >> 3 <= _LAST_VALUE_FIELD:
            raise ValueError("a field again, or out of order")
        match tag & 7:
            case 0:
                _, at = _read_varint(body, at)
            case 1:
                at += 8
            case 2:
                length, at = _read_varint(body, at)
                at += length
            case 5:
                at += 4
            case _:
                raise ValueError("a group")
    if at > len(body):
        raise ValueError("a field that is cut off")
    return value


def _read_head(body: bytes) -> tuple[int, int, int]:
    """Request, tick field, and where the value begins. Raises ValueError or IndexError for another order."""
    if body[_ID] != _REQUEST:
        raise ValueError("no request first")
    request, at = _read_varint(body, _ID + 1)
    if body[at] != _FIELD:
        raise ValueError("no tick field second")
    field, at = _read_varint(body, at + 1)
    return request, field, at + 1


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    """A number below 2^31, and where it ends. Raises ValueError for a larger or negative one."""
    value = shift = 0
    while body[at] & 0x80:
        value |= (body[at] & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 28:
            raise ValueError("a number of more than 32 bits")
    value |= body[at] << shift
    if value >= 1 << 31:
        raise ValueError("a negative number")
    return value, at + 1
