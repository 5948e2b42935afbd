"""Tick messages on the wire. What is the same for all subscribers of a symbol is encoded once; a subscriber adds
its request id. One `Encoded` serves every client of one `Form` that wants the same ids (live or delayed).

Protobuf is written by hand here, as that is several times as fast; tests hold it against the official classes.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from messages.fields import DELAYED_TWIN
from services.simulator.market.contracts import Instrument
from services.simulator.market.prices import (
    ASK_SIZE,
    BID_SIZE,
    GENERIC,
    LAST_SIZE,
    PRICE,
    SIZE,
    STRING,
    VOLUME,
    Tick,
)
from services.simulator.protocol import versions as v
from services.simulator.protocol.wire import PROTOBUF_IDS

_KINDS = (PRICE, SIZE, GENERIC, STRING)
_TICK_VERSION = 6
_LOTS = {BID_SIZE, ASK_SIZE, LAST_SIZE}
_LENGTHS = [struct.pack(">I", n) for n in range(1024)]
_ID = struct.Struct(">I")
_DOUBLE = struct.Struct("<Bd")
_REQUEST_TAG, _TYPE_TAG, _DOUBLE_TAG, _TEXT_TAG, _SIZE_TAG, _MASK_TAG = 0x08, 0x10, 0x19, 0x1A, 0x22, 0x28

Encoded = list[tuple[int, bytes]]
"""(kind, the fields after the request id) of each tick."""

Heads = dict[int, bytes]
"""The fields up to the request id, for each kind."""


class Form(NamedTuple):
    """How one server version writes ticks. `lots`: bid, ask and last sizes of stocks are in round lots;
    `volume_in_lots`: so is the live volume of the day; `whole`: no last size of a stock has a
    fraction; `hundreds`: a lot is a hundred shares, whatever a round lot is."""

    protobuf: bool
    raw_ids: bool
    lots: bool
    volume_in_lots: bool
    whole: bool
    hundreds: bool = False

    def in_hundreds(self) -> "Form":
        """With IB's setting "market data in lots for US stocks"."""
        return self._replace(lots=True, volume_in_lots=True, hundreds=True)


@cache
def form(version: int) -> Form:
    """Sizes: the names of server versions 159 and 220, and captured gateways, which sent the delayed volume in round
    lots at every version up to 225."""
    return Form(
        protobuf=version >= v.PROTOBUF_MARKET_DATA,
        raw_ids=version >= v.RAW_MESSAGE_IDS,
        lots=version < v.MARKET_DATA_IN_SHARES,
        volume_in_lots=version < v.VOLUMES_IN_SHARES,
        whole=version < v.FRACTIONAL_LAST_SIZE,
    )


def heads(request: int, form: Form) -> Heads:
    if form.protobuf:
        tail = bytes((_REQUEST_TAG,)) + varint(request)
        return {kind: _ID.pack(PROTOBUF_IDS + kind) + tail for kind in _KINDS}
    if form.raw_ids:
        return {kind: _ID.pack(kind) + f"{_TICK_VERSION}\0{request}\0".encode() for kind in _KINDS}
    return {kind: f"{kind}\0{_TICK_VERSION}\0{request}\0".encode() for kind in _KINDS}


def encode(ticks: Iterable[Tick], form: Form, instrument: Instrument, *, delayed: bool) -> Encoded:
    out: Encoded = []
    write = _protobuf if form.protobuf else _text
    stock, lot = instrument.in_lots, 100 if form.hundreds else instrument.round_lot
    for kind, field, text, size, mask in ticks:
        if stock and field == VOLUME:
            size = int(size // lot if delayed or form.volume_in_lots else size)
        elif stock and form.lots and (kind == PRICE or field in _LOTS):
            size = int(-(-size // lot))
        if delayed:
            if field not in DELAYED_TWIN:
                continue
            field = DELAYED_TWIN[field]
        out.append((kind, write(kind, field, text, size, mask)))
    return out


def _text(kind: int, field: int, text: str, size: float, mask: int) -> bytes:
    if kind == PRICE:
        return f"{field}\0{text}\0{size}\0{mask}\0".encode()
    if kind == SIZE:
        return f"{field}\0{text or size}\0".encode()
    return f"{field}\0{text}\0".encode()


def _protobuf(kind: int, field: int, text: str, size: float, mask: int) -> bytes:
    if kind == PRICE:
        price, written = _DOUBLE.pack(_DOUBLE_TAG, float(text)), f"{size}".encode()
        return b"%b%b%c%c%b%c%c" % (_TYPES[field], price, _SIZE_TAG, len(written), written, _MASK_TAG, mask)
    if kind == GENERIC:
        return _TYPES[field] + _DOUBLE.pack(_DOUBLE_TAG, float(text))
    written = (text or f"{size}").encode() if kind == SIZE else text.encode()
    return b"%b%c%b%b" % (_TYPES[field], _TEXT_TAG, varint(len(written)), written)


def varint(value: int) -> bytes:
    """A protobuf integer; negative ones take ten bytes."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_TYPES = [bytes((_TYPE_TAG,)) + varint(field) for field in range(256)]


def frames(head: Heads, encoded: Sequence[tuple[int, bytes]]) -> bytes:
    parts: list[bytes] = []
    for kind, tail in encoded:
        body = head[kind] + tail
        parts += (_LENGTHS[len(body)], body)
    return b"".join(parts)
