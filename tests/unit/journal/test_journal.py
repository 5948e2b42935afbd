"""The journal: what a writer guarantees, what a reader finds, and what either says of damage."""

import contextlib
import errno
import os
import shutil
import sqlite3
import struct
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import structlog

from messages.errors import IbStreamError
from messages.views import Head
from services.base.clock import SECOND
from services.journal import JournalDamaged, JournalReader, day_files, dayfile, days
from services.journal import writer as writing
from services.journal.verify import verify
from tests.journals import DAY, NOON, STREAM, append, fill, killed, numbers, open_writer
from tests.support import eventually


@pytest.fixture
def logged() -> Any:
    with structlog.testing.capture_logs() as lines:
        yield lines


def events_named(lines: list[Any], name: str) -> list[Any]:
    return [line for line in lines if line["event"] == name]


# --- epochs and sequence numbers ---------------------------------------------------------------------------


def test_each_run_is_an_epoch_and_sequence_numbers_go_on(tmp_path: Path) -> None:
    for run in range(1, 4):
        writer = open_writer(tmp_path)
        assert writer.epoch == run
        append(writer, 3)
        append(writer, 2)
        writer.close()
    assert numbers(tmp_path) == list(range(1, 16))
    with JournalReader(tmp_path, STREAM) as reader:
        assert [(row.epoch, row.first_seq, row.events) for row in reader.blocks()][-2:] == [(3, 11, 3), (3, 14, 2)]


def test_an_epoch_without_a_block_is_not_used_again(tmp_path: Path) -> None:
    open_writer(tmp_path).close()
    open_writer(tmp_path).close()
    assert open_writer(tmp_path).epoch == 3


def test_sequence_numbers_go_on_over_midnight_and_over_a_restart_on_a_later_day(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    append(writer, 2, NOON)
    append(writer, 2, NOON + DAY)
    writer.close()
    writer = open_writer(tmp_path, NOON + 5 * DAY)
    assert writer.next_seq == 5
    append(writer, 2, NOON + 5 * DAY)
    writer.close()
    assert [path.name for path in day_files(tmp_path / STREAM)] == [
        "2026-01-05.sqlite",
        "2026-01-06.sqlite",
        "2026-01-10.sqlite",
    ]
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_the_first_block_of_a_run_may_begin_a_day(tmp_path: Path) -> None:
    fill(tmp_path, [4])
    writer = open_writer(tmp_path, NOON + DAY)
    append(writer, 1, NOON + DAY)
    writer.close()
    assert numbers(tmp_path, from_seq=4) == [4, 5]


def test_a_clock_that_steps_back_never_goes_back_to_an_older_file(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    append(writer, 1, NOON + DAY)
    append(writer, 1, NOON)
    writer.close()
    assert numbers(tmp_path) == [1, 2]
    assert day_files(tmp_path / STREAM)[-1].stem == "2026-01-06"
    with JournalReader(tmp_path, STREAM) as reader:
        assert [row.time for row in reader.blocks()] == [NOON + DAY, NOON]


def test_a_second_writer_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    first = open_writer(tmp_path)
    append(first)
    with pytest.raises(IbStreamError) as refused:
        open_writer(tmp_path)
    assert refused.value.code == "ib_stream_lock_busy"
    append(first)
    first.close()
    assert numbers(tmp_path) == [1, 2]
    assert open_writer(tmp_path).epoch == 2


# --- durability --------------------------------------------------------------------------------------------


def test_a_killed_writer_has_lost_nothing(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "live", commit_seconds=60)
    for _ in range(50):
        append(writer, 7)
    copy = killed(tmp_path / "live", tmp_path / "copy")
    writer.close()
    assert numbers(copy) == list(range(1, 351))
    again = open_writer(copy)
    assert again.head == Head(epoch=2, seq=350, durable_seq=350)
    again.close()


def test_blocks_become_durable_in_groups_and_the_head_says_how_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(dayfile.os, "fdatasync", lambda handle: (syncs.append(handle), real(handle)))
    writer = open_writer(tmp_path, commit_seconds=0.02)
    before = len(syncs)
    for _ in range(200):
        append(writer)
    eventually(lambda: writer.durable_seq == 200)
    assert 1 <= len(syncs) - before < 100
    marker = days.read_marker(day_files(tmp_path / STREAM)[-1])
    assert marker is not None
    assert (marker.durable, marker.written, marker.epoch) == (200, 200, 1)
    writer.close()


def test_sync_returns_when_all_is_durable(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, commit_seconds=60)
    append(writer, 5)
    assert writer.durable_seq == 0
    writer.sync()
    assert writer.durable_seq == 5
    writer.close()


def test_after_power_is_lost_the_durable_part_is_there_and_the_rest_is_cut_with_a_log_line(
    tmp_path: Path, logged: list[Any]
) -> None:
    writer = open_writer(tmp_path / "live", commit_seconds=60)
    append(writer, 5)
    writer.sync()
    log_file = Path(f"{day_files(tmp_path / 'live' / STREAM)[-1]}-wal")
    synced = log_file.stat().st_size
    for _ in range(3):
        append(writer, 5)
    for cut in (0, 1, 24, 4096, 4120, 5000):
        copy = killed(tmp_path / "live", tmp_path / f"cut{cut}")
        os.truncate(copy / STREAM / log_file.name, synced + cut)
        logged.clear()
        again = open_writer(copy)
        assert 5 <= again.seq < 20
        if (cut % 4120) >= 24:  # a whole frame header of an unfinished write
            assert events_named(logged, "journal_tail_cut")
        append(again, 1)
        again.close()
        assert numbers(copy) == list(range(1, again.seq + 1))
    writer.close()


def test_a_durable_tail_that_is_gone_stops_the_start_with_what_is_good(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "live", commit_seconds=60)
    append(writer, 5)
    writer.sync()
    whole = Path(f"{day_files(tmp_path / 'live' / STREAM)[-1]}-wal").stat().st_size
    append(writer, 5)
    writer.sync()
    copy = killed(tmp_path / "live", tmp_path / "copy")
    writer.close()
    os.truncate(copy / STREAM / "2026-01-05.sqlite-wal", whole)
    before = tree(copy)
    with pytest.raises(JournalDamaged) as damage:
        open_writer(copy)
    assert "2026-01-05.sqlite: it is whole up to sequence number 5, but 10 was durable" in damage.value.message
    assert tree(copy) == before  # nothing was repaired


def test_an_operator_can_go_on_without_a_damaged_day_and_no_number_or_epoch_is_used_twice(
    tmp_path: Path, logged: list[Any]
) -> None:
    fill(tmp_path, [10])
    fill(tmp_path, [5, 5], NOON + DAY)
    day_files(tmp_path / STREAM)[-1].rename(tmp_path / "set_aside.sqlite")
    writer = open_writer(tmp_path, NOON + DAY)
    assert (writer.epoch, writer.next_seq) == (3, 21)
    assert events_named(logged, "journal_goes_on_after_loss")[0] | {"first_lost": 11, "last_lost": 20}
    append(writer, 2, NOON + DAY)
    writer.close()
    assert numbers(tmp_path) == [*range(1, 11), 21, 22]
    assert numbers(tmp_path, from_seq=15) == [21, 22]


def test_a_failed_sync_is_never_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(tmp_path, commit_seconds=60)
    append(writer, 5)
    writer.sync()
    calls: list[int] = []

    def fails_once(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(dayfile.os, "fdatasync", fails_once)
    append(writer, 1)
    for action in (writer.sync, lambda: append(writer), lambda: writer.poll(0.0)):
        with pytest.raises(IbStreamError) as failed:
            action()
        assert failed.value.code == "journal_unavailable"
        assert "Input/output error" in failed.value.message
    assert writer.problem is not None
    assert writer.durable_seq == 5
    writer.close()
    assert len(calls) == 1
    marker = days.read_marker(day_files(tmp_path / STREAM)[-1])
    assert marker is not None and marker.durable == 5


@pytest.mark.parametrize("what", ["all of it", "the database", "the log", "moved", "put back"])
@pytest.mark.parametrize("idle", [True, False])
def test_files_that_are_taken_away_under_the_writer_are_a_failed_journal(tmp_path: Path, what: str, idle: bool) -> None:
    writer = open_writer(tmp_path)
    append(writer, 3)
    writer.sync()
    day = day_files(tmp_path / STREAM)[-1]
    if what == "moved":
        (tmp_path / STREAM).rename(tmp_path / "elsewhere")
    elif what == "put back":
        shutil.copy(day, tmp_path / "copy")
        (tmp_path / "copy").replace(day)
    else:
        for suffix in {"all of it": ("", "-wal", "-shm"), "the database": ("",), "the log": ("-wal",)}[what]:
            Path(f"{day}{suffix}").unlink()
    if idle:
        with pytest.raises(IbStreamError, match="deleted or moved"):
            writer.poll(0.0)
    else:
        with pytest.raises(IbStreamError, match="deleted or moved"):
            append(writer)
            writer.sync()
    assert writer.problem and "deleted or moved" in writer.problem
    assert writer.durable_seq == 3
    for call in (lambda: append(writer), writer.sync, lambda: writer.poll(0.0)):
        with pytest.raises(IbStreamError, match="deleted or moved"):
            call()
    writer.close()


def test_a_reader_in_the_middle_of_a_read_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dayfile, "CHECKPOINT_BYTES", 64 << 10)
    monkeypatch.setattr(dayfile, "RECYCLE_BYTES", 128 << 10)
    writer = open_writer(tmp_path, commit_seconds=0.001)
    append(writer)
    reader = days.connect_read_only(day_files(tmp_path / STREAM)[-1])
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM block").fetchone() == (1,)
    for _ in range(300):
        append(writer)
    eventually(lambda: writer.durable_seq == 301)
    assert reader.execute("SELECT count(*) FROM block").fetchone() == (1,)
    reader.execute("COMMIT")
    reader.close()
    writer.close()
    assert len(numbers(tmp_path)) == 301


def test_an_open_cursor_holds_the_writer_up_neither_at_midnight_nor_at_the_end(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for _ in range(50):
        append(writer)
    cursors = []
    for day in range(2):
        db = sqlite3.connect(day_files(tmp_path / STREAM)[-1])
        cursors.append(db.execute("SELECT * FROM block"))
        assert cursors[-1].fetchone(), "a read has begun"
        began = monotonic()
        if day == 0:
            append(writer, 1, NOON + DAY)
        else:
            writer.close()
        assert monotonic() - began < 1.0, day
    assert len(numbers(tmp_path)) == 51


def test_verify_reads_beside_a_writer_in_short_reads(tmp_path: Path) -> None:
    """Within a long one the writer could not begin its log anew: it would grow for as long as verify runs."""
    writer = open_writer(tmp_path)
    for _ in range(50):
        append(writer)
    busy: list[int] = []

    def while_it_reads(*_: object) -> None:
        with contextlib.closing(sqlite3.connect(day_files(tmp_path / STREAM)[-1], timeout=0)) as db:
            busy.append(db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0])

    report = verify(tmp_path, progress=while_it_reads)
    assert (report.verdict, sum(one.events for one in report.streams), len(busy)) == ("clean", 50, 50)
    assert not any(busy)
    writer.close()


def test_the_log_does_not_grow_with_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dayfile, "CHECKPOINT_BYTES", 64 << 10)
    monkeypatch.setattr(dayfile, "RECYCLE_BYTES", 128 << 10)
    writer = open_writer(tmp_path, commit_seconds=0.001)
    wal = Path(f"{day_files(tmp_path / STREAM)[-1]}-wal")
    largest = 0
    with JournalReader(tmp_path, STREAM) as reader:
        for _ in range(40):
            for _ in range(25):
                append(writer, 1, word="x" * 1000)
            assert reader.read(max(1, writer.seq - 10))
            writer.sync()
            largest = max(largest, wal.stat().st_size)
    assert writer.bytes_written > 1_000_000
    assert largest < 1_000_000
    writer.close()
    assert len(numbers(tmp_path)) == 1000


# --- a disk that refuses -----------------------------------------------------------------------------------


class Disk:
    """Stands before a writer's inserts and makes them fail on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        insert, probe, create = dayfile.DayFile.insert, dayfile.DayFile.probe, writing.create_day

        def checked_insert(file: dayfile.DayFile, row: Any) -> None:
            self.check()
            insert(file, row)

        def checked_probe(file: dayfile.DayFile, epoch: int) -> None:
            self.check()
            probe(file, epoch)

        def checked_create(*args: Any, **named: Any) -> Path:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return create(*args, **named)

        monkeypatch.setattr(dayfile.DayFile, "insert", checked_insert)
        monkeypatch.setattr(dayfile.DayFile, "probe", checked_probe)
        monkeypatch.setattr(writing, "create_day", checked_create)

    def check(self) -> None:
        """Raise the error as SQLite makes it, with its code."""
        if self.full:
            with sqlite3.connect(":memory:") as db:
                db.execute("PRAGMA max_page_count = 1")
                db.execute("CREATE TABLE t (x)")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_full_disk_is_announced_blocks_are_held_in_order_and_written_once_there_is_room(
    tmp_path: Path, disk: Disk
) -> None:
    writer = open_writer(tmp_path)
    append(writer, 2)
    disk.full = True
    assert append(writer, 3)
    assert append(writer, 4)
    assert writer.problem == "the journal link cannot be written: database or disk is full"
    assert numbers(tmp_path) == [1, 2]
    with pytest.raises(IbStreamError, match="disk is full"):
        writer.sync()
    writer.poll(10.0)
    assert writer.problem
    disk.full = False
    assert append(writer, 1)  # still behind those that are held
    writer.poll(10.5)
    assert writer.problem  # not yet time
    writer.poll(11.0)
    assert writer.problem is None
    writer.sync()
    assert numbers(tmp_path) == list(range(1, 11))
    writer.close()


def test_a_full_disk_at_midnight_keeps_the_old_day_until_there_is_room(tmp_path: Path, disk: Disk) -> None:
    writer = open_writer(tmp_path)
    append(writer, 2)
    disk.full = True
    assert append(writer, 1, NOON + DAY)
    assert append(writer, 1, NOON + 2 * DAY)
    writer.poll(10.0)
    assert [path.stem for path in day_files(tmp_path / STREAM)] == ["2026-01-05"]
    disk.full = False
    writer.poll(20.0)
    assert append(writer, 1, NOON + 2 * DAY)
    writer.close()
    assert [path.stem for path in day_files(tmp_path / STREAM)] == ["2026-01-05", "2026-01-06", "2026-01-07"]
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]


def test_held_blocks_are_bounded_and_what_is_not_taken_uses_no_number(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BACKLOG_LIMIT", 1000)
    writer = open_writer(tmp_path)
    disk.full = True
    taken = sum(append(writer, 1, word="x" * 100) for _ in range(20))
    assert 0 < taken < 10
    assert writer.seq == taken
    disk.full = False
    writer.poll(1.0)
    assert append(writer)
    writer.close()
    assert numbers(tmp_path) == list(range(1, taken + 2))


def test_a_command_that_the_disk_refuses_never_comes_true(tmp_path: Path, disk: Disk, logged: list[Any]) -> None:
    writer = open_writer(tmp_path)
    assert writer.append(b"before", 1, NOON, hold=False)
    disk.full = True
    for at in range(5):
        assert not writer.append(b"refused", 1, NOON, hold=False)
        writer.poll(10.0 * at)
        assert writer.problem
    assert len(events_named(logged, "journal_refused")) == 1
    disk.full = False
    assert writer.append(b"after", 1, NOON, hold=False)
    assert writer.problem is None
    writer.sync()
    writer.close()
    with JournalReader(tmp_path, STREAM) as reader:
        assert [(row.first_seq, row.payload) for row in reader.blocks()] == [(1, b"before"), (2, b"after")]


def test_closing_while_the_disk_is_full_keeps_what_was_written(tmp_path: Path, disk: Disk, logged: list[Any]) -> None:
    writer = open_writer(tmp_path)
    append(writer, 2)
    disk.full = True
    append(writer, 3)
    writer.close()
    assert events_named(logged, "journal_lost")[0]["events"] == 3
    disk.full = False
    assert numbers(tmp_path) == [1, 2]
    assert open_writer(tmp_path).next_seq == 3


# --- reading -----------------------------------------------------------------------------------------------


def test_reading_begins_with_the_block_that_holds_the_number_and_is_bounded(tmp_path: Path) -> None:
    fill(tmp_path, [3] * 10)
    fill(tmp_path, [3] * 10, NOON + DAY)
    with JournalReader(tmp_path, STREAM) as reader:
        assert [row.first_seq for row in reader.read(5, 1)] == [4]
        assert [row.first_seq for row in reader.read(7, 1)] == [7]
        size = len(reader.read(1, 1)[0].payload)
        assert [row.first_seq for row in reader.read(1, 2 * size)] == [1, 4]
        assert [row.first_seq for row in reader.read(31, 1)] == [31]
        assert reader.read(61) == []
        assert [row.first_seq for row in reader.blocks(29, 33)] == [28, 31]
        assert reader.first_seq() == 1
        last = reader.last()
        assert last is not None and last.last_seq == 60


def test_an_empty_stream_reads_as_nothing(tmp_path: Path) -> None:
    with JournalReader(tmp_path, STREAM) as reader:
        assert (reader.read(1), reader.last(), reader.first_seq(), reader.seq_at(NOON)) == ([], None, None, 1)
    open_writer(tmp_path).close()
    with JournalReader(tmp_path, STREAM) as reader:
        assert (reader.read(1), reader.last(), reader.first_seq(), reader.seq_at(NOON)) == ([], None, None, 1)


def test_seq_at_gives_the_first_block_of_that_time_or_later(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    times = [NOON + n * SECOND for n in range(10)] + [NOON + DAY + n * SECOND for n in range(10)]
    for time in times:
        append(writer, 3, time)
    writer.close()
    with JournalReader(tmp_path, STREAM) as reader:
        assert reader.seq_at(0) == 1
        for number, time in enumerate(times):
            assert reader.seq_at(time) == 1 + 3 * number
            assert reader.seq_at(time + 1) == 4 + 3 * number
        assert reader.seq_at(NOON + 9 * DAY) == 61


@pytest.mark.parametrize("change", ["count = NULL", "time = time + 3600000000000", "time = 'noon'"])
def test_a_time_is_not_looked_up_in_damaged_blocks(tmp_path: Path, change: str) -> None:
    """It would be answered with another place, and what lies between would be missing without a word."""
    fill(tmp_path, [1] * 20)
    (path,) = day_files(tmp_path / STREAM)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = 1")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'block'")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE block SET {change} WHERE first_seq < 20")  # the last block is whole
    with JournalReader(tmp_path, STREAM) as reader, pytest.raises(JournalDamaged):
        reader.seq_at(NOON + 5 * SECOND)


def test_a_reader_sees_each_block_as_soon_as_it_is_appended_across_a_roll(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with JournalReader(tmp_path, STREAM) as reader:
        for number in range(1, 20):
            append(writer, 1, NOON + (number // 5) * DAY)
            assert [row.first_seq for row in reader.read(number)] == [number]
    writer.close()


def test_a_reader_works_beside_a_writer_that_writes_all_the_time(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, commit_seconds=0.001)
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        with JournalReader(tmp_path, STREAM) as reader:
            while not (done.is_set() and len(seen) == writer.seq):
                for row in reader.read(len(seen) + 1, 2000):
                    seen.extend(range(row.first_seq, row.last_seq + 1))

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1500):
        append(writer, 2, NOON + number // 300 * DAY)
    done.set()
    thread.join(30)
    assert seen == list(range(1, 3001))
    writer.close()


def test_retired_days_are_no_damage_and_a_day_missing_inside_is(tmp_path: Path) -> None:
    for day in range(4):
        fill(tmp_path, [5, 5], NOON + day * DAY)
    files = day_files(tmp_path / STREAM)
    with JournalReader(tmp_path, STREAM) as reader:
        assert reader.first_seq() == 1
        for suffix in (".sqlite", ".durable"):
            files[0].with_suffix(suffix).unlink()
        assert reader.first_seq() == 11
        assert numbers(tmp_path) == list(range(11, 41))
        files[2].unlink()
        assert [row.first_seq for row in reader.read(11)] == [11, 16]
        with pytest.raises(JournalDamaged, match=r"2026-01-06\.sqlite: events 21 to 30 are missing"):
            reader.read(21)


def test_a_reader_works_on_a_copy_in_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, [5])
    monkeypatch.setattr(days.os, "access", lambda *_: False)  # as an owner without the right to write sees it
    assert numbers(tmp_path) == [1, 2, 3, 4, 5]
    assert not list((tmp_path / STREAM).glob("*-shm"))


def test_a_day_begun_anew_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, [5])
    with JournalReader(tmp_path, STREAM) as reader:
        assert reader.read(1)
        shutil.rmtree(tmp_path / STREAM)
        fill(tmp_path, [2])
        last = reader.last()
        assert last is not None and last.last_seq == 2


# --- damage ------------------------------------------------------------------------------------------------


def change(path: Path, statement: str, *values: object) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA writable_schema = ON")
    db.execute(statement, values)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", ".lock")) and not is_empty_log(path)
    }


def is_empty_log(path: Path) -> bool:
    return path.name.endswith("-wal") and not path.stat().st_size


@pytest.mark.parametrize(
    ("statement", "values", "message"),
    [
        ("UPDATE block SET payload = ? WHERE first_seq = 4", (b"other",), "sequence number 4 fails its checksum"),
        ("UPDATE block SET payload = ? WHERE first_seq = 4", ("text",), "sequence number 4 fails its checksum"),
        ("UPDATE block SET time = time + 1 WHERE first_seq = 4", (), "sequence number 4 fails its checksum"),
        ("UPDATE block SET count = 'x' WHERE first_seq = 4", (), "sequence number 4 fails its checksum"),
        ("DELETE FROM block WHERE first_seq = 4", (), "events 4 to 6 are missing"),
        ("DELETE FROM block WHERE first_seq = 1", (), "events 1 to 3 are missing"),
        ("DROP TABLE block", (), "no such table: block"),
        ("DELETE FROM meta", (), "this is no journal of the stream link"),
        ("UPDATE sqlite_master SET sql = CAST(x'ce63' AS TEXT) WHERE name = 'block'", (), ""),
        ("UPDATE meta SET value = CAST(x'ff6c' AS TEXT) WHERE key = 'stream'", (), "this is no journal of the stream"),
    ],
)
def test_damage_inside_stops_the_reader_and_the_writer_with_what_and_where(
    tmp_path: Path, statement: str, values: tuple[object, ...], message: str
) -> None:
    fill(tmp_path, [3, 3, 3])
    path = day_files(tmp_path / STREAM)[0]
    change(path, statement, *values)
    before = tree(tmp_path)
    for read in (lambda: numbers(tmp_path), lambda: open_writer(tmp_path)):
        with pytest.raises(JournalDamaged) as damage:
            read()
        assert str(path) in damage.value.message
        assert message in damage.value.message
    assert tree(tmp_path) == before


def test_the_last_block_cut_off_is_damage_when_it_was_durable(tmp_path: Path) -> None:
    fill(tmp_path, [3, 3, 3])
    change(day_files(tmp_path / STREAM)[0], "DELETE FROM block WHERE first_seq = 7")
    with pytest.raises(JournalDamaged, match="whole up to sequence number 6, but 9 was durable"):
        open_writer(tmp_path)


def test_a_log_without_its_database_is_damage(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "live")
    append(writer, 3)
    copy = killed(tmp_path / "live", tmp_path / "copy")
    writer.close()
    day_files(copy / STREAM)[0].unlink()
    with pytest.raises(JournalDamaged, match="-wal is there without"):
        open_writer(copy)


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    fill(tmp_path, [3])
    day_files(tmp_path / STREAM)[0].write_bytes(b"not a database " * 1000)
    for read in (lambda: numbers(tmp_path), lambda: open_writer(tmp_path)):
        with pytest.raises(JournalDamaged, match="file is not a database"):
            read()


def test_a_journal_of_another_stream_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    fill(tmp_path, [3])
    (tmp_path / STREAM).rename(tmp_path / "control")
    with pytest.raises(JournalDamaged, match="no journal of the stream control"):
        open_writer(tmp_path, stream="control")


def test_a_torn_creation_of_a_day_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, [3])
    writer = open_writer(tmp_path)
    real = dayfile.sync_path

    def killed_before_rename(path: Path) -> None:
        if path.suffix == ".new":
            raise OSError(errno.EIO, "killed")
        real(path)

    monkeypatch.setattr(dayfile, "sync_path", killed_before_rename)
    assert append(writer, 1, NOON + DAY)  # held
    assert [path.stem for path in day_files(tmp_path / STREAM)] == ["2026-01-05"]
    monkeypatch.undo()
    writer.poll(1.0)
    writer.close()
    assert numbers(tmp_path) == [1, 2, 3, 4]


def test_the_log_header_names_the_page_size_that_the_tail_check_reads(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    append(writer)
    header = Path(f"{day_files(tmp_path / STREAM)[0]}-wal").read_bytes()[:12]
    assert struct.unpack(">I", header[8:])[0] == dayfile.PAGE
    writer.close()
