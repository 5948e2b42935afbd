"""Bytes that try a client's read loop: a burst of an exact length, garbage, lengths and ids that make no sense."""

from __future__ import annotations

import random
import struct
from base64 import b64decode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.simulator.client import Client, Subscription
from services.simulator.market import ticks
from services.simulator.market.prices import BID_SIZE, PRICE, SIZE, Tick
from services.simulator.protocol.versions import PROTOBUF_MARKET_DATA, RAW_MESSAGE_IDS
from services.simulator.protocol.wire import frame, message, protobuf_message, raw_message
from services.simulator.trouble.faults import Bend

_UNKNOWN_FIELD = b"\x98\x06\x01"  # number 99, a varint of 1

if TYPE_CHECKING:
    from services.simulator.core import Core


def exact(core: Core, client: Client, size: int) -> tuple[bytes, int]:
    """Whole tick frames of the client's own lines, `size` bytes together, and how many ticks they are. Empty when
    it has no lines, or `size` is too small for a tick."""
    lines = list(client.subscriptions.values())
    if not lines or size < 200:
        return b"", 0
    parts: list[bytes] = []
    left, number = size, 0
    while left > 150:
        line = lines[number % len(lines)]
        ticks_of_it = core.market.feed(line.instrument, core.now).image()
        for tick in [one for one in ticks_of_it if one.kind in (PRICE, SIZE)]:
            data = _frame(line, tick)
            if left - len(data) < 100:
                break
            parts.append(data)
            left -= len(data)
            core.stats.symbols[line.instrument.key] += 1
        else:
            number += 1
            continue
        break
    parts.append(_padded(core, lines[0], left))
    core.stats.symbols[lines[0].instrument.key] += 1
    return b"".join(parts), len(parts)


def _frame(line: Subscription, tick: Tick) -> bytes:
    return ticks.frames(line.head, ticks.encode([tick], line.form, line.instrument, delayed=line.delayed))


def _padded(core: Core, line: Subscription, size: int) -> bytes:
    """A bid of exactly `size` bytes: a number in text may have as many zeros at its end as it likes."""
    bid = next(tick for tick in core.market.feed(line.instrument, core.now).image() if tick.kind == PRICE)
    if line.form.protobuf:
        bid = Tick(SIZE, BID_SIZE, "100.")
    missing = size - len(_frame(line, bid))
    assert missing >= 0
    return _frame(line, bid._replace(text=bid.text + "0" * missing))


def decoded(hexadecimal: str, base64: str) -> bytes:
    """Bytes written as hexadecimal digits (spaces allowed), then those written as base64. Raises ValueError."""
    try:
        return bytes.fromhex(hexadecimal) + b64decode(base64, validate=True)
    except ValueError as error:  # binascii.Error is one
        raise ValueError(f"hex or base64: {error}") from None


def text_message(version: int, fields: Sequence[str]) -> bytes:
    """One message of text fields, the first of them its id, as this server version frames it."""
    if version >= RAW_MESSAGE_IDS and fields[0].isdigit():
        return raw_message(int(fields[0]), *fields[1:])
    return message(*fields)


def bent(kind: int, tail: bytes, how: Bend, protobuf: bool) -> bytes:
    """The fields of a tick behind its request id with one more; or those of a price tick with its last one, the
    attributes, empty or left out (in protobuf both are the same)."""
    if how == "extra":
        return tail + (_UNKNOWN_FIELD if protobuf else b"\0")
    if kind != PRICE:
        return tail
    if protobuf:
        return tail[:-2]  # tag and value
    kept = tail[:-1].rpartition(b"\0")
    return kept[0] + kept[1] + (b"\0" if how == "empty" else b"")


def garbage(source: random.Random) -> bytes:
    """A frame of an honest length that holds nonsense."""
    return frame(source.randbytes(source.randrange(20, 200)))


def bad_fields(version: int) -> bytes:
    """A tick price message whose fields are words."""
    if version >= PROTOBUF_MARKET_DATA:
        return protobuf_message(PRICE, b"request bid much x")
    return (raw_message if version >= RAW_MESSAGE_IDS else message)(PRICE, 6, "request", "bid", "much", "", "x")


def absurd_length() -> bytes:
    return struct.pack(">I", 0x7FFFFFF0) + b"1\x006\0"


def unknown_message(version: int) -> bytes:
    if version >= RAW_MESSAGE_IDS:
        return protobuf_message(199, b"\x08\x07")
    return message(250, 1, 7, "what is this")
