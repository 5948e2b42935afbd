"""Scenarios and the control socket on a real simulator process: what a client's socket meets."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.simulators import Caller, Controller, simulator
from tests.support import REPOSITORY, eventually, free_port


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_absent_then_there(tmp_path: Path) -> None:
    with simulator(tmp_path, "--scenario", "gateway_absent", "--speed", "4") as sim:
        eventually(lambda: refused(sim.port))
        eventually(lambda: not refused(sim.port))
        with Caller(sim.port) as caller:
            caller.ready()


def test_the_control_socket(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with simulator(tmp_path, "--control", str(path)) as sim, Controller(path) as control, Caller(sim.port) as caller:
        assert path.stat().st_mode & 0o777 == 0o600
        caller.ready().subscribe(1, "AAPL")
        caller.until("1", "1")
        assert control(do="farm_down", farm="usfarm") == {"ok": True}
        assert caller.until("4", "2103")[3] == "Market data farm connection is broken:usfarm"
        assert control(do="farm_up", farm="usfarm") == {"ok": True}
        caller.until("4", "2104", "Market data farm connection is OK:usfarm")
        caller.until("1")
        answer = control(do="stats")
        assert answer["ok"] and answer["stats"]["ticks"]["by_symbol"]["AAPL"] > 0
        assert control(do="run", scenario="bust", speed=100) == {"ok": True, "title": "A bust event"}
        for line in (b"", b"nonsense", b"[1]", b'{"do": "explode"}', b'{"do": "starve", "symbol": "NOSUCH"}',
                     b'{"do": "run", "scenario": "nosuch"}', b'{"do": "starve", "at": 3}'):  # fmt: skip
            wrong = control.raw(line)
            assert not wrong["ok"] and wrong["error"]
        assert control(do="server_broken") == {"ok": True}
        caller.until("4", "2110")


def test_the_port_changes(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with simulator(tmp_path, "--control", str(path)) as sim, Controller(path) as control, Caller(sim.port) as caller:
        old = sim.port
        caller.ready()
        control(do="move_port")
        new = int(caller.until("4", "1300")[3].split()[-1])
        with pytest.raises(EOFError):
            caller.until("nothing")
        eventually(lambda: sim.port == new != old)
        assert refused(old)
        with Caller(new) as again:
            again.ready()


@pytest.mark.parametrize(
    ("how", "end"), [("close", EOFError), ("reset", ConnectionResetError), ("mid_frame", EOFError)]
)
def test_how_connections_end(tmp_path: Path, how: str, end: type[Exception]) -> None:
    path = tmp_path / "control"
    with simulator(tmp_path, "--control", str(path)) as sim, Controller(path) as control, Caller(sim.port) as caller:
        caller.ready()
        control(do="drop", how=how)
        with pytest.raises(end):
            caller.until("nothing")
        assert bool(caller.buffer) == (how == "mid_frame")


def test_a_burst_arrives_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with simulator(tmp_path, "--control", str(path)) as sim, Controller(path) as control, Caller(sim.port) as caller:
        caller.ready().subscribe(1, "SPY")
        caller.until("1")
        control(do="burst", size=4096, silence=2)
        caller.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            while caller.socket.recv(65536):
                pass
        caller.socket.settimeout(10)
        assert len(caller.socket.recv(65536)) == 4096


def test_a_wrong_scenario_is_one_sentence_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[[step]]\ndo = 'explode'\n")
    done = subprocess.run(
        [sys.executable, "-m", "services.simulator", "--port", "0", "--scenario", str(path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"ibstream simulator: {path}: step 1: do is 'explode'")
    assert done.stderr.count("\n") == 1


def test_steps_on_standard_input() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
    with subprocess.Popen(
        [sys.executable, "-m", "services.simulator", "--port", str(free_port()), "--control", "-"],
        cwd=REPOSITORY, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline().startswith("simulator listening on 127.0.0.1:")
        process.stdin.write('{"do": "starve"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"ok": True}
        process.stdin.close()
        process.terminate()
        assert process.wait(10) == 0
