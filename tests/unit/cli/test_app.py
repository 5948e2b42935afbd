"""The command line itself: help, version, completion, exit codes, and what settings says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from services.base.settings import HELP, PREFIX
from services.cli import app

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = app.run(list(arguments))
        return code, *capfd.readouterr()

    return call


def test_alone_it_helps(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "ibstream status --watch" in out


def test_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("ibstream ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")  # a test may have no shell above it
    code, out, _ = run("--show-completion", shell)
    assert code == 0
    assert "ibstream" in out


@pytest.mark.parametrize("command", ["no-such-command", "start --projekt 3", "at"])
def test_wrong_usage_is_one_sentence(run: Run, command: str) -> None:
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.endswith("[invalid_request]\n")


def test_settings_in_a_pipe_are_whole(run: Run, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBSTREAM_DATABASE_URL", "postgresql://u:secret@h/n")
    (tmp_path / ".env").write_text("IBSTREAM_SIM_PORT=5001 # here\n")
    code, out, _ = run("settings")
    assert code == 0
    first, _, *lines = out.splitlines()
    assert str(tmp_path / ".env") in first
    assert [line.split()[0] for line in lines] == [PREFIX + field.upper() for field in HELP]
    assert "5001" in out
    assert "secret@" not in out
    code, out, _ = run("settings", "--json")
    found = json.loads(out)
    assert found["IBSTREAM_SIM_PORT"]["value"] == 5001
    assert found["IBSTREAM_DATABASE_URL"]["value"] == "***"


def test_commands_that_need_the_services_say_that_they_are_not_there(run: Run) -> None:
    assert run("projects")[0] == 9
    assert run("status")[0] == 8
    assert run("plan", "--refresh")[0] == 8


def test_a_key_that_is_made_can_be_read_by_a_program(run: Run, tmp_path) -> None:
    code, out, err = run("keys", "make", "riskbox", "--role", "data", "--json")
    assert (code, err) == (0, "")
    made = json.loads(out)
    folder = tmp_path / "data" / "keys"
    assert made == {
        "name": "riskbox",
        "role": "data",
        "public": json.loads(run("keys", "list", "--json")[1])[0]["public"],
        "secret_file": made["secret_file"],
        "server_key_file": str(folder / "server.key"),
    }
    assert all(Path(made[name]).is_file() for name in ("secret_file", "server_key_file"))
    assert run("keys", "make", "riskbox", "--json")[:2] == (2, "")
