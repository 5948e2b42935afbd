"""Frames that real gateways sent, from tests/data/captures (its README tells the format and the licence)."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
