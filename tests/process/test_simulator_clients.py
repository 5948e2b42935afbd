"""Real clients in processes of their own against a real simulator: all that they ask is answered, with no warning."""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.process.simulators import REPOSITORY, Caller, SimulatorProcess, simulator
from tests.support import eventually, free_port


def run_client(module: str, port: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"tests.process.{module}", str(port)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("version", [157, 163, 178, 200])
def test_ib_async(tmp_path: Path, version: int) -> None:
    with simulator(tmp_path, "--server-version", str(version)) as sim:
        answer = run_client("ib_async_session", sim.port)
        assert answer["complaints"] == []
        assert answer["version"] == min(version, 178)
        assert answer["accounts"] == ["DUSIM01"]
        assert all(answer["ids"])
        spy, brk, spx, eur = answer["quotes"]
        for bid, ask, last, close in (spy, brk):
            assert 0 < bid < ask and last > 0 and close > 0
        assert spx[2] > 0 and eur[0] < eur[1]
        assert all(price > 0 for price in answer["snapshot"])
        assert answer["bars"] == [30, 5]
        assert answer["head"].startswith("2004-01-23")
        assert abs(answer["time"] - time.time()) < 60
        eventually(lambda: sim.stats["errors"].keys() == {"2104", "2106", "2158"})  # written every second


@pytest.mark.parametrize("version", [100, 178, 200, 206, 225])
def test_the_official_client(tmp_path: Path, version: int) -> None:
    with simulator(tmp_path, "--server-version", str(version)) as sim:
        answer = run_client("ibapi_session", sim.port)
        assert answer["complaints"] == []
        assert answer["version"] == version
        assert set(answer["prices"]) >= {1, 2, 4, 6, 7, 9, 14}
        assert set(answer["sizes"]) >= {0, 3, 5, 8}
        assert set(answer["snapshot"]) == {1, 2, 4, 6, 7, 9, 14}
        assert answer["bars"] == 30
        assert ":0000-" in answer["hours"]


def test_both_at_once(tmp_path: Path) -> None:
    with simulator(tmp_path) as sim:
        commands = [
            [sys.executable, "-m", f"tests.process.{name}", str(sim.port)]
            for name in ("ib_async_session", "ibapi_session")
        ]
        with ExitStack() as stack:
            started = [subprocess.Popen(c, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for c in commands]
            for client in [stack.enter_context(one) for one in started]:
                out, _ = client.communicate(timeout=90)
                assert json.loads(out)["complaints"] == []
        sim.stop()
        assert sim.stats["ticks"]["by_client_id"].keys() == {"31", "32"}


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
        assert run_client("ibapi_session", sim.port)["complaints"] == []
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
