"""Messages of server versions from 201 on, written by hand, field by field: so that a test depends on no decoder."""

import struct
from collections.abc import Sequence

Field = tuple[int, int | float | str | bytes]
"""Number and value: a number is a varint, a float a double, text and bytes have a length."""


def varint(value: int) -> bytes:
    """As protobuf writes an int32: a negative number takes ten bytes."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def encode(fields: Sequence[Field]) -> bytes:
    found = b""
    for number, value in fields:
        if isinstance(value, float):
            found += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(raw)) + raw
    return found


def message(message_id: int, *fields: Field) -> bytes:
    """A protobuf message, without the frame's length."""
    return struct.pack(">I", 200 + message_id) + encode(fields)


def text(message_id: int, *fields: object) -> bytes:
    """A text message with a binary id, without the frame's length."""
    return struct.pack(">I", message_id) + "".join(f"{field}\0" for field in fields).encode()


def tick_price(request: int, field: int, price: float, size: str, attributes: int = 0) -> bytes:
    return message(1, (1, request), (2, field), (3, float(price)), (4, size), (5, attributes))


def tick_size(request: int, field: int, size: str) -> bytes:
    return message(2, (1, request), (2, field), (3, size))


def tick_generic(request: int, field: int, value: float) -> bytes:
    return message(45, (1, request), (2, field), (3, float(value)))


def tick_string(request: int, field: int, value: str) -> bytes:
    return message(46, (1, request), (2, field), (3, value))


def decode(body: bytes) -> dict[int, list[int | bytes]]:
    """What a message without its id holds, by field number: numbers, and everything else as bytes."""
    found: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(body):
        tag, at = _read_varint(body, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(body, at)
                found.setdefault(tag >> 3, []).append(value)
                continue
            case 1:
                size = 8
            case 2:
                size, at = _read_varint(body, at)
            case 5:
                size = 4
            case other:
                raise ValueError(f"wire type {other}")
        found.setdefault(tag >> 3, []).append(body[at : at + size])
        at += size
    return found


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while body[at] & 0x80:
        value |= (body[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | body[at] << shift, at + 1
