"""Somebody else's program as a process group: started with the gateway's address, ended with all its children."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from messages.errors import IbStreamError
from services.runtime.respawn import die_with_parent

PATIENCE: Final = 6.0  # seconds from SIGTERM until the group is killed; `ibstream run` takes up to five
POLL: Final = 0.05
TAIL: Final = 4096  # bytes of its output that are looked at for its last line


class Program:
    """`command` may hold {host}, {port} and {scenario}; the environment has IBSTREAM_IB_HOST and IBSTREAM_IB_PORT, and
    IBSTREAM_SIM_PORT. What it prints is appended to `output`."""

    def __init__(self, command: Sequence[str], output: Path, scenario: str) -> None:
        self._command = [one.replace("{scenario}", scenario) for one in command]
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, host: str, port: int) -> None:
        """Raises IbStreamError `program_unreachable` when there is no such program."""
        filled = [one.replace("{host}", host).replace("{port}", str(port)) for one in self._command]
        address = {"IBSTREAM_IB_HOST": host, "IBSTREAM_IB_PORT": str(port), "IBSTREAM_SIM_PORT": str(port)}
        parent = os.getpid()
        try:
            with self._output.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - what the user asked for
                    filled,
                    env=os.environ | address,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=lambda: die_with_parent(parent),
                )
        except OSError as error:
            sentence = f"{filled[0]!r} cannot be started: {error.strerror}"
            raise IbStreamError("program_unreachable", sentence) from None

    def ended(self, when: str = "") -> str:
        """How it ended by itself, in a sentence that says `when`; empty while it runs."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return ""
        how = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        last = self._last_line()
        return f"the program ended {how}{when}" + (f"; its last line: {last}" if last else "")

    async def stop(self) -> None:
        """Ask the group to end, and kill what is left of it: nothing of it runs afterwards."""
        process = self._process
        if process is None:
            return
        try:
            self._signal(signal.SIGTERM)
            deadline = asyncio.get_running_loop().time() + PATIENCE
            while process.poll() is None and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(POLL)
        finally:
            self._signal(signal.SIGKILL)
            process.wait()
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError, PermissionError):  # nobody is left, or only those that wait to be reaped
            os.killpg(self._process.pid, number)

    def _last_line(self) -> str:
        with self._output.open("rb") as output:
            output.seek(max(0, self._output.stat().st_size - TAIL))
            lines = output.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:200]
