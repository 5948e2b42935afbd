"""Archive and retention: the same events in a smaller file, one reader for both, and nothing that is needed goes."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from messages.codec import encode
from messages.events import EventBlock, IbError, StreamStarted
from messages.fields import BID, CURRENCY, LAST_TIME
from messages.topics import TICKS
from services.archive import compaction
from services.base.clock import SECOND
from services.base.settings import Settings
from services.gateway.wire.columns import Columns
from services.journal import JournalDamaged, JournalReader, JournalWriter, Row, day_files, parquet
from services.journal.days import all_days
from tests.journals import DAY, NOON, STREAM, append, fill, open_writer
from tests.support import some


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(data_root=str(tmp_path), **values)


def rows(root: Path, stream: str) -> list[Row]:
    with JournalReader(root, stream) as reader:
        return list(reader.blocks())


def fill_ticks(root: Path, day: int, blocks: int = 40) -> None:
    """Ticks with all that a block may hold: texts, a size or none, an unset value, several symbols and ids."""
    writer = open_writer(root, NOON + day * DAY, TICKS)
    for number in range(blocks):
        time = NOON + day * DAY + number * SECOND
        columns = Columns()
        columns.add(1, BID, 100 + number / 7, 300.0)
        columns.add(2, BID, float("nan"))
        columns.add(1, 8, 1e9 + number)
        if number % 5 == 0:
            columns.add_text(2, CURRENCY, "USD")
            columns.add_text(1, 48, f"RT {number}")
            columns.add_text(1, LAST_TIME, "1767614399")
        names = {1: "SPY", 2: "BRK B"} if number % 2 else {1: "QQQ", 2: "SPY"}
        block = columns.to_block(writer.epoch, writer.next_seq, time, names)
        assert writer.append(encode(block), block.count, time)
    writer.close()


def files(folder: Path) -> list[str]:
    """Names, without what SQLite keeps while a day is open."""
    return sorted(
        path.name for path in folder.iterdir() if path.name[0] != "." and not path.name.endswith(("-wal", "-shm"))
    )


@pytest.fixture(scope="module")
def four_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("four_days")
    for day in range(4):
        fill_ticks(root, day)
        fill(root, [3, 1, 2], NOON + day * DAY)
    return root


@pytest.fixture
def journal(four_days: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(four_days, tmp_path / "journal"))


def test_closed_days_become_parquet_and_read_as_before_byte_for_byte(tmp_path: Path, journal: Path) -> None:
    before = {stream: rows(journal, stream) for stream in (TICKS, STREAM)}
    done = compaction.run(settings(tmp_path), NOON + 4 * DAY)
    assert [(one.stream, one.day, one.action) for one in done] == [
        (stream, f"2026-01-0{day}", "archived") for stream in (TICKS, STREAM) for day in (5, 6, 7)
    ]
    for stream in (TICKS, STREAM):
        assert files(journal / stream) == [
            *(f"2026-01-0{day}.parquet{end}" for day in (5, 6, 7) for end in ("", ".b2sum")),
            "2026-01-08.durable",
            "2026-01-08.sqlite",
        ]
        assert rows(journal, stream) == before[stream]


def test_reading_by_number_and_time_is_the_same_in_the_archive(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_EVENTS", 10)  # many row groups

    def answers(stream: str) -> list[object]:
        with JournalReader(journal, stream) as reader:
            last = reader.last()
            assert last is not None
            times = [row.time + d for row in reader.blocks() for d in (-1, 0, 1)]
            return [
                last,
                reader.first_seq(),
                [reader.read(seq, size) for seq in some(range(1, last.last_seq + 3, 7), 20) for size in (1, 500, 9999)],
                list(map(reader.seq_at, some(times, 40))),
            ]

    before = [answers(stream) for stream in (TICKS, STREAM)]
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert len(day_files(journal / TICKS)) == 1
    assert [answers(stream) for stream in (TICKS, STREAM)] == before


def test_other_programs_read_the_events_as_columns(tmp_path: Path, journal: Path) -> None:
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    ticks = pq.read_table(journal / TICKS / "2026-01-05.parquet")
    assert ticks["seq"].to_pylist() == list(range(1, ticks.num_rows + 1))
    first = ticks.slice(0, 6).select(["symbol", "field", "value", "size", "text"]).to_pylist()
    assert first[0] == {"symbol": "QQQ", "field": BID, "value": 100.0, "size": 300.0, "text": None}
    assert first[3] | {"value": 0.0} == {"symbol": "SPY", "field": CURRENCY, "value": 0.0, "size": None, "text": "USD"}
    assert first[4]["text"] == "RT 0"
    assert (first[5]["text"], first[5]["value"]) == (None, 1767614399.0)
    assert pc.unique(ticks["epoch"]).to_pylist() == [1]
    events = pq.read_table(journal / STREAM / "2026-01-06.parquet")
    assert events["type"].to_pylist() == ["ib_error"] * 6
    assert msgspec.json.decode(events["event"][0].as_py(), type=IbError).message == "2:7"


def test_blocks_that_columns_cannot_tell_are_kept_as_they_were(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    writer = open_writer(root, stream=TICKS)
    columns = Columns()
    columns.add(1, BID, 1.0, 2.0)
    plain = msgspec.to_builtins(columns.to_block(1, 1, NOON, {1: "SPY"}), builtin_types=(bytes,))
    newer = encode([*plain, ["a column of a later version"]])
    assert writer.append(newer, 1, NOON)
    writer.close()
    fill_ticks(root, 1)
    before = rows(root, TICKS)
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert rows(root, TICKS) == before
    assert before[0].payload == newer


def test_events_of_a_later_version_survive_the_archive(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    writer = open_writer(root)
    block = {"type": "events", "epoch": 1, "first_seq": 1, "time": NOON, "events": [{"type": "of_2030", "x": [1.5]}]}
    assert writer.append(encode(block), 1, NOON)
    writer.close()
    fill(root, [1], NOON + DAY)
    before = rows(root, STREAM)
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert rows(root, STREAM) == before
    assert pq.read_table(root / STREAM / "2026-01-05.parquet")["type"].to_pylist() == ["of_2030"]


def test_the_writer_goes_on_after_all_its_files_but_the_newest_are_archived(tmp_path: Path, journal: Path) -> None:
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    day_files(journal / STREAM)[0].rename(tmp_path / "elsewhere")
    (journal / STREAM / "2026-01-08.durable").unlink()
    writer = open_writer(journal, NOON + 9 * DAY)
    assert (writer.epoch, writer.next_seq) == (4, 19)
    append(writer, 1, NOON + 9 * DAY)
    writer.close()
    assert [row.first_seq for row in rows(journal, STREAM)][-2:] == [17, 19]


def test_a_damaged_day_is_not_archived_and_the_others_are(tmp_path: Path, journal: Path) -> None:
    path = day_files(journal / STREAM)[1]
    with sqlite3.connect(path) as db:
        db.execute("UPDATE block SET payload = x'00' WHERE first_seq = 10")
    db.close()
    done = compaction.run(settings(tmp_path), NOON + 9 * DAY)
    kept = [one for one in done if one.action == "kept" and one.stream]
    assert [(one.stream, one.day) for one in kept] == [(STREAM, "2026-01-06")]
    assert kept[0].problem is not None
    assert "sequence number 10 fails its checksum" in kept[0].problem
    assert path.exists()
    assert not [p for p in (journal / STREAM).iterdir() if p.name.startswith(".2026")]


def test_a_day_whose_end_is_missing_is_not_archived(tmp_path: Path, journal: Path) -> None:
    path = day_files(journal / STREAM)[1]
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM block WHERE first_seq = 11")
    db.close()
    done = compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert [one.problem for one in done if one.problem and one.stream] == [f"{path}: events 11 to 12 are missing"]


def test_an_archive_that_does_not_read_back_as_the_original_is_thrown_away(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = parquet.tick_table

    def forgetful(blocks: list[Row]) -> Any:
        table = real(blocks)
        at = table.column_names.index("value")
        return table.set_column(at, table.schema.field(at), pc.negate(table["value"]))

    monkeypatch.setattr(parquet, "tick_table", forgetful)
    done = compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert {one.action for one in done if one.stream == TICKS} == {"kept"}
    assert len(day_files(journal / TICKS)) == 4


@pytest.mark.parametrize("left", ["draft", "archive", "strays"])
def test_an_interrupted_archiving_is_done_again(tmp_path: Path, journal: Path, left: str) -> None:
    before = rows(journal, STREAM)
    folder = journal / STREAM
    if left == "draft":
        (folder / ".2026-01-05.parquet").write_bytes(b"half")
    elif left == "archive":
        (folder / "2026-01-05.parquet").write_bytes(b"half")
    else:
        (folder / "2026-01-04.sqlite-wal").write_bytes(b"")
        (folder / "2026-01-04.sqlite-shm").write_bytes(b"x")
    assert rows(journal, STREAM) == before
    compaction.run(settings(tmp_path), NOON + 9 * DAY)
    assert rows(journal, STREAM) == before
    assert len(files(folder)) == 3 * 2 + 2
    assert not list(folder.glob(".2026*"))
    assert not list(folder.glob("2026-01-04*"))


def test_readers_go_on_across_an_archiving_and_a_retirement(tmp_path: Path, journal: Path) -> None:
    with JournalReader(journal, STREAM) as reader:
        blocks = reader.blocks(max_bytes=1)
        seen = [next(blocks) for _ in range(2)]
        compaction.run(settings(tmp_path), NOON + 4 * DAY)
        seen += [next(blocks) for _ in range(5)]
        assert [row.first_seq for row in seen] == [1, 4, 5, 7, 10, 11, 13]
        compaction.run(settings(tmp_path, retention_days_events=1), NOON + 4 * DAY)
        assert [row.first_seq for row in reader.blocks()] == [19, 22, 23]


def test_old_days_go_each_stream_by_its_own_age(tmp_path: Path, journal: Path) -> None:
    done = compaction.run(settings(tmp_path, retention_days_ticks=2, retention_days_events=3), NOON + 4 * DAY)
    assert [(one.stream, one.day) for one in done if one.action == "retired"] == [
        (TICKS, "2026-01-05"),
        (TICKS, "2026-01-06"),
        (STREAM, "2026-01-05"),
    ]
    assert [path.name for path in all_days(journal / TICKS)] == ["2026-01-07.parquet", "2026-01-08.sqlite"]


def test_the_newest_file_stays_however_old_and_large(tmp_path: Path, journal: Path) -> None:
    compaction.run(settings(tmp_path, retention_gb=1e-9), NOON + 4000 * DAY)
    for stream in (TICKS, STREAM):
        assert [path.name for path in all_days(journal / stream)] == ["2026-01-08.sqlite"]


def test_while_all_is_too_large_the_oldest_ticks_go_first(tmp_path: Path, journal: Path) -> None:
    compaction.run(settings(tmp_path), NOON + 4 * DAY)
    kept = all_days(journal / TICKS)[2:] + all_days(journal / STREAM)
    size = sum(
        path.stat().st_size for path in journal.rglob("2026*") if path.suffix in (".sqlite", ".parquet", ".b2sum")
    )
    size -= sum(file.stat().st_size for day in ("05", "06") for file in (journal / TICKS).glob(f"2026-01-{day}*"))
    compaction.run(settings(tmp_path, retention_gb=(size + 1) / 1e9), NOON + 4 * DAY)
    assert all_days(journal / TICKS) + all_days(journal / STREAM) == kept


def test_what_says_what_is_wanted_is_kept_for_as_long_as_it_holds(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    for day, events in enumerate([[StreamStarted()], [StreamStarted(project_id=7)], [], []]):
        writer = JournalWriter(root, "control", now=NOON + day * DAY)
        time = NOON + day * DAY
        block = EventBlock(writer.epoch, writer.next_seq, time, [*events, IbError(1, "x", "info", "x")])
        assert writer.append(encode(block), block.count, time)
        writer.close()
    compaction.run(settings(tmp_path, retention_days_events=1), NOON + 400 * DAY)
    assert [path.stem for path in all_days(root / "control")] == ["2026-01-06", "2026-01-07", "2026-01-08"]


def test_only_one_archives_at_a_time(tmp_path: Path, journal: Path) -> None:
    with compaction._only_one(journal), pytest.raises(compaction.IbStreamError) as busy:
        compaction.run(settings(tmp_path), NOON + 4 * DAY)
    assert busy.value.code == "ib_stream_lock_busy"


def test_damage_in_an_archive_is_named(tmp_path: Path, journal: Path) -> None:
    compaction.run(settings(tmp_path), NOON + 4 * DAY)
    path = all_days(journal / TICKS)[0]
    whole = path.read_bytes()
    for at, message in ((200, "2026-01-05.parquet: the events from 1 on"), (len(whole) - 40, "its footer is not")):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(JournalDamaged, match=message):
            rows(journal, TICKS)
        with pytest.raises(JournalDamaged, match="BLAKE2b"):
            parquet.check_sum(path)
    path.write_bytes(whole)
    parquet.check_sum(path)
    Path(f"{path}{parquet.SUM_SUFFIX}").unlink()
    with pytest.raises(JournalDamaged, match=r"checksum file 2026-01-05\.parquet\.b2sum is missing"):
        rows(journal, TICKS)
