"""Bytes that try a client's read loop: a burst of an exact length, garbage, lengths and ids that make no sense."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from services.simulator.client import Client, Subscription
from services.simulator.market import ticks
from services.simulator.market.prices import PRICE, SIZE, Tick
from services.simulator.protocol.wire import frame, message

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
    while left > 200:
        line = lines[number % len(lines)]
        ticks_of_it = core.market.feed(line.instrument, core.now).image()
        for tick in [one for one in ticks_of_it if one.kind in (PRICE, SIZE)]:
            data = _frame(core, line, tick)
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


def _frame(core: Core, line: Subscription, tick: Tick) -> bytes:
    lots = line.client.replies.lots
    encoded = ticks.encode([tick], delayed=line.delayed, lots=lots, stock=line.instrument.in_lots)
    return ticks.frames(line.head, encoded)


def _padded(core: Core, line: Subscription, size: int) -> bytes:
    """A bid of exactly `size` bytes: a price may have as many zeros at its end as it likes."""
    bid = next(tick for tick in core.market.feed(line.instrument, core.now).image() if tick.kind == PRICE)
    missing = size - len(_frame(core, line, bid))
    assert missing >= 0
    return _frame(core, line, bid._replace(text=bid.text + "0" * missing))


def garbage(source: random.Random) -> bytes:
    """A frame of an honest length that holds nonsense."""
    return frame(source.randbytes(source.randrange(20, 200)))


def bad_fields() -> bytes:
    """A tick price message whose fields are words."""
    return message(1, 6, "request", "bid", "much", "", "x")


def absurd_length() -> bytes:
    return struct.pack(">I", 0x7FFFFFF0) + b"1\x006\0"


def unknown_message() -> bytes:
    return message(250, 1, 7, "what is this")
