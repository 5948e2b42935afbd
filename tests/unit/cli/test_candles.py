"""`ibstream candles`: a table, JSON lines or CSV out of the journal; every failure is one sentence and a code."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from messages.candles import Candle
from services.cli import app
from tests.traded import record

Run = Callable[..., tuple[int, str, str]]
DAY = ("--from", "2026-01-05", "--to", "2026-01-06")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")
    record(tmp_path / "journal", minutes=6)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = app.run(["candles", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_a_table_says_what_was_blind_and_filled(run: Run) -> None:
    code, out, _ = run("spy", *DAY)
    assert code == 0
    lines = out.splitlines()
    assert "coverage" in lines[0] and len(lines) == 7
    assert "100.0%" in lines[1] and "ib_stream" in lines[1]
    assert "16.7%" in lines[3] and "farm_down 50.0 s, 100% IB's bars" in lines[3]


def test_json_lines_are_the_message(run: Run) -> None:
    code, out, _ = run("SPY", *DAY, "--json", "--interval", "1d")
    (day,) = [msgspec.json.decode(line, type=Candle) for line in out.splitlines()]
    assert (code, day.session, day.interval, day.symbol) == (0, "2026-01-05", "1d", "SPY")


def test_csv(run: Run) -> None:
    code, out, _ = run("QQQ", *DAY, "--csv", "--interval", "5m")
    assert code == 0
    assert out.splitlines()[1].startswith("QQQ,5m,2026-01-05T14:30:00.000000Z,2026-01-05T14:35:00.000000Z,,,600.")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("SPY", "--interval", "2m"), 2, "expected one of 1s, 5s, 1m"),
        (("SPY", "--from", "yesterday"), 2, "'yesterday' is not a time"),
        (("SPY", "--from", "2026-01-06", "--to", "2026-01-05"), 2, "--from is not before --to"),
        (("SPY", "--json", "--csv"), 2, "one of them"),
        (("ZZZ", *DAY), 13, "ZZZ was never planned"),
        (("???",), 7, "is not a symbol"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    exit_code, out, said = run(*arguments)
    assert (exit_code, out) == (code, "")
    assert words in said and len(said.splitlines()) == 1


def test_nothing_traded_is_said(run: Run) -> None:
    code, out, _ = run("SPY", "--from", "2026-01-04", "--to", "2026-01-05")
    assert (code, out) == (0, "no candles: nothing was traded, and no prices were missing\n")
