"""A flight recording as a replay needs it: the ticks that the gateway received before a fault, in tick blocks.

Stands in for a recorded day (tape.py). The requests that were sent say which symbol each tick belongs to; a
recording that begins after a subscription leaves its ticks out, and `unknown` counts them.
"""

import struct
from pathlib import Path

from messages.errors import IbStreamError
from messages.events import ContractQualified, TickBlock
from messages.fields import NUMERIC_STRING_FIELDS
from services.base.flight_recorder import Passage, passages

_REQUEST = "1"  # reqMktData
_PRICE, _SIZE, _GENERIC, _STRING = b"1", b"2", b"45", b"46"
_NAN = float("nan")


class FlightTape:
    """The tick blocks of one recording, one for each drain of the socket. Same attributes as `Tape`."""

    def __init__(self, path: Path) -> None:
        """Raises IbStreamError: no such file, no recording, or no tick in it."""
        self.contracts: dict[str, ContractQualified] = {}
        self.symbols: dict[str, None] = {}
        self.unknown = 0
        self._names: dict[int, str] = {}
        self._partial = b""
        try:
            blocks = [block for passage in passages(path) if (block := self._block(passage)) is not None]
        except (OSError, ValueError) as error:
            raise IbStreamError("journal_unavailable", f"{path}: {error}") from None
        if not blocks:
            raise IbStreamError("journal_unavailable", f"there is no tick in {path}")
        self.first, self.last = blocks[0].time, blocks[-1].time
        self.ticks = sum(block.count for block in blocks)
        self._blocks = blocks[::-1]

    def peek(self) -> int | None:
        return self._blocks[-1].time if self._blocks else None

    def take(self) -> TickBlock:
        return self._blocks.pop()

    def close(self) -> None:
        self._blocks.clear()

    def _block(self, passage: Passage) -> TickBlock | None:
        if passage.sent:
            for frame in _frames(passage.data)[0]:
                self._subscribed([field.decode("ascii", "replace") for field in frame.split(b"\0")])
            return None
        frames, self._partial = _frames(self._partial + passage.data)
        rows: list[tuple[int, int, float, float]] = []
        texts: list[str] = []
        for frame in frames:
            self._add(frame.split(b"\0"), rows, texts)
        return _columns(passage.time, rows, texts, self._names) if rows else None

    def _subscribed(self, fields: list[str]) -> None:
        """reqMktData: message, version, request id, contract id, symbol, ..."""
        if fields[0] == _REQUEST and len(fields) > 12 and fields[2].isdigit():
            self._names[int(fields[2])] = fields[4].replace(" ", ".")
            self.symbols.setdefault(fields[4].replace(" ", "."))

    def _add(self, fields: list[bytes], rows: list[tuple[int, int, float, float]], texts: list[str]) -> None:
        if fields[0] not in (_PRICE, _SIZE, _GENERIC, _STRING) or len(fields) < 6:
            return
        try:
            request, field = int(fields[2]), int(fields[3])
            if request not in self._names:
                self.unknown += 1
                return
            if fields[0] == _STRING and field not in NUMERIC_STRING_FIELDS:
                rows.append((request, field, float(len(texts)), _NAN))
                texts.append(fields[4].decode("utf-8", "replace"))
            else:
                size = float(fields[5]) if fields[0] == _PRICE and fields[5] else _NAN
                rows.append((request, field, float(fields[4] or "nan"), size))
        except ValueError:
            self.unknown += 1


def is_flight(path: Path) -> bool:
    """Whether a file is a flight recording, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"IBFR"
    except OSError:
        return False


def _frames(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole frames' payloads, and the cut-off rest; a recording that begins amid a frame yields none of it."""
    frames: list[bytes] = []
    at = 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if not 0 < size <= 1 << 24:
            return frames, b""
        if at + 4 + size > len(data):
            break
        frames.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return frames, data[at:]


def _columns(
    time: int, rows: list[tuple[int, int, float, float]], texts: list[str], names: dict[int, str]
) -> TickBlock:
    ids = sorted({row[0] for row in rows})
    return TickBlock(
        epoch=1,
        first_seq=1,
        count=len(rows),
        time=time,
        ids=ids,
        symbols=[names[one] for one in ids],
        symbol=struct.pack(f"<{len(rows)}I", *(row[0] for row in rows)),
        field=bytes(row[1] for row in rows),
        value=struct.pack(f"<{len(rows)}d", *(row[2] for row in rows)),
        size=struct.pack(f"<{len(rows)}d", *(row[3] for row in rows)),
        texts=texts,
    )
