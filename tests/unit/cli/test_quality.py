"""`ibstream quality` as a user meets it."""

from pathlib import Path

import msgspec
import pytest

from messages.fields import ASK, BID
from messages.quality import QualityReport
from services.archive import compaction
from services.base.clock import DAY, SECOND
from services.base.settings import Settings
from services.cli import app
from tests.blocks import NOW, TestWriter


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crossed SPY and an ordinary QQQ on the first of two days."""
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    writer = TestWriter(tmp_path / "journal", "ticks")
    for second in range(5):
        for name, bid in (("SPY", 100.05), ("QQQ", 100.0)):
            writer.ticks([(name, BID, bid, 1.0), (name, ASK, 100.02, 1.0)], NOW + second * SECOND)
    writer.ticks([("SPY", BID, 100.0, 1.0)], NOW + DAY)
    writer.close()
    return tmp_path


def test_the_table_and_what_was_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["quality", "--day", "2026-01-05"]) == 0
    head, spy_or_qqq, other, foot = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["symbol", "coverage"]
    assert [spy_or_qqq.split()[0], other.split()[0]] == ["QQQ", "SPY"]
    assert other.endswith("crossed") and not spy_or_qqq.endswith("crossed")
    assert foot.startswith("2026-01-05, until ")
    assert app.run(["quality", "--day", "2026-01-05", "--marked", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=QualityReport)
    assert [(row.symbol, row.marks, row.crossed_seconds) for row in report.symbols] == [("SPY", ["crossed"], 4.0)]
    assert app.run(["quality", "--day", "2026-01-06", "--marked"]) == 0
    assert capsys.readouterr().out == "nothing was found\n"


def test_a_report_that_was_kept_is_shown_and_made_again_on_demand(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = compaction.run(Settings(data_root=str(root), retention_days_ticks=99_999), NOW + 2 * DAY)
    assert not [one.problem for one in done if one.problem]
    kept = root / "journal" / "quality" / "2026-01-05.json"
    assert b'"crossed"' in kept.read_bytes()
    kept.write_bytes(kept.read_bytes().replace(b'"symbol":"SPY"', b'"symbol":"OLD"'))
    for more, expected in (([], "OLD"), (["--fresh"], "SPY")):
        assert app.run(["quality", "--day", "2026-01-05", "--marked", *more]) == 0
        assert capsys.readouterr().out.splitlines()[1].split()[0] == expected
    kept.write_bytes(b"{")  # of no use: it is made again
    assert app.run(["quality", "--day", "2026-01-05", "--marked"]) == 0
    assert "SPY" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--day", "yesterday"], 2, "is no day; expected one such as 2026-01-05"),
        (["--day", "2999-01-01"], 2, "has not begun"),
        (["--day", "2025-12-31"], 20, "any more"),
        (["--symbol", "no such thing!"], 7, "no such thing!"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert app.run(["quality", *arguments]) == code
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
