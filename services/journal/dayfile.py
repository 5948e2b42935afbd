"""The open day of a stream, for its one writer: a SQLite file in WAL mode, its log, and a marker beside it.

Used by writer.py. An insert that returned survives the death of the process; `sync` makes it survive that of
the machine. Inserts and syncs may run in two threads.
"""

import contextlib
import os
import sqlite3
import struct
import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import structlog

from messages.errors import IbStreamError
from services.journal.days import (
    MARKER_SUFFIX,
    SUFFIX,
    Marker,
    SqliteError,
    connect_read_only,
    explain,
    last_row,
    missing,
    read_marker,
    read_meta,
    readable,
    rows_from,
)
from services.journal.row import JournalDamaged, Row, checksum

log = structlog.get_logger()

SCHEMA_VERSION = 1
PAGE = 4096  # bytes: a small block costs one page of log, a large one is spread over many
CHECKPOINT_BYTES = 16 << 20  # of log written since the last checkpoint, after which the next one runs
RECYCLE_BYTES = 64 << 20  # of log, after which it is begun anew: this holds the writer up for one short sync
READER_WAIT = 0.01  # seconds that beginning the log anew, or emptying it, waits for readers, and the writer with it
CHECK_BYTES = 32 << 20  # of payload at the end of the day that are checked when it is opened,
CHECK_BLOCKS = 50_000  # in at most so many blocks: opening takes as long for a long day as for a short one

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE block (
    first_seq INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    time INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    payload BLOB NOT NULL
);
"""


TOGETHER = 8  # rows in one statement: SQLite lets go of the interpreter's lock, and waits for it, once a statement
_INSERT = "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_TOGETHER = _INSERT + ", (?, ?, ?, ?, ?, ?)" * (TOGETHER - 1)


def create_day(
    directory: Path, day: str, stream: str, *, start_seq: int, epoch: int, lost_from: int | None = None
) -> Path:
    """A new empty day: whole and durable, or not there at all. Raises OSError, sqlite3.Error, JournalDamaged."""
    path = directory / f"{day}{SUFFIX}"
    wal = Path(f"{path}-wal")
    if wal.exists() and wal.stat().st_size:
        raise JournalDamaged(f"{wal} is there without {path.name}: restore that, or move both away to go on")
    draft = directory / f"{day}.new"
    _unlink_database(draft)
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_TABLES)
        values = {"stream": stream, "schema": SCHEMA_VERSION, "start_seq": start_seq, "epoch": epoch}
        if lost_from is not None:
            values["lost_from"] = lost_from
        db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
        db.execute("PRAGMA journal_mode = WAL")
    sync_path(draft)
    draft.replace(path)
    sync_path(directory)
    return path


def check_day(path: Path, stream: str) -> None:
    """Compare what is there with what must be: the marker, and the newest blocks, which a crash may have touched.

    `ibstream verify` reads all of it. Reads only: a damaged file stays as it was found. Raises JournalDamaged,
    and IbStreamError `journal_unavailable`.
    """
    with contextlib.closing(connect_read_only(path)) as db:
        try:
            start = read_meta(db, path, stream)["start_seq"]
            last = last_row(db, path)
            _check_marker(path, stream, start - 1 if last is None else last.last_seq)
            check_rows(db, path, max(start, _newest(db)))
        except SqliteError as error:
            raise explain(path, error) from None


def _check_marker(path: Path, stream: str, end: int) -> None:
    marker = read_marker(path)
    if marker is None:
        return
    if end < marker.durable:
        raise JournalDamaged(
            f"{path}: it is whole up to sequence number {end}, but {marker.durable} was durable:"
            f" {marker.durable - end} events are missing from the end. Restore the file; or move it away together"
            f" with its -wal, but without {path.with_suffix(MARKER_SUFFIX).name}, to go on without them"
        )
    if end < marker.written:
        log.warning("journal_tail_cut", stream=stream, good_through=end, events_lost=marker.written - end)


def check_rows(db: sqlite3.Connection, path: Path, since: int) -> None:
    """Read all blocks from `since`, which must begin one. Raises JournalDamaged, sqlite3.Error."""
    for number, row in enumerate(rows_from(db, path, since)):
        if number == 0 and row.first_seq != since:
            raise missing(path, since, row.first_seq)


def _newest(db: sqlite3.Connection) -> int:
    """The first sequence number of those blocks; 0 when they are all that there are."""
    size = 0
    newest = db.execute("SELECT first_seq, length(payload) FROM block ORDER BY 1 DESC LIMIT ?", (CHECK_BLOCKS,))
    for number, (first_seq, length) in enumerate(newest, 1):
        size += length or 0  # none of a damaged row: reading it tells
        if size > CHECK_BYTES or number == CHECK_BLOCKS:
            return int(first_seq)
    return 0


class DayFile:
    """An open day. `meta` is what the file says of itself, `last` its newest block when it was opened."""

    def __init__(self, path: Path, stream: str) -> None:
        """Raises JournalDamaged, sqlite3.Error and OSError."""
        self.path = path
        self.day = path.stem
        self.stream = stream
        self.written = 0  # last sequence number inserted
        self._log_bytes = 0  # about how much log was written since the last checkpoint
        self._log_held = False
        self._syncing = threading.Lock()  # keeps the handles open while one of the two threads uses them
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.text_factory = readable
        self._wal = self._marker = -1
        self._inodes: dict[str, tuple[int, int]] = {}  # of the database and its log, by path
        try:
            self._open()
        except BaseException:
            self._release()
            raise

    def _open(self) -> None:
        try:
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")  # a checkpoint syncs: never in the tick path
            self._db.execute("PRAGMA busy_timeout = 5000")
            if self._db.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise JournalDamaged(f"{self.path}: it cannot be put into WAL mode")
            self.meta = read_meta(self._db, self.path, self.stream)
            self.last = last_row(self._db, self.path)
            self._log_tail_cut()
        except SqliteError as error:
            raise explain(self.path, error) from None
        self.written = self.meta["start_seq"] - 1 if self.last is None else self.last.last_seq
        # By file descriptors of our own, never of the database file itself: closing one of that would drop
        # SQLite's POSIX locks on it. On the log and the marker it holds none.
        self._wal = os.open(f"{self.path}-wal", os.O_RDWR | os.O_CREAT, 0o644)
        self._marker = os.open(self.path.with_suffix(MARKER_SUFFIX), os.O_RDWR | os.O_CREAT, 0o644)
        self._inodes = {name: _inode(name) for name in (str(self.path), f"{self.path}-wal")}
        sync_path(self.path.parent)

    def _log_tail_cut(self) -> None:
        """Say so when the log ends in a write that was never finished; SQLite leaves it out by itself."""
        frames = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        with open(f"{self.path}-wal", "rb") as wal:  # noqa: PTH123
            header = wal.read(32)
            if len(header) < 32:
                return
            page, salts = struct.unpack(">I", header[8:12])[0], header[16:24]
            at = 32 + max(0, frames) * (24 + page)
            wal.seek(at)
            torn = wal.read(24)[8:16] == salts
            if torn or frames <= 0:
                size = wal.seek(0, os.SEEK_END) - at
                log.warning("journal_tail_cut", stream=self.stream, file=self.path.name, unfinished_bytes=size)

    # --- for the inserting thread ---

    def insert(self, row: Row) -> None:
        """Raises sqlite3.Error, and nothing of the row is there then."""
        self._db.execute(_INSERT, _values(row))
        self.written = row.last_seq
        self._log_bytes += PAGE * 2 + len(row.payload)

    def insert_all(self, rows: Sequence[Row]) -> None:
        """Several rows that follow each other, all or none. Raises sqlite3.Error, and nothing of them is there then."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            alone = len(rows) % TOGETHER
            for row in rows[:alone]:
                self._db.execute(_INSERT, _values(row))
            for at in range(alone, len(rows), TOGETHER):
                self._db.execute(_INSERT_TOGETHER, tuple(chain(*map(_values, rows[at : at + TOGETHER]))))
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        self.written = rows[-1].last_seq
        self._log_bytes += sum(PAGE * 2 + len(row.payload) for row in rows)

    def probe(self, epoch: int) -> None:
        """Write what is there already: raises sqlite3.Error when the disk does not take even that."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))

    def set_epoch(self, epoch: int) -> None:
        """Durable when it returns: an epoch is never used twice. Raises sqlite3.Error, OSError."""
        self.probe(epoch)
        self.sync()

    def finish(self, epoch: int) -> None:
        """Make all of it durable and let go; the log is emptied unless a reader is in the middle of a read.

        Raises OSError when the sync failed.
        """
        try:
            self.sync()
            self.mark(self.written, epoch)
            try:
                empty_log(self._db)
            except sqlite3.Error as error:
                raise_failed_sync(error)
                log.warning("journal_checkpoint_failed", stream=self.stream, error=str(error))
        finally:
            self._release()

    def abandon(self) -> None:
        """Let go without a word on durability: after a failed sync."""
        self._release()

    # --- for the syncing thread ---

    def sync(self) -> None:
        """All that was inserted before the call is durable. Raises OSError: then what is on disk is unknown."""
        with self._syncing:
            if self._wal >= 0:  # else it was finished, and all of it is durable
                os.fdatasync(self._wal)

    def check_in_place(self, *, wait: bool = True) -> None:
        """Raises OSError when the files are not those that were opened: what is written to them, nobody will read.
        Without `wait`, a sync under way is left to it: that is followed by a look."""
        if not self._syncing.acquire(blocking=wait):
            return
        try:
            for name, known in self._inodes.items() if self._wal >= 0 else ():
                try:
                    gone = _inode(name) != known
                except FileNotFoundError:
                    gone = True
                if gone:
                    raise OSError(f"its file {name} was deleted or moved away under its writer")
        finally:
            self._syncing.release()

    def mark(self, durable: int, epoch: int) -> None:
        """Note how far the day is durable. Not synced itself: an old note claims less, never more."""
        with self._syncing, contextlib.suppress(OSError):  # the disk is full: the old note stays
            if self._marker >= 0:
                os.pwrite(self._marker, Marker(durable, max(durable, self.written), epoch).encode(), 0)

    def checkpoint_due(self) -> bool:
        return self._log_bytes > CHECKPOINT_BYTES

    def checkpoint(self) -> None:
        """Move the log's content into the database, beside the writer; begin the log anew when it is long.

        A reader in the middle of a read keeps the log from being begun anew, and nobody waits for it.
        Raises OSError when a sync failed.
        """
        self._log_bytes = 0
        with self._syncing:
            if self._wal >= 0:
                self._checkpoint()

    def _checkpoint(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=READER_WAIT)) as db:
            try:
                db.execute("PRAGMA synchronous = NORMAL")
                _busy, frames, _done = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if frames * PAGE < RECYCLE_BYTES:
                    return
                busy = db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
            except sqlite3.Error as error:
                raise_failed_sync(error)
                log.warning("journal_checkpoint_failed", stream=self.stream, error=str(error))
                return
        if busy:
            self._log_bytes = CHECKPOINT_BYTES * 7 // 8  # again soon
        held = bool(busy) and frames * PAGE > 2 * RECYCLE_BYTES
        if held and not self._log_held:
            log.warning("journal_log_held", stream=self.stream, log_bytes=frames * PAGE, by="a reader within a read")
        self._log_held = held

    def _release(self) -> None:
        with self._syncing:
            self._db.close()
            for handle in (self._wal, self._marker):
                if handle >= 0:
                    os.close(handle)
            self._wal = self._marker = -1


def _values(row: Row) -> tuple[object, ...]:
    return row.first_seq, row.events, row.epoch, row.time, checksum(*row), row.payload


def empty_log(db: sqlite3.Connection) -> None:
    """Move the whole log into the database and cut it to nothing; where a reader uses it, it is left as it is, and
    belongs to the day as before. Raises sqlite3.Error."""
    db.execute(f"PRAGMA busy_timeout = {READER_WAIT * 1000:.0f}")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def raise_failed_sync(error: sqlite3.Error) -> None:
    """Raise OSError when the error of SQLite is that of a failed fsync, which must not be tried again."""
    name = getattr(error, "sqlite_errorname", "")
    if name in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"):
        raise OSError(f"{error} ({name})")


def sync_path(path: Path) -> None:
    """fsync a file, or a folder: makes a new file's name as durable as its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _inode(name: str) -> tuple[int, int]:
    found = os.stat(name)  # noqa: PTH116 - at every commit, Path costs more
    return found.st_dev, found.st_ino


def _unlink_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def unavailable(stream: str, error: Exception) -> IbStreamError:
    return IbStreamError("journal_unavailable", f"the journal {stream} cannot be opened: {error}")
