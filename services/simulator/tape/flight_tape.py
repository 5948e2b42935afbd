"""A flight recording as a replay needs it: the ticks that the gateway received before a fault, as text or protobuf,
in tick blocks.

Stands in for a recorded day (tape.py). The requests that were sent say which symbol each tick belongs to; a
recording that begins after a subscription leaves its ticks out, and `unknown` counts them.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from ibapi.contract import ContractDetails

from messages.errors import IbStreamError
from messages.events import ContractQualified, TickBlock
from messages.fields import NUMERIC_STRING_FIELDS
from services.base.flight_recorder import Passage, passages
from services.simulator.market.prices import GENERIC, PRICE, SIZE, STRING
from services.simulator.protocol import ib
from services.simulator.protocol.requested import MarketData
from services.simulator.protocol.requests import read
from services.simulator.protocol.wire import BadRequest, Envelope, Garbage, unwrap
from services.simulator.tape.details import DETAILS, contract_details, described, named, qualified

_REQUEST = 1  # reqMktData
_MESSAGES = {PRICE: ib.TickPrice, SIZE: ib.TickSize, GENERIC: ib.TickGeneric, STRING: ib.TickString}
_NAN = float("nan")


class FlightTape:
    """The tick blocks of one recording, one for each drain of the socket. Same attributes as `Tape`."""

    def __init__(self, path: Path) -> None:
        """Raises IbStreamError: no such file, no recording, or no tick in it."""
        self.contracts: dict[str, ContractQualified] = {}
        self.symbols: dict[str, None] = {}
        self.unknown = 0
        self._names_of: dict[int, dict[int, str]] = {}  # by connection: the symbol of each request
        self._details: dict[int, ContractDetails] = {}  # by contract id
        self._partial = b""
        try:
            blocks = []
            for connection, passage in self.passages(path):
                self._names = self._names_of.setdefault(connection, {})
                if (block := self._block(passage)) is not None:
                    blocks.append(block)
        except (OSError, ValueError) as error:
            raise IbStreamError("journal_unavailable", f"{path}: {error}") from None
        if not blocks:
            raise IbStreamError("journal_unavailable", f"there is no tick in {path}")
        self.first, self.last = blocks[0].time, blocks[-1].time
        self.ticks = sum(block.count for block in blocks)
        self._blocks = blocks[::-1]

    @staticmethod
    def passages(path: Path) -> Iterator[tuple[int, Passage]]:
        """What was recorded, oldest first, each with the number of its connection; a flight recording tells of none.
        Raises OSError and ValueError."""
        return ((0, passage) for passage in passages(path))

    def peek(self) -> int | None:
        return self._blocks[-1].time if self._blocks else None

    def take(self) -> TickBlock:
        return self._blocks.pop()

    def close(self) -> None:
        self._blocks.clear()

    def _block(self, passage: Passage) -> TickBlock | None:
        version = passage.server_version
        if passage.sent:
            for payload in _frames(passage.data)[0]:
                self._subscribed(payload, version)
            return None
        frames, self._partial = _frames(self._partial + passage.data)
        rows: list[tuple[int, int, float, float]] = []
        texts: list[str] = []
        for payload in frames:
            self._add(payload, version, rows, texts)
        return _columns(passage.time, rows, texts, self._names) if rows else None

    def _subscribed(self, payload: bytes, version: int) -> None:
        """Remember which symbol a market data request is for."""
        try:
            envelope = unwrap(payload, version)
            asked = read(envelope, version) if envelope.kind == _REQUEST else None
        except (Garbage, BadRequest):
            return
        if not isinstance(asked, MarketData):
            return
        details = self._details.get(asked.contract.con_id)
        name = named(asked.contract if details is None else described(details.contract))
        if name:
            self._names[asked.request] = name
            self.symbols.setdefault(name)
            if details is not None:
                self.contracts[name] = qualified(name, details)

    def _add(self, payload: bytes, version: int, rows: list[tuple[int, int, float, float]], texts: list[str]) -> None:
        try:
            envelope = unwrap(payload, version)
            if envelope.kind == DETAILS and (details := contract_details(envelope, version)) is not None:
                self._details[details.contract.conId] = details
            tick = _tick(envelope)
            if tick is None:
                return
            request, kind, field, text, size = tick
            if request not in self._names:
                self.unknown += 1
            elif kind == STRING and field not in NUMERIC_STRING_FIELDS:
                rows.append((request, field, float(len(texts)), _NAN))
                texts.append(text)
            else:
                rows.append((request, field, float(text or "nan"), float(size) if kind == PRICE and size else _NAN))
        except (Garbage, ValueError, IndexError, DecodeError):
            self.unknown += 1


def _tick(envelope: Envelope) -> tuple[int, int, int, str, str] | None:
    """Request, kind, tick id, value and size of a tick message, as text; None for any other. Raises ValueError,
    IndexError and DecodeError."""
    kind, fields, body = envelope
    if kind not in _MESSAGES:
        return None
    if body is None:
        return int(fields[1]), kind, int(fields[2]), fields[3], fields[4] if kind == PRICE else ""
    sent = _MESSAGES[kind]()
    sent.ParseFromString(body)
    value = {PRICE: "price", SIZE: "size"}.get(kind, "value")
    return sent.reqId, kind, sent.tickType, str(getattr(sent, value)), sent.size if kind == PRICE else ""


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
