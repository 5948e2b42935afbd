"""A saved fold is used when it is whole, of this version and of the journal that is there; else nothing is believed."""

from pathlib import Path

import pytest

from messages.events import Plan, PlannedSymbol, StreamStarted
from services.base.settings import Settings, load
from services.base.wanted import Wanted
from services.journal import saved_state
from services.journal.cursor import Cursor
from services.planner.service import STATE_VERSION, Saved
from services.planner.state import Folded
from services.supervisor.facts import VERSION, Facts
from tests.journals import DAY, NOON, STREAM, append, fill, open_writer

FACTS = Facts(
    cursors={"control": Cursor(1, 4)},
    times={"control": NOON},
    wanted=Wanted(StreamStarted(symbols=["SPY"]), NOON, 4),
    plan=Plan(epoch=1, first_seq=1, time=NOON, started=True, symbols=[PlannedSymbol("SPY", "rank 1", 1)]),
)
PLANNED = Saved(
    folded=Folded(wanted=Wanted(since=NOON, seq=4)), cursors={"control": Cursor(1, 4)}, times={"control": NOON}
)


@pytest.mark.parametrize(("state", "version"), [(FACTS, VERSION), (PLANNED, STATE_VERSION)])
def test_a_state_comes_back_whole_or_not_at_all(tmp_path: Path, state: Facts | Saved, version: int) -> None:
    path = tmp_path / "state"
    kind = type(state)
    assert saved_state.load(path, kind, version) is None
    assert saved_state.save(path, state)
    assert saved_state.load(path, kind, version) == state
    assert saved_state.load(path, kind, version + 1) is None
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        assert saved_state.load(path, kind, version) is None, at
    for wrong in (b"", b"garbage", data[:-1], data + b"x"):
        path.write_bytes(wrong)
        assert saved_state.load(path, kind, version) is None
    path.unlink()
    path.mkdir()
    assert saved_state.load(path, kind, version) is None
    assert not saved_state.save(path, state)


def test_a_state_of_another_journal_is_named_stream_by_stream(tmp_path: Path) -> None:
    settings = Settings(data_root=str(tmp_path))
    journal = settings.journal_dir
    fill(journal, [3, 2])

    def foreign(cursor: Cursor, time: int, settings: Settings = settings) -> list[str]:
        return saved_state.of_another_journal(settings, {STREAM: cursor}, {STREAM: time})

    assert foreign(Cursor(1, 5), NOON) == foreign(Cursor(1, 3), NOON) == []
    assert foreign(Cursor(), 0) == [], "nothing was folded"
    assert foreign(Cursor(1, 5), NOON + 1) == [STREAM], "the same numbers at another time"
    assert foreign(Cursor(1, 4), NOON) == [STREAM], "no block ends there"
    assert foreign(Cursor(1, 40), NOON) == foreign(Cursor(2, 5), NOON) == [STREAM]
    writer = open_writer(journal, NOON + DAY)
    append(writer, 1, NOON + DAY)
    writer.close()
    (journal / STREAM / "2026-01-05.sqlite").unlink()
    assert foreign(Cursor(1, 5), NOON) == [], "retired since then"
    elsewhere = load({"IBSTREAM_DATA_ROOT": str(tmp_path), "IBSTREAM_BUS_PEERS": "gateway=127.0.0.1:5000"})
    assert foreign(Cursor(1, 40), NOON, elsewhere) == [], "not to be seen from here"
