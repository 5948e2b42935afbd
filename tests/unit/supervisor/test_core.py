"""Commands, events and the parts of the status that need memory."""

from collections.abc import Iterator

import msgspec
import pytest

from messages.codec import encode
from messages.control import Accepted, ComputePlan, Failed, GetStatus, RefreshPlan, Start, StatusReply, Stop
from messages.events import (
    CutSymbol,
    FarmChanged,
    IbError,
    LinkChanged,
    PlanRefreshRequested,
    ServiceChanged,
    StatusChanged,
    StreamStarted,
    StreamStopped,
)
from messages.fields import SOURCE_HISTORY, SOURCE_SNAPSHOT, SOURCE_STREAM
from messages.views import PriceTime
from services.base.settings import Settings
from services.supervisor.core import Record, Validate
from services.supervisor.facts import Facts
from tests.unit.supervisor.world import START, World, live, state

# --- what a fresh data root begins with ---


def test_a_fresh_root_begins_started_in_mock_mode() -> None:
    assert World(settings=Settings(project_id=3)).core.first_decision() == StreamStarted(project_id=3)
    assert World().core.first_decision() == StreamStarted()


def test_a_fresh_root_begins_stopped_with_a_real_gateway() -> None:
    assert World(settings=Settings(api_mode="ib")).core.first_decision() == StreamStopped()


@pytest.mark.parametrize("decided", [StreamStarted(), StreamStopped()])
def test_a_decision_is_never_made_again(decided: StreamStarted | StreamStopped) -> None:
    world = World()
    world.control(decided)
    assert world.core.first_decision() is None


# --- commands ---


def test_a_start_is_validated_and_keeps_what_was_asked() -> None:
    world = World()
    start = Start(
        project_id=2, symbols=["SPY"], max_symbols=5, market_data_type="delayed", refresh_interval_seconds=9.0
    )
    decision = world.core.decide(start, world.now)
    assert isinstance(decision, Validate)
    assert decision.request == start
    assert msgspec.structs.asdict(decision.event) == msgspec.structs.asdict(start)


def test_a_started_stream_is_busy() -> None:
    world = World().started("SPY")
    reply = world.core.decide(Start(), world.now)
    assert isinstance(reply, Failed)
    assert reply.code == "ib_stream_lock_busy"
    assert "project 1" in reply.message


def test_two_starts_at_once_do_not_both_win() -> None:
    world = World()
    assert isinstance(world.core.decide(Start(), world.now), Validate)
    second = world.core.decide(Start(), world.now)
    assert isinstance(second, Failed)
    assert second.code == "ib_stream_lock_busy"
    world.core.validated()
    assert isinstance(world.core.decide(Start(), world.now), Validate)


def test_stop_is_recorded_once() -> None:
    world = World().started("SPY")
    assert world.core.decide(Stop(), world.now) == Record(StreamStopped())
    world.control(StreamStopped())
    assert world.core.decide(Stop(), world.now) == Accepted(changed=False)


def test_the_other_commands() -> None:
    world = World().started("SPY")
    assert world.core.decide(RefreshPlan(), world.now) == Record(PlanRefreshRequested())
    reply = world.core.decide(GetStatus(), world.now)
    assert isinstance(reply, StatusReply)
    assert reply.status.status == "connected"
    other = world.core.decide(ComputePlan(request=Start()), world.now)
    assert isinstance(other, Failed)
    assert other.code == "invalid_request"


# --- events ---


def statuses(world: World) -> list[tuple[str, str | None]]:
    return [(e.status, e.reason) for e in world.events if isinstance(e, StatusChanged)]


def test_each_change_of_the_status_is_an_event_and_no_more() -> None:
    world = World().started("SPY").passing(2.0)
    world.link(state("SPY", "stale", "no_ticks"))
    world.passing(1.0)
    world.link(state("SPY", "snapshot", "farm_down"))
    world.passing(1.0)
    world.link(live("SPY"))
    world.passing(1.0)
    assert statuses(world) == [
        ("connected", None),
        ("degraded", "no_ticks"),
        ("degraded", "farm_down"),
        ("connected", None),
    ]


def test_services_come_and_go_as_events() -> None:
    world = World().started("SPY").passing(1.0)
    world.running.discard("sink")
    world.passing(3.0)
    world.running.add("sink")
    world.problems["sink"] = "full"
    world.passing(1.0)
    said = [(e.state, e.detail) for e in world.events if isinstance(e, ServiceChanged) and e.service == "sink"]
    assert said == [("up", None), ("down", None), ("failing", "full")]


def test_an_event_that_was_not_journalled_comes_again() -> None:
    world = World()
    world.control(StreamStopped())
    first = world.core.review(world.now, 5.0, settled=True)
    assert StatusChanged(status="stopped") in first
    assert world.core.review(world.now, 5.1, settled=True) == first


def test_a_restart_says_nothing_new_while_nothing_has_changed() -> None:
    world = World().started("SPY").passing(1.0)
    again = World(facts=msgspec.msgpack.decode(encode(world.facts), type=Facts))
    again.at = world.at  # time went on
    again.core = type(again.core)(again.settings, again.facts, world.core._lock, now=again.now, at=again.at)
    again.prices("SPY")
    again.passing(3.0)
    assert again.events == []
    assert again.word == ("connected", None)


def test_while_streams_are_still_folded_nothing_is_said() -> None:
    world = World().started("SPY").passing(1.0)
    world.link(state("SPY", "stale", "no_ticks"))
    assert world.core.review(world.now, world.at, settled=False) == []


def test_a_stall_of_the_supervisor_is_nobody_elses_death() -> None:
    world = World().started("SPY").passing(1.0)
    before = list(world.events)
    world.at += 60.0
    assert world.core.review(world.now, world.at, settled=True) == []
    assert world.events == before


# --- what needs memory ---


def test_degraded_since_holds_until_recovery() -> None:
    world = World().started("SPY")
    world.link(state("SPY", "stale", "no_ticks"))
    since = world.passing(0.1).status.degraded_since
    assert since is not None
    world.passing(5.0)
    world.link(LinkChanged(phase="backoff", reason="connection_lost"))
    assert world.passing(0.1).status.degraded_since == since
    world.link(LinkChanged(phase="ready"), state("SPY", "pending"))
    assert world.passing(0.1).word == ("starting", "awaiting_prices")
    assert world.status.degraded_since == since
    world.link(live("SPY"))
    assert world.passing(0.1).status.degraded_since is None


def test_last_snapshot_refresh_follows_snapshots_until_recovery() -> None:
    world = World().started("SPY")
    world.link(state("SPY", "snapshot", "farm_down", stale=False))
    world.prices("SPY", source=SOURCE_SNAPSHOT)
    first = world.passing(0.1).status.last_snapshot_refresh
    assert first is not None
    world.passing(5.0)
    world.prices("SPY", source=SOURCE_SNAPSHOT)
    assert (world.passing(0.1).status.last_snapshot_refresh or "") > first
    world.link(live("SPY"))
    world.prices("SPY")
    assert world.passing(0.1).status.last_snapshot_refresh is None


def test_errors_are_counted_since_the_start_and_info_is_none() -> None:
    world = World().started("SPY")
    world.link(
        IbError(code=2104, name="farm_ok", kind="info", message="ok"),
        IbError(code=354, name="no_entitlement", kind="symbol", message="no", symbol="SPY"),
        IbError(code=99999, name="unknown", kind="warning", message="what", repeats=3),
    )
    status = world.passing(0.1).status
    assert status.ib_error_count == 4
    assert status.ib_errors_by_code == {"354": 1, "99999": 3}
    assert status.last_error is not None
    assert (status.last_error.code, status.last_error.name) == (99999, "unknown")
    world.control(StreamStopped(), StreamStarted())
    assert world.passing(0.1).status.ib_error_count == 0


def test_a_new_gateway_process_makes_the_old_ones_words_void() -> None:
    world = World().started("SPY")
    world.link(FarmChanged(farm="usfarm", kind="market_data", state="broken"))
    world.gateway_epoch = 2
    world.passing(0.1)  # its heartbeat alone tells
    assert world.word == ("starting", "connecting")
    assert world.status.symbols["SPY"].state == "pending"
    assert world.status.link is None


def test_the_past_of_a_dead_gateway_counts_its_errors_and_nothing_else() -> None:
    world = World()
    world.control(StreamStarted())
    world.facts.link_of("").meet(5)
    world.gateway_epoch = 4
    world.link(LinkChanged(phase="ready"), live("SPY"), IbError(code=354, name="n", kind="symbol", message="m"))
    assert world.facts.link_of("").link is None
    assert world.facts.link_of("").symbols == {}
    assert world.facts.errors == {"354": 1}


# --- the view ---


def test_sources_and_ages_are_true() -> None:
    world = World(settings=Settings(api_mode="ib")).started("SPY", "QQQ", "NEW")
    world.prices("SPY")
    world.passing(3.0)
    world.prices("QQQ", source=SOURCE_HISTORY, time=START - 3600 * 10**9)
    world.link(state("QQQ", "history", "farm_down"))
    symbols = world.passing(0.1).status.symbols
    assert symbols["SPY"].source == "ib_stream"
    assert 3.0 <= (symbols["SPY"].age or 0) <= 3.3
    assert symbols["QQQ"].source == "ib_history"
    assert symbols["QQQ"].age is not None


def test_an_older_price_never_makes_a_symbol_look_fresher() -> None:
    facts = Facts()
    facts.see_prices({"SPY": PriceTime(START, SOURCE_STREAM)})
    facts.see_prices({"SPY": PriceTime(START - 10**12, SOURCE_HISTORY)})
    assert facts.prices["SPY"] == START


@pytest.fixture
def simulated() -> Iterator[World]:
    world = World(settings=Settings(api_mode="ib")).started("SPY")
    world.link(LinkChanged(phase="ready", account_kind="simulator"))
    yield world.passing(0.1)


def test_a_simulator_behind_ib_mode_is_still_called_mock(simulated: World) -> None:
    assert simulated.status.symbols["SPY"].source == "mock"


def test_cut_and_refused_symbols_are_shown_and_not_subscribed() -> None:
    world = World().started("SPY", "BAD", "AAPL")
    plan = world.plan("SPY", "BAD", "AAPL")
    cut = [CutSymbol("CUT", "over max_symbols 3", 3)]
    world.facts.apply_plan(msgspec.structs.replace(plan, cut=cut))
    world.link(state("BAD", "rejected", "no_contract"), state("CUT", "over_limit", "plan_limit"))
    status = world.passing(0.1).status
    assert status.subscribed_symbols == ["AAPL", "SPY"]
    assert status.symbols["CUT"].streaming is False
    assert status.symbols["CUT"].why == "over max_symbols 3"
    assert status.symbols["BAD"].reason == "no_contract"
    assert any("1 symbol is not streamed" in warning for warning in status.warnings)


def test_a_failed_refresh_is_told_while_the_plan_stays_in_force() -> None:
    world = World().started("SPY")
    plan = world.plan("SPY")
    problem = msgspec.structs.replace(plan, problem_code="database_unavailable", problem="the database is away")
    world.facts.apply_plan(problem)
    status = world.passing(0.1).status
    assert status.status == "connected"
    assert status.plan_problem == "the database is away"
    assert status.plan_problem_code == "database_unavailable"


def test_what_is_delivered_is_shown() -> None:
    world = World().started("SPY", "QQQ")
    assert world.status.market_data_type == "realtime"
    world.link(msgspec.structs.replace(live("QQQ"), market_data_type="delayed"))
    assert world.passing(0.1).status.market_data_type == "mixed"


def test_only_expected_outages_are_expected() -> None:
    world = World().started("SPY")
    world.link(LinkChanged(phase="backoff", reason="connection_lost", expected=True))
    assert world.passing(0.1).core.outage_expected
    world.running.discard("gateway")
    assert not world.passing(3.0).core.outage_expected
