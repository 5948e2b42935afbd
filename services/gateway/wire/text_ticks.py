"""The tick fast path for text (server versions to 200): columns of ticks, in a few passes of C code over many frames.

What it promises stands in tick_decoder.py. It takes tickPrice, tickSize, tickGeneric and tickString.

How: a frame is a u32 length and NUL-terminated fields, so between two short frames stand four NULs. Cut
there; each piece's length being the length byte at its front proves that these are the frames. With NUL
turned into a comma the pieces are JSON arrays, which msgspec parses into typed ticks, checking every field,
in the pass that reads the numbers (other ways, measured: tests/benchmarks/README.md).
"""

from collections.abc import Callable
from math import nan
from operator import attrgetter, itemgetter
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from messages.fields import NUMERIC_STRING_FIELDS
from services.gateway.wire.columns import NUMBERS, Columns

HEADER: Final = 4  # bytes
MAX_FRAME: Final = 1 << 24  # bytes in a frame; what claims to be longer is no frame
FIRST_OWN_FIELD: Final = 200  # fields from here on are ours: a tick that carries one is not taken from the wire
_FEW_BYTES: Final = 150  # below which cutting frame by frame is faster
SLAB: Final = 1 << 16  # bytes that are cut at a time: they stay in the processor's cache

_ESCAPED_TEXT: Final = 153  # server version from which the official client reads texts as unicode-escape
_UNSET_SIZES: Final = frozenset(  # the official client's unset Decimal, and what it takes for it
    {
        b"",
        b"170141183460469231731687303715884105727",
        b"2147483647",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"1.7976931348623157E308",
    }
)

# A piece is a byte that is dropped (the length of a short frame), then the payload without its last NUL.
_DROPPED: Final = bytes(range(1, 43))  # nothing that a number is made of is among them
_TO_JSON: Final = bytes.maketrans(b"\0,+", b",xx")  # a comma from the wire must not pass for one of ours
_TICKS: Final = (b"1\0", b"2\0", b"45\0", b"46\0")

_Number = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
_Field = Annotated[int, Meta(ge=0, lt=FIRST_OWN_FIELD)]
_Size = Annotated[float, Meta(gt=-2147483647.0, lt=2147483647.0)]  # beyond, it may be an unset one: look closely


class _Tick(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    version: _Number
    request: _Number


class _TickPrice(_Tick, tag=1, gc=False):
    field: _Field
    value: float
    size: _Size
    attributes: _Number


class _TickSize(_Tick, tag=2, gc=False):
    field: _Field
    value: _Size
    size: ClassVar[float] = nan


class _TickGeneric(_Tick, tag=45, gc=False):
    field: _Field
    value: float
    size: ClassVar[float] = nan


class _TickNumericString(_Tick, tag=46, gc=False):
    field: Literal[45, 88]
    value: float
    size: ClassVar[float] = nan


_AnyTick = _TickPrice | _TickSize | _TickGeneric | _TickNumericString
_decode = msgspec.json.Decoder(list[_AnyTick]).decode
_request, _field, _value, _size = map(attrgetter, ("request", "field", "value", "size"))
_first = itemgetter(0)


Odd = Callable[[bytes], None]


class FrameError(Exception):
    """The received bytes are no TWS stream: a frame of length 0, or of more than MAX_FRAME bytes."""


class TextTickDecoder:
    """Decodes the bytes of one connection; it holds a cut-off tail, so the next connection needs a new one.

    `unrouted` counts ticks of unknown requests, such as those still on their way after a cancel.
    """

    def __init__(self, server_version: int, odd: Odd | None = None) -> None:
        self.unrouted = 0
        self.routes: dict[int, int] = {}  # request id -> symbol id
        self._escaped_text = server_version >= _ESCAPED_TEXT
        self._odd = odd
        self._tail = bytearray()
        self._needed = 0  # bytes that the tail must have before a frame is whole

    def add(self, request: int, symbol_id: int) -> None:
        """From now on the ticks of this request are rows of this symbol."""
        self.routes[request] = symbol_id

    def remove(self, request: int) -> None:
        """From now on the ticks of this request are counted in `unrouted` and dropped."""
        self.routes.pop(request, None)

    def feed(self, data: bytes | bytearray | memoryview, columns: Columns, rare: list[bytes]) -> None:
        """Take all whole frames; the start of a cut-off one waits for the next call.

        Appends ticks to `columns` and the payloads of other frames to `rare`, each in the order of arrival
        (a malformed tick may come to `rare` a little late). Raises FrameError, after the frames before it,
        for an absurd length: this decoder and its connection are of no use then.
        """
        if self._tail:
            self._tail += data
            if len(self._tail) < self._needed:
                return
            data = self._tail
            self._tail = bytearray()
        data = bytes(data)
        at = 0
        while at < len(data):
            at, claimed = self._take_slab(data, at, columns, rare)
            if claimed is None:
                continue
            if not 1 <= claimed <= MAX_FRAME:
                raise FrameError(f"a frame of {claimed} bytes; expected 1 to {MAX_FRAME}")
            self._needed = HEADER + claimed
            self._tail += memoryview(data)[at:]
            return

    def _take_slab(self, data: bytes, at: int, columns: Columns, rare: list[bytes]) -> tuple[int, int | None]:
        """Take the whole frames in about a SLAB of data. Returns where they end, and the length that the next frame
        claims: None when there may be more whole frames, and 1 when it is cut off itself."""
        pieces, at, claimed = _cut(data, at)
        if pieces:
            self._take(pieces, columns, rare)
        return at, claimed

    def _take(self, pieces: list[bytes], columns: Columns, rare: list[bytes]) -> None:
        try:
            self._append(_parse(pieces), columns)
        except msgspec.DecodeError:
            self._take_odd(self._set_aside(pieces, columns.texts, rare), columns, rare)

    def _take_odd(self, pieces: list[bytes], columns: Columns, rare: list[bytes]) -> None:
        """Ticks of which some are not plain numbers: halve until those stand alone."""
        if len(pieces) > 1:
            for half in (pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]):
                try:
                    self._append(_parse(half), columns)
                except msgspec.DecodeError:
                    self._take_odd(half, columns, rare)
        elif pieces:
            try:
                request, field, value, size = _read(pieces[0])
            except ValueError:
                self._leave(self._payload(pieces[0]), rare)
            else:
                if request in self.routes:
                    columns.add(self.routes[request], field, value, size)
                else:
                    self.unrouted += 1

    def _append(self, ticks: list[_AnyTick], columns: Columns) -> None:
        try:
            ids = list(map(self.routes.__getitem__, map(_request, ticks)))
        except KeyError:
            routed = [tick for tick in ticks if tick.request in self.routes]
            self.unrouted += len(ticks) - len(routed)
            ticks = routed
            ids = [self.routes[tick.request] for tick in ticks]
        columns.ids += ids
        columns.fields += map(_field, ticks)
        columns.values += map(_value, ticks)
        columns.sizes += map(_size, ticks)

    def _set_aside(self, pieces: list[bytes], texts: list[str], rare: list[bytes]) -> list[bytes]:
        """The ticks among the pieces; a text in one is moved to `texts` and its index put in its place."""
        ticks: list[bytes] = []
        for piece in pieces:
            if not piece.startswith(_TICKS, 1):
                rare.append(self._payload(piece))
            elif piece.startswith(b"46\0", 1):
                ticks += self._take_text(piece, texts)
            else:
                ticks.append(piece)
        return ticks

    def _take_text(self, piece: bytes, texts: list[str]) -> tuple[bytes, ...]:
        """A tickString as a piece that holds numbers only, if it is one to take."""
        fields = piece.split(b"\0")
        if len(fields) != 5 or fields[3] in (b"45", b"88"):
            return (piece,)
        try:
            request, field = int(fields[2]), int(fields[3])
            int(fields[1])
        except ValueError:
            return (piece,)
        if field in NUMBERS or not 0 <= field < FIRST_OWN_FIELD:
            return (piece,)
        if b"\\" in fields[4]:  # what an escape means, the official decoder knows
            return (piece,)
        if request not in self.routes:
            self.unrouted += 1
            return ()
        texts.append(self._text(fields[4]))
        return (b"\x012\0001\0%d\0%d\0%d" % (request, field, len(texts) - 1),)

    def _leave(self, tick: bytes, rare: list[bytes]) -> None:
        """A tick that is not exactly as it should be."""
        if self._odd is None:
            rare.append(tick)
        else:
            self._odd(tick)

    def _payload(self, piece: bytes) -> bytes:
        """What of the frame followed its length."""
        return piece[1:] + b"\0" if piece[0] else piece[1:]

    def _text(self, raw: bytes) -> str:
        if self._escaped_text:
            return raw.decode("latin-1")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")


def _cut(data: bytes, at: int) -> tuple[list[bytes], int, int | None]:
    """Pieces of the whole frames in about a SLAB of data, then as `_take_slab` returns."""
    pieces: list[bytes] = []
    stop = at + SLAB
    if len(data) - at > _FEW_BYTES and data.startswith(b"\0\0\0", at):
        short = data[at + 3 : stop].split(b"\0\0\0\0")
        last = short.pop()
        if b"" not in short and list(map(len, short)) == list(map(_first, short)):
            pieces = short
            at = min(stop, len(data)) - len(last) - 3
            if max(map(len, pieces), default=0) > len(_DROPPED):
                pieces = [piece if len(piece) <= len(_DROPPED) else b"\1" + piece[1:] for piece in pieces]
    while at < stop and at + HEADER <= len(data):
        length = int.from_bytes(data[at : at + HEADER], "big")
        end = at + HEADER + length
        if end > len(data) or not 1 <= length <= MAX_FRAME:
            return pieces, at, length
        if data[end - 1] == 0:
            pieces.append(b"\1" + data[at + HEADER : end - 1])
        else:
            pieces.append(b"\0" + data[at + HEADER : end])
        at = end
    return pieces, at, None if len(data) - at >= HEADER else 1


def _parse(pieces: list[bytes]) -> list[_AnyTick]:
    """The ticks, one of each piece. Raises msgspec.DecodeError unless all are well-formed and of plain numbers."""
    joined = b"]\0[".join(pieces)
    numbers = joined.translate(_TO_JSON, _DROPPED)
    if len(joined) - len(numbers) != len(pieces):  # something else was dropped from a piece than its first byte
        raise msgspec.DecodeError("not plain numbers")
    ticks = _decode(b"[[%b]]" % numbers)
    if len(ticks) != len(pieces):
        raise msgspec.DecodeError("brackets in a piece")
    return ticks


def _read(piece: bytes) -> tuple[int, int, float, float]:
    """Request, field, value and size of one tick, read as the official decoder reads it. Raises ValueError."""
    match piece[1:].split(b"\0") if piece[0] else ():
        case [b"1", version, request, field, price, size, attributes]:
            value, with_size = float(price), _read_size(size)
            int(attributes)
        case [b"2", version, request, field, size]:
            value, with_size = _read_size(size), nan
        case [b"45", version, request, field, number]:
            value, with_size = float(number), nan
        case [b"46", version, request, field, number] if int(field) in NUMERIC_STRING_FIELDS:
            value, with_size = float(number), nan
        case _:
            raise ValueError("not a tick as documented")
    int(version)
    if not 0 <= int(field) < FIRST_OWN_FIELD:
        raise ValueError("not a tick field of IB")
    return int(request), int(field), value, with_size


def _read_size(text: bytes) -> float:
    return nan if text in _UNSET_SIZES else float(text)
