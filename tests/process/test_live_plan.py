"""The plan follows the user's database under a running stream, and the stream does not feel it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from messages.events import SymbolChanged
from messages.views import Status
from tests.process.database_servers import MariaDB, PostgreSQL, Server
from tests.process.pipeline import Pipeline
from tests.process.tap import Tap
from tests.process.user_database import UserDatabase
from tests.support import eventually, free_port


@pytest.fixture
def tapped(pipeline: Callable[..., Pipeline]) -> Iterator[Callable[..., tuple[Pipeline, Tap]]]:
    """A pipeline whose TWS socket is tapped: `tapped(**settings)`."""
    taps: list[Tap] = []

    def make(**env: object) -> tuple[Pipeline, Tap]:
        server_port = free_port()
        built = pipeline(start=False, refresh_interval=5, **env)
        built.arguments["simulator"] += ["--server-version", "200"]  # the tap reads text
        taps.append(Tap(built.ib_port, server_port))
        for name in built.services:
            built.start(name, **({"sim_port": server_port} if name == "simulator" else {}))
        return built, taps[-1]

    yield make
    for tap in taps:
        tap.close()


def planned(pipeline: Pipeline) -> set[str]:
    status = pipeline.status()
    return set(status.subscribed_symbols) if status is not None else set()


def flowing(pipeline: Pipeline, symbols: set[str]) -> None:
    """Wait until each of the symbols had a new price."""
    before = {symbol: (pipeline.quote(symbol) or {}).get("seq", 0) for symbol in symbols}
    for symbol in symbols:
        eventually(lambda s=symbol: (pipeline.quote(s) or {}).get("seq", 0) > before[s], 30.0, f"a price of {symbol}")


def disturbed(pipeline: Pipeline, since: int) -> set[str]:
    """Symbols whose state moved in link events from `since` on."""
    return {event.symbol for event in pipeline.link_events()[since:] if isinstance(event, SymbolChanged)}


def test_a_row_of_another_program_is_live_within_one_refresh(tapped: Callable[..., tuple[Pipeline, Tap]]) -> None:
    running, tap = tapped()
    running.await_status("connected")
    before = planned(running)
    flowing(running, before)
    messages, events = len(tap.messages), len(running.link_events())

    items = running.data / "demo" / "decision_2.csv"
    items.write_text((running.data / "demo" / "decision_1.csv").read_text() + "DIS,99,0\n")
    with closing(sqlite3.connect(running.data / "projects.sqlite")) as database:
        row = (2, 1, "success", "2099-01-01", "demo/decision_2.csv", "2099-01-01")
        database.execute("INSERT INTO decision_snapshots VALUES (?, ?, ?, ?, ?, ?)", row)
        database.commit()

    eventually(lambda: running.quote("DIS"), 20.0, "a price of DIS")
    flowing(running, before)
    assert planned(running) == before | {"DIS"}
    assert tap.subscribed(messages) == ["DIS"]
    assert tap.cancelled(messages) == 0
    assert disturbed(running, events) == {"DIS"}


def test_a_symbol_that_leaves_the_plan_keeps_its_file(tapped: Callable[..., tuple[Pipeline, Tap]]) -> None:
    running, tap = tapped()
    running.await_status("connected")
    flowing(running, {"GLD"})
    messages = len(tap.messages)
    items = running.data / "demo" / "decision_1.csv"
    items.write_text("\n".join(line for line in items.read_text().splitlines() if "GLD" not in line) + "\n")
    gone = eventually(lambda: (running.quote("GLD") or {}).get("reason") == "unplanned" and running.quote("GLD"), 20.0)
    assert gone["stale"] is True and gone["bid"] > 0
    eventually(lambda: tap.cancelled(messages) == 1)
    assert tap.subscribed(messages) == []


@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB])
def test_a_database_killed_under_a_running_stream(
    tapped: Callable[..., tuple[Pipeline, Tap]], kind: type[Server], tmp_path: Path
) -> None:
    server = kind()
    try:
        server.start()
        folder = tmp_path / "user"
        folder.mkdir()
        user = UserDatabase(server.kind, server, folder)
        user.project()
        user.config({"benchmark": "SPY"})
        user.snapshot(1, "symbol,rank\nAAPL,1\nNVDA,2\n")
        running, tap = tapped(database_url=user.url, project_id=1, database_timeout=1)
        running.await_status("connected")
        flowing(running, {"SPY", "AAPL", "NVDA"})
        messages, events = len(tap.messages), len(running.link_events())

        user.vanish()
        refreshed = running.cli("plan", "--refresh")
        assert refreshed.returncode == 10, refreshed
        assert refreshed.stderr.endswith("[database_unavailable]\n")
        trouble = eventually(lambda: told(running), 20.0, "plan_problem in the status")
        assert trouble.plan_problem_code == "database_unavailable"
        assert (trouble.status, trouble.subscribed_symbols) == ("connected", ["AAPL", "NVDA", "SPY"])
        flowing(running, {"SPY", "AAPL", "NVDA"})

        user.come_back()
        user.snapshot(2, "symbol,rank\nAAPL,1\nNVDA,2\nMSFT,3\n", date="2026-01-06")
        eventually(lambda: running.quote("MSFT"), 20.0, "a price of MSFT")
        healed = running.status()
        assert healed is not None and healed.plan_problem is None
        assert tap.subscribed(messages) == ["MSFT"]
        assert tap.cancelled(messages) == 0
        assert disturbed(running, events) == {"MSFT"}
    finally:
        server.close()


def told(running: Pipeline) -> Status | None:
    status = running.status()
    return status if status is not None and status.plan_problem else None
