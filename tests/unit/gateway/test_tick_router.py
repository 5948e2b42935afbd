"""Whose a tick is, in which order, and what it tells the core."""

import math
import struct
from itertools import pairwise

import pytest

from messages.codec import decode_ticks
from messages.fields import CURRENCY, SOURCE
from messages.ticks import ticks
from services.gateway.core.interface import HaltSeen, SnapshotEnd, TicksSeen
from services.gateway.wire.official_client import OfficialClient
from services.gateway.wire.tick_router import TickRouter
from tests import protobuf

SPY, QQQ = 1001, 1002


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def text(*fields: object) -> bytes:
    return "".join(f"{field}\0" for field in fields).encode()


def router_at(version: int) -> tuple[TickRouter, OfficialClient]:
    router = TickRouter(100)
    official = OfficialClient(1, version, router.add)
    router.begin(version, official.interpret)
    router.open(SPY, "SPY")
    router.open(QQQ, "QQQ")
    return router, official


def block_of(router: TickRouter) -> list[tuple[str, int, float | str]]:
    payload, count = router.take_block(1, 1, 99)
    rows = [(tick.symbol, tick.field, tick.value) for tick in ticks(decode_ticks(payload))]
    assert len(rows) == count
    return rows


@pytest.mark.parametrize("version", [176, 200, 203, 225])
def test_a_tick_that_is_not_as_documented_keeps_its_place(version: int) -> None:
    """One with a field more between two as they should be: the last one said counts."""
    router, official = router_at(version)
    bodies = []
    for number in range(60):
        more = ("",) if number % 3 == 1 else ()
        fields = (6, SPY, 4, 10.0 + number, 100, 0, *more)
        if version < 201:
            bodies.append(text(1, *fields))
        elif version < 206:
            bodies.append(protobuf.text(1, *fields))
        elif more:
            bodies.append(protobuf.message(1, (2, 4), (1, SPY), (3, 10.0 + number), (4, "100")))
        else:
            bodies.append(protobuf.tick_price(SPY, 4, 10.0 + number, "100"))
    rare: list[bytes] = []
    router.feed(b"".join(map(frame, bodies)), rare)
    values = [value for _, _, value in block_of(router)]
    assert len(values) == 60
    assert all(isinstance(a, float) and isinstance(b, float) and a < b for a, b in pairwise(values))
    assert (router.odd, router.unknown, official.malformed, rare) == (20, 0, 0, [])


def test_texts_with_escapes_keep_their_place_and_their_text() -> None:
    router, _ = router_at(176)
    texts = ["K", "a\\x41", "P", "\\u00e9"]
    router.feed(b"".join(frame(text(46, 6, SPY, 84, one)) for one in texts), [])
    assert [value for _, _, value in block_of(router)] == ["K", "aA", "P", "é"]


def test_ticks_of_a_field_that_ib_does_not_have_and_of_nobody_are_counted() -> None:
    router, _ = router_at(176)
    odd = [text(2, 6, SPY, 200, 5), text(2, 6, SPY, -1, 5), text(2, 6, 77, 8, 5, ""), text(2, 6, 77, 8, 5)]
    router.feed(b"".join(map(frame, odd)), [])
    assert (len(router.rows), router.unknown, router.odd, router.count_unrouted()) == (0, 2, 3, 2)
    router.end(100)
    assert router.count_unrouted() == 2


def test_own_rows_come_after_those_of_ib_and_under_the_same_symbol() -> None:
    router, _ = router_at(225)
    router.feed(frame(protobuf.tick_price(SPY, 1, 10.0, "5")), [])
    router.add_own("SPY", [(SOURCE, 0.0, math.nan, ""), (CURRENCY, 0.0, math.nan, "USD")])
    assert block_of(router) == [("SPY", 1, 10.0), ("SPY", SOURCE, 0.0), ("SPY", CURRENCY, "USD")]


def test_what_the_rows_tell_the_core() -> None:
    router, _ = router_at(225)
    router.feed(frame(protobuf.tick_price(SPY, 1, 10.0, "5")) + frame(protobuf.tick_generic(QQQ, 49, 1.0)), [])
    router.feed(frame(protobuf.tick_price(QQQ, 9, 10.0, "0")), [])
    assert router.read(router.rows) == [TicksSeen({SPY}), HaltSeen(QQQ, 1)]


def test_a_snapshot_is_held_against_its_stream() -> None:
    router, _ = router_at(225)
    router.open(7, "SPY", snapshot_of=SPY)
    router.feed(frame(protobuf.tick_price(SPY, 1, 10.0, "5")) + frame(protobuf.tick_price(7, 1, 11.0, "5")), [])
    router.read(router.rows)
    assert router.snapshot_ended(7) == SnapshotEnd(7, {1: 11.0}, {1: 10.0})
    assert router.snapshot_ended(7) is None
    router.feed(frame(protobuf.tick_price(7, 1, 12.0, "5")), [])
    assert (len(block_of(router)), router.count_unrouted()) == (2, 1)


def test_rows_go_out_before_the_core_is_asked_only_when_it_has_nothing_to_add() -> None:
    router, _ = router_at(225)
    price = frame(protobuf.tick_price(SPY, 1, 10.0, "5"))
    settled = []
    for marked in (True, False, False, True, False):
        router.feed(price, [])
        settled.append(router.all_settled())
        router.read(router.rows)
        if marked:
            router.add_own("SPY", [(SOURCE, 0.0, math.nan, "")])
        router.settle()
        router.take_block(1, 1, 1)
    assert settled == [False, False, True, True, False]
