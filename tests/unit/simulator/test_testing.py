"""The simulated gateway for other people's tests, as such a test uses it: over a socket, with a held clock."""

import socket
from collections.abc import Iterator

import pytest

from services.simulator.testing import MONDAY_NOON, SimulatedGateway
from services.simulator.trouble.scenario import ScenarioError
from tests.process.simulators import Caller

pytest_plugins = ["services.simulator.pytest_plugin"]


@pytest.fixture
def caller(simulated_gateway: SimulatedGateway) -> Iterator[Caller]:
    with Caller(simulated_gateway.port, 7) as made:
        yield made.ready()


def subscribed(gateway: SimulatedGateway, caller: Caller, *symbols: str) -> None:
    for request, symbol in enumerate(symbols, 1):
        caller.subscribe(request, symbol)
    gateway.wait_for_lines(*symbols)


def server_time(caller: Caller) -> int:
    caller.send(49, 1)
    return int(caller.until("49")[2])


def test_time_is_the_tests(simulated_gateway: SimulatedGateway, caller: Caller) -> None:
    assert server_time(caller) == MONDAY_NOON // 10**9
    simulated_gateway.advance(3600)
    assert server_time(caller) == MONDAY_NOON // 10**9 + 3600


def test_no_price_moves_until_time_passes(simulated_gateway: SimulatedGateway, caller: Caller) -> None:
    subscribed(simulated_gateway, caller, "SPY", "GEV")
    assert (simulated_gateway.client_ids, simulated_gateway.lines) == ([7], ["GEV", "SPY"])
    before = simulated_gateway.stats()["ticks"]["total"]
    server_time(caller)
    assert simulated_gateway.stats()["ticks"]["total"] == before
    simulated_gateway.advance(10)
    assert simulated_gateway.stats()["ticks"]["total"] > before


def test_steps_are_calls_and_are_undone_in_the_tests_time(simulated_gateway: SimulatedGateway, caller: Caller) -> None:
    subscribed(simulated_gateway, caller, "SPY")
    simulated_gateway.farm_down(farm="usfarm.nj", lasts=30)
    assert caller.until("4", "2103")
    simulated_gateway.advance(31)
    assert caller.until("4", "2104", "Market data farm connection is OK:usfarm.nj")
    simulated_gateway.ib_down(data="lost", lasts=60)
    simulated_gateway.advance(61)
    assert caller.until("4", "1101") and simulated_gateway.lines == []


def test_a_gateway_that_goes_away_comes_back_on_its_port(simulated_gateway: SimulatedGateway, caller: Caller) -> None:
    simulated_gateway.restart(lasts=5)
    with pytest.raises(OSError):
        while True:
            caller.frame()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((simulated_gateway.host, simulated_gateway.port), 5)
    simulated_gateway.advance(6)
    with Caller(simulated_gateway.port, 8) as again:
        again.ready()
    simulated_gateway.wait_until(lambda: simulated_gateway.client_ids == [])


def test_a_scenario_runs_while_time_passes(simulated_gateway: SimulatedGateway, caller: Caller) -> None:
    simulated_gateway.run("farm_blip")
    subscribed(simulated_gateway, caller, "AAPL")
    simulated_gateway.advance(9)
    assert caller.until("4", "2103") and caller.until("4", "2104")


def test_what_cannot_be_done_is_said_to_the_test(simulated_gateway: SimulatedGateway) -> None:
    with pytest.raises(ScenarioError, match="no farm 'nofarm'"):
        simulated_gateway.farm_down(farm="nofarm")
    with pytest.raises(ScenarioError, match="starve has no 'symbols'"):
        simulated_gateway.starve(symbols="SPY")
    with pytest.raises(AttributeError, match="neither a method nor a step"):
        simulated_gateway.explode()
    with pytest.raises(TimeoutError, match="nobody subscribed to SPY"):
        simulated_gateway.wait_for_lines("SPY", within=0.01)


def test_it_ends_with_clients_connected_and_twice() -> None:
    gateway = SimulatedGateway()
    with Caller(gateway.port) as caller:
        caller.ready()
        gateway.close()
        with pytest.raises((EOFError, OSError)):
            while True:
                caller.frame()
    gateway.close()
