"""Contracts chosen by what identifies them, from the user's decision snapshot to the file; and the search."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from messages.events import ContractQualified
from tests.process.pipeline import Pipeline
from tests.process.user_database import UserDatabase
from tests.support import eventually

CSV = """symbol,rank,isin,con_id,cusip
APPLE,1,US0378331005,,
SPYDER,2,,756733,
FRUIT,3,,,037833100
SAP,4,DE0007164600,,
TYPO,5,US0378331006,,
"""


@pytest.mark.parametrize("version", [226, 176])
def test_identifiers_in_the_snapshot_choose_the_contracts(
    pipeline: Callable[..., Pipeline], tmp_path: Path, version: int
) -> None:
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config({"contracts": {"SAP": {"exchange": "IBIS", "currency": "EUR", "isin": "DE0007164600"}}})
    user.snapshot(1, CSV)
    p = pipeline(start=False, database_url=user.url, project_id=1)
    p.arguments["simulator"] += ["--server-version", str(version)]
    with p:
        p.await_status("connected")
        chosen = {event.symbol: event for event in p.link_events() if isinstance(event, ContractQualified)}
        assert chosen["APPLE"].con_id == chosen["FRUIT"].con_id == 265598
        assert chosen["SPYDER"].con_id == 756733
        assert (chosen["SAP"].currency, chosen["SAP"].exchange) == ("EUR", "IBIS")
        prices: dict[str, Any] = {name: eventually(partial(p.quote, name)) for name in ("APPLE", "FRUIT")}
        assert prices["APPLE"]["last"] == pytest.approx(prices["FRUIT"]["last"], rel=0.01)
        status = p.status()
        assert status is not None and "TYPO" not in status.symbols
        assert any("last digit would be 5" in warning for warning in status.warnings)


def test_find_says_what_to_write_in_the_plan(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline()
    p.await_status("connected")
    done = p.cli("find", "apple", "--json")
    found = {one["con_id"]: one["plan"] for one in json.loads(done.stdout)}
    assert found[265598] == "AAPL"
    shown = p.cli("find", "SAP").stdout
    assert "SAP:SMART:EUR:STK:IBIS" in shown
    nothing = p.cli("find", "no such thing at all")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (13, 1)
    p.kill("simulator")
    eventually(lambda: p.cli("find", "apple").returncode == 21)
