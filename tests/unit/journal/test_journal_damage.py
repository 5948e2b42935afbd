"""Any damage to the journal's files is detected and named, or provably harmless; a torn tail alone is cut.

A small journal is made once: a closed day, an archived day and an open one that its writer left when it was
killed (all its blocks still in the log). Each example damages a copy, and then reads it in every way there is.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messages.codec import encode
from messages.errors import IbStreamError
from messages.topics import LINK, TICKS
from services.archive import compaction
from services.base.settings import Settings
from services.journal import JournalReader, Row
from services.journal.verify import Report, verify
from tests.journals import DAY, NOON, events_block, fill, killed, open_writer, tick_block
from tests.support import examples

EXAMPLES = settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_journal(root: Path) -> None:
    for stream, block in ((LINK, events_block), (TICKS, _ticks)):
        for day in range(2):
            writer = open_writer(root / "live", NOON + day * DAY, stream)
            for count in (3, 1, 40, 2, 5):
                made = block(writer.epoch, writer.next_seq, count, NOON + day * DAY)
                assert writer.append(encode(made), count, made.time)
            writer.close()
    (root / "live").rename(root / "journal")
    done = compaction.run(Settings(data_root=str(root)), NOON + 9 * DAY)
    assert {one.day for one in done} == {"2026-01-05"}
    shutil.rmtree(root / "journal" / "checkpoints")  # made from the journal, and believed only with it
    fill(root / "journal", [4, 4], NOON + 2 * DAY)
    fill(root / "journal", [4, 4], NOON + 3 * DAY)
    writer = open_writer(root / "journal", NOON + 3 * DAY, LINK, commit_seconds=60)
    for count in (2, 30, 2):
        made = events_block(writer.epoch, writer.next_seq, count, NOON + 3 * DAY)
        assert writer.append(encode(made), count, made.time)
        if count == 30:
            writer.sync()
    killed(root / "journal", root / "killed")
    writer.close()
    shutil.rmtree(root / "journal")


def _ticks(epoch: int, first_seq: int, count: int, time: int) -> object:
    return tick_block(epoch, first_seq, [100.0 + n for n in range(count)], time)


class Original:
    """The undamaged journal, and all that it holds."""

    def __init__(self, root: Path) -> None:
        make_journal(root)
        self.root = root / "killed"
        self.rows = {stream: rows(self.root, stream) for stream in (LINK, TICKS)}
        names = (path.relative_to(self.root) for path in sorted(self.root.rglob("*")) if path.is_file())
        left_out = ("-shm", ".lock", ".json")  # a report of a day is made anew from what the journal holds
        self.files = [name for name in names if not name.name.endswith(left_out)]
        assert {name.suffix for name in self.files} == {".parquet", ".b2sum", ".sqlite", ".sqlite-wal", ".durable"}
        for name in self.files:  # readers left logs of no bytes: those do not count
            if not (self.root / name).stat().st_size:
                (self.root / name).unlink()
        self.files = [name for name in self.files if (self.root / name).exists()]

    @contextmanager
    def copy(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(shutil.copytree(self.root, Path(folder) / "journal", ignore=shutil.ignore_patterns("*-shm")))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("original"))


def rows(root: Path, stream: str) -> list[Row]:
    with JournalReader(root, stream) as reader:
        return list(reader.blocks())


def check(original: Original, root: Path, damaged: Path) -> Report:
    """What every damage must come to: it is named, or everything is still there."""
    report = verify(root)
    stream = damaged.parts[0]
    try:
        found = rows(root, stream)
    except IbStreamError as error:
        assert report.verdict == "damaged", f"a reader says {error.message}, verify says {report.verdict}"
        assert stream in error.message
        return report
    whole = found == original.rows[stream]
    if not whole:
        # Blocks at the end may be gone without a reader's knowing; nothing else may be.
        assert found == original.rows[stream][: len(found)], "a reader was given what was never written"
        assert report.verdict == "damaged" or lost_unsynced(original, found, stream), "blocks went without a word"
    other = TICKS if stream == LINK else LINK
    assert rows(root, other) == original.rows[other]
    if report.verdict != "clean":
        assert all(str(root / stream) in finding.message for finding in report.findings)
    return report


def lost_unsynced(original: Original, found: list[Row], stream: str) -> bool:
    """Whether only the last block is gone: the one that was never synced."""
    return stream == LINK and found == original.rows[LINK][:-1]


def start_writer(root: Path, stream: str, logged: list[str]) -> int | None:
    """The sequence number that a writer would go on after; None when it refuses to start, naming the damage."""
    with structlog.testing.capture_logs() as lines:
        try:
            writer = open_writer(root, NOON + 3 * DAY, stream)
        except IbStreamError as error:
            assert error.code in ("journal_damaged", "journal_unavailable")
            assert stream in error.message
            return None
        finally:
            logged += [line["event"] for line in lines]
        seq = writer.seq
        writer.close()
    return seq


# --- flipped bytes -----------------------------------------------------------------------------------------


@EXAMPLES
@given(st.data())
def test_flipped_bytes(original: Original, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(original.files))
    size = (original.root / name).stat().st_size
    places = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4, unique=True))
    masks = data.draw(st.lists(st.integers(1, 255), min_size=len(places), max_size=len(places)))
    with original.copy() as root:
        content = bytearray((root / name).read_bytes())
        for place, mask in zip(places, masks, strict=True):
            content[place] ^= mask
        (root / name).write_bytes(content)
        check(original, root, name)
        seq = start_writer(root, name.parts[0], [])
        last = original.rows[name.parts[0]][-1]
        assert seq is None or seq in (last.last_seq, last.first_seq - 1), "a writer went on from the middle"


@EXAMPLES
@given(st.data())
def test_a_flipped_byte_in_a_payload_is_always_named(original: Original, data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from([LINK, TICKS]))
    row = data.draw(st.sampled_from(original.rows[stream]))
    logs_first = sorted(original.files, key=lambda name: name.suffix != ".sqlite-wal")  # they hold what counts
    for name in logs_first:
        content = bytearray((original.root / name).read_bytes())
        at = content.rfind(row.payload)
        if at < 0 or name.parts[0] != stream:
            continue
        content[data.draw(st.integers(at, at + len(row.payload) - 1))] ^= data.draw(st.integers(1, 255))
        with original.copy() as root:
            (root / name).write_bytes(content)
            report = check(original, root, name)
            assert report.verdict == "damaged" or rows(root, stream) == original.rows[stream][:-1]
        return


# --- cut files ---------------------------------------------------------------------------------------------


def boundaries(size: int, suffix: str) -> list[int]:
    """Where a file may be cut: at its pages and frames, beside them, and anywhere."""
    step, header = (4096 + 24, 32) if suffix == ".sqlite-wal" else (4096, 0)
    edges = {0, 1, size - 1, size - 8, *range(header, size, step)}
    return sorted({edge + near for edge in edges for near in (-1, 0, 1, 24) if 0 <= edge + near < size})


@EXAMPLES
@given(st.data())
def test_files_cut_at_every_kind_of_boundary(original: Original, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(original.files))
    size = (original.root / name).stat().st_size
    at = data.draw(st.sampled_from(boundaries(size, name.suffix)) | st.integers(0, size - 1))
    with original.copy() as root:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[:at])
        check(original, root, name)
        start_writer(root, name.parts[0], [])


def test_a_torn_tail_alone_is_cut_with_a_log_line_wherever_it_tears(original: Original) -> None:
    name = next(name for name in original.files if name.suffix == ".sqlite-wal")
    whole = (original.root / name).read_bytes()
    last = original.rows[LINK][-1]
    cut = damaged = 0
    for at in range(0, len(whole), 512):
        with original.copy() as root:
            (root / name).write_bytes(whole[:at])
            logged: list[str] = []
            seq = start_writer(root, LINK, logged)
            if seq is None:
                damaged += 1
                assert not cut, "what was synced is damage; only what follows it is a tail"
                continue
            cut += 1
            assert seq == last.first_seq - 1
            assert rows(root, LINK)[-1].last_seq == seq
            assert verify(root).verdict == "clean"
    assert cut > 3
    assert damaged > 3


# --- whole blocks ------------------------------------------------------------------------------------------


@contextmanager
def editing(path: Path) -> Iterator[Callable[..., sqlite3.Cursor]]:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        yield db.execute
    finally:
        db.close()


def open_days(original: Original) -> list[Path]:
    return [name for name in original.files if name.suffix == ".sqlite"]


@EXAMPLES
@given(st.data())
def test_a_block_missing_is_named(original: Original, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(open_days(original)))
    with original.copy() as root:
        with editing(root / name) as execute:
            firsts = [first for (first,) in execute("SELECT first_seq FROM block ORDER BY 1")]
            gone = data.draw(st.sampled_from(firsts))
            execute("DELETE FROM block WHERE first_seq = ?", (gone,))
        report = check(original, root, name)
        if name.parts[0] == LINK and gone == original.rows[LINK][-1].first_seq:
            return  # the unsynced tail: whether it was ever written, nobody knows
        assert report.verdict == "damaged"
        assert any(finding.seq is None or finding.seq <= gone for finding in report.findings)


@EXAMPLES
@given(st.data())
def test_two_blocks_swapped_are_both_named(original: Original, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(open_days(original)))
    with original.copy() as root:
        with editing(root / name) as execute:
            firsts = [first for (first,) in execute("SELECT first_seq FROM block ORDER BY 1")]
            a, b = data.draw(st.lists(st.sampled_from(firsts), min_size=2, max_size=2, unique=True))
            whole = data.draw(st.booleans())
            columns = "payload, crc, count, epoch, time" if whole else "payload"
            found = [execute(f"SELECT {columns} FROM block WHERE first_seq = ?", (n,)).fetchone() for n in (b, a)]
            for first, values in zip((a, b), found, strict=True):
                marks = ", ".join("?" * len(values))
                execute(f"UPDATE block SET ({columns}) = (VALUES ({marks})) WHERE first_seq = ?", (*values, first))
        report = check(original, root, name)
        assert report.verdict == "damaged"
        assert {finding.seq for finding in report.findings} >= {a, b}
