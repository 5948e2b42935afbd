"""A fold of streams, saved in a file beside the journal: what a restart begins with instead of the first block.

Used by sink, supervisor and planner. A saved state is a shortcut and never the truth: unless it is whole, of this
version, and of the very journal that is there now, the streams are folded again from their beginning.
"""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from messages.codec import decode_block, decoder, encode
from messages.topics import writer_of
from services.base.files import replace_file
from services.base.settings import Settings
from services.journal.cursor import Cursor
from services.journal.reader import JournalReader

T = TypeVar("T")


def _log() -> Any:
    """The logger, for services: a client, which saves nothing, needs none of its library."""
    import structlog

    return structlog.get_logger()


class _Version(msgspec.Struct):
    version: int


_decode_version: Callable[[bytes], _Version] = decoder(_Version)


def pack(state: msgspec.Struct) -> bytes:
    """The bytes to save: a checksum, and the state as msgpack."""
    return sealed(encode(state))


def sealed(body: bytes) -> bytes:
    """The same for what is msgpack already."""
    return zlib.crc32(body).to_bytes(4, "little") + body


def unpack(data: bytes) -> tuple[int, bytes]:
    """The version and the msgpack of what `pack` made. Raises ValueError for anything else."""
    body = data[4:]
    if zlib.crc32(body).to_bytes(4, "little") != data[:4]:  # before anything is decoded
        raise ValueError("its checksum does not match")
    try:
        return _decode_version(body).version, body
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def opened(data: bytes, version: int) -> bytes:
    """The msgpack of what `pack` made of this version. Raises ValueError for anything else."""
    found, body = unpack(data)
    if found != version:
        raise ValueError(f"its version is {found}, not {version}")
    return body


def load(path: Path, kind: type[T], version: int) -> T | None:
    """The state of this `kind` and `version` in a file; None when there is none that can be used."""
    decode: Callable[[bytes], T] = decoder(kind)
    return read(path, lambda data: decode(opened(data, version)))


def read(path: Path, decode: Callable[[bytes], T]) -> T | None:
    """What `decode` makes of a file. None, with a log line, when it cannot be read or `decode` raises ValueError or
    MsgspecError."""
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        _log().warning("state_unusable", path=str(path), error=str(error), then="folded again from the journal")
        return None


def save(path: Path, state: msgspec.Struct) -> bool:
    """Replace the file. False, with a log line, when the disk refuses it."""
    return put(path, encode(state))


def put(path: Path, body: bytes) -> bool:
    """The same for what is msgpack already."""
    try:
        replace_file(path, sealed(body))
    except OSError as error:
        _log().warning("state_not_saved", path=str(path), error=str(error))
        return False
    return True


def of_another_journal(settings: Settings, cursors: Mapping[str, Cursor], times: Mapping[str, int]) -> list[str]:
    """The streams of a saved fold that are not of the journal on this machine: it was deleted, or an older one was
    put back. Each must be folded again. Streams that are written on another machine are not looked at, nor those
    of which nothing was folded. Raises JournalDamaged."""
    found = []
    for stream, cursor in cursors.items():
        here = writer_of(stream) not in settings.peers
        if here and cursor.seq and not is_past_of(settings.journal_dir, stream, cursor, times.get(stream, 0)):
            _log().warning("state_of_another_journal", stream=stream, seq=cursor.seq, then="folded again")
            found.append(stream)
    return found


def is_past_of(journal_dir: Path, stream: str, cursor: Cursor, time: int) -> bool:
    """Whether a state that ends at `cursor`, with a block of `time`, can be of this journal. The numbers alone
    do not say: a journal that was deleted begins at epoch 1 and sequence number 1 again. Raises JournalDamaged.
    """
    with JournalReader(journal_dir, stream) as reader:
        row = next(iter(reader.read(cursor.seq, 1)), None)
    if row is None:
        return False
    if row.first_seq > cursor.seq:
        return True  # retired since then
    return Cursor(row.epoch, row.last_seq) == cursor and decode_block(stream, row.payload).time == time
