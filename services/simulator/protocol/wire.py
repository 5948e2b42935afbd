"""Framing of the TWS socket protocol, server side: length-prefixed frames of NUL-terminated text fields, and from
server version 201 on of a message id in four bytes with text fields or a protobuf message behind it.

`FrameReader` is fed whatever the socket gave and never raises anything but `Garbage`; a frame it returns is whole.
Source of the layout: the encoders and decoders of the official client, and the loopback observations in the docs.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from services.simulator.protocol.versions import HIGHEST, LOWEST, RAW_MESSAGE_IDS

PROTOBUF_IDS = 200  # a message id above it stands for the one that is 200 lower, in protobuf
GREETING = b"API\0"
MAX_FRAME = 1_000_000  # bytes; a client's longest honest message is far below
_LENGTH = struct.Struct(">I")
_VERSIONS = re.compile(r"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?")


class Garbage(Exception):
    """Bytes that no TWS client sends; the connection is beyond repair."""


class FrameReader:
    """Cuts a client's byte stream into frames. Holds at most one unfinished frame of MAX_FRAME bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads of the frames that `data` completes. Raises Garbage, after the good frames before it."""
        self._buffer += data
        if not self._greeted:
            head = bytes(self._buffer[: len(GREETING)])
            if not GREETING.startswith(head):
                raise Garbage(f"expected {GREETING!r}, got {head!r}")
            if len(head) < len(GREETING):
                return
            del self._buffer[: len(GREETING)]
            self._greeted = True
        start = 0
        try:
            while len(self._buffer) - start >= 4:
                (length,) = _LENGTH.unpack_from(self._buffer, start)
                if not 0 < length <= MAX_FRAME:
                    raise Garbage(f"a frame of {length} bytes")
                end = start + 4 + length
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[start + 4 : end])
                start = end
                yield payload
        finally:
            del self._buffer[:start]


def split(payload: bytes) -> list[str]:
    """The fields of a frame. Raises Garbage when the last one is not terminated."""
    if not payload.endswith(b"\0"):
        raise Garbage(f"a frame that does not end in NUL: {payload[:40]!r}")
    return payload[:-1].decode("utf-8", "replace").split("\0")


def parse_versions(payload: bytes) -> tuple[int, int]:
    """(lowest, highest) server version that the client understands. Raises Garbage."""
    match = _VERSIONS.fullmatch(payload.decode("ascii", "replace").rstrip("\0"))
    if match is None:
        raise Garbage(f"expected versions such as v100..200, got {payload[:40]!r}")
    low = int(match[1])
    return low, int(match[2] or low)


def frame(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def message(*fields: object) -> bytes:
    """One frame of text fields. A bool is 1 or 0, None is empty, a float has no needless digits."""
    return frame("".join([_text(field) + "\0" for field in fields]).encode("utf-8"))


def raw_message(kind: object, *fields: object) -> bytes:
    """The same as from server version 201 on: the message id is four bytes."""
    assert isinstance(kind, int)
    return frame(_LENGTH.pack(kind) + "".join([_text(field) + "\0" for field in fields]).encode("utf-8"))


class TextForm:
    """Text messages in the form of one server version: from 201 on with the message id in four bytes."""

    def __init__(self, version: int) -> None:
        assert LOWEST <= version <= HIGHEST, version
        self.version = version

    def _message(self, *fields: object) -> bytes:
        return raw_message(*fields) if self.version >= RAW_MESSAGE_IDS else message(*fields)


def protobuf_message(kind: int, body: bytes) -> bytes:
    """One frame of a protobuf message: its id is raised by 200."""
    return frame(_LENGTH.pack(PROTOBUF_IDS + kind) + body)


class Envelope(NamedTuple):
    """A client's frame: its message id, and `fields` of text or, where `body` is not None, a protobuf message."""

    kind: int
    fields: list[str]
    body: bytes | None = None


def unwrap(payload: bytes, version: int) -> Envelope:
    """A frame of a client that speaks `version`. Raises Garbage for what has no message id."""
    if version >= RAW_MESSAGE_IDS:
        if len(payload) < _LENGTH.size:
            raise Garbage(f"a frame of {len(payload)} bytes, without a message id")
        (kind,) = _LENGTH.unpack_from(payload)
        rest = payload[_LENGTH.size :]
        if kind > PROTOBUF_IDS:
            return Envelope(kind - PROTOBUF_IDS, [], rest)
        return Envelope(kind, split(rest) if rest else [])
    first, *fields = split(payload)
    try:
        return Envelope(int(first), fields)
    except ValueError:
        raise Garbage(f"a message id of {first[:20]!r}") from None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


class BadRequest(Exception):
    """A request that cannot be read; the text goes into error 320."""


class Fields:
    """Reads a request's fields in their order. Raises BadRequest for a missing or malformed one."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._next = 0

    def text(self) -> str:
        if self._next >= len(self._fields):
            raise BadRequest(f"field {self._next} is missing")
        self._next += 1
        return self._fields[self._next - 1]

    def number(self, default: int | None = None) -> int:
        text = self.text()
        if not text and default is not None:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadRequest(f"field {self._next - 1} is {text[:20]!r}, not a whole number") from None

    def decimal(self) -> float:
        """A number that may be empty, which is 0."""
        text = self.text()
        try:
            return float(text or 0)
        except ValueError:
            raise BadRequest(f"field {self._next - 1} is {text[:20]!r}, not a number") from None

    def flag(self) -> bool:
        return self.text().lower() in ("1", "true")

    def skip(self, count: int = 1) -> None:
        for _ in range(count):
            self.text()
