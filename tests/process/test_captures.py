"""The real gateway against frames that real ones sent: what they say arrives in the journal, at every version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.fields import QUOTE_FIELD
from tests import captures, protobuf
from tests.process.bad_gateway import BadGateway, Peer
from tests.process.scripted_gateway import REQUEST_MARKET_DATA, VersionedPeer
from tests.process.test_bad_gateway import GatewayProcess
from tests.support import eventually


@pytest.fixture
def run(tmp_path: Path) -> Iterator[list[GatewayProcess | BadGateway]]:
    """Whatever is put in here is ended at the end, and the gateway's log is shown."""
    started: list[GatewayProcess | BadGateway] = []
    yield started
    for one in started:
        if isinstance(one, GatewayProcess):
            print(one.log.read_text())
            one.stop()
        else:
            one.close()


def with_request(frame: captures.Frame, req_id: int) -> bytes:
    """The frame, for the request that our client made."""
    if frame.server_version < 201:
        fields = frame.payload.split(b"\0")
        at = 1 if frame.message_id == 81 else 2
        return b"\0".join([*fields[:at], b"%d" % req_id, *fields[at + 1 :]])
    body = frame.payload[4:]
    end = 1
    while body[end] & 0x80:
        end += 1
    return frame.payload[:4] + protobuf.encode([(1, req_id)]) + body[end + 1 :]


def quote_frames(name: str) -> list[captures.Frame]:
    """What the gateway said of the one stream of a capture, before a first disconnect."""
    about = (1, 2, 4, 45, 46, 57, 58, 81)
    found = [f for f in captures.frames(name) if f.from_server and f.message_id in about and f.leg == 1]
    return [f for f in found if f.message_id != 4 or f.payload[4:6] == b"\x08\x01"]


def play(name: str, peer: Peer) -> None:
    """Greet at the capture's version, and answer the first market data request with its frames."""
    frames = quote_frames(name)
    server = VersionedPeer(peer, frames[0].server_version)
    server.greet()
    req_id = server.read_until(REQUEST_MARKET_DATA).req_id
    for frame in frames:
        server.send_payload(with_request(frame, req_id))
    server.swallow()


@pytest.mark.parametrize("name", ["sv200_quote_snapshot_aapl", "quote_stream_reconnect", "quote_stream_genericticks"])
def test_the_ticks_of_a_capture_are_in_the_journal(
    tmp_path: Path, run: list[GatewayProcess | BadGateway], name: str
) -> None:
    server = BadGateway(lambda peer: play(name, peer))
    gateway = GatewayProcess(tmp_path, server.port)
    run += [gateway, server]
    ticks = [frame for frame in quote_frames(name) if frame.message_id in (1, 2, 45, 46)]
    rows = eventually(lambda: len(found := [row for row in gateway.ticks() if row[1] < 200]) == len(ticks) and found)
    assert {field for _, field, _, _ in rows} & QUOTE_FIELD.keys()
    assert {symbol for symbol, *_ in rows} == {"SPY"}
    assert [link.phase for link in gateway.links() if link.phase == "ready"]
    assert not [line for line in gateway.log.read_text().splitlines() if "message_" in line]
