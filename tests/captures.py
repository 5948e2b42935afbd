"""Frames that real gateways sent, from tests/data/captures (its README tells the format and the licence)."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import protobuf

FOLDER = Path(__file__).parent / "data" / "captures"


class Frame(NamedTuple):
    """One frame of a capture, without its length."""

    server_version: int
    message_id: int
    payload: bytes
    from_server: bool
    leg: int


def frames(name: str) -> Iterator[Frame]:
    """The frames of one capture (`quote_snapshot`), in order, those of the client among them."""
    header, *lines = map(json.loads, (FOLDER / f"{name}.jsonl").read_text().splitlines())
    version = header["server_version"]
    for line in lines:
        version = line.get("server_version", version)
        if "frame" in line:
            payload = base64.b64decode(line["frame"])[4:]
            yield Frame(version, line["msg_id"], payload, line["from"] == "server", line["leg"])


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def server_frames() -> list[Frame]:
    """Every frame that a gateway sent, of all captures."""
    return [frame for name in names() for frame in frames(name) if frame.from_server]


def request_of(frame: Frame) -> int:
    """The request that a frame is about; -1 for none."""
    if frame.server_version < 201:
        return int(frame.payload.split(b"\0")[_request_field(frame)])
    (value,) = protobuf.decode(frame.payload[4:]).get(1, [0])
    assert isinstance(value, int)
    return -1 if value >= 1 << 63 else value


def with_request(frame: Frame, req_id: int) -> bytes:
    """The payload, about another request."""
    if frame.server_version < 201:
        fields = frame.payload.split(b"\0")
        fields[_request_field(frame)] = b"%d" % req_id
        return b"\0".join(fields)
    body = frame.payload[4:]
    end = 1
    while body[end] & 0x80:
        end += 1
    return frame.payload[:4] + protobuf.encode([(1, req_id)]) + body[end + 1 :]


def _request_field(frame: Frame) -> int:
    """Where the request id stands in a text message: first, or behind the message's own version."""
    return 1 if frame.message_id in (4, 10, 17, 81, 88, 108) else 2
