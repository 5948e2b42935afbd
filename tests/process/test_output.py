"""Where a command's output goes: closed, full, in another encoding. Never a trace, and no file is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY


def shell(tmp_path: Path, words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `ibstream WORDS`, as a shell reads them, on a data root where nothing was recorded."""
    (tmp_path / "data" / "journal").mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        f"exec {sys.executable} -m services.cli.app {words}",
        shell=True,
        cwd=REPOSITORY,
        env=os.environ | {"IBSTREAM_DATA_ROOT": str(tmp_path / "data"), "COLUMNS": "80"} | env,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", ["--help", "--version", "settings", "settings --json", "keys list", "replay"])
def test_whoever_closes_the_output_wants_none(tmp_path: Path, command: str) -> None:
    ran = shell(tmp_path, f"{command} >&-")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert shell(tmp_path, f"{command} <&- >&- 2>&-").returncode == 0
    assert shell(tmp_path, "price nope/ >&- 2>&-").returncode == 7


@pytest.mark.parametrize("command", ["--help", "settings --json", "gaps", "export --out -"])
def test_a_full_disk_behind_the_output_is_said(tmp_path: Path, command: str) -> None:
    ran = shell(tmp_path, f"{command} >/dev/full")
    assert ran.returncode == 2
    assert ran.stderr == "ibstream: the output cannot be written: No space left on device [invalid_request]\n"


@pytest.mark.parametrize("command", ["settings", "settings --summary", "settings --json"])
def test_what_an_encoding_lacks_is_shown_as_its_code(tmp_path: Path, command: str) -> None:
    ran = shell(tmp_path / "höme", command, PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "/h" in ran.stdout


def test_an_export_into_a_pipe_or_device_goes_there_and_replaces_nothing(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.csv"
    os.mkfifo(fifo)
    ran = shell(tmp_path, f"export --out {fifo} & cat {fifo}; wait $!")
    assert "symbol" in ran.stdout.splitlines()[0]
    assert fifo.is_fifo() and not list(tmp_path.glob(".*"))
    ran = shell(tmp_path, f"export --out {tmp_path}")
    assert ran.returncode == 2
    assert "is a folder" in ran.stderr
