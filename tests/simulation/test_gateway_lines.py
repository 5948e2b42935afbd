"""More symbols than lines, fallbacks, and what a restart knows, played against the gateway's core."""

import pytest

from messages.events import CutSymbol, IbError, LineLimitLearned, PlannedSymbol
from tests.simulation.ib_world import PRICE_TIME, SECOND, World, fx


def names(count: int) -> list[str]:
    return [f"S{number:03}" for number in range(count)]


def live(world: World) -> list[str]:
    return [symbol for symbol, said in world.said.items() if said.state == "live"]


@pytest.mark.hours
def test_a_hundred_lines_for_130_symbols() -> None:
    world = World(names(130))
    world.until(lambda: len(live(world)) == 100, within=20)
    assert sorted(live(world)) == names(100)
    rest = names(130)[100:]
    assert {(world.said[name].state, world.said[name].reason) for name in rest} == {("over_limit", "line_limit")}
    world.until(lambda: all(world.sources.get(name) == "ib_snapshot" for name in rest), within=30)
    world.run(300)
    assert sorted(live(world)) == names(100)
    for name in rest:  # each again and again, and never stale
        assert not world.said[name].stale
        assert 10 < len([1 for effect in world.of(fx.Snapshot) if effect.planned.symbol == name]) < 30
    assert world.of(LineLimitLearned) == []


def test_a_lower_limit_is_learned_and_known_after_a_restart() -> None:
    world = World(names(60))
    world.line_limit = 40
    world.until(lambda: len(live(world)) == 40, within=20)
    assert sorted(live(world)) == names(40)
    world.run(30)
    assert [event.limit for event in world.of(LineLimitLearned)][-1] == 40
    errors = len(world.of(IbError))
    world.restart_core()
    world.until(lambda: len(live(world)) == 40, within=20)
    world.run(30)
    assert len(world.of(IbError)) == errors


def test_lines_are_won_back() -> None:
    world = World(names(60))
    world.line_limit = 40
    world.run(60)
    world.line_limit = 100
    world.until(lambda: len(live(world)) == 60, within=1800)


def test_no_line_at_all() -> None:
    world = World(names(5))
    world.line_limit = 0
    world.run(120)
    assert {said.state for said in world.said.values()} == {"over_limit"}
    assert len(world.of(fx.Subscribe)) <= 10
    world.line_limit = 100
    world.until(world.all_live, within=900)


def test_snapshots_that_need_lines_get_some() -> None:
    world = World(names(60), ib_line_limit=50)
    world.line_limit, world.snapshots_take_lines = 50, True
    world.run(120)
    assert len(live(world)) == 48
    assert all(world.sources[name] == "ib_snapshot" for name in names(60)[50:])
    refused = [error for error in world.of(IbError) if error.code == 101]
    assert len(refused) <= 20


def test_the_most_important_symbol_gets_the_line() -> None:
    world = World(names(3), ib_line_limit=3)
    world.line_limit = 3
    world.until(world.all_live, within=5)
    world.plan(["TOP", *names(3)])
    world.until(lambda: "TOP" in live(world), within=5)
    assert live(world) == ["S000", "S001", "TOP"] and world.state("S002") == "over_limit"


def test_symbols_that_the_plan_cuts_rotate() -> None:
    world = World(())
    cut = [
        CutSymbol("CUT", "rank 101 of 100", 9, PlannedSymbol("CUT", "rank 101", 9)),
        CutSymbol("BARE", "rank 102", 10),
    ]
    world.plan(["SPY"], cut=cut)
    world.until(lambda: world.sources.get("CUT") == world.sources.get("BARE") == "ib_snapshot", within=20)
    said = world.said["CUT"]
    assert (said.state, said.reason, said.message, said.stale) == ("over_limit", "plan_limit", "rank 101 of 100", False)
    assert world.streams("CUT") == []
    world.symbols = []  # the world checks streamed ones only
    world.plan(["SPY", "CUT"])
    world.until(world.all_live, within=5)


def test_history_serves_and_keeps_its_own_time() -> None:
    world = World(("SPY", "QQQ"))
    world.run(60)
    world.mute.add("QQQ")
    world.run(400)
    times = [int(value) for _, symbol, number, value in world.rows if (symbol, number) == ("QQQ", PRICE_TIME)]
    assert times and times == sorted(set(times))
    assert world.said["QQQ"].stale and world.sources["QQQ"] == "ib_history"


def test_local_history_is_the_last_rung() -> None:
    """A restart while the gateway is away: bars that came after the last tick are all that there is."""
    world = World(("SPY", "QQQ"))
    world.run(60)
    world.mute.add("QQQ")
    world.run(400)
    world.kill()
    world.priced.clear()
    world.restart_core()
    world.run(30)
    assert world.state("QQQ") == "history" and world.said["QQQ"].stale
    # Of SPY there is no bar that is newer than its last tick.
    assert world.state("SPY") == "pending" and world.said["SPY"].reason == "gateway_unreachable"


def test_history_that_fails_is_not_asked_all_the_time() -> None:
    world = World(names(30))
    world.run(30)
    world.history_broken = True
    world.mute.update(names(30)[:20])
    world.run(900)
    assert len(world.of(fx.History)) < 250  # the world holds them against the pacing rules
    assert {world.state(name) for name in names(30)[:20]} == {"stale"}


def test_an_unknown_code_is_kept_and_named() -> None:
    world = World(("SPY",))
    world.run(5)
    world.error(31_337, "new in this version", world.streams("SPY")[0])
    error = world.of(IbError)[-1]
    assert (error.name, error.symbol, error.message) == ("unknown", "SPY", "new in this version")
    assert world.all_live()


def test_too_many_messages_slows_down() -> None:
    world = World(names(100))
    world.error(100, "Max rate of messages per second has been exceeded:50")
    world.until(world.all_live, within=20)
    start = world.now
    world.plan([f"N{number:03}" for number in range(100)])
    assert world.until(world.all_live, within=60) > 5
    sent = [time for time, effect in world.effects if time >= start and isinstance(effect, fx.Subscribe)]
    assert max(sum(t <= at < t + SECOND for at in sent) for t in sent) <= 22


def test_requests_that_fail_at_once_do_not_storm() -> None:
    world = World(("SPY", "QQQ"))
    world.run(5)
    start = world.now
    for _ in range(200):
        for req_id in world.streams("SPY"):
            del world.requests[req_id]
            world.error(322, "Error processing request", req_id)
        world.step()
    assert len([effect for effect in world.of(fx.Subscribe, start) if effect.planned.symbol == "SPY"]) <= 4


def test_entitlement_that_was_bought_is_used_after_a_refresh() -> None:
    world = World(("SPY", "XYZ"))
    world.refused["XYZ"] = 354
    world.until(lambda: world.state("XYZ") == "delayed", within=10)
    world.refused.clear()
    world.plan(world.symbols, refresh_token=1)
    world.until(world.all_live, within=10)


def test_delayed_data_that_is_not_wanted_any_more() -> None:
    world = World(("SPY", "XYZ"))
    world.refused["XYZ"] = 354
    world.until(lambda: world.state("XYZ") == "delayed", within=10)
    world.plan(world.symbols, allow_delayed=False)
    world.until(lambda: world.state("XYZ") == "rejected", within=10)
    world.plan(world.symbols, allow_delayed=True)
    world.until(lambda: world.state("XYZ") == "delayed", within=10)


def test_the_plan_s_market_data_type() -> None:
    world = World(("SPY",))
    world.until(world.all_live, within=5)
    old = world.streams("SPY")
    world.plan(["SPY"], market_data_type="delayed")
    world.run(3)
    assert world.data_type == 3 and world.streams("SPY") != old
