"""Compacts closed days of the journal into Parquet, and lets go of what is older or larger than is to be kept.

Run by `ibstream archive`, and once an hour by the supervisor as a child process of low priority
(`python -m services.archive`). The original of a day goes only after its archive was read back and found to
hold the same blocks, byte for byte. The newest file of a stream is its writer's and is never touched.
"""

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import msgspec
import structlog
from filelock import FileLock, Timeout

from messages.codec import decode_events
from messages.errors import IbStreamError
from messages.events import StreamStarted, StreamStopped
from messages.topics import CONTROL, LINK, PLAN, TICKS, kind
from services.base import logs
from services.base.clock import utc_day
from services.base.settings import Settings, load
from services.journal import JournalDamaged, Row, day_files, streams_in
from services.journal.dayfile import sync_path
from services.journal.days import (
    ARCHIVE_SUFFIX,
    MARKER_SUFFIX,
    SUFFIX,
    Day,
    Progress,
    SqliteDay,
    all_days,
    archive_files,
    explain,
    missing,
)
from services.journal.parquet import SUM_SUFFIX, ParquetDay, check_table, write_day
from services.journal.reader import open_day
from services.quotes.checkpoints import update_checkpoints
from services.quotes.past_quality import keep_reports

log = structlog.get_logger()


class Done(msgspec.Struct, frozen=True):
    """What was done with one day of one stream. `problem`: why it was left as it is."""

    stream: str
    day: str
    action: str  # archived, retired, kept
    events: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    problem: str | None = None


def run(settings: Settings, now: int, progress: Progress | None = None) -> list[Done]:
    """Archive and retire what is due at `now` (UTC nanoseconds).

    Raises IbStreamError `ib_stream_lock_busy` when another one is at it.
    """
    done: list[Done] = []
    root = settings.journal_dir
    if not root.exists():
        return done
    with _only_one(root):
        today = utc_day(now)
        for stream in streams_in(root):
            _clear_remains(root / stream)
            due = [p for p in day_files(root / stream)[:-1] if _age(p, today) > settings.archive_after_days]
            done += [_archive_or_say_why(path, stream, progress) for path in due]
        # Both before days are retired: checkpoints and reports keep what is known of them.
        done += _kept("checkpoint", partial(update_checkpoints, root, now, progress))
        done += _kept("quality report", partial(keep_reports, root, now, progress))
        done += retire(settings, now)
    return done


def _kept(what: str, job: Callable[[], object]) -> list[Done]:
    """Do what else is due; only what fails is told."""
    try:
        job()
    except IbStreamError as error:
        return [Done("", "", "kept", problem=f"no {what}: {error.message}")]
    except OSError as error:
        return [Done("", "", "kept", problem=f"no {what}: {error}")]
    return []


def _archive_or_say_why(path: Path, stream: str, progress: Progress | None) -> Done:
    try:
        return archive_day(path, stream, progress)
    except IbStreamError as error:
        problem = error.message
    except OSError as error:
        problem = f"{path}: {error}"
    return Done(stream, path.stem, "kept", problem=problem)


# --- archiving ---------------------------------------------------------------------------------------------


def archive_day(path: Path, stream: str, progress: Progress | None = None) -> Done:
    """Compact one closed day. Raises IbStreamError and OSError; the original is untouched then."""
    archive = path.with_suffix(ARCHIVE_SUFFIX)
    draft = archive.with_name(f".{archive.name}")
    before = _size(path)
    with contextlib.closing(SqliteDay(path, stream)) as day:
        end = _expected_end(path, stream, day)
        try:
            write_day(draft, stream, _all_rows(day, end, progress), day.start_seq, day.lost_from)
            events = _compare(draft, stream, day, end, progress)
        except BaseException:
            for remains in (draft, _sum_of(draft)):
                remains.unlink(missing_ok=True)
            raise
    _sum_of(draft).write_text(_sum_of(draft).read_text().replace(draft.name, archive.name))
    sync_path(_sum_of(draft))
    _sum_of(draft).replace(_sum_of(archive))
    draft.replace(archive)
    sync_path(archive.parent)
    _empty_log(path)
    _remove(path)
    return Done(stream, path.stem, "archived", events, before, _size(archive))


def _expected_end(path: Path, stream: str, day: Day) -> int:
    """The last sequence number that a closed day must hold, by where the next one begins."""
    following = next(later for later in all_days(path.parent) if later.stem > path.stem)
    with contextlib.closing(open_day(following, stream)) as after:
        if after.lost_from is not None:
            return after.lost_from - 1
        return after.start_seq - 1


def _all_rows(day: Day, end: int, progress: Progress | None, doing: str = "archiving") -> Iterator[Row]:
    """Every block of a day. Raises JournalDamaged where one is missing."""
    expected = day.start_seq
    while expected <= end:
        rows = day.read(expected, 4 << 20)
        if not rows or rows[0].first_seq != expected:
            raise missing(day.path, expected, rows[0].first_seq if rows else end + 1)
        yield from rows
        expected = rows[-1].last_seq + 1
        if progress is not None:
            progress(f"{doing} {day.path.parent.name} {day.path.stem}", expected - day.start_seq, end - day.start_seq)
    if expected != end + 1:
        raise JournalDamaged(f"{day.path}: it ends with {expected - 1}, but the next day begins after {end}")


def _compare(draft: Path, stream: str, original: Day, end: int, progress: Progress | None) -> int:
    """Read an archive back beside its original. Raises JournalDamaged where they differ. Returns the events."""
    rows = _all_rows(original, end, progress, "checking")
    with contextlib.closing(ParquetDay(draft, stream)) as archived:
        for number in range(archived.groups):
            for row in archived.group(number):
                if row != next(rows, None):
                    raise JournalDamaged(f"{draft}: the block at sequence number {row.first_seq} is not the original")
            check_table(archived, number)
        if next(rows, None) is not None:
            raise JournalDamaged(f"{draft}: blocks of the original are missing")
        return archived.footer.end_seq - archived.footer.start_seq + 1


def _empty_log(path: Path) -> None:
    """Before a database goes: a reader that has just opened it must not need its log, which goes too."""
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=1.0)) as db:
            busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise explain(path, error) from None
    if busy:
        raise IbStreamError("journal_unavailable", f"{path}: it is being read; its archive is ready, it goes next time")


# --- retention ---------------------------------------------------------------------------------------------


def retire(settings: Settings, now: int) -> list[Done]:
    """Remove days that are too old, and the oldest ticks, then link events, while all together are too large."""
    root, today = settings.journal_dir, utc_day(now)
    done: list[Done] = []
    streams = streams_in(root)
    for stream in streams:
        keep = settings.retention_days_ticks if kind(stream) == TICKS else settings.retention_days_events
        due = [path for path in _removable(root, stream) if _age(path, today) > keep]
        done += [_retire_day(path, stream) for path in due]
    limit = int(settings.retention_gb * 1e9)
    total = sum(_size(path) for stream in streams for path in all_days(root / stream))
    for of_a_kind in (TICKS, LINK, PLAN, CONTROL):
        due = [path for stream in streams if kind(stream) == of_a_kind for path in _removable(root, stream)]
        for path in sorted(due, key=lambda path: path.stem):
            if total <= limit:
                return done
            done.append(_retire_day(path, path.parent.name))
            total -= done[-1].bytes_before
    if total > limit:
        problem = f"the journal has {total} bytes, the limit is {limit}; what is left is needed"
        done.append(Done("", "", "kept", bytes_before=total, problem=problem))
    return done


def _removable(root: Path, stream: str) -> list[Path]:
    """Days that may go, oldest first: not the newest, and of plan and control none that still says what is wanted."""
    days = all_days(root / stream)
    if stream not in (PLAN, CONTROL):
        return days[:-1]
    for number in range(len(days) - 1, -1, -1):
        if _says_what_is_wanted(days[number], stream):
            return days[:number]
    return []


def _says_what_is_wanted(path: Path, stream: str) -> bool:
    with contextlib.closing(open_day(path, stream)) as day:
        if stream == PLAN:
            return day.last() is not None
        last = day.last()
        rows = [] if last is None else _all_rows(day, last.last_seq, None)
        return any(
            isinstance(event, StreamStarted | StreamStopped)
            for row in rows
            for event in decode_events(row.payload).events
        )


def _retire_day(path: Path, stream: str) -> Done:
    done = Done(stream, path.stem, "retired", bytes_before=_size(path))
    _remove(path)
    return done


# --- files -------------------------------------------------------------------------------------------------


def _remove(path: Path) -> None:
    """Remove a day with what stands beside it. The day itself first: a log without one is never read."""
    beside = [_sum_of(path)] if path.suffix == ARCHIVE_SUFFIX else [Path(f"{path}{end}") for end in ("-wal", "-shm")]
    if path.suffix == SUFFIX:
        beside.append(path.with_suffix(MARKER_SUFFIX))
    for gone in (path, *beside):
        gone.unlink(missing_ok=True)
    sync_path(path.parent)


def _clear_remains(directory: Path) -> None:
    """Remove what an interrupted archiving, or a reader of a day that went away, left behind."""
    for draft in directory.glob(f".*{ARCHIVE_SUFFIX}*"):
        draft.unlink(missing_ok=True)
    for beside in [*directory.glob(f"*{SUFFIX}-wal"), *directory.glob(f"*{SUFFIX}-shm")]:
        day = beside.with_name(beside.name[:-4])
        with contextlib.suppress(FileNotFoundError):
            if not day.exists() and (beside.name.endswith("-shm") or not beside.stat().st_size):
                beside.unlink()
    for archive in archive_files(directory):
        if archive.with_suffix(SUFFIX).exists():  # it was interrupted before the original went: do it again
            archive.unlink()


def _sum_of(path: Path) -> Path:
    return Path(f"{path}{SUM_SUFFIX}")


def _size(path: Path) -> int:
    beside = [path, Path(f"{path}-wal"), _sum_of(path)]
    return sum(file.stat().st_size for file in beside if file.exists())


def _age(path: Path, today: str) -> int:
    """Days from the file's to today."""
    return (date.fromisoformat(today) - date.fromisoformat(path.stem)).days


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[None]:
    lock = FileLock(root / ".archive.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise IbStreamError("ib_stream_lock_busy", f"another process archives the journal in {root}") from None
    try:
        yield
    finally:
        lock.release()


def main() -> int:
    """`python -m services.archive`: once, at low priority. Exit code 0, or that of the first problem."""
    try:
        settings = load()
        logs.configure(settings, "archive")
        os.nice(19)
        done = run(settings, time.time_ns())
    except IbStreamError as error:
        sys.stderr.write(f"ibstream archive: {error.message} [{error.code}]\n")
        return error.exit_code
    for one in done:
        say = log.error if one.problem else log.info
        say(f"day_{one.action}", **{name: value for name, value in msgspec.structs.asdict(one).items() if value})
    return 1 if any(one.problem for one in done) else 0
