"""A real nats-server with JetStream for tests: a port and a folder of its own, on loopback unless told otherwise."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support import eventually, free_port, program


class NatsServer:
    """Started by `start`; what JetStream keeps stays in the folder across a `kill`."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", prefix: Iterable[str] = ()) -> None:
        """Skips the test, or fails it in CI, when nats-server is not installed."""
        self._program = program("nats-server", "apt-get install nats-server")
        self._folder = folder
        self.port = free_port()
        self.url = f"nats://{host}:{self.port}"
        self._command = [
            *prefix, self._program, "-js", "-sd", str(folder / "jetstream"), "-a", host, "-p", str(self.port)
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: b"Server is ready" in (self._folder / "nats.log").read_bytes())

    def kill(self) -> None:
        """SIGKILL: nothing is said goodbye to."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        log = self._folder / "nats.log"
        log.rename(self._folder / f"nats-{self.process.pid if self.process else 0}.log")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
