"""Several gateways: two simulators with a hundred lines each serve 150 symbols, one goes and comes back."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import time_ns

import pytest

from messages.control import Start, Stop
from messages.events import EventBlock, LinkChanged, Plan, SymbolChanged
from messages.topics import PLAN, sharded
from messages.views import Status
from services.base.clock import SECOND, iso
from tests.process.pipeline import Pipeline
from tests.process.simulators import SimulatorProcess
from tests.rebuilt import folded_files, rebuild
from tests.support import eventually, free_port

SYMBOLS = [f"SIM{number:04}" for number in range(1, 151)]
LINES = 100
KEPT_FOR_SNAPSHOTS = 2  # lines of the gateway that has more symbols than lines
MOVED_WITHIN = 10 * SECOND  # three times what deploy/README.md has measured: other tests run beside this one
SERVICES = ("gateway.a", "gateway.b", "planner", "sink", "supervisor")


class TwoGateways(Pipeline):
    """A pipeline with two simulators of its own as gateways a and b."""

    def __init__(self, folder: Path) -> None:
        self.simulators: dict[str, SimulatorProcess] = {}
        self._folder = folder
        ports = {name: self.simulate(name).port for name in "ab"}
        where = " ".join(
            f"{name}=127.0.0.1:{port}/1{number}/{LINES}" for number, (name, port) in enumerate(ports.items())
        )
        super().__init__(folder, SERVICES, {"gateways": where, "max_symbols": 200, "ib_backoff_max": 2})

    def simulate(self, name: str, port: int = 0) -> SimulatorProcess:
        folder = self._folder / f"simulator.{name}.{port}"
        folder.mkdir()
        arguments = ("--symbols", str(len(SYMBOLS)), "--lines", str(LINES), "--port", str(port))
        found = self.simulators[name] = SimulatorProcess(folder, *arguments)
        return found

    def close(self) -> None:
        super().close()
        for simulator in self.simulators.values():
            simulator.stop()

    # --- what is seen ---

    def live_on(self, status: Status | None, gateway: str) -> set[str]:
        """Symbols whose price is streamed by a gateway, as the status says."""
        if status is None:
            return set()
        return {name for name, symbol in status.symbols.items() if (symbol.gateway, symbol.state) == (gateway, "live")}

    def await_all_at_home(self) -> Status:
        """75 symbols stream on each gateway."""

        def probe() -> Status | None:
            status = self.status()
            there = status is not None and status.status == "connected"
            return status if there and {len(self.live_on(status, name)) for name in "ab"} == {75} else None

        found = eventually(probe, 60)
        assert found is not None
        return found

    def await_the_most_important_on_b(self) -> Status:
        """Those that the lines of b suffice for stream there, and nothing is left on a."""
        most = set(SYMBOLS[: LINES - KEPT_FOR_SNAPSHOTS])

        def probe() -> Status | None:
            status = self.status()
            return status if most <= self.live_on(status, "b") else None

        found = eventually(probe, 30)
        assert found is not None
        assert {symbol.gateway for symbol in found.symbols.values()} == {"b"}
        return found

    def link_events(self, gateway: str = "") -> list[tuple[int, object]]:  # type: ignore[override]
        """Time and event of a gateway's link stream."""
        blocks = [block for block in self.blocks(sharded("link", gateway)) if isinstance(block, EventBlock)]
        return [(block.time, event) for block in blocks for event in block.events]

    def live_again_at(self, since: int) -> int:
        """When the last of the most important symbols was first called live by b, of all that was said `since`."""
        said: dict[str, int] = {}
        for time, event in self.link_events("b"):
            if isinstance(event, SymbolChanged) and event.state == "live" and time > since:
                said.setdefault(event.symbol, time)
        moved = SYMBOLS[: LINES - KEPT_FOR_SNAPSHOTS : 2]  # the odd places: at home on a
        return max(said[name] for name in moved)

    def plans(self) -> list[Plan]:
        return [block for block in self.blocks(PLAN) if isinstance(block, Plan)]


def check_files(pipeline: Pipeline, folder: Path) -> None:
    """The sink's files are what the journals say."""
    rebuild(pipeline.settings.journal_dir, folder)
    assert folded_files(pipeline.settings.stream_dir) == folded_files(folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoGateways]:
    with TwoGateways(tmp_path_factory.mktemp("two")) as pipeline:
        eventually(pipeline.status, 30)
        pipeline.ask(Stop())
        pipeline.ask(Start(symbols=SYMBOLS))
        yield pipeline


@pytest.fixture
def two(shared: TwoGateways) -> TwoGateways:
    """All symbols at home; tests leave it so, but for the last one, which ends it."""
    shared.await_all_at_home()
    return shared


def test_commands_show_every_gateway(two: TwoGateways) -> None:
    shown = two.cli("status").stdout
    assert "gateway.a" in shown and "gateway.b" in shown
    replayed = two.cli("replay", "--from", "-1h", "--stream", "ticks", "--symbol", "SIM0001,SIM0002", "--json")
    assert {"ticks.a", "ticks.b"} == {
        line.split('"stream":"')[1].split('"')[0] for line in replayed.stdout.splitlines()
    }
    doctor = two.cli("doctor", "--symbol", "SIM0001", timeout=90).stdout
    assert "a handshake" in doctor and "b handshake" in doctor


def test_a_gateways_process_dies_and_nobody_starts_it_again_for_a_while(two: TwoGateways) -> None:
    died = two.blocks("ticks.a")[-1].time
    two.kill("gateway.a")
    status = two.await_the_most_important_on_b()
    assert two.live_again_at(died) - two.blocks("ticks.a")[-1].time < MOVED_WITHIN
    assert (status.status, status.reason) == ("degraded", "service_down")
    assert status.services["gateway.a"].state == "down"
    assert status.message is not None and "its 75 symbols are served by b" in status.message
    two.start("gateway.a")
    status = two.await_all_at_home()
    assert status.services["gateway.a"].state == "up"
    gaps = two.cli("gaps", "--json", "--symbol", "SIM0001")
    assert gaps.returncode == 0 and '"gateway_restarted"' in gaps.stdout
    assert two.cli("gaps", "--open").stdout.strip() == "no gaps"


def test_a_gateway_dies_its_most_important_symbols_live_on_the_other_and_it_comes_back(
    two: TwoGateways, tmp_path: Path
) -> None:
    homes = {planned.symbol: planned.gateway for planned in two.plans()[-1].symbols}
    assert Counter(homes.values()) == {"a": 75, "b": 75}
    port = two.simulators["a"].port
    before = len(two.link_events("a"))
    two.simulators["a"].process.kill()
    two.simulators["a"].process.wait(10)

    status = two.await_the_most_important_on_b()
    changes = [(time, event) for time, event in two.link_events("a")[before:] if isinstance(event, LinkChanged)]
    lost = next(time for time, event in changes if event.phase == "backoff")
    assert two.live_again_at(lost) - lost < MOVED_WITHIN
    assert (status.status, status.reason) in (("degraded", "gateway_unreachable"), ("degraded", "connection_lost"))
    assert {name: link.phase == "ready" for name, link in status.links_by_gateway.items()} == {"a": False, "b": True}
    assert status.message is not None and "its 75 symbols are served by b" in status.message

    rest = SYMBOLS[LINES - KEPT_FOR_SNAPSHOTS :]
    marked = {(status.symbols[name].state, status.symbols[name].reason) for name in rest}
    assert marked == {("over_limit", "line_limit")}
    moved = [name for name in rest if homes[name] == "a"]

    def served() -> bool:
        quotes = [two.quote(name) for name in moved]
        return all(quote is not None and quote["gateway"] == "b" and quote["source"] == "mock" for quote in quotes)

    eventually(served, 60)  # by snapshots, ten at a time

    plans = len(two.plans())
    two.restart("planner")
    eventually(lambda: (status := two.status()) is not None and status.services["planner"].state == "up", 30)

    two.simulate("a", port)
    two.await_all_at_home()
    back = two.plans()
    assert {planned.symbol: planned.gateway for planned in back[-1].symbols} == homes
    assert len(back) == plans + 1, "the planner's restart moved nothing"
    quote = two.quote("SIM0001")
    assert quote is not None and quote["gateway"] == "a" and not quote["stale"]
    assert set(two.stop().values()) == {0}
    check_files(two, tmp_path / "rebuilt")
    assert two.cli("verify").returncode == 0


def test_one_gateway_becomes_two_and_one_again_on_the_same_journal(tmp_path: Path) -> None:
    def run(services: tuple[str, ...], gateway: str | None, **settings: object) -> None:
        """Until every price is the new process's, and whole in the files."""
        with Pipeline(tmp_path, services, {"sim_port": port, "ib_port": port, **settings}) as pipeline:
            began = time_ns()
            pipeline.await_status("connected", timeout=60)

            def fresh() -> bool:
                quote = pipeline.quote("SPY") or {"timestamp": ""}
                return quote["timestamp"] > iso(began) and not quote["stale"] and quote.get("gateway") == gateway

            eventually(fresh, 30)
            assert set(pipeline.stop().values()) == {0}
            check_files(pipeline, tmp_path / f"rebuilt.{began}")
            assert pipeline.cli("verify").returncode == 0

    port = free_port()
    one = ("simulator", "gateway", "planner", "sink", "supervisor")
    several = ("simulator", "gateway.a", "gateway.b", "planner", "sink", "supervisor")
    run(one, None)
    run(several, "a", gateways=f"a=127.0.0.1:{port}/17 b=127.0.0.1:{port}/18")
    run(one, None)
