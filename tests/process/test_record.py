"""`ibstream record` between real clients and a real gateway: everything passes, the file holds prices and no account,
and the simulator plays it."""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.simulators import Caller, Controller, SimulatorProcess, simulator
from tests.process.test_simulator_clients import OFFICIAL, PYTHON, Program, check, run_client
from tests.support import REPOSITORY, eventually, free_port


@contextmanager
def recorder(file: Path, gateway: int, *arguments: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """`ibstream record` on a free port, and the process."""
    command = [sys.executable, "-m", "ibstream", "record", "--to", str(file), "--listen", "0", "--gateway",
               f"127.0.0.1:{gateway}", *arguments]  # fmt: skip
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("recording on 127.0.0.1:"), first
            yield int(first.split(",")[0].rpartition(":")[2]), process
        finally:
            process.kill()


def stop(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 0, errors
    return errors


def found(file: Path) -> bytes:
    """The file with its frames decoded."""
    raw = file.read_bytes()
    return raw + b"".join(base64.b64decode(json.loads(line).get("frame", "")) for line in raw.splitlines())


@contextmanager
def playing(file: Path) -> Iterator[SimulatorProcess]:
    """A simulator that plays a recording."""
    folder = file.parent / "player"
    folder.mkdir()
    with simulator(folder, "--replay", str(file)) as player:
        yield player


def test_two_clients_in_text_and_protobuf(tmp_path: Path) -> None:
    """They get all that they get without a recorder; no account and no order is on disk."""
    (tmp_path / "delayed.toml").write_text('[[step]]\ndo = "not_entitled"\nsymbol = "QQQ"\n')
    with (
        simulator(tmp_path, "--scenario", str(tmp_path / "delayed.toml")) as gateway,
        recorder(tmp_path / "r.jsonl", gateway.port) as (port, process),
    ):
        asynchronous = Program([*PYTHON, "tests.process.clients.asynchronous", "ib_async"], 178)
        answers = [run_client(program, port) for program in (Program(OFFICIAL, 226), asynchronous)]
        for answer in answers:
            check(answer)
        errors = stop(process)
        assert "connection 2 ended" in errors and "server 6 x " in errors  # account values are withheld
    content = found(tmp_path / "r.jsonl")
    assert b"DUSIM01" not in content and b"DU0000000" in content
    encodings = {json.loads(line).get("encoding") for line in (tmp_path / "r.jsonl").read_bytes().splitlines()}
    assert encodings == {None, "text", "protobuf"}
    with playing(tmp_path / "r.jsonl") as player, Caller(player.port) as client:
        client.ready().subscribe(1, "SPY")
        assert float(client.until("1", "6", "1", "1")[4]) > 0


def test_what_happened_to_the_link_is_played_too(tmp_path: Path) -> None:
    control = tmp_path / "c"
    with (
        simulator(tmp_path, "--control", str(control)) as gateway,
        recorder(tmp_path / "r.jsonl", gateway.port) as (port, process),
        Controller(control) as command,
    ):
        with Caller(port) as client:
            client.ready().subscribe(1, "SPY")
            client.until("1", "6", "1", "1")
            command(do="ib_down")
            client.until("4", "1100")
            command(do="drop")
            with pytest.raises((EOFError, OSError)):
                client.until("none")
        stop(process)
    with playing(tmp_path / "r.jsonl") as player, Caller(player.port) as client:
        client.ready().subscribe(9, "SPY")
        client.until("1", "6", "9", "1")
        assert "Connectivity between IB and the gateway has been lost." in client.until("4", "1100")
        with pytest.raises((EOFError, OSError)):
            client.until("none")


def test_a_client_that_does_not_read_holds_the_gateway_up_and_not_the_memory(tmp_path: Path) -> None:
    """The gateway sends a hundred megabytes; the recorder takes what fits into a few buffers."""
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as gateway:

        def flood() -> None:
            nonlocal sent
            peer, _ = gateway.accept()
            with peer:
                peer.settimeout(2)
                try:
                    while sent < 100_000_000:
                        sent += peer.send(bytes(1 << 20))
                except OSError:
                    pass

        flooding = threading.Thread(target=flood)
        flooding.start()
        with recorder(tmp_path / "r.jsonl", gateway.getsockname()[1]) as (port, process):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", port))
                flooding.join(60)
                status = Path(f"/proc/{process.pid}/status").read_text()
            (peak,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
            stop(process)
    assert 0 < sent < 50_000_000
    assert peak < 150_000  # kilobytes


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for arguments, sentence in (
        (["--to", str(taken), "--listen", "0", "--gateway", "127.0.0.1:1"], "is there already: name a new file"),
        (["--to", str(tmp_path / "a"), "--listen", "x", "--gateway", "127.0.0.1:1"], "--listen is 'x'; expected"),
        (["--to", str(tmp_path / "a"), "--listen", "0", "--gateway", "4002"], "--gateway is '4002'; expected"),
    ):
        command = [sys.executable, "-m", "ibstream", "record", *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert taken.read_text() == "mine"
    with recorder(tmp_path / "b", free_port()) as (port, process):
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.settimeout(10)
            assert client.recv(1) == b""
        assert "Connection refused" in stop(process)
        eventually(lambda: (tmp_path / "b").stat().st_size > 0)
