"""Tick messages on the wire. What is the same for all subscribers of a symbol is encoded once; a subscriber adds
its request id. One `Encoded` serves every client that wants the same ids (live or delayed) and sizes (lots or not).
"""

import struct
from collections.abc import Iterable, Sequence

from services.simulator.market.prices import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    CLOSE,
    GENERIC,
    HALTED,
    HIGH,
    LAST,
    LAST_SIZE,
    LAST_TIME,
    LOW,
    OPEN,
    PRICE,
    SIZE,
    STRING,
    VOLUME,
    Tick,
)

DELAYED_FIELD = {
    BID: 66, ASK: 67, LAST: 68, BID_SIZE: 69, ASK_SIZE: 70, LAST_SIZE: 71, HIGH: 72, LOW: 73, VOLUME: 74,
    CLOSE: 75, OPEN: 76, LAST_TIME: 88, HALTED: 90,
}  # fmt: skip
_TICK_VERSION = 6
_LOTS = {BID_SIZE, ASK_SIZE, LAST_SIZE}
_LENGTHS = [struct.pack(">I", n) for n in range(1024)]

Encoded = list[tuple[int, bytes]]
"""(kind, the fields after the request id) of each tick."""

Heads = dict[int, bytes]
"""The fields up to the request id, for each kind."""


def heads(request: int) -> Heads:
    return {kind: f"{kind}\0{_TICK_VERSION}\0{request}\0".encode() for kind in (PRICE, SIZE, GENERIC, STRING)}


def encode(ticks: Iterable[Tick], *, delayed: bool, lots: bool, stock: bool) -> Encoded:
    """`lots`: the version gets sizes of stocks in round lots. Volume of stocks is in hundreds in all versions
    up to 219 (TWS API documentation, tick types; server version 220 changed it)."""
    out: Encoded = []
    for kind, field, text, size, mask in ticks:
        if stock and (field == VOLUME or (lots and (kind == PRICE or field in _LOTS))):
            size = size // 100 if field == VOLUME else -(-size // 100)
        if delayed:
            if field not in DELAYED_FIELD:
                continue
            field = DELAYED_FIELD[field]
        if kind == PRICE:
            out.append((kind, f"{field}\0{text}\0{size}\0{mask}\0".encode()))
        elif kind == SIZE:
            out.append((kind, f"{field}\0{text or size}\0".encode()))
        else:
            out.append((kind, f"{field}\0{text}\0".encode()))
    return out


def frames(head: Heads, encoded: Sequence[tuple[int, bytes]]) -> bytes:
    parts: list[bytes] = []
    for kind, tail in encoded:
        body = head[kind] + tail
        parts += (_LENGTHS[len(body)], body)
    return b"".join(parts)
