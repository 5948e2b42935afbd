"""JournalWriter: appends blocks to one stream, in order, and makes them durable in groups.

Used by the stream's owner, one a stream. What it guarantees is said at each method; above all it never tries
a failed fsync again and calls that success.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from messages.errors import IbStreamError
from messages.views import Head
from services.base.clock import utc_day
from services.journal.dayfile import DayFile, check_day, create_day, unavailable
from services.journal.days import day_files, is_damage, newest_marker
from services.journal.reader import JournalReader
from services.journal.row import JournalDamaged, Row

log = structlog.get_logger()

BACKLOG_LIMIT = 128 << 20  # bytes of blocks held in memory while the disk refuses them
RETRY_SECONDS = 1.0
SYNC_TIMEOUT = 10.0


class JournalWriter:
    """The writer of one stream. A second one at a time raises `ib_stream_lock_busy`.

    `append` returns as soon as the block survives the death of this process; a thread of its own makes it
    durable within `commit_seconds` and the time of one fsync. When the disk refuses a block (full, or an
    error) it is held in memory, in order, and tried again every second: `problem` says so meanwhile. After a
    failed fsync, and once the files were deleted or moved away under it, every method raises
    `journal_unavailable`: end the process, a new one reads what is there.
    """

    _first_seq = 1  # of a stream that has no journal yet

    def __init__(self, directory: Path, stream: str, *, now: int, commit_seconds: float = 0.1) -> None:
        """Opens the stream for a new epoch. `now` is UTC nanoseconds.

        Raises JournalDamaged, and IbStreamError `ib_stream_lock_busy` or `journal_unavailable`.
        """
        self.stream = stream
        self.problem: str | None = None  # a sentence while the disk refuses blocks
        self.failed: str | None = None  # a sentence once a sync failed, or the files are gone
        self.bytes_written = 0
        self.epoch = self.seq = self.time = self.durable_seq = 0
        self._dir = directory / stream
        self._commit_seconds = commit_seconds
        self._backlog: deque[Row] = deque()
        self._backlog_bytes = 0
        self._retry_at = 0.0
        self._state = threading.Condition()  # guards the change of files, and wakes either thread
        self._dirty = False  # something was written since the syncing thread last looked
        self._hurry = False
        self._closing = False
        self._owner = self._own()
        try:
            self._file = self._open_at_start(now)
        except (sqlite3.Error, OSError) as error:
            self._owner.release()
            raise unavailable(stream, error) from None
        except BaseException:
            self._owner.release()
            raise
        self._thread = threading.Thread(target=self._sync_forever, name=f"journal-{stream}", daemon=True)
        self._thread.start()

    # --- the head: `seq` is the last sequence number given out, `time` that of the newest block ---

    @property
    def head(self) -> Head:
        return Head(epoch=self.epoch, seq=self.seq, durable_seq=self.durable_seq)

    @property
    def next_seq(self) -> int:
        return self.seq + 1

    # --- appending ---

    def append(self, payload: bytes, count: int, time: int, *, hold: bool = True) -> bool:
        """Append one block of `count` events whose payload was built with `epoch` and `next_seq`.

        False: it was not taken and never will be; its sequence numbers are free. That is so when the memory
        for held blocks is full, and, without `hold`, whenever the disk refuses: for commands, which must fail
        rather than come true later. Follow those with `sync` before they are acknowledged.
        """
        assert count > 0
        self._check_alive()
        row = Row(self.seq + 1, count, self.epoch, time, payload)
        if not hold:
            self._write_held()
        taken = self.problem is None and self._write(row)
        if not taken and not (hold and self._hold(row)):
            return False
        self.seq = row.last_seq
        self.time = max(self.time, time)
        return True

    def sync(self, timeout: float = SYNC_TIMEOUT) -> None:
        """Return when all that was appended is durable.

        Raises IbStreamError `journal_unavailable`: at once while blocks are held in memory, and after `timeout`
        seconds, when all is written, survives the death of this process, but maybe not that of the machine.
        """
        self._check_alive()
        if self._backlog:
            raise IbStreamError("journal_unavailable", self.problem or "blocks are held in memory")
        target = self.seq
        if self.durable_seq >= target:
            return
        with self._state:
            self._hurry = True
            self._state.notify_all()
            self._state.wait_for(lambda: self.durable_seq >= target or self.failed, timeout)
        self._check_alive()
        if self.durable_seq < target:
            raise IbStreamError(
                "journal_unavailable", f"the journal {self.stream} is written, but the disk did not sync in {timeout} s"
            )

    def poll(self, monotonic: float) -> None:
        """Try the held blocks again when it is time, and see whether the files are still there; call about once a
        second, in seconds of a clock that never goes back. Raises IbStreamError `journal_unavailable` after a failed
        sync, and when they are gone."""
        self._check_alive()
        if not self._dirty:  # else the syncing thread looks
            self._look()
        if self.problem is not None and monotonic >= self._retry_at:
            self._retry_at = monotonic + RETRY_SECONDS
            self._write_held()

    def _look(self) -> None:
        try:
            self._file.check_in_place(wait=False)
        except OSError as error:
            self._fail(str(error))
            self._check_alive()

    def close(self) -> None:
        """Make everything durable and let go. Idempotent."""
        if self._closing:
            return
        if self.failed is None:
            self._write_held()
        if self._backlog:
            log.error("journal_lost", stream=self.stream, events=self.seq - self._file.written, problem=self.problem)
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join()
        if self.failed is None:
            self._finish(self._file)
        else:
            self._file.abandon()
        self._owner.release()

    # --- inside: opening ---

    def _own(self) -> FileLock:
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            owner = FileLock(self._dir / ".writer.lock")
            owner.acquire(timeout=0)
        except Timeout:
            raise IbStreamError(
                "ib_stream_lock_busy", f"another process writes the journal stream {self.stream} in {self._dir.parent}"
            ) from None
        except OSError as error:
            raise unavailable(self.stream, error) from None
        return owner

    def _open_at_start(self, now: int) -> DayFile:
        files = day_files(self._dir)
        marked = newest_marker(self._dir)
        if files and (marked is None or marked[0] <= files[-1].stem):
            check_day(files[-1], self.stream)
            file = DayFile(files[-1], self.stream)
        else:
            file = self._begin_day(now, marked[0] if marked else "")
        try:
            self._take_position(file)
            file.set_epoch(self.epoch)
            file.mark(self.durable_seq, self.epoch)
        except BaseException:
            file.abandon()
            raise
        if file.day > utc_day(now):
            log.warning("journal_ahead_of_clock", stream=self.stream, file=file.path.name, today=utc_day(now))
        return file

    def _begin_day(self, now: int, marked_day: str) -> DayFile:
        """There is no file to go on with: the stream is new, all of it is archived, or the operator moved a
        damaged file away, whose marker then says which sequence numbers were used."""
        with JournalReader(self._dir.parent, self.stream) as reader:
            last = reader.last()
        seq, epoch, lost_from = self._first_seq - 1, 0, None
        if last is not None:
            seq, epoch = last.last_seq, last.epoch
        marked = newest_marker(self._dir)
        if marked is not None:
            epoch = max(epoch, marked[1].epoch)
            if marked[1].written > seq:
                lost_from, seq = seq + 1, marked[1].written
                log.error("journal_goes_on_after_loss", stream=self.stream, first_lost=lost_from, last_lost=seq)
        day = max(utc_day(now), marked_day, utc_day(last.time) if last else "")
        path = create_day(self._dir, day, self.stream, start_seq=seq + 1, epoch=epoch, lost_from=lost_from)
        return DayFile(path, self.stream)

    def _take_position(self, file: DayFile) -> None:
        last = file.last
        if last is None:
            with JournalReader(self._dir.parent, self.stream) as reader:
                last = reader.last()
        self.seq = self.durable_seq = file.written
        self.time = last.time if last is not None else 0
        self.epoch = max(last.epoch if last is not None else 0, file.meta["epoch"]) + 1

    # --- inside: writing ---

    def _write(self, row: Row) -> bool:
        """False: the disk refused the row, `problem` says why, and nothing of it is in the journal."""
        try:
            day = utc_day(row.time)
            if day > self._file.day:
                self._roll(day)
            self._file.insert(row)
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._fail(f"{self._file.path}: {error}")
                raise JournalDamaged(f"{self._file.path}: {error}") from None
            if self.problem is None:
                log.error("journal_refused", stream=self.stream, error=str(error), seq=self.seq)
            self.problem = f"the journal {self.stream} cannot be written: {error}"
            return False
        self._written(len(row.payload))
        return True

    def _write_all(self, rows: Sequence[Row]) -> bool:
        """Several rows at once, where nothing stands in the way. False: nothing of them is in the journal; one by one
        they are refused with a reason, or held."""
        if self.problem is not None or any(utc_day(row.time) > self._file.day for row in rows):
            return False
        try:
            self._file.insert_all(rows)
        except sqlite3.Error:
            return False
        self._written(sum(len(row.payload) for row in rows))
        return True

    def _written(self, size: int) -> None:
        """Rows of so many bytes are in the file."""
        self.bytes_written += size
        if not self._dirty:  # looked at after the row is there: the syncing thread takes it back before it looks
            with self._state:
                self._dirty = True
                self._state.notify_all()

    def _write_held(self) -> None:
        """Write the held blocks, as far as the disk takes them; without any, ask whether it takes anything."""
        if self.problem is None:
            return
        try:
            self._file.probe(self.epoch)
        except sqlite3.Error:
            return
        while self._backlog:
            if not self._write(self._backlog[0]):
                return
            self._backlog_bytes -= len(self._backlog.popleft().payload)
        log.info("journal_recovered", stream=self.stream, seq=self.seq)
        self.problem = None

    def _hold(self, row: Row) -> bool:
        if self._backlog_bytes + len(row.payload) > BACKLOG_LIMIT:
            return False
        self._backlog.append(row)
        self._backlog_bytes += len(row.payload)
        return True

    def _roll(self, day: str) -> None:
        """Go on in the next day's file. When that cannot be made, all stays as it is."""
        path = create_day(self._dir, day, self.stream, start_seq=self._file.written + 1, epoch=self.epoch)
        new = DayFile(path, self.stream)
        with self._state:
            old, self._file = self._file, new
        self._finish(old)
        new.mark(self.durable_seq, self.epoch)

    def _finish(self, file: DayFile) -> None:
        """A file's last word: durable before anything that follows it."""
        try:
            file.finish(self.epoch)
        except OSError as error:
            self._fail(str(error))
            self._check_alive()
        self._note_durable(file.written)

    # --- inside: durability ---

    def _sync_forever(self) -> None:
        """The syncing thread. What it syncs may be a file that was just rolled over: that is durable already."""
        while self.failed is None:
            with self._state:
                self._state.wait_for(lambda: self._dirty or self._hurry or self._closing)
                self._state.wait_for(lambda: self._hurry or self._closing, self._commit_seconds)
                self._dirty = self._hurry = False
                if self._closing:
                    return
                file, through = self._file, self._file.written
            try:
                if through > self.durable_seq:
                    file.sync()
                file.check_in_place()
                if through > self.durable_seq:
                    file.mark(through, self.epoch)
                    self._note_durable(through)
                    if file.checkpoint_due():
                        file.checkpoint()
            except OSError as error:
                # Never again: after a failed fsync the kernel may have dropped the pages, and say yes.
                self._fail(str(error))

    def _note_durable(self, through: int) -> None:
        with self._state:
            self.durable_seq = max(self.durable_seq, through)
            self._state.notify_all()

    def _fail(self, why: str) -> None:
        log.error("journal_failed", stream=self.stream, error=why, durable_through=self.durable_seq)
        with self._state:
            self.failed = f"the journal {self.stream} could not be made durable: {why}"
            self.problem = self.failed
            self._state.notify_all()

    def _check_alive(self) -> None:
        if self.failed is not None:
            raise IbStreamError("journal_unavailable", self.failed)
