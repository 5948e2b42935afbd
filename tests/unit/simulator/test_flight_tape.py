"""A flight recording becomes a tape: the ticks of known requests, in their order, at their times."""

from pathlib import Path

import pytest

from messages.errors import IbStreamError
from messages.ticks import ticks
from services.base.flight_recorder import Recorder
from services.simulator.tape.flight_tape import FlightTape, is_flight
from tests.process.bad_gateway import frame, tick_price
from tests.unit.simulator.conversation import Conversation, contract

SUBSCRIBE = frame(1, 11, 7, 0, "BRK B", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")


def test_ticks_come_back_with_symbols_sizes_and_times(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "x.flight", 2)
    recorder.begin(176)
    recorder.record(1_000, SUBSCRIBE, sent=True)
    burst = tick_price(7, 1, 450.5, 300) + frame(46, 6, 7, 45, "1700000000") + frame(46, 6, 7, 32, "AMEX")
    recorder.record(2_000, burst[:-3])
    recorder.record(3_000, burst[-3:] + frame(2, 6, 7, 8, "12345") + tick_price(99, 1, 1.0, 1))
    recorder.close()
    tape = FlightTape(tmp_path / "x.flight")
    assert is_flight(tmp_path / "x.flight")
    assert (tape.first, tape.last, tape.ticks, tape.unknown, list(tape.symbols)) == (2_000, 3_000, 4, 1, ["BRK.B"])
    seen = []
    while tape.peek() is not None:
        block = tape.take()
        seen += [(block.time, tick.symbol, tick.field, tick.value, tick.size) for tick in ticks(block)]
    assert seen == [
        (2_000, "BRK.B", 1, 450.5, 300.0),
        (2_000, "BRK.B", 45, 1700000000.0, None),
        (3_000, "BRK.B", 32, "AMEX", None),
        (3_000, "BRK.B", 8, 12345.0, None),
    ]


def test_protobuf_comes_back_like_text(tmp_path: Path) -> None:
    """What a gateway of server version 225 said, and of 203, which spoke text under message ids of four bytes."""
    seen = []
    for version in (225, 203):
        talk = Conversation(version)
        path = tmp_path / f"{version}.flight"
        recorder = Recorder(path, 2)
        recorder.begin(version)
        asked = Conversation(version, core=talk.core, client_id=2)
        said: list[bytes] = []
        asked.say = said.append  # type: ignore[method-assign]
        for request, symbol in ((7, "BRK B"), (8, "AAPL")):
            asked.client.reqMktData(request, contract(symbol), "", False, False, [])
            talk.client.reqMktData(request, contract(symbol), "", False, False, [])
        recorder.record(1_000, b"".join(said), sent=True)
        for at, data in enumerate(talk.sent[1:], 2_000):
            recorder.record(at, data)
        recorder.close()
        tape = FlightTape(path)
        assert list(tape.symbols) == ["BRK.B", "AAPL"] and tape.unknown == 0
        block = tape.take()
        seen.append([(tick.symbol, tick.field, tick.value, tick.size) for tick in ticks(block)])
    assert len(seen[0]) > 10
    assert seen[0] == [tick if tick[1] != 8 else (*tick[:2], seen[0][n][2], None) for n, tick in enumerate(seen[1])]


def test_a_file_of_another_kind_and_an_empty_recording_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"IBFR but short")
    with pytest.raises(IbStreamError, match="not a flight recording"):
        FlightTape(tmp_path / "other")
    recorder = Recorder(tmp_path / "empty.flight", 2)
    recorder.record(1, SUBSCRIBE, sent=True)
    recorder.close()
    with pytest.raises(IbStreamError, match="no tick"):
        FlightTape(tmp_path / "empty.flight")
