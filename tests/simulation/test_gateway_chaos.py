"""No sequence of troubles leaves the gateway's core silently blind, breaks a rule of IB, or keeps it from healing.

What must hold at each step is in `World.check`; the rules are in the world's requests.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.governor import Kind
from tests.simulation.ib_world import SECOND, World, fx
from tests.support import examples

SYMBOLS = [f"S{number}" for number in range(6)]
SUBSETS = st.lists(st.sampled_from(SYMBOLS), max_size=4, unique=True)


def toggle(world: World, name: str) -> None:
    setattr(world, name, not getattr(world, name))
    if name == "gone" and not world.gone:
        world.close("reset")


def ib_link(world: World, code: int) -> None:
    """1100 and 2110 break it, 1101 and 1102 mend it."""
    world.ib_link = code in (1101, 1102)
    if world.ready:
        world.error(code)


def competing(world: World) -> None:
    world.competing = not world.competing
    if world.competing and world.ready:
        for req_id in list(world.requests):
            world.error(10197, req_id=req_id)


def error_for(world: World, code: int, symbol: str) -> None:
    """The stream of a symbol gets an error, and with most of them it is over."""
    for req_id in world.streams(symbol)[:1]:
        if code != 10090:
            world.requests.pop(req_id)
        world.error(code, "an error", req_id)


def farm(world: World, up: bool, symbols: list[str]) -> None:
    if world.ready:
        world.farm("usfarm", up, symbols)


def change_plan(world: World, symbols: list[str], started: bool) -> None:
    world.plan(symbols or SYMBOLS[:2], started=started)


def set_of(world: World, name: str, symbols: list[str]) -> None:
    setattr(world, name, set(symbols))


def refuse_all(world: World, on: bool) -> None:
    """The nightly reset: nothing is known of any contract, and IB says so, and when it is over."""
    world.sec_def_down = on
    if world.ready:
        world.error(2157 if on else 2158, f"Sec-def data farm connection is {'broken' if on else 'OK'}:secdefnj")


def advise(world: World, code: int, symbol: str) -> None:
    """An advisory, which ends nothing."""
    for req_id in world.streams(symbol)[:1]:
        world.error(code, "an advisory", req_id)


def reroute(world: World, symbol: str) -> None:
    world.reroutes[symbol] = 8314


def farm_lists(world: World, symbols: list[str]) -> None:
    """1102 names the farms: what is not connected serves these."""
    world.farms_down = {"usfarm": set(symbols)} if symbols else {}
    world.ib_link = True
    if world.ready:
        missing = " The following are not connected: usfarm." if symbols else ""
        world.error(1102, f"Restored. Farms are connected: eufarm; {'' if symbols else 'usfarm; '}ushmds.{missing}")


ACTIONS = st.one_of(
    st.tuples(st.just(refuse_all), st.booleans()),
    st.tuples(st.just(advise), st.sampled_from([10090, 10167, 2188, 77777]), st.sampled_from(SYMBOLS)),
    st.tuples(st.just(reroute), st.sampled_from(SYMBOLS)),
    st.tuples(st.just(farm_lists), SUBSETS),
    st.tuples(st.just(set_of), st.just("partial"), SUBSETS),
    st.tuples(st.just(World.kill)),
    st.tuples(st.just(World.close), st.sampled_from(["eof", "reset", "bad_frame"])),
    st.tuples(st.just(toggle), st.sampled_from(["up", "answers", "client_id_taken", "gone", "history_broken"])),
    st.tuples(st.just(ib_link), st.sampled_from([1100, 1101, 1102, 2110])),
    st.tuples(st.just(competing)),
    st.tuples(st.just(set_of), st.sampled_from(["starved", "starved_until_renewed", "mute", "quiet"]), SUBSETS),
    st.tuples(st.just(farm), st.booleans(), SUBSETS),
    st.tuples(
        st.just(error_for), st.sampled_from([200, 354, 322, 10225, 10090, 321, 101, 99999]), st.sampled_from(SYMBOLS)
    ),
    st.tuples(st.just(World.error), st.sampled_from([100, 1300, 2104, 2108, 2157, 504, 12345, 10197])),
    st.tuples(st.just(change_plan), SUBSETS, st.booleans()),
)
PAUSES = st.sampled_from([0.0, 0.25, 1, 4, 9, 17, 40, 130])


def calm(world: World) -> None:
    """All is well again, and IB says so as far as it does."""
    if world.gone:
        world.close("reset")
    world.up = world.answers = world.ib_link = True
    world.competing = world.gone = world.client_id_taken = world.history_broken = False
    if world.sec_def_down:
        refuse_all(world, on=False)
    for each in (world.starved, world.starved_until_renewed, world.mute, world.quiet, world.farms_down, world.partial):
        each.clear()
    world.plan(SYMBOLS, refresh_token=world.plan_count + 1)


@given(st.lists(st.tuples(ACTIONS, PAUSES), max_size=25), st.integers(0, 9))
@settings(max_examples=examples(150), deadline=None)
def test_never_silently_blind_and_always_healing(
    script: list[tuple[tuple, float]],  # type: ignore[type-arg]
    seed: int,
) -> None:
    world = World(SYMBOLS, seed=seed, quotes=True)
    world.run(3)
    for (action, *arguments), pause in script:
        action(world, *arguments)
        world.run(pause)
    calm(world)
    world.until(world.all_live, within=700)
    check_nothing_leaks(world)


def check_nothing_leaks(world: World) -> None:
    world.rest(90, pace=SECOND)  # the last requests end
    streams = [request for request in world.core.requests.by_id.values() if request.kind is Kind.STREAM]
    assert len(streams) == len(world.symbols) == len([r for r in world.requests.values() if not r.snapshot])
    assert len(world.core.requests.by_id) <= 3 * len(world.symbols)
    assert len(world.core.context.deadlines._heap) < 1000


def test_ten_minutes_of_everything_at_once() -> None:
    rng = random.Random(7)
    world = World([f"S{number}" for number in range(60)])
    ends = world.now + 600 * 10**9
    while world.now < ends:
        if rng.random() < 0.1:
            world.kill()
        world.up = rng.random() < 0.8
        world.answers = rng.random() < 0.9
        world.ib_link = rng.random() < 0.8
        world.starved = set(rng.sample(world.symbols, rng.randrange(20)))
        world.quiet = set(rng.sample(world.symbols, rng.randrange(20)))
        world.mute = set(rng.sample(world.symbols, rng.randrange(10)))
        if world.ready:
            world.error(rng.choice([1100, 1101, 1102, 2103, 2104, 10197, 2110]), "farm:usfarm")
        world.run(rng.uniform(0, 20))
    world.up = world.answers = world.ib_link = True
    for each in (world.starved, world.quiet, world.mute):
        each.clear()
    world.error(2104, "farm:usfarm")
    world.until(world.all_live, within=400)
    check_nothing_leaks(world)


@pytest.mark.hours
@pytest.mark.parametrize("limit", [100, 500])
def test_reconnect_storm_with_500_symbols(limit: int) -> None:
    """The world counts messages, lines and history requests, and fails at the first one too many."""
    world = World([f"S{number:03}" for number in range(500)], ib_line_limit=limit)
    world.line_limit = limit
    rng = random.Random(3)
    for _ in range(30):
        world.run(rng.choice([0.5, 2, 10]))
        world.kill()
        world.up = True
    world.run(120)
    assert sum(said.state == "live" for said in world.said.values()) == limit
    assert world.of(fx.IbErrorSeen) == []
    world.rest(300, pace=SECOND)
    assert [world.state(symbol) for symbol in world.symbols[:limit]] == ["live"] * limit
