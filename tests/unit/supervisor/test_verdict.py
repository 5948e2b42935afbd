"""The verdict: what word and reason each situation gets, from the core's outside."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from messages.events import CutSymbol, LinkChanged, StreamStarted, StreamStopped, SymbolChanged
from messages.views import Status
from services.base.settings import Settings
from services.supervisor.verdict import SILENCE_FACTOR
from tests.support import examples
from tests.unit.supervisor.world import World, live, state


def test_all_live_is_connected_without_a_reason() -> None:
    world = World().started("SPY", "QQQ")
    assert world.word == ("connected", None)
    assert world.status.message is None


def test_stopped_when_nobody_wants_it() -> None:
    world = World().started("SPY")
    world.control(StreamStopped())
    assert world.passing(0.1).word == ("stopped", None)
    assert world.status.symbols == {}
    assert world.status.subscribed_symbols == []


def test_a_plan_that_answers_another_request_is_not_the_one_that_is_wanted() -> None:
    """As that of a planner that believes what it saved beside a journal that was deleted since."""
    world = World().started("SPY")
    plan = world.plan("QQQ")
    for answers, word in ((7, ("starting", "planning")), (1, ("connected", None)), (0, ("connected", None))):
        world.facts.apply_plan(msgspec.structs.replace(plan, answers=answers))
        world.link(live("QQQ"))
        assert world.passing(0.1).word == word, answers
    world.facts.apply_plan(msgspec.structs.replace(plan, time=plan.time - 10**10))
    assert world.passing(0.1).word == ("starting", "planning"), "it is older than the start"


def test_stopped_says_when_the_subscriptions_are_still_open() -> None:
    world = World().started("SPY")
    world.control(StreamStopped())
    assert "subscriptions end once" in (world.passing(0.1).status.message or "")
    world.plan(started=False)
    assert "`ibstream start`" in (world.passing(0.1).status.message or "")


@pytest.mark.parametrize("calm", ["quiet", "halted", "closed"])
def test_a_calm_symbol_is_no_fault(calm: str) -> None:
    world = World().started("SPY", "QQQ")
    world.link(state("QQQ", calm, stale=False))
    assert world.passing(0.1).word == ("connected", None)


@pytest.mark.parametrize(
    ("word", "reason", "said"),
    [
        ("stale", "no_ticks", "no_ticks"),
        ("stale", None, "stale"),
        ("snapshot", "farm_down", "farm_down"),
        ("history", "competing_session", "competing_session"),
        ("delayed", "no_entitlement", "no_entitlement"),
        ("rejected", "no_contract", "no_contract"),
        ("over_limit", "line_limit", "line_limit"),
        ("something_new", None, "something_new"),
    ],
)
def test_a_symbol_on_a_fallback_degrades(word: str, reason: str | None, said: str) -> None:
    world = World().started("SPY", "QQQ")
    world.link(state("QQQ", word, reason))
    assert world.passing(0.1).word == ("degraded", said)
    assert "QQQ" in (world.status.message or "")
    world.link(live("QQQ"))
    assert world.passing(0.1).word == ("connected", None)


def test_the_reason_is_that_of_most_symbols() -> None:
    world = World().started("A", "B", "C")
    world.link(state("A", "stale", "no_ticks"), state("B", "stale", "farm_down"), state("C", "snapshot", "farm_down"))
    assert world.passing(0.1).word == ("degraded", "farm_down")


def test_delayed_prices_are_fine_when_they_were_asked_for() -> None:
    world = World().started("SPY")
    world.plan("SPY", market_data_type="delayed")
    world.link(state("SPY", "delayed", "delayed_asked", stale=False))
    assert world.passing(0.1).word == ("connected", None)


def test_a_new_symbol_is_awaited_and_not_a_fault() -> None:
    world = World().started("SPY")
    world.plan("SPY", "NEW")
    assert world.passing(0.1).word == ("starting", "awaiting_prices")
    assert world.status.symbols["NEW"].state == "pending"
    world.link(live("NEW"))
    assert world.passing(0.1).word == ("connected", None)


def test_a_symbol_called_live_that_brings_nothing_is_not_believed() -> None:
    """The gateway may be wrong, too: silence for long enough is a fault whatever it says."""
    world = World(settings=Settings(stale_after=5.0)).started("SPY")
    world.passing(5.0 * SILENCE_FACTOR - 1)
    assert world.word == ("connected", None)
    world.passing(2.0)
    assert world.word == ("degraded", "no_ticks")
    world.prices("SPY")
    assert world.passing(0.1).word == ("connected", None)


@pytest.mark.parametrize(
    ("limit", "verdict"), [("max_symbols", ("connected", None)), ("lines", ("degraded", "line_limit"))]
)
def test_a_cut_is_trouble_when_it_is_ibs_and_not_the_users(
    limit: Literal["max_symbols", "lines"], verdict: tuple[str, str | None]
) -> None:
    world = World().started("SPY")
    plan = world.plan("SPY")
    world.facts.apply_plan(msgspec.structs.replace(plan, cut=[CutSymbol("CUT", "over the limit", 1, limit=limit)]))
    assert world.passing(0.1).word == verdict


# --- the link ---


def test_the_first_connection_is_a_start_until_it_fails() -> None:
    world = World()
    world.control(StreamStarted())
    world.plan("SPY")
    world.link(LinkChanged(phase="connecting", reason="connecting"))
    assert world.passing(0.1).word == ("starting", "connecting")
    world.link(LinkChanged(phase="backoff", reason="gateway_unreachable", detail="connection refused"))
    assert world.passing(0.1).word == ("disconnected", "gateway_unreachable")
    world.link(LinkChanged(phase="connecting", reason="gateway_unreachable"))
    assert world.passing(0.1).word == ("disconnected", "gateway_unreachable")
    assert "refused" in (world.status.message or "")
    world.link(LinkChanged(phase="ready"), live("SPY"))
    assert world.passing(0.1).word == ("connected", None)


@pytest.mark.parametrize("phase", ["backoff", "no_ib", "connecting", "handshake"])
def test_a_lost_link_is_disconnected_whatever_phase_follows(phase: str) -> None:
    world = World().started("SPY")
    world.link(LinkChanged(phase=phase, reason="connection_lost"), state("SPY", "stale", "connection_lost"))  # type: ignore[arg-type]
    assert world.passing(0.1).word == ("disconnected", "connection_lost")


def test_without_a_link_a_current_price_elsewhere_is_degraded() -> None:
    world = World().started("SPY", "QQQ")
    world.link(
        LinkChanged(phase="no_ib", reason="ib_connection_lost"),
        state("SPY", "stale", "ib_connection_lost"),
        state("QQQ", "snapshot", "ib_connection_lost", stale=False),
    )
    assert world.passing(0.1).word == ("degraded", "ib_connection_lost")


def test_an_old_price_from_history_is_no_current_price() -> None:
    world = World().started("SPY")
    world.link(LinkChanged(phase="backoff", reason="connection_lost"), state("SPY", "history", "connection_lost"))
    assert world.passing(0.1).word == ("disconnected", "connection_lost")


# --- services and plan ---


def test_services_that_come_late_are_a_start() -> None:
    world = World()
    world.control(StreamStarted())
    world.running.clear()
    assert world.passing(3.0).word == ("starting", "service_starting")


def test_a_service_that_never_comes_is_missing() -> None:
    world = World()
    world.control(StreamStarted())
    world.running = {"gateway", "supervisor", "sink"}
    assert world.passing(20.0).word == ("disconnected", "service_down")
    assert "planner" in (world.status.message or "")


@pytest.mark.parametrize("service", ["planner", "sink"])
def test_a_missing_service_degrades(service: str) -> None:
    world = World().started("SPY").passing(1.0)
    world.running.discard(service)
    world.passing(3)
    assert world.word == ("degraded", "service_down")
    assert world.status.services[service].state == "down"
    world.running.add(service)
    assert world.passing(0.1).word == ("connected", None)


def test_a_service_that_runs_on_another_machine_is_not_missed() -> None:
    world = World(settings=Settings(expected_services="gateway planner"))
    world.running.discard("sink")
    assert world.started("SPY").passing(20.0).word == ("connected", None)
    assert "sink" not in world.status.services


def test_a_service_that_need_not_be_there_can_be_made_to_count() -> None:
    world = World(settings=Settings(expected_services="gateway planner sink relay"))
    assert world.started("SPY").passing(1.0).word == ("starting", "service_starting")
    world.prices("SPY")
    assert world.passing(20.0).word == ("degraded", "service_down")
    assert "relay" in (world.status.message or "")
    world.running.add("relay")
    world.prices("SPY")
    assert world.passing(0.5).word == ("connected", None)


def test_without_the_gateway_nothing_is_current() -> None:
    world = World().started("SPY").passing(1.0)
    world.running.discard("gateway")
    world.passing(3)
    assert world.word == ("disconnected", "service_down")
    symbol = world.status.symbols["SPY"]
    assert (symbol.state, symbol.reason) == ("stale", "service_down")


def test_the_web_page_is_not_needed() -> None:
    world = World().started("SPY")
    world.running.add("web")
    world.passing(1.0)
    world.running.discard("web")
    world.passing(3.0)
    assert world.status.services["web"].state == "down"
    assert world.word == ("connected", None)


def test_a_service_with_a_problem_degrades_and_says_it() -> None:
    world = World().started("SPY")
    world.problems["sink"] = "the disk is full"
    world.passing(0.1)
    assert world.word == ("degraded", "service_failing")
    assert "the disk is full" in (world.status.message or "")


def test_an_empty_plan_has_a_reason() -> None:
    world = World().started()
    assert world.word == ("disconnected", "symbols_empty")


def test_no_plan_yet_is_a_start() -> None:
    world = World()
    world.control(StreamStarted())
    assert world.passing(0.5).word == ("starting", "planning")


# --- the promise: never blind and connected ---

STATES = (
    "pending live quiet stale snapshot history delayed halted closed rejected over_limit removed".split()  # noqa: SIM905
)
PHASES = ["idle", "connecting", "handshake", "ready", "no_ib", "backoff"]
EXCUSED = {"quiet", "halted", "closed"}


class Blindness(RuleBasedStateMachine):
    """Any order of events, plans, ticks, deaths and time: what the status says is always honest."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(settings=Settings(stale_after=1.0)).started("A", "B")

    @rule(
        symbol=st.sampled_from("ABC"),
        word=st.sampled_from(STATES),
        stale=st.booleans(),
        reason=st.sampled_from([None, "why"]),
    )
    def symbol(self, symbol: str, word: str, stale: bool, reason: str | None) -> None:
        self.world.link(SymbolChanged(symbol=symbol, state=word, stale=stale, reason=reason))

    @rule(phase=st.sampled_from(PHASES))
    def link(self, phase: str) -> None:
        self.world.link(LinkChanged(phase=phase, reason=None if phase == "ready" else "why"))  # type: ignore[arg-type]

    @rule(symbols=st.lists(st.sampled_from("ABC"), unique=True), started=st.booleans())
    def plan(self, symbols: list[str], started: bool) -> None:
        self.world.plan(*symbols, started=started)

    @rule(symbols=st.lists(st.sampled_from("ABC"), unique=True, min_size=1))
    def ticks(self, symbols: list[str]) -> None:
        self.world.prices(*symbols)

    @rule(wanted=st.booleans())
    def wish(self, wanted: bool) -> None:
        self.world.control(StreamStarted() if wanted else StreamStopped())

    @rule(service=st.sampled_from(["gateway", "planner", "sink"]), runs=st.booleans())
    def service(self, service: str, runs: bool) -> None:
        (self.world.running.add if runs else self.world.running.discard)(service)

    @rule()
    def new_gateway(self) -> None:
        self.world.gateway_epoch += 1

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0]))
    def time(self, seconds: float) -> None:
        self.world.passing(seconds)

    @invariant()
    def honest(self) -> None:
        world = self.world.passing(0.1)
        status = world.status
        assert (status.reason is None) == (status.status in ("connected", "stopped"))
        assert (status.message is None) == (status.status == "connected")
        if status.status == "connected":
            self.every_symbol_is_current(status)
        if status.status in ("degraded", "disconnected"):
            assert status.degraded_since is not None
        if status.status in ("connected", "stopped"):
            assert status.degraded_since is None

    def every_symbol_is_current(self, status: Status) -> None:
        world = self.world
        assert world.facts.plan is not None
        assert {s.symbol for s in world.facts.plan.symbols} <= set(status.symbols)
        assert {"gateway", "planner", "sink"} <= world.running | {
            name for name, service in status.services.items() if service.state == "up"
        }
        limit = SILENCE_FACTOR * world.settings.stale_after + 0.2
        for name, symbol in status.symbols.items():
            if symbol.state in EXCUSED:
                continue
            assert symbol.state == "live", (name, symbol)
            said_at = world.facts.link_of("").symbols[name].since
            newest = max(world.facts.prices.get(name, 0), said_at, world.facts.link_of("").since)
            assert (world.now - newest) / 1e9 <= limit, (name, symbol)


def test_never_connected_while_blind() -> None:
    run_state_machine_as_test(
        Blindness, settings=settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
    )


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=6))
@settings(max_examples=examples(100), deadline=None)
def test_one_bad_symbol_is_enough(words: list[str]) -> None:
    names = [f"S{i}" for i in range(len(words))]
    world = World().started(*names)
    world.link(*(state(name, word, stale=word != "live") for name, word in zip(names, words, strict=True)))
    world.passing(0.1)
    good = all(word in EXCUSED | {"live"} for word in words)
    assert (world.core.verdict.word == "connected") == good


# --- several gateways ---


def two_gateways() -> World:
    """SPY on a, QQQ on b, all well."""
    world = World(settings=Settings(gateways="a=127.0.0.1:4001 b=127.0.0.1:4002"))
    world.control(StreamStarted(project_id=1))
    planned_on(world, SPY="a", QQQ="b")
    for name, symbol in (("a", "SPY"), ("b", "QQQ")):
        world.link(LinkChanged(phase="ready", host="127.0.0.1", port=4001), live(symbol), gateway=name)
    world.prices("SPY", "QQQ")
    return world.passing(0.1)


def planned_on(world: World, **gateways: str) -> None:
    """A plan of symbols on gateways; one that stands as `b<a` is at b, away from its home a."""
    plan = world.plan(*gateways)
    symbols = [
        msgspec.structs.replace(symbol, gateway=where[0], home=where[2:])
        for symbol, where in zip(plan.symbols, gateways.values(), strict=True)
    ]
    world.facts.apply_plan(msgspec.structs.replace(plan, symbols=symbols))


def test_all_gateways_are_connected() -> None:
    world = two_gateways()
    assert world.word == ("connected", None)
    status = world.status
    assert {name: link.phase for name, link in status.links_by_gateway.items()} == {"a": "ready", "b": "ready"}
    assert {name: symbol.gateway for name, symbol in status.symbols.items()} == {"SPY": "a", "QQQ": "b"}
    assert status.services.keys() >= {"gateway.a", "gateway.b"}


def test_a_link_is_lost_and_its_symbols_find_another_gateway() -> None:
    world = two_gateways()
    world.link(LinkChanged(phase="backoff", reason="gateway_unreachable"), state("SPY", "stale"), gateway="a")
    world.passing(0.1)
    assert world.word == ("degraded", "gateway_unreachable")
    message = world.status.message
    assert message is not None and "gateway.a" in message and "nobody serves SPY yet" in message
    planned_on(world, SPY="b<a", QQQ="b")
    world.link(live("SPY"), gateway="b")
    world.passing(0.1)
    assert world.word == ("degraded", "gateway_unreachable")
    message = world.status.message
    assert message is not None and "its symbol is served by b" in message
    assert world.status.link is not None and world.status.link.phase == "backoff", "the one in trouble"
    assert world.status.symbols["SPY"].state == "live"


def test_a_dead_gateway_process_degrades_and_all_dead_disconnect() -> None:
    world = two_gateways()
    world.running.remove("gateway.a")
    world.passing(3)
    assert world.word == ("degraded", "service_down")
    assert world.status.symbols["SPY"].reason == "service_down"
    assert world.status.symbols["QQQ"].state == "live"
    planned_on(world, SPY="b<a", QQQ="b")
    world.link(live("SPY"), gateway="b")
    world.prices("SPY", "QQQ")
    world.passing(0.1)
    assert world.word == ("degraded", "service_down")
    assert world.status.symbols["SPY"].state == "live"
    world.running.remove("gateway.b")
    world.passing(3)
    assert world.word == ("disconnected", "service_down")


def test_no_link_at_all_is_as_with_one_gateway() -> None:
    world = two_gateways()
    for name, symbol in (("a", "SPY"), ("b", "QQQ")):
        world.link(LinkChanged(phase="backoff", reason="gateway_unreachable"), state(symbol, "stale"), gateway=name)
    world.passing(0.1)
    assert world.word == ("disconnected", "gateway_unreachable")


def test_the_status_of_one_gateway_names_none() -> None:
    fields = msgspec.to_builtins(World().started("SPY").status)
    assert "links" not in fields
    assert "gateway" not in fields["symbols"]["SPY"]
