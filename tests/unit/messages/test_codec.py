"""Bytes from elsewhere: whatever is wrong with them, a decoder says so in one way, and never in another."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from messages import codec
from messages.control import Failed, ReplayReply
from messages.events import EventBlock, IbError, Plan, PlannedSymbol
from messages.topics import LINK
from messages.views import Heartbeat, LockOwner, Quote, Status
from tests.journals import tick_block

SAMPLES: list[tuple[Callable[[bytes], Any], Any]] = [
    (codec.decode_ticks, tick_block(1, 1, [1.0, 2.0])),
    (codec.decode_events, EventBlock(1, 1, 1, [IbError(code=1100, name="lost", kind="info", message="gone")])),
    (lambda payload: codec.decode_block(LINK, payload), EventBlock(1, 1, 1, [])),
    (codec.decode_plan, Plan(epoch=1, first_seq=1, time=1, started=True, symbols=[PlannedSymbol("SPY", "rank 1", 1)])),
    (codec.decode_message, Failed(code="invalid_request", message="no")),
    (codec.decode_message, ReplayReply(stream="link", head_seq=1, blocks=[b"abc"], next_seq=2)),
    (
        codec.decode_heartbeat,
        Heartbeat(service="sink", pid=1, time=1, started_at=1, interval=0.5, loop_lag_ms=0.0, metrics={"a": 1.0}),
    ),
    (codec.decode_status, Status(status="starting", reason="planning", api_mode="mock")),
    (
        codec.decode_quote,
        Quote(symbol="SPY", source="mock", epoch=1, seq=1, stale=False),
    ),
]


@pytest.mark.parametrize(("decode", "sample"), SAMPLES)
def test_any_changed_byte_is_read_or_refused_in_one_way(decode: Callable[[bytes], Any], sample: Any) -> None:
    data = codec.encode(sample)
    assert decode(data) == sample
    for at in range(len(data)):
        for byte in (0x00, 0x80, 0xC1, 0xFF):
            changed = data[:at] + bytes([byte]) + data[at + 1 :]
            try:
                decode(changed)
            except msgspec.MsgspecError:
                continue


def test_json_and_deep_nesting_are_refused_in_the_same_way() -> None:
    owner = codec.json_decoder(LockOwner)
    data = codec.encode_json(LockOwner(owner="1@here", since="now"))
    for at in range(len(data)):
        try:
            owner(data[:at] + b"\xff" + data[at + 1 :])
        except msgspec.MsgspecError:
            continue
    for deep in (codec.decoder(Any), codec.json_decoder(Any)):
        with pytest.raises(msgspec.MsgspecError):
            deep(b"[" * 100_000 + b"\x91" * 100_000)
