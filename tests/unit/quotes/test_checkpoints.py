"""The past at any moment: the same with checkpoints and without, and after days were retired."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from messages.codec import decode_block, encode
from messages.events import EventBlock, Plan, PlannedSymbol, StreamStarted, SymbolChanged
from messages.fields import ASK, BID, LAST
from messages.topics import CONTROL, LINK, PLAN, TICKS
from services.archive import compaction
from services.base.clock import SECOND
from services.base.settings import Settings
from services.gateway.wire.columns import Columns
from services.journal import JournalReader, JournalWriter
from services.journal.cursor import Cursor
from services.quotes import checkpoints
from services.quotes.projection import Projection
from services.sink import service as sink
from tests.journals import DAY, NOON

DAYS = 4
NAMES = {number: f"SYM{number}" for number in range(6)}


@pytest.fixture(scope="module")
def four_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days in which symbols come and go; SYM5 is heard of on the first day alone."""
    root = tmp_path_factory.mktemp("four_days")
    rng = random.Random(5)
    writers: dict[str, JournalWriter] = {}

    def put(stream: str, time: int, block: Any) -> None:
        assert writers[stream].append(encode(block), block.count, time)

    for day in range(DAYS):
        for stream in (CONTROL, PLAN, LINK, TICKS):
            writers[stream] = JournalWriter(root, stream, now=NOON + day * DAY)
        control, plan, link, ticks = (writers[stream] for stream in (CONTROL, PLAN, LINK, TICKS))
        start = NOON + day * DAY
        if day == 0:
            put(CONTROL, start, EventBlock(control.epoch, control.next_seq, start, [StreamStarted()]))
        planned = [PlannedSymbol(symbol=NAMES[n], reason="", priority=0) for n in range(day, 6)]
        put(PLAN, start, Plan(plan.epoch, plan.next_seq, start, True, planned))
        for minute in range(0, 600, 7):
            time = start + minute * 60 * SECOND
            columns = Columns()
            for _ in range(rng.randint(1, 9)):
                columns.add(rng.randrange(5 if day else 6), rng.choice((BID, ASK, LAST)), rng.randrange(99) / 4, 100.0)
            put(TICKS, time, columns.to_block(ticks.epoch, ticks.next_seq, time, NAMES))
            if minute % 3 == 0:
                said = SymbolChanged(symbol=NAMES[rng.randrange(6)], state="live", stale=rng.random() < 0.5)
                put(LINK, time, EventBlock(link.epoch, link.next_seq, time, [said]))
        for writer in writers.values():
            writer.close()
    return root


@pytest.fixture
def journal(four_days: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(four_days, tmp_path / "journal"))


def quotes(projection: Projection) -> list[object]:
    return [projection.quote(symbol) for symbol in projection.symbols()]


def moments() -> list[int]:
    rng = random.Random(9)
    return [rng.randrange(NOON - DAY // 2, NOON + DAYS * DAY) for _ in range(30)]


def stored(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "checkpoints").iterdir())


def test_checkpoints_change_no_answer(journal: Path) -> None:
    plain = [quotes(checkpoints.book_at(journal, moment)) for moment in moments()]
    end = quotes(checkpoints.fold(journal))
    now = NOON + 3 * DAY + 9 * checkpoints.HOUR + 5
    assert checkpoints.update_checkpoints(journal, now) == 4
    assert stored(journal) == [f"2026-01-0{day}T000000Z" for day in (6, 7, 8)] + ["2026-01-08T210000Z"]
    assert checkpoints.update_checkpoints(journal, now) == 0
    assert [quotes(checkpoints.book_at(journal, moment)) for moment in moments()] == plain
    assert quotes(checkpoints.fold(journal)) == end


def test_a_question_costs_what_lies_after_the_nearest_checkpoint(journal: Path) -> None:
    folded: list[tuple[str, int]] = []
    checkpoints.update_checkpoints(journal, NOON + 3 * DAY + 9 * checkpoints.HOUR)

    def progress(_what: str, done: int, total: int) -> None:
        folded.append((_what, total))

    checkpoints.book_at(journal, NOON + 3 * DAY + 9 * checkpoints.HOUR + 60 * SECOND, progress)
    assert all(total < 50 for _, total in folded)


def test_what_was_retired_lives_on_in_a_checkpoint(tmp_path: Path, journal: Path) -> None:
    before = quotes(checkpoints.fold(journal))
    moment = NOON + 2 * DAY + 5 * 60 * SECOND
    then = quotes(checkpoints.book_at(journal, moment))
    settings = Settings(data_root=str(tmp_path), retention_days_ticks=2, retention_days_events=2)
    compaction.run(settings, NOON + 3 * DAY)
    assert not list((journal / TICKS).glob("2026-01-05*"))
    assert quotes(checkpoints.fold(journal)) == before
    assert quotes(checkpoints.book_at(journal, moment)) == then
    shutil.rmtree(journal / "checkpoints")
    assert quotes(checkpoints.fold(journal)) != before  # SYM5 was known from the first day alone


def test_a_checkpoint_of_another_journal_is_not_believed(tmp_path: Path, journal: Path) -> None:
    checkpoints.update_checkpoints(journal, NOON + 3 * DAY)
    other = tmp_path / "other"
    writer = JournalWriter(other, TICKS, now=NOON)
    for number in range(2_000):
        columns = Columns()
        columns.add(1, BID, 1.0 + number, 1.0)
        assert writer.append(encode(columns.to_block(1, writer.next_seq, NOON, {1: "ELSE"})), 1, NOON)
    writer.close()
    shutil.copytree(journal / "checkpoints", other / "checkpoints")
    assert checkpoints.book_at(other, NOON + 9 * DAY).symbols() == ["ELSE"]
    checkpoints.update_checkpoints(other, NOON + 3 * DAY)
    assert checkpoints.book_at(other, NOON + 9 * DAY).symbols() == ["ELSE"]


def test_a_damaged_checkpoint_is_made_again(journal: Path) -> None:
    now = NOON + 3 * DAY
    plain = quotes(checkpoints.book_at(journal, now))
    checkpoints.update_checkpoints(journal, now)
    for path in (journal / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert quotes(checkpoints.book_at(journal, now)) == plain
    assert checkpoints.update_checkpoints(journal, now) == 4


def test_hours_go_after_some_days_and_midnights_stay(journal: Path) -> None:
    for hour in range(1, 10):
        checkpoints.update_checkpoints(journal, NOON + 3 * DAY + hour * checkpoints.HOUR)
    assert len(stored(journal)) == 3 + 9
    checkpoints.update_checkpoints(journal, NOON + 9 * DAY)
    assert stored(journal) == [f"2026-01-0{day}T000000Z" for day in (6, 7, 8, 9)] + ["2026-01-14T120000Z"]


def test_a_sink_without_its_state_begins_with_the_newest_checkpoint(tmp_path: Path, journal: Path) -> None:
    where = Settings(data_root=str(tmp_path), retention_days_ticks=1, retention_days_events=1)
    whole = quotes(checkpoints.fold(journal))
    assert load_state(where)[1] == {}
    compaction.run(where, NOON + 3 * DAY)
    projection, cursors = load_state(where)
    assert cursors[TICKS].seq > 1
    for stream in (TICKS, LINK, PLAN, CONTROL):
        with JournalReader(journal, stream) as reader:
            for row in reader.blocks(cursors[stream].seq + 1):
                projection.apply(stream, decode_block(stream, row.payload))
    assert quotes(projection) == whole


def load_state(where: Settings) -> tuple[Projection, dict[str, Cursor]]:
    return sink._load_state(where.state_dir / "sink.state", where)
