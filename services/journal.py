"""The journal: blocks of one stream, in SQLite files of one UTC day each, written by one process.

Written by the stream's owner through `JournalWriter`; read by anybody on the machine through
`JournalReader`, while it is being written or not. Guarantees: sequence numbers rise by one from block to
block across days and epochs; after the writer is killed every appended block is there; after a power
failure at most the commit interval is missing from the end, and what is there is whole. Nothing is ever
repaired in silence: a torn tail is cut with a log line, other damage raises `JournalDamaged`.
"""

import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog
from filelock import FileLock, Timeout

from messages.errors import IbStreamError
from messages.views import Head
from services.clock import utc_day

log = structlog.get_logger()

SUFFIX = ".sqlite"
SCHEMA_VERSION = 1
WAL_CHECKPOINT = 16 << 20  # bytes of write-ahead log that start a checkpoint beside the writer
WAL_LIMIT = 96 << 20  # bytes at which the writer itself finishes the checkpoint
BACKLOG_LIMIT = 128 << 20  # bytes of blocks held in memory while the disk refuses them
RETRY_SECONDS = 1.0

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
    first_seq INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    time INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    payload BLOB NOT NULL
);
"""


class Row(NamedTuple):
    """One block as it stands in the journal."""

    first_seq: int
    events: int  # how many: the block's sequence numbers run from first_seq to last_seq
    epoch: int
    time: int  # UTC nanoseconds
    payload: bytes

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.events - 1


class JournalDamaged(IbStreamError):
    """The journal contradicts itself; the message says which file, where, and what is good."""

    def __init__(self, message: str) -> None:
        super().__init__("journal_damaged", message)


def checksum(first_seq: int, events: int, epoch: int, time: int, payload: bytes) -> int:
    """CRC-32 over the payload and the row's own columns, so that a swapped or edited row shows."""
    return zlib.crc32(payload, zlib.crc32(b"%d,%d,%d,%d" % (first_seq, events, epoch, time)))


# --- writing -----------------------------------------------------------------------------------------------


class JournalWriter:
    """Appends blocks to one stream. One writer a stream at a time: a second one raises `ib_stream_lock_busy`.

    `append` returns as soon as the block survives the death of this process; a thread of its own makes it
    durable within `commit_seconds`. `sync` waits for that. When the disk refuses a block (full, or an error)
    it is held in memory, in order, and tried again every second: `problem` says so meanwhile, and `append`
    returns False once the memory bound is reached, which means the block was not taken.
    """

    def __init__(self, directory: Path, stream: str, *, now: int, commit_seconds: float = 0.1) -> None:
        self.stream = stream
        self.problem: str | None = None
        self.failed: BaseException | None = None  # an fsync failed: what is on disk is unknown, never go on
        self.bytes_written = 0
        self._dir = directory / stream
        self._dir.mkdir(parents=True, exist_ok=True)
        self._owner = FileLock(self._dir / ".writer.lock")
        try:
            self._owner.acquire(timeout=0)
        except Timeout:
            raise IbStreamError(
                "ib_stream_lock_busy", f"another process writes the journal stream {stream} in {directory}"
            ) from None
        self._commit_seconds = commit_seconds
        self._backlog: deque[Row] = deque()
        self._backlog_bytes = 0
        self._retry_at = 0.0
        self._sync_wanted = threading.Condition()
        self._sync_through = 0
        self._closing = False
        self.epoch = self.seq = self.time = self.durable_seq = 0
        try:
            self._open_at_start(now)
        except BaseException:
            self._owner.release()
            raise
        self._thread = threading.Thread(target=self._sync_forever, name=f"journal-{stream}", daemon=True)
        self._thread.start()

    # the head: `seq` is the last sequence number given out, `time` the last block's time

    @property
    def head(self) -> Head:
        return Head(epoch=self.epoch, seq=self.seq, durable_seq=self.durable_seq)

    @property
    def next_seq(self) -> int:
        return self.seq + 1

    def append(self, payload: bytes, count: int, time: int) -> bool:
        """Append one block whose payload was built with `epoch` and `next_seq`. False: it was not taken."""
        assert count > 0
        if self.failed is not None:
            raise JournalDamaged(f"stream {self.stream}: making it durable failed ({self.failed}); restart to go on")
        time = max(time, self.time)
        row = Row(self.seq + 1, count, self.epoch, time, payload)
        if self._backlog or self.problem:
            if not self._hold(row):
                return False
        else:
            try:
                self._insert(row)
            except sqlite3.Error as error:
                self._refused(error)
                if not self._hold(row):
                    return False
        self.seq += count
        self.time = time
        return True

    def poll(self, monotonic: float) -> None:
        """Try the held blocks again; call about once a second. Raises JournalDamaged after a failed fsync."""
        if self.failed is not None:
            raise JournalDamaged(f"stream {self.stream}: making it durable failed ({self.failed}); restart to go on")
        if self.problem is None or monotonic < self._retry_at:
            return
        self._retry_at = monotonic + RETRY_SECONDS
        try:
            while self._backlog:
                self._insert(self._backlog[0])
                self._backlog_bytes -= len(self._backlog.popleft().payload)
        except sqlite3.Error as error:
            self._refused(error)
            return
        log.info("journal_recovered", stream=self.stream, seq=self.seq)
        self.problem = None

    def sync(self, timeout: float = 10.0) -> None:
        """Return when all that was appended is durable. Raises IbStreamError `journal_unavailable`."""
        target = self.seq
        with self._sync_wanted:
            self._sync_wanted.notify_all()
            self._sync_wanted.wait_for(lambda: self.durable_seq >= target or self.failed, timeout)
        if self.durable_seq < target:
            raise IbStreamError("journal_unavailable", self.problem or f"the journal {self.stream} could not be synced")

    def forget_held(self) -> None:
        """Drop blocks that the disk has refused: for commands, which must fail rather than come true later."""
        if self._backlog:
            self.seq = self._backlog[0].first_seq - 1
            self._backlog.clear()
            self._backlog_bytes = 0

    def close(self) -> None:
        """Make everything durable and let go. Idempotent."""
        if self._closing:
            return
        if self._backlog:
            self.poll(float("inf"))
        with self._sync_wanted:
            self._closing = True
            self._sync_wanted.notify_all()
        self._thread.join()
        self._close_file()
        self._owner.release()

    # --- inside ---

    def _open_at_start(self, now: int) -> None:
        newest = next(iter(reversed(day_files(self._dir))), None)
        day = newest.stem if newest is not None else utc_day(now)
        archived = _archive_end(self._dir)
        if newest is None and archived is not None:
            self.epoch, self.seq, self.time = archived.epoch, archived.last_seq, archived.time
            day = max(utc_day(now), utc_day(archived.time))
        self._open_file(day)
        last = _last_row(self._db, self._path)
        if last is not None:
            self.epoch, self.seq, self.time = last.epoch, last.last_seq, last.time
        meta = dict(self._db.execute("SELECT key, value FROM meta"))
        if last is None and "start_seq" in meta:
            self.seq = meta["start_seq"] - 1
        self._check_marker()
        self.epoch = max(self.epoch, int(meta.get("epoch", 0))) + 1
        self.durable_seq = self.seq
        self._set_meta(epoch=self.epoch)
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the new epoch is durable before it is used

    def _open_file(self, day: str) -> None:
        self._path = self._dir / f"{day}{SUFFIX}"
        new = not self._path.exists()
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=8)
            if new:
                self._db.execute("PRAGMA page_size = 8192")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")  # a checkpoint syncs: never in the tick path
            self._db.execute("PRAGMA busy_timeout = 5000")
            self._db.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise _damaged(self._path, error) from None
        if new:
            _sync_directory(self._dir)
            self._set_meta(stream=self.stream, schema=SCHEMA_VERSION, start_seq=self.seq + 1, epoch=self.epoch)
        self._wal = os.open(f"{self._path}-wal", os.O_RDWR | os.O_CREAT, 0o644)
        self._marker = os.open(self._path.with_suffix(".durable"), os.O_RDWR | os.O_CREAT, 0o644)

    def _set_meta(self, **values: str | int) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def _check_marker(self) -> None:
        """Compare what is there with what was known to be written when the writer last synced."""
        words = os.pread(self._marker, 64, 0).split()
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return
        durable, written = int(words[0]), int(words[1])
        if self.seq < durable:
            raise JournalDamaged(
                f"{self._path}: the last good sequence number is {self.seq}, but {durable} was durable;"
                f" {durable - self.seq} events are missing from the end. Restore the file, or move it away to go on."
            )
        if self.seq < written:
            log.warning("journal_tail_cut", stream=self.stream, good_through=self.seq, lost=written - self.seq)

    def _insert(self, row: Row) -> None:
        day = utc_day(row.time)
        if day > self._path.stem:
            self._roll(day)
        self._db.execute(
            "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)",
            (row.first_seq, row.events, row.epoch, row.time, checksum(*row), row.payload),
        )
        self._sync_through = row.last_seq
        self.bytes_written += len(row.payload)

    def _roll(self, day: str) -> None:
        """Close the finished day and open the next one."""
        with self._sync_wanted:  # keeps the syncing thread off the files while they change
            self._close_file()
            self._open_file(day)
            self._set_meta(start_seq=self._sync_through + 1, epoch=self.epoch)

    def _close_file(self) -> None:
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.error("journal_close_failed", stream=self.stream, error=str(error))
        else:
            if not self._backlog and self.failed is None:
                self.durable_seq = max(self.durable_seq, self._sync_through)
                self._write_marker()
        self._db.close()
        os.close(self._wal)
        os.close(self._marker)

    def _hold(self, row: Row) -> bool:
        if self._backlog_bytes + len(row.payload) > BACKLOG_LIMIT:
            return False
        self._backlog.append(row)
        self._backlog_bytes += len(row.payload)
        return True

    def _refused(self, error: sqlite3.Error) -> None:
        if self.problem is None:
            log.error("journal_refused", stream=self.stream, error=str(error), seq=self.seq)
        self.problem = f"the journal {self.stream} cannot be written: {error}"

    def _sync_forever(self) -> None:
        while not self._closing:
            with self._sync_wanted:
                self._sync_wanted.wait(self._commit_seconds)
            try:
                self._sync_once()
            except OSError as error:
                # Never try again: after a failed fsync the kernel may have dropped the pages and say yes.
                self.failed = error
                log.error("journal_sync_failed", stream=self.stream, error=str(error))
                return
            except sqlite3.Error as error:
                log.warning("journal_checkpoint_failed", stream=self.stream, error=str(error))

    def _sync_once(self) -> None:
        with self._sync_wanted:
            if self._closing or self._sync_through <= self.durable_seq:
                return
            through, wal, path = self._sync_through, os.dup(self._wal), self._path
        try:
            os.fdatasync(wal)
            size = os.fstat(wal).st_size
        finally:
            os.close(wal)
        with self._sync_wanted:
            self.durable_seq = max(self.durable_seq, through)
            if path == self._path:
                self._write_marker()
            self._sync_wanted.notify_all()
        if size > WAL_CHECKPOINT:
            self._checkpoint(path, size)

    def _checkpoint(self, path: Path, size: int) -> None:
        mode = "TRUNCATE" if size > WAL_LIMIT else "PASSIVE"
        db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            busy, pages, done = db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            log.debug("journal_checkpoint", stream=self.stream, mode=mode, busy=busy, pages=pages, done=done)
        finally:
            db.close()

    def _write_marker(self) -> None:
        os.pwrite(self._marker, b"%20d %20d\n" % (self.durable_seq, self._sync_through), 0)


# --- reading -----------------------------------------------------------------------------------------------


def day_files(directory: Path) -> list[Path]:
    """The stream's SQLite files, oldest first."""
    return sorted(directory.glob(f"????-??-??{SUFFIX}"))


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection that works beside a writer and on a file at rest."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
    db.execute("PRAGMA query_only = ON")
    return db


class JournalReader:
    """Reads one stream from its files, across days, in bounded memory, without holding the writer up.

    Each call is one short read transaction. Raises JournalDamaged where a row contradicts its checksum or
    a sequence number is missing, naming the file and the place.
    """

    def __init__(self, directory: Path, stream: str) -> None:
        self.stream = stream
        self._dir = directory / stream
        self._open: dict[Path, sqlite3.Connection] = {}

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for db in self._open.values():
            db.close()
        self._open.clear()

    def last(self) -> Row | None:
        """The newest block, or None when the stream is empty."""
        for path in reversed(day_files(self._dir)):
            row = _last_row(self._connect(path), path)
            if row is not None:
                return row
        return _archive_end(self._dir)

    def read(self, from_seq: int, max_bytes: int = 4 << 20) -> list[Row]:
        """Blocks in order from the one that holds `from_seq` (or the first after it), about `max_bytes` of them.

        Empty when there is nothing at or after `from_seq`.
        """
        for path in self._files_from(from_seq):
            rows = self._read_file(path, from_seq, max_bytes)
            if rows:
                return rows
        return []

    def blocks(self, from_seq: int = 1, to_seq: int | None = None, max_bytes: int = 4 << 20) -> Iterator[Row]:
        """Every block from `from_seq` to `to_seq`. Raises JournalDamaged at a missing sequence number."""
        expected: int | None = None
        while rows := self.read(from_seq, max_bytes):
            for row in rows:
                if expected is not None and row.first_seq != expected:
                    raise JournalDamaged(f"stream {self.stream}: events {expected} to {row.first_seq - 1} are missing")
                if to_seq is not None and row.first_seq > to_seq:
                    return
                yield row
                expected = from_seq = row.last_seq + 1

    def seq_at(self, time: int) -> int:
        """The first sequence number whose block is of `time` or later; one past the end when there is none."""
        low, high = 1, self._end()
        while low < high:
            middle = (low + high) // 2
            row = next(iter(self.read(middle, 1)), None)
            if row is None or row.time >= time:
                high = middle
            else:
                low = max(middle, row.last_seq) + 1
        row = next(iter(self.read(low, 1)), None)
        return row.first_seq if row is not None and row.first_seq > low else low

    def first_seq(self) -> int | None:
        row = next(iter(self.read(1, 1)), None)
        return None if row is None else row.first_seq

    # --- inside ---

    def _end(self) -> int:
        last = self.last()
        return 1 if last is None else last.last_seq + 1

    def _connect(self, path: Path) -> sqlite3.Connection:
        db = self._open.get(path)
        if db is None:
            try:
                db = self._open[path] = connect_read_only(path)
            except sqlite3.Error as error:
                raise _damaged(path, error) from None
        return db

    def _files_from(self, from_seq: int) -> list[Path]:
        """Files that may hold `from_seq` or something later: all but those that end before it."""
        files = day_files(self._dir)
        for gone in self._open.keys() - set(files):
            self._open.pop(gone).close()
        for index in range(len(files) - 1, 0, -1):
            if self._start_seq(files[index]) <= from_seq:
                return files[index:]
        return files

    def _start_seq(self, path: Path) -> int:
        try:
            row = self._connect(path).execute("SELECT value FROM meta WHERE key = 'start_seq'").fetchone()
        except sqlite3.Error as error:
            raise _damaged(path, error) from None
        return int(row[0]) if row else 1

    def _read_file(self, path: Path, from_seq: int, max_bytes: int) -> list[Row]:
        db = self._connect(path)
        rows: list[Row] = []
        size = 0
        try:
            start = db.execute("SELECT max(first_seq) FROM block WHERE first_seq <= ?", (from_seq,)).fetchone()[0] or 0
            cursor = db.execute(
                "SELECT first_seq, count, epoch, time, payload, crc FROM block WHERE first_seq >= ? ORDER BY first_seq",
                (start,),
            )
            for first_seq, count, epoch, time, payload, crc in cursor:
                if first_seq + count <= from_seq:
                    continue
                row = Row(first_seq, count, epoch, time, payload)
                if checksum(*row) != crc:
                    raise JournalDamaged(f"{path}: the block at sequence number {first_seq} fails its checksum")
                rows.append(row)
                size += len(payload)
                if size >= max_bytes:
                    break
            cursor.close()
        except sqlite3.Error as error:
            raise _damaged(path, error) from None
        return rows


def _last_row(db: sqlite3.Connection, path: Path) -> Row | None:
    try:
        found = db.execute(
            "SELECT first_seq, count, epoch, time, payload, crc FROM block ORDER BY first_seq DESC LIMIT 1"
        ).fetchone()
    except sqlite3.Error as error:
        raise _damaged(path, error) from None
    if found is None:
        return None
    row = Row(*found[:5])
    if checksum(*row) != found[5]:
        raise JournalDamaged(f"{path}: the last block, at sequence number {row.first_seq}, fails its checksum")
    return row


def _sync_directory(directory: Path) -> None:
    """Make a new file's name as durable as its content."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _archive_end(directory: Path) -> Row | None:
    return None


def _damaged(path: Path, error: sqlite3.Error) -> JournalDamaged:
    return JournalDamaged(f"{path}: {error}")
