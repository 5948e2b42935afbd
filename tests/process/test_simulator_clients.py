"""Real clients in processes of their own against a real simulator: all that they ask is answered, with no warning."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ibapi.server_versions import MAX_CLIENT_VER

from services.simulator.protocol.versions import HIGHEST
from tests.process.simulators import Caller, SimulatorProcess, simulator
from tests.support import REPOSITORY, eventually, free_port

VENVS = REPOSITORY / ".venvs"
PYTHON = [sys.executable, "-W", "error", "-m"]
OFFICIAL = [*PYTHON, "tests.process.clients.official"]
PRICES = {1, 2, 4, 6, 7, 9, 14}
DELAYED = """
[[step]]
do = "not_entitled"
symbol = "QQQ"
"""


class Program(NamedTuple):
    """A client: its command, less the port at the end; the newest server version that it knows; and the folder that
    holds it, where it is not installed beside us."""

    command: list[str]
    version: int
    folder: str = ""


PROGRAMS = {
    "the installed official client": Program(OFFICIAL, MAX_CLIENT_VER),
    "ibapi-latest": Program(OFFICIAL, 226, "ibapi-latest-10.51.1"),
    "nautilus_ibapi": Program(OFFICIAL, 225, "nautilus_ibapi-10.46.1"),
    "ibapi": Program(["python", "-m", "tests.process.clients.official"], 157, "ibapi-9.81.1"),
    "ib_async": Program([*PYTHON, "tests.process.clients.asynchronous", "ib_async"], 178),
    "ib_insync": Program(["python", "-m", "tests.process.clients.asynchronous", "ib_insync"], 176, "ib_insync-0.9.86"),
}


def run_client(program: Program, port: int) -> dict[str, Any]:
    """What the client says at the end. Skips the test where it is not installed."""
    env = dict(os.environ)
    if program.folder:
        require(program.folder)
        env["PYTHONPATH"] = str(VENVS / program.folder)
    done = subprocess.run([*program.command, str(port)], cwd=REPOSITORY, env=env, capture_output=True, text=True,
                          timeout=90)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    print(done.stdout)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert answer.get("complaints", []) == []
    assert answer["version"] == min(program.version, HIGHEST)
    assert answer["isin"] == ["US0378331005"]
    return answer


def require(folder: str, make: str = "make test") -> None:
    if not (VENVS / folder).is_dir():
        assert not os.environ.get("CI"), f"{folder} is missing: `{make}` installs it"
        pytest.skip(f"{folder} is missing: `{make}` installs it")


@pytest.fixture
def delayed(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulator whose QQQ is not entitled, so that its prices are delayed."""
    (tmp_path / "delayed.toml").write_text(DELAYED)
    with simulator(tmp_path, "--scenario", str(tmp_path / "delayed.toml")) as sim:
        yield sim
        assert sim.stats["errors"].keys() == {"2104", "2106", "2158", "10167"}


def check(answer: dict[str, Any]) -> None:
    """Everything was answered, and as it should be."""
    assert answer["accounts"] in (["DUSIM01"], "DUSIM01")
    assert abs(answer["time"] - time.time()) < 60
    assert ":0000-" in answer["hours"]
    assert answer["types"] == [1, 3]
    assert answer["bars"] == 30
    assert answer["real_time_bars"] > 0
    assert answer["past_ticks"] == [10, 10, 10]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_client_at_its_default_settings(delayed: SimulatorProcess, name: str) -> None:
    answer = run_client(PROGRAMS[name], delayed.port)
    check(answer)
    if "quotes" not in answer:
        check_ticks(answer)
        return
    spy, brk, spx, eur = answer["quotes"]
    for bid, ask, last, close in (spy, brk):
        assert 0 < bid < ask and last > 0 and close > 0
    assert spx[2] > 0 and eur[0] < eur[1]
    assert all(price > 0 for price in (*answer["snapshot"], *answer["delayed"], *answer["ids"]))
    assert answer["days"] == 5
    assert answer["head"].startswith("2004-01-23")


def check_ticks(answer: dict[str, Any]) -> None:
    """The ids of the ticks that came."""
    assert set(answer["live"]) == set(answer["snapshot"]) == PRICES
    assert set(answer["delayed"]) == {66, 67, 68, 72, 73, 75, 76}
    assert all(answer["tick_by_tick"])


@pytest.mark.tools
def test_stoqey(delayed: SimulatorProcess) -> None:
    require("stoqey-1.6.10", "make clients")
    script = "tests/process/clients/stoqey.mjs"
    answer = run_client(Program(["node", script, str(VENVS / "stoqey-1.6.10")], 193), delayed.port)
    check(answer)
    check_ticks(answer)


@pytest.mark.tools
def test_nautilus_trader(tmp_path: Path) -> None:
    """Its node starts, with data and execution, which needs the ISIN, and gets quotes, trades and bars."""
    require("nautilus-trader-1.221.0", "make clients")
    command = [str(VENVS / "nautilus-trader-1.221.0" / "bin" / "python"), "tests/process/clients/nautilus.py"]
    with simulator(tmp_path) as sim:
        answer = run_client(Program(command, 187), sim.port)
        assert all(answer["seen"].values())
        assert sim.stats["errors"].keys() == {"2104", "2106", "2158"}


@pytest.mark.parametrize("version", [100, 178, 206])
def test_the_official_client_on_an_older_gateway(tmp_path: Path, version: int) -> None:
    (tmp_path / "delayed.toml").write_text(DELAYED)
    with simulator(tmp_path, "--server-version", str(version), "--scenario", str(tmp_path / "delayed.toml")) as sim:
        answer = run_client(Program(OFFICIAL, version), sim.port)
        assert set(answer["live"]) == set(answer["snapshot"]) == PRICES
        assert set(answer["sizes"]) >= {0, 3, 5, 8}
        assert answer["bars"] == 30


def test_both_at_once(delayed: SimulatorProcess) -> None:
    with ExitStack() as stack:
        commands = [
            [*PROGRAMS[name].command, str(delayed.port)] for name in ("the installed official client", "ib_async")
        ]
        started = [subprocess.Popen(c, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for c in commands]
        for client in [stack.enter_context(one) for one in started]:
            out, _ = client.communicate(timeout=90)
            assert json.loads(out)["complaints"] == []
    delayed.stop()
    assert delayed.stats["ticks"]["by_client_id"].keys() == {"31", "32"}


def test_a_client_that_does_not_read_is_dropped_and_nobody_else_notices(tmp_path: Path) -> None:
    with simulator(tmp_path, "--rate", "20000", "--buffer", "200000", "--lines", "300") as sim:
        stalled = Caller(sim.port).ready()
        stalled.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for request in range(1, 30):
            stalled.subscribe(request, f"SIM{request:04d}")
        eventually(lambda: sim.stats["slow"] == 1, 60)
        (one,) = [c for c in sim.stats["connections"] if c["client_id"] == 1]
        assert one["reason"] == "does not read" and one["unsent"] > 0
        assert sim.stats["ticks"]["unsent"] == one["unsent"]
        assert b"client dropped" in sim.log.read_bytes()
        other = Caller(sim.port, 2).ready()
        other.subscribe(1, "SPY")
        eventually(lambda: sim.stats["ticks"]["by_client_id"].get("2"))
        stalled.socket.close()
        other.socket.close()


def test_garbage_from_many_clients_and_it_lives(tmp_path: Path) -> None:
    with simulator(tmp_path) as sim:
        for number in range(20):
            with socket.create_connection(("127.0.0.1", sim.port), 10) as sock:
                sock.sendall(bytes([number]) * 1000)
                assert sock.recv(10) == b""
        Caller(sim.port).ready().socket.close()
        eventually(lambda: sim.stats["garbage"] == 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_code_0_under_load(tmp_path: Path, number: int) -> None:
    sim = SimulatorProcess(tmp_path, "--rate", "20000")
    client = Caller(sim.port).ready()
    client.subscribe(1, "SPY")
    eventually(lambda: sim.stats["ticks"]["total"])
    sim.process.send_signal(number)
    assert sim.process.wait(5) == 0
    stats = sim.stats
    assert stats["open"] == 0
    received = 0
    while data := client.socket.recv(65536):
        received += len(data)
    assert received > 0
    client.socket.close()


def test_wrong_usage_is_one_sentence(tmp_path: Path) -> None:
    def start(*arguments: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, "-m", "services.simulator", *arguments], cwd=REPOSITORY,
                              capture_output=True, text=True, timeout=30)  # fmt: skip
        return done.returncode, done.stderr

    code, text = start("--host", "0.0.0.0", "--port", "0")
    assert (code, text.count("\n")) == (2, 1) and "loopback only" in text
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code, text = start("--port", str(port))
    assert (code, text.count("\n")) == (1, 1) and str(port) in text
    assert start("--server-version", "300")[0] == 2
    assert start("--port", "70000")[0] == 2
