"""Captured frames with bytes changed, cut out or put in: nothing crashes, and every frame is taken or counted.

`IBSTREAM_WIRE_FUZZ_SECONDS=60` goes on for so long.
"""

import os
import random
import struct
import time

import pytest

from messages.codec import decode_ticks
from messages.ticks import ticks
from services.gateway.wire.official_client import BadFrame, OfficialClient
from services.gateway.wire.text_ticks import FrameError
from services.gateway.wire.tick_router import TickRouter
from tests import captures

SECONDS = float(os.environ.get("IBSTREAM_WIRE_FUZZ_SECONDS", "0"))
ROUNDS = 60
REQUESTS = (1, 2, 5, 1001, 20601, 20603, 20611)


class Session:
    """A connection of which the bytes are mutated."""

    def __init__(self, version: int) -> None:
        self.router = TickRouter(version)
        self.official = OfficialClient(1, version, self.router.add)
        self.router.begin(version, self.official.interpret)
        for request in REQUESTS:
            self.router.open(request, f"S{request}")

    def take(self, data: bytes) -> bool:
        """Whether the stream is still to be trusted after these bytes."""
        rare: list[bytes] = []
        try:
            self.router.feed(data, rare)
            for frame in rare:
                self.official.interpret(frame)
        except (FrameError, BadFrame):
            return False
        self.official.inputs.clear()
        self.router.read(self.router.rows)
        payload, count = self.router.take_block(1, 1, 1)
        assert len(list(ticks(decode_ticks(payload)))) == count
        return True


def mutated(rng: random.Random, payload: bytes) -> bytes:
    body = bytearray(payload)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        place = rng.randrange(len(body) + 1)
        match rng.randrange(4):
            case 0 if place < len(body):
                body[place] = rng.randrange(256)
            case 1:
                del body[place : place + rng.randrange(1, 4)]
            case 2:
                body[place:place] = rng.choice((b"\0", b"\xff", b"-1", b"\\x", b"9" * 30, rng.randbytes(3)))
            case _:
                del body[place:]
    return bytes(body)


@pytest.mark.parametrize("version", [200, 206, 225])
def test_mutated_captures_are_taken_or_counted(version: int) -> None:
    rng = random.Random(version)
    payloads = [frame.payload for frame in captures.server_frames() if (frame.server_version > 200) == (version > 200)]
    until, rounds = time.monotonic() + SECONDS, 0
    while rounds < ROUNDS or time.monotonic() < until:
        rounds += 1
        session = Session(version)
        for _ in range(40):
            body = mutated(rng, rng.choice(payloads))
            data = struct.pack(">I", len(body)) + body
            cut = rng.randrange(len(data))
            if not (session.take(data[:cut]) and session.take(data[cut:])):
                break
