"""The simulator as a process of its own, for tests; and a plain client and a controller of it."""

import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.process.processes import PYTHON, start
from tests.support import eventually


class SimulatorProcess:
    """`python -m services.simulator` with `arguments`, on a free port, statistics on."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port_file, self.stats_file, self.log = folder / "sim.port", folder / "sim.json", folder / "sim.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
        files = ["--port-file", str(self.port_file), "--stats", str(self.stats_file)]
        command = [*PYTHON, "services.simulator", "--port", "0", *files, *arguments]
        self.process = start(command, env, self.log)

    @property
    def port(self) -> int:
        """Where it listens; after a port change, the new one."""
        eventually(lambda: self.port_file.exists() or self.process.poll() is not None)
        assert self.port_file.exists(), self.log.read_text()
        return int(self.port_file.read_text())

    @property
    def stats(self) -> dict[str, Any]:
        eventually(self.stats_file.exists)
        found: dict[str, Any] = json.loads(self.stats_file.read_text())
        return found

    def stop(self) -> int:
        """Ask it to end; its exit code. The statistics are final afterwards."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise


@contextmanager
def simulator(folder: Path, *arguments: str) -> Iterator[SimulatorProcess]:
    made = SimulatorProcess(folder, *arguments)
    try:
        yield made
    finally:
        made.stop()


class Caller:
    """A plain socket that says hello and reads frames."""

    def __init__(self, port: int, client_id: int = 1) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(10)
        self.buffer = b""
        self.socket.sendall(b"API\0" + struct.pack(">I", 9) + b"v100..200")
        self.id = client_id

    def ready(self) -> "Caller":
        self.until("200")
        self.send(71, 2, self.id, "")
        self.until("9")
        return self

    def send(self, *fields: object) -> None:
        payload = "".join(f"{field}\0" for field in fields).encode()
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)

    def subscribe(self, request: int, symbol: str) -> None:
        self.send(1, 11, request, 0, symbol, "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")

    def until(self, kind: str, *more: str) -> list[str]:
        """The next frame that begins with `kind` and has these fields. Raises what `frame` raises."""
        while True:
            fields = self.frame()
            if fields[0] == kind and all(word in fields for word in more):
                return fields

    def frame(self) -> list[str]:
        """The next frame. Raises EOFError or OSError at the connection's end."""
        while len(self.buffer) < 4 or len(self.buffer) - 4 < int.from_bytes(self.buffer[:4], "big"):
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        length = int.from_bytes(self.buffer[:4], "big")
        fields = self.buffer[4 : 4 + length].decode("latin-1").split("\0")
        self.buffer = self.buffer[4 + length :]
        return fields

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Controller:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        eventually(lambda: self.socket.connect_ex(str(path)) == 0)  # the file is there before anybody listens
        self.file = self.socket.makefile("rwb")

    def __call__(self, **command: Any) -> dict[str, Any]:
        return self.raw(json.dumps(command).encode())

    def raw(self, line: bytes) -> dict[str, Any]:
        self.file.write(line + b"\n")
        self.file.flush()
        answer: dict[str, Any] = json.loads(self.file.readline())
        return answer

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()
