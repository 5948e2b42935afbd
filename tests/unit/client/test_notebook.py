"""The notebook of deploy/examples, cell by cell, on a day that was recorded in part."""

import json
from pathlib import Path
from typing import Any

import pytest

from messages.events import GapClosed, GapOpened, StreamStarted, SymbolChanged
from messages.fields import ASK, BID, LAST, SOURCE
from services.base.clock import MINUTE, SECOND
from tests.blocks import NOW, TestWriter
from tests.support import REPOSITORY

NOTEBOOK = REPOSITORY / "deploy" / "examples" / "data_frames.ipynb"
GAP = (NOW + 40 * MINUTE, NOW + 42 * MINUTE)


def recorded(root: Path) -> None:
    """Two hours of SPY from 14:30 UTC on, which is 9:30 in New York, with a gap of two minutes."""
    for stream, events in (
        ("control", [StreamStarted()]),
        ("link", [SymbolChanged(symbol="SPY", state="live", stale=False)]),
    ):
        writer = TestWriter(root / "journal", stream)
        writer.events(*events)
        if stream == "link":
            writer.events(GapOpened(symbol="SPY", start=GAP[0], reason="farm_down"), time=GAP[0])
            writer.events(GapClosed(symbol="SPY", start=GAP[0], end=GAP[1], reason="farm_down"), time=GAP[1])
        writer.close()
    plan = TestWriter(root / "journal", "plan")
    plan.plan(["SPY"])
    plan.close()
    writer = TestWriter(root / "journal", "ticks")
    writer.ticks([("SPY", LAST, 99.0, 1.0), ("SPY", SOURCE, 0.0)])
    for second in range(1, 7200):
        time, price = NOW + second * SECOND, 100.0 + second / 1000
        if not GAP[0] <= time < GAP[1]:
            writer.ticks([("SPY", BID, price, 1.0), ("SPY", ASK, price + 0.02, 1.0), ("SPY", LAST, price, 1.0)], time)
    writer.close()


def test_every_cell_runs_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path)
    monkeypatch.setenv("IBSTREAM_DATA_ROOT", str(tmp_path))
    said: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{cell['id']}", "exec"), said)
    quarters = said["spread"]
    assert [time for time, _, _ in quarters][:2] == ["14:30", "14:45"]
    assert all(1.8 < points < 2.01 for _, points, _ in quarters)
    candles = said["candles"].to_pylist()
    assert len(candles) == 120
    assert [row["coverage"] for row in candles[39:43]] == [1.0, 0.0, 0.0, 1.0]
    (price,) = said["price"]
    at = 61 * 60 + 7  # seconds from 9:30 to 10:31:07
    assert (price["bid"], price["stale"]) == (100.0 + at / 1000, False)
    (blind,) = said["blind"].to_pylist()
    assert (blind["symbol"], blind["reason"]) == ("SPY", "farm_down")
