"""How tests start a service as a real process, with `start`, and run a command of ours to its end, with `run`.

Six services take more than a second of CPU to import what they use, and a few hundred tests start them. So a worker of
pytest-xdist, as `make test` has them, forks a service from a process that has imported it all; `__main__` runs then.
A service is started by its command, as users do it, where anything depends on how Python itself starts (another
interpreter, its variables, another host), and always in a pytest without workers, in the soak and in benchmarks. The
same goes for commands.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import REPOSITORY

PYTHON = [sys.executable, "-m"]
FORKING = "PYTEST_XDIST_WORKER" in os.environ and sys.platform == "linux"
OF_PYTHON = ("PYTHON", "LANG", "LC_", "TZ", "LD_", "MALLOC_")  # variables that are read when a process starts
UNBUFFERED = "PYTHONUNBUFFERED"  # the one of them that can be had later

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.process.warm", __name__])


class Forked:
    """One of our modules by `args` (name and arguments), its output appended to files. It is asked as a Popen is."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str], output: Path, errors: Path) -> None:
        self.args = list(args)
        self._process = _server.Process(target=_become, args=(self.args, dict(env), output, errors), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = subprocess.Popen[bytes] | Forked


def start(command: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
    """Run a command in the repository's folder, its output appended to `log`."""
    if _may_be_forked(command, env):
        return Forked(command[2:], env, log, log)
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=env, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def run(command: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """What a command says in the repository's folder. Raises subprocess.TimeoutExpired, with nothing left of it."""
    if not _may_be_forked(command, env):
        return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout)
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = Forked(command[2:], env, output, errors)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())


def _may_be_forked(command: Sequence[str], env: Mapping[str, str]) -> bool:
    ours = command[:2] == PYTHON and command[2].startswith("services.")
    return FORKING and ours and _of_python(env) == _of_python()


def _of_python(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(OF_PYTHON) and name != UNBUFFERED}


def _become(args: list[str], env: dict[str, str], output: Path, errors: Path) -> None:
    """What the forked process does."""
    for stream, path in ((sys.stdout, output), (sys.stderr, errors)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), stream.fileno())
    if UNBUFFERED in env:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(env)
    os.chdir(REPOSITORY)
    sys.argv = args
    runpy.run_module(args[0], run_name="__main__", alter_sys=True)
