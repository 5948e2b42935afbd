"""The file of a recording: JSON lines, one a message, as they crossed the wire, less what `scrub.py` withholds.

    {"captured": "2026-01-05", "origin": "ibstream record", "exact": false, "note": "...", ...}
    {"leg": 1, "event": "connect", "server_version": 226, "time": 1767632400000000000}
    {"leg": 1, "from": "server", "msg_id": 1, "encoding": "protobuf", "time": ..., "frame": "<base64>"}
    {"leg": 1, "from": "client", "msg_id": 3, "encoding": "protobuf", "time": ..., "withheld": true}
    {"leg": 1, "event": "disconnect", "by": "gateway", "time": ...}

A `leg` is one connection; `time` is UTC nanoseconds; `frame` has its length before it. Read by the simulator's replay
(tape/capture_tape.py), written by one process.
"""

import base64
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from services.base.clock import iso
from services.simulator.protocol.wire import PROTOBUF_IDS

ORIGIN = "ibstream record"
NOTE = "accounts, orders, texts and unknown messages are left out; services/simulator/README.md says what is kept"


class Moment(NamedTuple):
    """Something of a recording: a frame's payload, or (`event`) that a connection began or was ended `by` one side."""

    time: int
    leg: int
    server_version: int
    from_server: bool = False
    payload: bytes = b""
    event: str = ""
    by: str = ""


class CaptureFile:
    """Appends to a new file that its owner alone can read. Raises OSError from the constructor alone: a file that
    cannot be written any more must not end what is being recorded."""

    def __init__(self, path: Path, now: int, most: int) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._most = most
        self._size = 0
        self.ended = ""  # why nothing more is recorded: `most` bytes are written, or the disk takes no more
        self.failed = False
        self.kept = 0
        self.withheld: Counter[str] = Counter()
        head = {"server_version": None, "connection_time": None, "captured": iso(now)[:10]}
        self._write({**head, "origin": ORIGIN, "exact": False, "note": NOTE})

    def connected(self, leg: int, server_version: int, now: int) -> None:
        self._write({"leg": leg, "event": "connect", "server_version": server_version, "time": now})

    def message(self, leg: int, from_server: bool, kind: int, frame: bytes | None, now: int) -> None:
        """A message with its `frame` as it may be kept, or that there was one."""
        side = "server" if from_server else "client"
        line: dict[str, Any] = {"leg": leg, "from": side, "msg_id": kind, "time": now}
        if frame is None:
            self.withheld[f"{side} {kind}"] += 1
            self._write(line | {"withheld": True})
            return
        self.kept += 1
        protobuf = int.from_bytes(frame[4:8], "big") == PROTOBUF_IDS + kind
        encoded = base64.b64encode(frame).decode()
        self._write(line | {"encoding": "protobuf" if protobuf else "text", "frame": encoded})

    def disconnected(self, leg: int, by: str, now: int) -> None:
        self._write({"leg": leg, "event": "disconnect", "by": by, "time": now})

    def flush(self) -> None:
        self._attempt(self._file.flush)

    def close(self) -> None:
        self._attempt(self._file.close)

    def _write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if self._size + len(data) > self._most:
            self.ended = self.ended or "the file has its most bytes"
        if not self.ended:
            self._size += len(data)
            self._attempt(lambda: self._file.write(data))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            self.failed = True
            self.ended = self.ended or f"the file cannot be written: {error.strerror}"


def moments(path: Path) -> Iterator[Moment]:
    """What a recording holds, in its order; a cut last line, as a killed recorder leaves it, is passed over. Raises
    ValueError when it is no recording, OSError."""
    versions: dict[int, int] = {}
    with path.open("rb") as file:
        if not _is_head(file.readline()):
            raise ValueError(f"{path} is not a recording")
        for number, raw in enumerate(file, 2):
            if not raw.endswith(b"\n"):
                return
            try:
                line = json.loads(raw)
                leg, time = int(line["leg"]), int(line["time"])
                if "event" in line:
                    versions[leg] = int(line.get("server_version", versions.get(leg, 0)))
                    yield Moment(time, leg, versions[leg], event=line["event"], by=line.get("by", ""))
                elif "frame" in line:
                    payload = base64.b64decode(line["frame"], validate=True)[4:]
                    yield Moment(time, leg, versions[leg], line["from"] == "server", payload)
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"{path}: line {number} is no part of a recording") from None


def is_capture(path: Path) -> bool:
    """Whether a file is a recording of `ibstream record`, by its first line."""
    try:
        with path.open("rb") as file:
            return _is_head(file.readline(4096))
    except OSError:
        return False


def _is_head(line: bytes) -> bool:
    try:
        head = json.loads(line)
    except ValueError:
        return False
    return isinstance(head, dict) and head.get("origin") == ORIGIN
