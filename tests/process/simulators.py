"""The simulator as a process of its own, for tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import eventually

REPOSITORY = Path(__file__).parents[2]


class SimulatorProcess:
    """`python -m services.simulator` with `arguments`, on a free port, statistics on."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port_file, self.stats_file, self.log = folder / "sim.port", folder / "sim.json", folder / "sim.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
        files = ["--port-file", str(self.port_file), "--stats", str(self.stats_file)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.simulator", "--port", "0", *files, *arguments],
                cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

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
