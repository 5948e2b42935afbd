"""The files of one stream: their names, and the SQLite day as a reader sees it.

Used by reader, writer, archive and verify. A reader never changes a file; it works beside the writer, on a
file at rest, and on a read-only copy.
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from messages.errors import IbStreamError
from messages.topics import ONE_GATEWAY, SHARDED, TICKS, is_stream, kind, shard, streams
from services.journal.row import JournalDamaged, Row, checksum

SUFFIX = ".sqlite"
ARCHIVE_SUFFIX = ".parquet"
MARKER_SUFFIX = ".durable"
_DAY = "????-??-??"

_ROW = "first_seq, count, epoch, time, payload, crc"

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""


class FileGone(Exception):
    """A file was archived or retired while it was being opened: list the folder again."""


class Day(Protocol):
    """One day of a stream, whatever its format."""

    path: Path
    start_seq: int  # the sequence number that it begins with, also while it is empty
    lost_from: int | None  # events from here to start_seq are known to be lost, and the operator went on

    def read(self, from_seq: int, max_bytes: int) -> list[Row]:
        """Blocks from the one that holds `from_seq`, or the first after it. Raises JournalDamaged."""

    def last(self) -> Row | None: ...

    def seq_at(self, time: int) -> int | None:
        """The first sequence number of the first block of `time` or later; None when all are earlier."""

    def close(self) -> None: ...


def streams_in(journal_dir: Path, shards: Iterable[str] = ()) -> tuple[str, ...]:
    """All streams of a journal: those of the gateways `shards`, and of every other one that ever wrote here."""
    found = [name for name in _names_in(journal_dir) if is_stream(name) and (journal_dir / name).is_dir()]
    gateways = {*shards, *(shard(name) for name in found if kind(name) in SHARDED)}
    return streams(sorted(gateways) or ONE_GATEWAY)


def tick_streams(journal_dir: Path) -> list[str]:
    """The streams of ticks of a journal: one a gateway."""
    return [stream for stream in streams_in(journal_dir) if kind(stream) == TICKS]


def tick_days(journal_dir: Path) -> set[str]:
    """The days of which there are ticks."""
    return {path.stem for stream in tick_streams(journal_dir) for path in all_days(journal_dir / stream)}


def day_files(directory: Path) -> list[Path]:
    """The stream's SQLite files, oldest first. The newest is its writer's and the only one that changes."""
    return _files(directory, SUFFIX)


def archive_files(directory: Path) -> list[Path]:
    return _files(directory, ARCHIVE_SUFFIX)


def all_days(directory: Path) -> list[Path]:
    """One file a day, oldest first. A day that is being archived has two for a moment: SQLite counts."""
    days = {path.stem: path for path in archive_files(directory)}
    days |= {path.stem: path for path in day_files(directory)}
    return [days[day] for day in sorted(days)]


def is_there(journal_dir: Path) -> bool:
    """Whether there is a journal. Raises IbStreamError `journal_unavailable` where that cannot be seen."""
    try:
        return journal_dir.is_dir()
    except OSError as error:
        raise _unreadable(journal_dir, error) from None


def _files(directory: Path, suffix: str) -> list[Path]:
    """A stream's files of this kind, oldest first."""
    return sorted(directory / name for name in _names_in(directory) if fnmatchcase(name, _DAY + suffix))


def _names_in(directory: Path) -> list[str]:
    """What is in a folder, nothing where there is none. Raises IbStreamError `journal_unavailable` for one that cannot
    be read: what is in it would pass for nothing."""
    try:
        return os.listdir(directory)  # noqa: PTH208 - names, and thrice as fast
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(directory, error) from None


def _unreadable(path: Path, error: OSError) -> IbStreamError:
    return IbStreamError("journal_unavailable", f"{path} cannot be read: {error.strerror or error}")


class Marker(NamedTuple):
    """What the writer noted beside its file: known to be durable, written, and in which epoch."""

    durable: int
    written: int
    epoch: int

    @classmethod
    def parse(cls, data: bytes) -> "Marker | None":
        """None for anything but what `encode` gives, such as what a power failure left of it."""
        words = data.split()
        if len(words) != 4 or not all(word.isdigit() for word in words):
            return None
        marker = cls(*map(int, words[:3]))
        return marker if marker.encode() == data else None

    def encode(self) -> bytes:
        text = b"%20d %20d %20d" % self
        return b"%s %10d\n" % (text, zlib.crc32(text))


def read_marker(day_file: Path) -> Marker | None:
    try:
        return Marker.parse(day_file.with_suffix(MARKER_SUFFIX).read_bytes())
    except FileNotFoundError:
        return None


def newest_marker(directory: Path) -> tuple[str, Marker] | None:
    """The day and content of the newest readable marker."""
    for path in reversed(_files(directory, MARKER_SUFFIX)):
        marker = Marker.parse(path.read_bytes())
        if marker is not None:
            return path.stem, marker
    return None


# --- SQLite ------------------------------------------------------------------------------------------------

_DAMAGE = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_FORMAT", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT"}


SqliteError = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's module raises: the second when the text of an error is itself made of damaged bytes."""


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the content is wrong, rather than that the disk or a lock refuses."""
    name: str = getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR"
    return any(name == damage or name.startswith(damage + "_") for damage in _DAMAGE)


def explain(path: Path, error: Exception) -> IbStreamError:
    """What to raise for an error of SQLite on a file."""
    if is_damage(error):
        return JournalDamaged(f"{path}: {error}")
    return IbStreamError("journal_unavailable", f"{path} cannot be read: {error}")


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection that works beside a writer, on a file at rest and in a read-only folder. One thread at a
    time may use it, which need not be the same: an Arrow stream is read by whichever thread asks for its next batch."""
    name = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    mode = "immutable=1" if _is_at_rest(path) else "mode=ro"
    db = sqlite3.connect(f"file:{name}?{mode}", uri=True, isolation_level=None, timeout=5.0, check_same_thread=False)
    db.text_factory = readable
    db.execute("PRAGMA query_only = ON")
    return db


def _is_at_rest(path: Path) -> bool:
    """Whether a file has no writer, and nothing may be created beside it: a copy on a read-only disk."""
    wal, shared = Path(f"{path}-wal"), Path(f"{path}-shm")
    has_log = wal.exists() and wal.stat().st_size > 0
    return not os.access(path.parent, os.W_OK) and not shared.exists() and not has_log


def readable(text: bytes) -> str:
    """For SQLite's texts: a damaged one is wrong, not an exception of its own kind."""
    return text.decode(errors="replace")


def read_meta(db: sqlite3.Connection, path: Path, stream: str) -> dict[str, Any]:
    """What the file says of itself. Raises sqlite3.Error, and JournalDamaged when it is not a day of the stream."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    numbers = [meta.get(key) for key in ("schema", "start_seq", "epoch")]
    if meta.get("stream") != stream or not all(isinstance(number, int) for number in numbers):
        raise JournalDamaged(f"{path}: this is no journal of the stream {stream}: it says {meta}")
    return meta


def checked_row(path: Path, columns: tuple[Any, ...]) -> Row:
    """The row of what SQLite returned for the columns `_ROW`. Raises JournalDamaged."""
    row = Row(*columns[:5])
    try:
        good = checksum(*row) == columns[5] and row.events > 0
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise JournalDamaged(f"{path}: the block at sequence number {row.first_seq} fails its checksum")
    return row


def last_row(db: sqlite3.Connection, path: Path) -> Row | None:
    found = db.execute(f"SELECT {_ROW} FROM block ORDER BY first_seq DESC LIMIT 1").fetchone()  # noqa: S608
    return None if found is None else checked_row(path, found)


def rows_from(db: sqlite3.Connection, path: Path, from_seq: int) -> Iterator[Row]:
    """Rows from the one that holds `from_seq` on. Raises JournalDamaged, and sqlite3.Error."""
    found = db.execute("SELECT max(first_seq) FROM block WHERE first_seq <= ?", (from_seq,)).fetchone()
    cursor = db.execute(
        f"SELECT {_ROW} FROM block WHERE first_seq >= ? ORDER BY first_seq",  # noqa: S608
        (found[0] or 0,),
    )
    try:
        expected = None
        for columns in cursor:
            row = checked_row(path, columns)
            if expected is not None and row.first_seq != expected:
                raise missing(path, expected, row.first_seq)
            expected = row.last_seq + 1
            if row.last_seq >= from_seq:
                yield row
    finally:
        cursor.close()


def missing(path: Path, expected: int, found: int) -> JournalDamaged:
    if found < expected:
        return JournalDamaged(f"{path}: the block at sequence number {found} overlaps the one before it")
    return JournalDamaged(f"{path}: events {expected} to {found - 1} are missing")


class SqliteDay:
    """A day in SQLite. Each call is one short read transaction: the writer's log can be recycled in between."""

    def __init__(self, path: Path, stream: str) -> None:
        """Raises FileGone, JournalDamaged, and IbStreamError `journal_unavailable`."""
        self.path = path
        with self._explaining():
            self._db = connect_read_only(path)
            meta = read_meta(self._db, path, stream)
        self.start_seq: int = meta["start_seq"]
        self.lost_from: int | None = meta.get("lost_from")

    def read(self, from_seq: int, max_bytes: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with self._explaining():
            for row in rows_from(self._db, self.path, from_seq):
                rows.append(row)
                size += len(row.payload)
                if size >= max_bytes:
                    break
        return rows

    def last(self) -> Row | None:
        with self._explaining():
            return last_row(self._db, self.path)

    def seq_at(self, time: int) -> int | None:
        low, high = self.start_seq, self._end()
        end = high
        while low < high:
            middle = (low + high) // 2
            block = self._block_at(middle)
            if block.time >= time:
                high = block.first_seq
            else:
                low = block.last_seq + 1
        return low if low < end else None

    def close(self) -> None:
        self._db.close()

    def _end(self) -> int:
        last = self.last()
        return self.start_seq if last is None else last.last_seq + 1

    def _block_at(self, seq: int) -> Row:
        """The block that holds `seq`. Raises JournalDamaged."""
        with self._explaining():
            found = self._db.execute(
                f"SELECT {_ROW} FROM block WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1",  # noqa: S608
                (seq,),
            ).fetchone()
        block = None if found is None else checked_row(self.path, found)
        if block is None or block.last_seq < seq:
            raise JournalDamaged(f"{self.path}: event {seq} is missing")
        return block

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except SqliteError as error:
            raise (explain(self.path, error) if self.path.exists() else FileGone(self.path)) from None
