"""The planner's process: fresh starts, restarts, limits learned from the gateway, and settings that are none.

The supervisor and the gateway are stand-ins; databases have test_databases.py to themselves.
"""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from messages.codec import decode_block, decode_heartbeat, decode_plan
from messages.events import AnyEvent, LineLimitLearned, Plan, PlanRefreshRequested, StreamStarted, StreamStopped
from messages.topics import PLAN, heartbeat_topic
from services.journal import JournalReader
from tests.process.bench import Bench, end


class PlannerBench(Bench):
    """A planner between a supervisor and a gateway of cardboard."""

    def __init__(self, root: Path, **env: str) -> None:
        super().__init__(root, **env)
        self.fake("supervisor")
        self.fake("gateway")

    def say(self, *events: AnyEvent) -> None:
        stream, name = ("link", "gateway") if isinstance(events[0], LineLimitLearned) else ("control", "supervisor")
        self.fakes[name].events(stream, *events, at=time.time_ns())

    def plans(self) -> list[Plan]:
        with JournalReader(self.settings.journal_dir, PLAN) as reader:
            return [decode_block(PLAN, row.payload) for row in reader.blocks()]  # type: ignore[misc]

    def until_plan(self, condition: Callable[[Plan], object]) -> Plan:
        def probe() -> Plan | None:
            plans = self.plans()
            return plans[-1] if plans and condition(plans[-1]) else None

        found = self.until(probe)
        assert found is not None
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., PlannerBench]]:
    made: list[PlannerBench] = []

    def make(**env: str) -> PlannerBench:
        made.append(PlannerBench(tmp_path / "root", **env))
        return made[-1]

    yield make
    for one in made:
        one.close()


def names(plan: Plan) -> list[str]:
    return [s.symbol for s in plan.symbols]


def test_a_fresh_root_plans_the_demo_and_a_late_subscriber_gets_it(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    running.spawn("planner")
    running.say(StreamStarted())
    plan = running.until_plan(lambda plan: plan.symbols)
    assert (plan.project_id, plan.project_name, plan.decision_snapshot_id) == (1, "Demo", 1)
    assert names(plan)[:3] == ["SPY", "BIL", "TLT"] and len(plan.symbols) >= 20
    assert plan.symbols[0].reason == "benchmark"

    late = running.subscribe("planner", PLAN)
    frames = running.until(lambda: [payload for topic, payload in late.drain() if topic == PLAN])
    assert decode_plan(frames[0]) == plan


def test_stop_and_exactly_the_symbols_of_a_start(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    running.spawn("planner")
    running.say(StreamStarted(symbols=["SPY", "QQQ"]))
    plan = running.until_plan(lambda plan: plan.symbols)
    assert names(plan) == ["SPY", "QQQ"]
    running.say(StreamStopped())
    assert names(running.until_plan(lambda plan: not plan.started)) == []


def test_killed_and_restarted_while_the_database_is_away(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    process = running.spawn("planner")
    running.say(StreamStarted())
    before = running.until_plan(lambda plan: plan.symbols)
    end(process, signal.SIGKILL)
    database = running.settings.root / "projects.sqlite"
    database.rename(database.with_suffix(".away"))
    database.mkdir()  # so that no new demo takes its place
    late = running.subscribe("planner", PLAN)
    running.spawn("planner")
    frames = running.until(lambda: [payload for topic, payload in late.drain() if topic == PLAN])
    assert names(decode_plan(frames[0])) == names(before)  # in force from the first moment
    kept = running.until_plan(lambda plan: plan.problem)
    assert names(kept) == names(before)
    assert (kept.first_seq, kept.epoch) == (before.first_seq + 1, before.epoch + 1)
    database.rmdir()
    database.with_suffix(".away").rename(database)
    healed = running.until_plan(lambda plan: not plan.problem)
    assert healed.symbols == before.symbols


def test_a_start_and_stop_that_happened_meanwhile(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    running.say(StreamStarted(), StreamStopped())
    running.say(StreamStarted(symbols=["DIA"]))
    running.spawn("planner")
    running.until_plan(lambda plan: names(plan) == ["DIA"])
    assert [names(plan) for plan in running.plans()] == [["DIA"]]  # what was overtaken was never planned


def test_a_deleted_journal_is_not_outlived_by_what_was_saved_beside_it(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    process = running.spawn("planner")
    running.say(*(PlanRefreshRequested() for _ in range(40)))
    running.say(StreamStarted(symbols=["SPY"]))
    running.until_plan(lambda plan: names(plan) == ["SPY"])
    beats = running.subscribe("planner", heartbeat_topic("planner"))
    running.until(lambda: any(decode_heartbeat(p).cursors.get("control") == 41 for _, p in beats.drain()))
    end(process)
    assert (running.settings.state_dir / "planner.state").exists()
    running.fakes.pop("supervisor").close()
    shutil.rmtree(running.settings.journal_dir / "control")
    running.fake("supervisor")
    running.say(StreamStarted(symbols=["QQQ"]))
    running.spawn("planner")
    assert running.until_plan(lambda plan: names(plan) == ["QQQ"]).answers == 1
    running.say(StreamStopped())
    assert running.until_plan(lambda plan: not plan.started).answers == 2


def test_without_a_supervisor_the_journal_says_what_is_wanted(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    running.fakes["supervisor"].beating = False
    running.say(StreamStarted(symbols=["DIA"]))
    running.spawn("planner")
    running.until_plan(lambda plan: names(plan) == ["DIA"])


def test_a_line_limit_that_the_gateway_learned(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    process = running.spawn("planner")
    running.say(StreamStarted(symbols=["SPY", "QQQ", "IWM"]))
    running.until_plan(lambda plan: len(plan.symbols) == 3)
    running.say(LineLimitLearned(limit=2))
    cut = running.until_plan(lambda plan: plan.cut)
    assert (names(cut), [c.symbol for c in cut.cut]) == (["SPY", "QQQ"], ["IWM"])
    heads = running.fakes["gateway"].writers["link"].journal.head.seq
    beats = running.subscribe("planner", heartbeat_topic("planner"))
    running.until(lambda: any(decode_heartbeat(p).cursors.get("link") == heads for _, p in beats.drain()))
    end(process)
    running.spawn("planner")
    running.say(PlanRefreshRequested())
    assert len(running.until_plan(lambda plan: plan.refresh_token).symbols) == 3  # by hand: tried again


def test_a_changed_row_is_planned_by_a_refresh_by_hand(bench: Callable[..., PlannerBench]) -> None:
    running = bench(IBSTREAM_REFRESH_INTERVAL="3600")
    running.spawn("planner")
    running.say(StreamStarted())
    running.until_plan(lambda plan: plan.symbols)
    (running.settings.root / "two.csv").write_text("symbol,rank\nNFLX,1\nDIS,2\n")
    with closing(sqlite3.connect(running.settings.root / "projects.sqlite")) as database:
        database.execute(
            "INSERT INTO decision_snapshots VALUES (2, 1, 'success', '2099-01-01', 'two.csv', '2099-01-01')"
        )
        database.commit()
    running.say(PlanRefreshRequested())
    plan = running.until_plan(lambda plan: plan.decision_snapshot_id == 2)
    assert names(plan) == ["SPY", "BIL", "TLT", "NFLX", "DIS"]


def test_a_database_url_that_is_none(bench: Callable[..., PlannerBench]) -> None:
    process = bench().spawn("planner", IBSTREAM_DATABASE_URL="oracle://me:hunter2@db/x")
    output = process.communicate(timeout=20)[0]
    assert process.returncode == 2
    assert "IBSTREAM_DATABASE_URL" in output and "hunter2" not in output and "Traceback" not in output


def test_a_data_root_that_cannot_be_written_is_said(bench: Callable[..., PlannerBench]) -> None:
    running = bench()
    (running.settings.root / "demo").write_text("a file where the folder should be")
    running.spawn("planner")
    running.say(StreamStarted())
    plan = running.until_plan(lambda plan: plan.problem)
    assert plan.problem_code == "database_unavailable" and os.fspath(running.settings.root) in (plan.problem or "")
