"""The flight recorder: the last minutes of raw bytes between gateway and IB, in a ring file, for after a fault.

Written by the gateway, one copy into mapped memory a drain, so that even a killed process leaves its last
minutes behind; dumped to a file of its own when something goes wrong; read by the simulator, which can play
a dump to any IB client. The ring is a row of segments: each begins with a header and is overwritten as a
whole, oldest first, so a reader always finds record boundaries.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SEGMENT: Final = 1 << 20  # bytes
_MAGIC: Final = b"IBFR"
_HEAD: Final = struct.Struct("<4sIQI")  # magic, server version, segment number, bytes used after the header
_RECORD: Final = struct.Struct("<QI")  # UTC nanoseconds; length, with the highest bit set for bytes sent
_SENT: Final = 1 << 31
SUFFIX: Final = ".flight"


class Passage(NamedTuple):
    """Bytes as they crossed the socket, after the version handshake."""

    time: int  # UTC nanoseconds
    sent: bool  # by us; else received
    server_version: int
    data: bytes


class Recorder:
    """Keeps the newest `segments` megabytes. Not thread safe; one process writes a file. Raises OSError at the
    start, when there is no room for the whole of it."""

    def __init__(self, path: Path, segments: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._segments = max(2, segments)
        size = self._segments * SEGMENT
        with path.open("a+b") as file:
            if file.seek(0, 2) != size:
                file.truncate(0)
                # Real blocks, not a hole: a write to mapped memory without room on the disk kills the process.
                os.posix_fallocate(file.fileno(), 0, size)
            self._map = mmap.mmap(file.fileno(), size)
        self._number = max((number for number, *_ in _segments(self._map)), default=-1)
        self._version = 0
        self._used = SEGMENT  # so that the first record begins a new segment

    def begin(self, server_version: int) -> None:
        """A new connection: what follows was said in this version."""
        self._version = server_version
        self._used = SEGMENT

    def record(self, time: int, data: bytes | memoryview, *, sent: bool = False) -> None:
        """Keep some bytes; more than a segment holds is cut into several records."""
        room = SEGMENT - _HEAD.size - _RECORD.size
        for start in range(0, len(data), room):
            self._put(time, data[start : start + room], sent)

    def dump(self, into: Path, keep: int = 10) -> None:
        """Copy the ring to a file of its own, and leave only the newest `keep` dumps. Raises OSError."""
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_bytes(self._map[:])
        for old in sorted(into.parent.glob(f"*{SUFFIX}"))[:-keep]:
            old.unlink(missing_ok=True)

    def close(self) -> None:
        self._map.close()

    def _put(self, time: int, data: bytes | memoryview, sent: bool) -> None:
        size = _RECORD.size + len(data)
        if self._used + size > SEGMENT:
            self._number += 1
            self._used = _HEAD.size
        base = self._number % self._segments * SEGMENT
        at = base + self._used
        _RECORD.pack_into(self._map, at, time, len(data) | (_SENT if sent else 0))
        self._map[at + _RECORD.size : at + size] = data
        self._used += size
        _HEAD.pack_into(self._map, base, _MAGIC, self._version, self._number, self._used - _HEAD.size)


def passages(path: Path) -> Iterator[Passage]:
    """What a ring file or a dump holds, oldest first. Raises ValueError when it is neither, OSError."""
    data = path.read_bytes()
    if not data or len(data) % SEGMENT:
        raise ValueError(f"{path} is not a flight recording")
    for _, version, base, used in sorted(_segments(data)):
        at, end = base + _HEAD.size, base + _HEAD.size + used
        while at + _RECORD.size <= end:
            time, length = _RECORD.unpack_from(data, at)
            sent, length = bool(length & _SENT), length & ~_SENT
            at += _RECORD.size
            yield Passage(time, sent, version, data[at : at + length])
            at += length


def _segments(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int, int]]:
    """Number, server version, offset and used bytes of each segment that was written."""
    for base in range(0, len(data), SEGMENT):
        magic, version, number, used = _HEAD.unpack_from(data, base)
        if magic == _MAGIC and used <= SEGMENT - _HEAD.size:
            yield number, version, base, used
