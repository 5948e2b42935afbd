"""What a gateway recorded, a replay serves again, tick for tick; and the counts of both ends agree."""

import struct
from collections.abc import Callable
from math import isnan
from pathlib import Path

import pytest

from messages.events import PlannedSymbol, TickBlock
from messages.fields import WIRE_TEXT_FIELDS
from messages.topics import TICKS
from tests.process.pipeline import Pipeline
from tests.process.simulators import Caller, Controller, simulator
from tests.process.user_database import UserDatabase
from tests.support import eventually

Row = tuple[str, int, str, str]  # symbol, field, value and size as a test compares them
SYMBOLS = "SPY,AAPL,BRK.B,SPX:CBOE:USD:IND,EUR:IDEALPRO:USD:CASH"
OWN_FIELDS = 200


def plain(value: float) -> str:
    return "unset" if isnan(value) or value > 2e9 else f"{value:g}"


def journal_rows(pipeline: Pipeline) -> list[Row]:
    """IB's ticks in the journal, in order."""
    rows: list[Row] = []
    for block in pipeline.blocks(TICKS):
        assert isinstance(block, TickBlock)
        names = dict(zip(block.ids, block.symbols, strict=True))
        columns = (struct.unpack(f"<{block.count}{kind}", data) for kind, data in
                   (("I", block.symbol), ("d", block.value), ("d", block.size)))  # fmt: skip
        for symbol, field, (value, size) in zip(next(columns), block.field, zip(*columns, strict=True), strict=True):
            if field < OWN_FIELDS:
                text = block.texts[int(value)] if field in WIRE_TEXT_FIELDS else plain(value)
                rows.append((names[symbol], field, text, "" if isnan(size) else plain(size)))
    return rows


def wire_row(frame: list[str], symbols: dict[int, str]) -> Row | None:
    """The same of a tick message; None for any other."""
    if frame[0] not in ("1", "2", "45", "46"):
        return None
    field = int(frame[3])
    value = frame[4] if field in WIRE_TEXT_FIELDS else plain(float(frame[4]))
    return symbols[int(frame[2])], field, value, plain(float(frame[5])) if frame[0] == "1" else ""


def planned(pipeline: Pipeline) -> list[PlannedSymbol]:
    plan = pipeline.blocks("plan")[-1]
    listed: list[PlannedSymbol] = plan.symbols  # type: ignore[union-attr]
    return listed


@pytest.fixture
def recorded(tmp_path: Path, pipeline: Callable[..., Pipeline]) -> Pipeline:
    """A pipeline that has run for a while; its services have ended. It has one plan from the first tick on: of a stream
    that is cancelled, what is on its way then is not recorded."""
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config({"symbols": SYMBOLS})
    made = pipeline(start=False, database_url=user.url, project_id=1)
    control = tmp_path / "control"
    made.arguments["simulator"] = ["--pipeline", "--control", str(control), "--rate", "2000"]
    for name in made.services:
        made.start(name)
    status = made.await_status("connected")
    assert status.services["simulator"].state == "up"
    with Controller(control) as steps:
        eventually(lambda: steps(do="stats")["stats"]["ticks"]["total"] > 4000)
        assert steps(do="starve")["ok"]
        sent = steps(do="stats")["stats"]["ticks"]["total"]
        eventually(lambda: len(journal_rows(made)) == sent, message=f"{sent} ticks sent")
        assert steps(do="stats")["stats"]["ticks"]["total"] == sent
    made.stop()
    return made


def test_what_was_recorded_comes_back(tmp_path: Path, recorded: Pipeline) -> None:
    contracts = dict(enumerate(planned(recorded), 1))
    assert {one.symbol for one in contracts.values()} == {
        "SPY",
        "AAPL",
        "BRK.B",
        "SPX_CBOE_USD_IND",
        "EUR_IDEALPRO_USD_CASH",
    }
    symbols = {number: one.symbol for number, one in contracts.items()}
    expected = [row for row in journal_rows(recorded) if row[0] in symbols.values()]
    (day,) = (recorded.settings.journal_dir / TICKS).glob("????-??-??.sqlite")
    with simulator(tmp_path, "--replay", str(day), "--speed", "max") as sim, Caller(sim.port) as caller:
        caller.ready()
        for number, one in contracts.items():
            name, kind = one.ib_symbol or one.symbol, one.sec_type
            caller.send(
                1, 11, number, 0, name, kind, "", 0, "", "", one.exchange, "", one.currency, "", "", 0, "", 0, 0, ""
            )
        received: list[Row] = []
        while len(received) < len(expected):
            row = wire_row(caller.frame(), symbols)
            if row is not None:
                received.append(row)
        assert received == expected
        eventually(lambda: sim.stats["replay"]["ended"])
        assert sim.stats["ticks"]["total"] == len(expected)
        assert set(sim.stats["errors"]) == {"2104", "2106", "2158"}
