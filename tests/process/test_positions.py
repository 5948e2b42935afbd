"""What one holds comes first: from the account's positions to the plan, the file and the alert, on real processes, with
the protocol of today and an old one."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from messages.events import Plan
from messages.topics import PLAN
from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.market.listed import usual
from tests.process.inbox import Inbox, opened
from tests.process.pipeline import Pipeline
from tests.process.simulators import Controller
from tests.process.user_database import UserDatabase
from tests.support import eventually


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with opened() as server:
        yield server


@pytest.mark.parametrize("version", [226, 176])
def test_what_is_held_comes_first_from_the_account_to_plan_file_and_alert(
    pipeline: Callable[..., Pipeline], inbox: Inbox, tmp_path: Path, version: int
) -> None:
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config({"symbols": ["SPY", "QQQ", "IWM", "AAPL"]})
    p = pipeline(
        start=False, database_url=user.url, project_id=1, max_symbols=4, positions="plan",
        alert_urls=inbox.url, held_alert_interval=1, alert_min_interval=600, stale_after=2, link_stale_after=60,
        reset_windows="", file_interval_ms=20,
    )  # fmt: skip
    control = tmp_path / "control"
    p.arguments["simulator"] += ["--server-version", str(version), "--control", str(control)]
    future = next(one for one in usual(datetime.now(UTC).date()) if one.key.startswith("ES") and one.sec_type == "FUT")

    def planned() -> list[tuple[str, str]]:
        last = p.blocks(PLAN)[-1]
        assert isinstance(last, Plan)
        return [(one.symbol, one.reason) for one in last.symbols]

    def marked(name: str) -> Any:
        quote = p.quote(name)
        return quote if quote is not None and not quote["stale"] and quote.get("held") else None

    with p:
        p.await_status("connected")
        assert [name for name, _ in planned()] == ["SPY", "QQQ", "IWM", "AAPL"]
        with Controller(control) as simulator:
            month = f"ES_CME_USD_FUT_{future.expiry}"
            for symbol, quantity in (("AAPL,NVDA", 137), (future.key, -2)):
                assert simulator(do="hold", symbol=symbol, quantity=quantity)["ok"]
            eventually(lambda: planned()[3:] == [("SPY", "project symbol")])
            assert planned()[:3] == [("AAPL", "held; project symbol"), (month, "held"), ("NVDA", "held")]
            told = json.loads(p.cli("plan", "--json").stdout)["symbols"]
            assert [(one["symbol"], one["reason"]) for one in told] == planned()

            for name in ("AAPL", "NVDA", month):
                assert eventually(lambda name=name: marked(name))["held"] is True
            assert "held" not in (p.quote("SPY") or {})
            status = p.await_status("connected")
            assert {name for name, symbol in status.symbols.items() if symbol.held is True} == {"AAPL", "NVDA", month}
            assert any("what is held takes the place of QQQ, IWM" in warning for warning in status.warnings)

            assert simulator(do="starve", symbol="NVDA,SPY")["ok"]
            eventually(lambda: "ibstream: NVDA is held and has no current price" in inbox.titles)
            assert simulator(do="hold", symbol=f"AAPL,NVDA,{future.key}", quantity=0)["ok"]
            eventually(lambda: [name for name, _ in planned()] == ["SPY", "QQQ", "IWM", "AAPL"])
            eventually(lambda: "held" not in (p.quote("AAPL") or {"held": True}))
        p.stop()
    for stream in ("link", "plan", "control"):
        for path in (p.settings.journal_dir / stream).glob("*.sqlite*"):
            assert SIMULATED_ACCOUNT.encode() not in path.read_bytes()
    assert not [name for name in p.services if name != "simulator" and SIMULATED_ACCOUNT in p.log(name)]


@pytest.mark.parametrize("version", [226, 176])
def test_a_project_that_names_nothing_streams_what_is_held(
    pipeline: Callable[..., Pipeline], tmp_path: Path, version: int
) -> None:
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config({})
    p = pipeline(start=False, database_url=user.url, project_id=1, positions="plan")
    control = tmp_path / "control"
    p.arguments["simulator"] += ["--server-version", str(version), "--control", str(control)]
    with p:
        eventually(lambda: (status := p.status()) is not None and status.reason == "symbols_empty")
        with Controller(control) as simulator:
            assert simulator(do="hold", symbol="NVDA", quantity=5)["ok"]
            assert p.await_status("connected").subscribed_symbols == ["NVDA"]
            assert eventually(lambda: p.quote("NVDA"))["held"] is True
            p.restart("planner")
            assert simulator(do="hold", symbol="NVDA", quantity=0)["ok"]
            eventually(lambda: (status := p.status()) is not None and status.reason == "symbols_empty")


def test_positions_that_are_refused_stay_as_they_were_and_the_status_says_as_of_when(
    pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    p = pipeline(start=False, positions="mark", ib_backoff_max=1)
    control = tmp_path / "control"
    p.arguments["simulator"] += ["--control", str(control)]

    def held() -> set[str]:
        status = p.status()
        return {name for name, symbol in status.symbols.items() if symbol.held is True} if status else set()

    def said(words: str) -> bool:
        status = p.status()
        return status is not None and any(words in warning for warning in status.warnings)

    with p:
        p.await_status("connected")
        with Controller(control) as simulator:
            assert simulator(do="hold", symbol="QQQ,NVDA")["ok"]
            eventually(lambda: {"QQQ", "NVDA"} <= held())
            shown = held()
            assert simulator(do="refuse_positions", code=10999, message="not for you")["ok"]
            assert simulator(do="drop")["ok"]
            eventually(lambda: said("IB refuses to tell what the accounts hold (10999: not for you)"))
            assert said("positions are as of 20") and held() == shown
            p.restart("gateway")
            p.restart("planner")
            eventually(lambda: said("(10999: not for you)"))
            assert held() == shown
            p.await_status("connected")
