"""A recording of `ibstream record` as a replay needs it: the ticks that a gateway sent, and as a scenario what happened
to the link meanwhile.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from google.protobuf.message import DecodeError

from services.base.clock import SECOND
from services.base.flight_recorder import Passage
from services.simulator.protocol import ib
from services.simulator.protocol.versions import ERROR_TIME
from services.simulator.protocol.wire import Envelope, Garbage, frame, unwrap
from services.simulator.recording.capture import Moment, moments
from services.simulator.tape.flight_tape import FlightTape
from services.simulator.trouble.scenario import Scenario, Timed

_ERROR = 4


class CaptureTape(FlightTape):
    """The ticks of one recording. Raises IbStreamError as a flight recording does."""

    @staticmethod
    def passages(path: Path) -> Iterator[tuple[int, Passage]]:
        """Frames of one connection and direction that came one after the other within a millisecond are a block."""
        said = (one for one in moments(path) if not one.event)
        for (leg, from_server, _), run in groupby(said, lambda m: (m.leg, m.from_server, m.time // 1_000_000)):
            ones = list(run)
            data = b"".join(frame(one.payload) for one in ones)
            yield leg, Passage(ones[0].time, not from_server, ones[0].server_version, data)


def link_scenario(path: Path, first: int) -> Scenario:
    """The system messages and the ends of connections that came after the tape's `first` tick, as steps at their
    times. Raises ValueError and OSError."""
    timed = [step for one in moments(path) if one.time > first and (step := _step(one, first)) is not None]
    return Scenario(f"what happened to the link in {path.name}", "", "start", timed)


def _step(one: Moment, first: int) -> Timed | None:
    at = (one.time - first) / SECOND
    if one.event == "disconnect":
        return Timed(at, "drop", {}) if one.by == "gateway" else None
    if one.event or not one.from_server:
        return None
    try:
        request, code, text = _error(unwrap(one.payload, one.server_version), one.server_version)
    except (Garbage, DecodeError, ValueError, IndexError):
        return None
    return Timed(at, "error", {"code": code, "message": text}) if request == -1 and code else None


def _error(envelope: Envelope, version: int) -> tuple[int, int, str]:
    """Request, code and text; code 0 for any other message. Raises what a malformed one causes."""
    if envelope.kind != _ERROR:
        return -1, 0, ""
    if envelope.body is None:
        request, code, text = envelope.fields[0 if version >= ERROR_TIME else 1 :][:3]
        return int(request), int(code), text
    told = ib.ErrorMessage()
    told.ParseFromString(envelope.body)
    return told.id, told.errorCode, told.errorMsg
