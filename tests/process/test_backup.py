"""The backup of a running pipeline is whole, and a data root restored from it goes on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from messages.topics import TICKS
from services.journal import JournalReader
from tests.process.pipeline import ALL, Pipeline
from tests.support import REPOSITORY, eventually

Make = Callable[..., Pipeline]


def back_up(p: Pipeline, target: Path) -> str:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "deploy" / "backup.py", p.data, target],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def last_tick(folder: Path) -> int:
    with JournalReader(folder / "journal", TICKS) as reader:
        last = reader.last()
        return last.last_seq if last is not None else 0


def test_a_backup_under_way_is_whole_and_a_restore_goes_on(pipeline: Make, tmp_path: Path) -> None:
    p = pipeline(ALL)
    p.await_status("connected")
    target = tmp_path / "backup"
    back_up(p, target)
    first = last_tick(target)
    eventually(lambda: last_tick(p.data) > first)
    back_up(p, target)
    second = last_tick(target)
    assert second > first
    verified = p.cli("verify", data_root=target)
    assert verified.returncode == 0, verified.stdout
    p.stop()
    back_up(p, target)
    assert back_up(p, target).startswith("0 files"), "what has not changed is not copied again"
    assert last_tick(target) == last_tick(p.data)

    p.data.rename(tmp_path / "lost")
    target.rename(p.data)
    before = last_tick(p.data)
    for name in ALL:
        p.start(name)
    p.await_status("connected")
    eventually(lambda: (p.quote("SPY") or {}).get("seq", 0) > before)
    assert p.cli("verify").returncode == 0


def test_a_wrong_place_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, REPOSITORY / "deploy" / "backup.py", tmp_path, tmp_path / "x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_backup_into_the_data_root_itself_is_refused_and_one_that_lacks_something_says_so(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "journal" / "ticks").mkdir(parents=True)
    (root / "journal" / "ticks" / "2026-01-05.sqlite").write_bytes(b"no database at all, though it has its name")
    for target, code, words in (
        (root, 2, "is inside of"),
        (root / "backup", 2, "is inside of"),
        (tmp_path / "backup", 1, "the backup is not whole"),
        (Path("/proc/backup"), 1, "the backup is not whole"),
    ):
        done = subprocess.run(
            [sys.executable, REPOSITORY / "deploy" / "backup.py", root, target],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 1)
        assert words in done.stderr


def test_a_journal_on_another_disk_is_backed_up_too(tmp_path: Path) -> None:
    (tmp_path / "disk" / "keys").mkdir(parents=True)
    (tmp_path / "disk" / "keys" / "server.key").write_text("a key")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal").symlink_to(tmp_path / "disk")
    command = [sys.executable, REPOSITORY / "deploy" / "backup.py", tmp_path / "data", tmp_path / "backup"]
    assert subprocess.run(command, timeout=60).returncode == 0
    assert (tmp_path / "backup" / "journal" / "keys" / "server.key").read_text() == "a key"
