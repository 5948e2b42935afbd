"""A pipeline of real processes for tests: chosen services on a data root, sockets and ports of their own.

    with Pipeline(tmp_path, ["simulator", "gateway", "planner", "sink", "supervisor"]) as pipeline:
        eventually(lambda: pipeline.quote("SPY"))

Everything that it started is ended at the end, by pid; `logs()` tells what each process wrote, and so does every test
that fails meanwhile (`RUNNING`).
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from messages.codec import decode_block
from messages.control import AnyMessage, GetStatus, StatusReply
from messages.errors import IbStreamError
from messages.events import Block, EventBlock, LinkEvent
from messages.topics import LINK, SUPERVISOR_CONTROL
from messages.views import Status
from services.base.settings import Settings, load
from services.base.symbols import file_name
from services.journal import JournalReader
from services.runtime.bus import request
from tests.process.processes import PYTHON, Process, run, start
from tests.support import eventually, free_port

ALL = ("simulator", "gateway", "planner", "sink", "supervisor", "web")
CORE = ("simulator", "gateway", "planner", "sink", "supervisor")
START_ORDER = {name: index for index, name in enumerate(ALL)}
STOP_SECONDS = 5.0
RUNNING: set["Pipeline"] = set()
"""Those that were begun and not closed yet."""


class Pipeline:
    """Services as `make run` starts them, less the keeper: a service that dies stays dead.

    `env` adds settings, by full name (`IBSTREAM_...`) or short (`stale_after`). `arguments` adds command line
    arguments by service, `prefix` is what each command begins with, such as `ip netns exec NAME`.
    """

    def __init__(
        self,
        folder: Path,
        services: Iterable[str] = CORE,
        env: Mapping[str, object] | None = None,
        arguments: Mapping[str, list[str]] | None = None,
        prefix: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.prefix = list(prefix)
        self.services = sorted(services, key=lambda name: START_ORDER.get(name, len(ALL)))
        self.ib_port, self.web_port = free_port(), free_port()
        self.env = {
            "IBSTREAM_DATA_ROOT": str(folder / "data"),
            "IBSTREAM_IB_PORT": str(self.ib_port),
            "IBSTREAM_SIM_PORT": str(self.ib_port),
            "IBSTREAM_WEB_PORT": str(self.web_port),
            "PYTHONUNBUFFERED": "1",
        }
        for name, value in (env or {}).items():
            self.env[name if name.isupper() else f"IBSTREAM_{name.upper()}"] = str(value)
        self.arguments = {"simulator": ["--pipeline"], **(arguments or {})}
        self.processes: dict[str, Process] = {}
        self._link_events: list[LinkEvent] = []
        self._link_seq = 0

    # --- life ---

    def __enter__(self) -> "Pipeline":
        RUNNING.add(self)
        for name in self.services:
            self.start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is not None:
            error.add_note(self.logs())

    @property
    def settings(self) -> Settings:
        return load(self.env)

    def environment(self) -> dict[str, str]:
        """Of a child: this process's, less its own settings of ibstream, with those of the pipeline."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
        return clean | self.env

    def command(self, name: str) -> list[str]:
        """What starts a service, `gateway.a` with its name as argument. A test of other commands overrides it."""
        service, dot, shard = name.partition(".")
        return [*PYTHON, f"services.{service}", *([shard] if dot else []), *self.arguments.get(name, ())]

    def start(self, name: str, **env: object) -> Process:
        """Start a service; it must not run. `env` are settings for this one process, by short name."""
        running = self.processes.get(name)
        assert running is None or running.poll() is not None, f"{name} runs already"
        extra = {f"IBSTREAM_{key.upper()}": str(value) for key, value in env.items()}
        command = [*self.prefix, *self.command(name)]
        process = self.processes[name] = start(command, self.environment() | extra, self.log_path(name))
        return process

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a service and wait for its end. Returns its exit code, negative for a signal."""
        process = self.processes[name]
        process.send_signal(number)
        return process.wait(STOP_SECONDS)

    def restart(self, name: str, number: int = signal.SIGKILL) -> None:
        self.kill(name, number)
        self.start(name)

    def stop(self) -> dict[str, int]:
        """SIGTERM to all at once, as Ctrl-C does. Returns the exit codes; fails when one takes too long."""
        running = {name: process for name, process in self.processes.items() if process.poll() is None}
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        return {name: process.wait(max(0.01, deadline - time.monotonic())) for name, process in running.items()}

    def close(self) -> None:
        """End whatever still runs, gently first. Never fails."""
        RUNNING.discard(self)
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            for process in self.processes.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def alive(self) -> list[str]:
        return [name for name, process in self.processes.items() if process.poll() is None]

    # --- what it says and writes ---

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        path = self.log_path(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self, lines: int = 40) -> str:
        """The tail of every service's output."""
        parts = []
        for name, process in self.processes.items():
            tail = "\n".join(self.log(name).splitlines()[-lines:])
            parts.append(f"--- {name} (pid {process.pid}, exit code {process.poll()})\n{tail}")
        return "\n".join(parts)

    def ask(self, message: AnyMessage, endpoint: str = SUPERVISOR_CONTROL, timeout: float = 10.0) -> AnyMessage:
        """Send a command. Raises IbStreamError."""
        return request(self.settings, endpoint, message, timeout=timeout)

    def status(self) -> Status | None:
        """What the supervisor says now; None while it does not answer."""
        try:
            reply = self.ask(GetStatus(), timeout=2.0)
        except IbStreamError:
            return None
        assert isinstance(reply, StatusReply)
        return reply.status

    def status_file(self) -> dict[str, Any] | None:
        return self._read("_status.json")

    def quote(self, symbol: str) -> dict[str, Any] | None:
        """The symbol's file, or None while there is none."""
        return self._read(file_name(symbol))

    def await_status(self, word: str, reason: str | None = None, timeout: float = 30.0) -> Status:
        """Wait until the supervisor says `word` (and `reason`, when one is given)."""
        seen: list[tuple[str, str | None, str | None]] = []

        def probe() -> Status | None:
            status = self.status()
            if status is None:
                return None
            seen[:] = [(status.status, status.reason, status.message)]
            return status if status.status == word and reason in (None, status.reason) else None

        try:
            status = eventually(probe, timeout)
        except AssertionError:
            raise AssertionError(f"no status {word} {reason or ''} within {timeout} s; last: {seen}") from None
        assert status is not None
        return status

    def blocks(self, stream: str) -> list[Block]:
        """All blocks of a stream, from its journal's files."""
        with JournalReader(self.settings.journal_dir, stream) as reader:
            return [decode_block(stream, row.payload) for row in reader.blocks()]

    def link_events(self) -> list[LinkEvent]:
        """All events of the link's stream, from its journal's files; what was read once is not read again."""
        with JournalReader(self.settings.journal_dir, LINK) as reader:
            for row in reader.blocks(self._link_seq + 1):
                block = decode_block(LINK, row.payload)
                assert isinstance(block, EventBlock)
                self._link_events += block.events
                self._link_seq = row.last_seq
        return list(self._link_events)

    def cli(self, *arguments: str, timeout: float = 30.0, **env: object) -> "subprocess.CompletedProcess[str]":
        """Run `ibstream ARGUMENTS` with the pipeline's settings, to its end."""
        extra = {f"IBSTREAM_{key.upper()}": str(value) for key, value in env.items()}
        command = [*self.prefix, *PYTHON, "services.cli.app", *arguments]
        return run(command, self.environment() | {"COLUMNS": "120", "NO_COLOR": "1"} | extra, timeout)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads((self.data / "ib" / "stream" / name).read_bytes())
        except FileNotFoundError:
            return None
        return content
