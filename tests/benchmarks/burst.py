"""The bytes that all clients get: a burst of ticks as IB sends them, the same for the same arguments.

Half of the frames are tickPrice; each is followed by its tickSize (6 in 10) or by a tickString with the last
trade's time (4 in 10). Prices walk by a cent, sizes are round lots, and symbols take turns at random. The same market
in text and in protobuf.
"""

import functools
import random
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from tests import protobuf as wire

SERVER_VERSION: Final = 157  # the newest that all peers know
PROTOBUF_VERSION: Final = 225
FIRST_REQUEST: Final = 1001
END_REQUEST: Final = 999  # a tickSnapshotEnd of this request ends a burst
_PART: Final = 100_000  # frames that are generated; more are the same again


def frame(*fields: object) -> bytes:
    payload = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(payload)) + payload


def with_length(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


END: Final = frame(57, 1, END_REQUEST)
PROTOBUF_END: Final = with_length(wire.message(57, (1, END_REQUEST)))


def burst(frames: int, symbols: int = 100, requests: Sequence[int] = (), *, protobuf: bool = False) -> bytes:
    """`frames` tick frames of `symbols` symbols, with these request ids (default: from FIRST_REQUEST on)."""
    chosen = tuple(requests) or tuple(range(FIRST_REQUEST, FIRST_REQUEST + symbols))
    if frames <= _PART:
        return _generate(frames, chosen, protobuf)
    whole, rest = divmod(frames, _PART)
    return _generate(_PART, chosen, protobuf) * whole + (_generate(rest, chosen, protobuf) if rest else b"")


@functools.lru_cache(maxsize=8)
def _generate(frames: int, requests: tuple[int, ...], protobuf: bool) -> bytes:
    endless = tick_frames(requests, protobuf=protobuf)
    return b"".join(next(endless) for _ in range(frames))


def tick_frames(requests: Sequence[int], seed: int = 1, *, protobuf: bool = False) -> Iterator[bytes]:
    """Tick frames without end."""
    rng = random.Random(seed)
    prices = [rng.uniform(5, 900) for _ in requests]
    trades = 1_700_000_000
    while True:
        which = rng.randrange(len(requests))
        prices[which] = max(1.0, prices[which] + rng.choice((-0.01, 0.0, 0.01)))
        price_field, size_field = rng.choice(((1, 0), (2, 3), (4, 5)))
        size = 100 * rng.randrange(1, 50)
        request, price, attributes = requests[which], f"{prices[which]:.2f}", rng.randrange(2)
        if protobuf:
            yield with_length(wire.tick_price(request, price_field, float(price), str(size), attributes))
        else:
            yield frame(1, 6, request, price_field, price, size, attributes)
        if rng.random() < 0.6:
            tick = wire.tick_size(request, size_field, str(size))
            yield with_length(tick) if protobuf else frame(2, 6, request, size_field, size)
        else:
            trades += rng.randrange(2)
            tick = wire.tick_string(request, 45, str(trades))
            yield with_length(tick) if protobuf else frame(46, 6, request, 45, trades)
