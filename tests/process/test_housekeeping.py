"""The supervisor's hourly child really archives a closed day, and is ended with the supervisor."""

import time
from pathlib import Path

import pytest

from messages.codec import encode
from messages.events import EventBlock, StreamStopped
from services.base.clock import SECOND, utc_day
from services.journal import JournalReader, JournalWriter
from services.supervisor.housekeeping import EVERY_SECONDS, FIRST_SECONDS, Housekeeping
from tests.support import eventually

DAY = 86_400 * SECOND


def write_day(journal: Path, at: int) -> None:
    writer = JournalWriter(journal, "control", now=at)
    writer.append(encode(EventBlock(writer.epoch, writer.next_seq, at, [StreamStopped()])), 1, at)
    writer.close()


def test_a_closed_day_is_archived_by_the_hourly_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    now = time.time_ns()
    for at in (now - 5 * DAY, now):
        write_day(tmp_path / "journal", at)
    keeper = Housekeeping(at=100.0)
    keeper.turn(100.0 + FIRST_SECONDS / 2)
    keeper.turn(100.0 + FIRST_SECONDS)
    archived = tmp_path / "journal" / "control" / f"{utc_day(now - 5 * DAY)}.parquet"
    eventually(archived.exists, 60)
    eventually(lambda: not archived.with_suffix(".sqlite").exists(), 60)
    keeper.close()
    with JournalReader(tmp_path / "journal", "control") as reader:
        assert [row.first_seq for row in reader.blocks()] == [1, 2]


def test_one_child_at_a_time_and_it_ends_with_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    keeper = Housekeeping(at=0.0)
    keeper.turn(FIRST_SECONDS)
    first = keeper._child
    keeper.turn(FIRST_SECONDS + EVERY_SECONDS * 2)
    assert keeper._child is first or first.poll() is not None
    keeper.close()
    assert first is not None and first.poll() is not None
