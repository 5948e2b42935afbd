"""The same suite on SQLite and on real PostgreSQL and MariaDB servers: what the planner reads, what it survives.

The servers are started from installed binaries, in folders and on ports of their own (see database_servers).
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from messages.codec import decode_block
from messages.control import ComputePlan, PlanReply, Start
from messages.errors import IbStreamError
from messages.events import Plan, PlanRefreshRequested, StreamStarted
from messages.topics import PLAN, PLANNER_CONTROL, heartbeat_topic
from services.base.settings import load
from services.journal import JournalReader
from services.planner.core import Limits, derive, select
from services.planner.database import Database
from services.planner.sources import gather
from services.runtime.bus import request as ask
from tests.process.bench import Bench, end
from tests.process.database_servers import MariaDB, PostgreSQL, Server
from tests.process.user_database import PASSWORD, UserDatabase

SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
KINDS = ("sqlite", *SERVERS)


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], Server]]:
    """One server of each kind for all tests of this module, started when the first one needs it."""
    running: dict[str, Server] = {}

    def server(kind: str) -> Server:
        if kind not in running:
            running[kind] = SERVERS[kind]()
            running[kind].start()
        return running[kind]

    yield server
    for one in running.values():
        one.close()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, servers: Callable[[str], Server], tmp_path: Path) -> UserDatabase:
    kind: str = request.param
    folder = tmp_path / "user"
    folder.mkdir()
    made = UserDatabase(kind, servers(kind) if kind in SERVERS else None, folder)
    made.project()
    return made


def plan(database: UserDatabase, request: Start | None = None, timeout: float = 5.0, **env: str) -> dict[str, str]:
    """Symbols and reasons as the planner's user reads them."""
    settings = load({"IBSTREAM_DATA_ROOT": str(database.folder), **env})
    request = request or Start(project_id=1)
    answer = derive(request, gather(request, settings, Database(database.url, timeout)))
    return {s.symbol: s.reason for s in select(answer, Limits(100, 100)).symbols}


def refusal(database: UserDatabase, request: Start | None = None, timeout: float = 5.0) -> IbStreamError:
    with pytest.raises(IbStreamError) as caught:
        plan(database, request, timeout)
    return caught.value


# --- what is read ---


def test_snapshot_then_configuration_then_a_code(database: UserDatabase) -> None:
    database.config({"benchmark": "SPY", "symbols": ["SPY"]})
    assert plan(database) == {"SPY": "benchmark; project symbol"}
    database.snapshot(12, "symbol,rank\nAAPL,1\nNVDA,2\n")
    expected = {"SPY": "benchmark", "AAPL": "decision_snapshot 12, rank 1", "NVDA": "decision_snapshot 12, rank 2"}
    assert plan(database) == expected
    assert plan(database, Start(decision_snapshot_id=12)) == expected
    assert refusal(database, Start(project_id=1, decision_snapshot_id=99)).code == "decision_snapshot_not_found"
    assert refusal(database, Start(project_id=9)).code == "project_not_found"


def test_the_newest_usable_snapshot_counts_whatever_is_null(database: UserDatabase) -> None:
    database.snapshot(1, "symbol\nNODATE\n", date=None)
    assert list(plan(database)) == ["NODATE"]
    database.snapshot(2, "symbol\nMONDAY\n", date="2026-01-05", created="2026-01-05 10:00:00")
    database.snapshot(3, "symbol\nRERUN\n", date="2026-01-05", created="2026-01-05 11:00:00")
    database.snapshot(4, "symbol\nSUNDAY\n", date="2026-01-04", created="2026-01-06 10:00:00")
    database.snapshot(5, "symbol\nFAILED\n", date="2026-01-06", status="failed")
    database.snapshot(6, "symbol\nRUNNING\n", date="2026-01-06", status="running")
    assert list(plan(database)) == ["RERUN"]


def test_the_newest_configuration_counts(database: UserDatabase) -> None:
    database.config({"symbols": "DIA"}, created="2026-02-01 00:00:00")
    database.config({"symbols": "OLD"}, created="2025-02-01 00:00:00")
    assert list(plan(database)) == ["DIA"]


def test_unicode_everywhere(database: UserDatabase) -> None:
    database.config({"benchmark": "SPY", "note": "日本語 🚀 größer"})
    database.snapshot(1, "symbol,name,rank\nAAPL,Äpfel 🍏,1\nＳＰＹ,full width,2\n")
    assert list(plan(database)) == ["SPY", "AAPL"]
    found = Database(database.url, 5.0).read(1, None)
    assert found.project is not None and found.project.name == "Größe 株 🚀"


def test_archived_and_null(database: UserDatabase) -> None:
    database.project(2, "old", archived=True)
    database.project(3, None, archived=None)
    database.config({"symbols": "SPY"}, project=3)
    assert refusal(database, Start(project_id=2)).message == "project 2 is archived"
    assert list(plan(database, Start(project_id=3))) == ["SPY"]


def test_zero_dates(database: UserDatabase) -> None:
    if database.kind == "postgresql":
        zero_date, zero_time = "0001-01-01", "-infinity"  # it has no zero date: this is the nearest that it has
    else:
        zero_date, zero_time = "0000-00-00", "0000-00-00 00:00:00"
    database.config({"symbols": "SPY"}, created=zero_time)
    assert list(plan(database)) == ["SPY"]
    database.snapshot(1, "symbol\nZERO\n", date=zero_date, created=zero_time)
    assert list(plan(database)) == ["ZERO"]
    database.snapshot(2, "symbol\nREAL\n")
    assert list(plan(database)) == ["REAL"]


def test_a_csv_as_spreadsheets_write_it(database: UserDatabase) -> None:
    database.snapshot(1, b"\xef\xbb\xbfNAME;RANK;SYMBOL\r\nApple;2;aapl\r\n;;\r\nBerkshire;1;BRK B\r\nTwin;3;BRK.B\r\n")
    assert plan(database) == {"BRK.B": "decision_snapshot 1, rank 1", "AAPL": "decision_snapshot 1, rank 2"}


def test_a_hundred_thousand_rows(database: UserDatabase) -> None:
    database.snapshot(1, "rank,symbol\n" + "".join(f"{n},S{n:05d}\n" for n in range(100_000, 0, -1)))
    assert list(plan(database)) == [f"S{n:05d}" for n in range(1, 101)]


# --- what is refused, and how it is called ---


def test_the_planner_could_not_write_if_it_wanted_to(database: UserDatabase) -> None:
    database.config({"symbols": "SPY"})
    reader = Database(database.admin_url, 5.0)  # even with every right
    for statement in ("DELETE FROM project_versions", "UPDATE projects SET name = 'x'"):
        with reader._engine.connect() as connection:
            reader._begin(connection)
            with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"):
                connection.exec_driver_sql(statement)
    assert list(plan(database)) == ["SPY"]


@pytest.mark.parametrize("database", SERVERS, indirect=True)  # SQLite has no users
def test_the_documented_user_sees_nothing_else(database: UserDatabase) -> None:
    reader = Database(database.url, 5.0)
    with reader._engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="denied"):
        connection.exec_driver_sql("SELECT api_key FROM projects")


def test_another_schema_is_one_sentence(database: UserDatabase) -> None:
    database.snapshot(1, "symbol\nSPY\n")
    database.script("ALTER TABLE decision_snapshots RENAME COLUMN items_path TO items_file")
    error = refusal(database)
    assert error.code == "schema_unexpected" and "\n" not in error.message
    database.script("DROP TABLE decision_snapshots")
    error = refusal(database)
    assert error.code == "schema_unexpected" and "decision_snapshots" in error.message


def test_a_locked_table_is_busy_for_a_bounded_time(database: UserDatabase) -> None:
    database.config({"symbols": "SPY"})
    with database.connect() as other:
        database.lock(other, "project_versions")
        error = refusal(database, timeout=1.0)
    assert error.code == "database_unavailable"
    assert "busy: no answer within 1 seconds" in error.message or "timed out" in error.message
    assert list(plan(database)) == ["SPY"]


@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_a_wrong_password_is_refused_and_not_repeated(database: UserDatabase) -> None:
    database.url = database.url.replace(quote(PASSWORD, safe=""), "hunter2")
    error = refusal(database)
    assert error.code == "database_unavailable"
    assert "hunter2" not in error.message and "\n" not in error.message


# --- a running planner ---


class RunningPlanner:
    """`python -m services.planner` with stand-ins for supervisor and gateway."""

    def __init__(self, database: UserDatabase, root: Path, **env: str) -> None:
        self.bench = Bench(
            root,
            IBSTREAM_DATABASE_URL=database.url,
            IBSTREAM_DATABASE_TIMEOUT="1",
            IBSTREAM_API_MODE="ib",
            IBSTREAM_REFRESH_INTERVAL="5",
            **env,
        )
        self.supervisor = self.bench.fake("supervisor")
        self.bench.fake("gateway")
        self.process = self.bench.spawn("planner")
        self.beats = self.bench.subscribe("planner", heartbeat_topic("planner"))

    def control(self, event: StreamStarted | PlanRefreshRequested) -> None:
        self.supervisor.events("control", event, at=time.time_ns())

    def plans(self) -> list[Plan]:
        with JournalReader(self.bench.settings.journal_dir, PLAN) as reader:
            return [decode_block(PLAN, row.payload) for row in reader.blocks()]  # type: ignore[misc]

    def until(self, *names: str, problem: str | None = None) -> Plan:
        """The current plan, once it plans `names` and has this problem."""

        def probe() -> Plan | None:
            plans = self.plans()
            if not plans or [s.symbol for s in plans[-1].symbols] != list(names):
                return None
            return plans[-1] if plans[-1].problem_code == problem else None

        try:
            found = self.bench.until(probe, 30.0)
        except AssertionError:
            raise AssertionError(
                f"no plan of {names} with problem {problem}; the last is {self.plans()[-1:]}"
            ) from None
        assert found is not None
        return found

    def heartbeats(self, count: int) -> None:
        """Wait for so many heartbeats: the loop turns."""
        self.beats.drain()
        seen = 0

        def enough() -> bool:
            nonlocal seen
            seen += len(self.beats.drain())
            return seen >= count

        self.bench.until(enough, 5.0, "heartbeats")


@pytest.fixture
def running(database: UserDatabase, tmp_path: Path) -> Iterator[RunningPlanner]:
    database.config({"benchmark": "SPY"})
    database.snapshot(1, "symbol,rank\nAAPL,1\n")
    planner = RunningPlanner(database, tmp_path / "root")
    try:
        planner.control(StreamStarted(project_id=1))
        planner.until("SPY", "AAPL")
        yield planner
        output = end(planner.process)
        assert "Traceback" not in output
        for spelling in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe="")):
            assert spelling not in output
            assert all(spelling not in repr(plan) for plan in planner.plans())
    finally:
        planner.bench.close()


def test_a_row_of_another_program_is_planned_within_one_refresh(
    running: RunningPlanner, database: UserDatabase
) -> None:
    database.snapshot(2, "symbol,rank\nAAPL,1\nNVDA,2\n", date="2026-01-06")
    running.until("SPY", "AAPL", "NVDA")
    assert len(running.plans()) == 2  # said once, and nothing in between


def test_a_preview_changes_nothing(running: RunningPlanner, database: UserDatabase) -> None:
    database.project(2, "other")
    database.snapshot(7, "symbol\nMSFT\n", project=2)
    settings = running.bench.settings
    reply = ask(settings, PLANNER_CONTROL, ComputePlan(Start(project_id=2)))
    assert isinstance(reply, PlanReply)
    assert [s.symbol for s in reply.plan.symbols] == ["MSFT"]
    for request, code in (
        (Start(project_id=1, decision_snapshot_id=99), "decision_snapshot_not_found"),
        (Start(project_id=3), "project_not_found"),
        (Start(symbols=["../x"]), "invalid_symbol"),
    ):
        with pytest.raises(IbStreamError) as caught:
            ask(settings, PLANNER_CONTROL, ComputePlan(request))
        assert caught.value.code == code
    assert len(running.plans()) == 1


def test_a_database_that_dies_and_comes_back(running: RunningPlanner, database: UserDatabase) -> None:
    database.vanish()
    running.control(PlanRefreshRequested())
    kept = running.until("SPY", "AAPL", problem="database_unavailable")
    assert kept.problem and kept.problem_since
    running.heartbeats(5)
    database.come_back()
    database.snapshot(2, "symbol\nMSFT\n", date="2026-01-07")
    running.until("SPY", "MSFT")


@pytest.mark.parametrize("database", SERVERS, indirect=True)
def test_a_database_that_hangs_holds_up_nothing(running: RunningPlanner, database: UserDatabase) -> None:
    assert database.server is not None and database.server.process is not None
    stopped = _family(database.server.process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        running.control(PlanRefreshRequested())
        running.heartbeats(5)
        running.until("SPY", "AAPL", problem="database_unavailable")
        running.heartbeats(5)
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):  # a worker of the server that ended by itself
                os.kill(pid, signal.SIGCONT)
    running.until("SPY", "AAPL")


def test_a_snapshot_file_that_is_gone_or_half_written(running: RunningPlanner, database: UserDatabase) -> None:
    database.snapshot(2, None, date="2026-01-08")
    running.control(PlanRefreshRequested())
    running.until("SPY", "AAPL", problem="snapshot_unreadable")
    path = database.folder / "decision 2.csv"
    path.write_text("symbol,rank\nNVDA,1\nMS")
    running.control(PlanRefreshRequested())
    running.bench.until(lambda: "half written" in (running.plans()[-1].problem or ""))
    path.write_text("symbol,rank\nNVDA,1\nMSFT,2\n")
    running.until("SPY", "NVDA", "MSFT")


def _family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]
