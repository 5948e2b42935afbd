"""A workbench for one real service: its settings in a folder of its own, and stand-ins for the services around it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import zmq

from messages.codec import encode
from messages.events import AnyEvent
from messages.topics import events_endpoint, heartbeat_topic, streams, writer_of
from messages.views import Heartbeat
from services.base import settings as settings_module
from services.base.run_dir import prepare_run_dir
from services.runtime.bus import Publisher, Subscriber
from tests.blocks import NOW, TestWriter, Tick
from tests.support import eventually

T = TypeVar("T")


class Bench:
    """Environment, processes and sockets of one test; `close` ends all of it."""

    def __init__(self, root: Path, **env: str) -> None:
        self.env = {"IBSTREAM_DATA_ROOT": str(root), "IBSTREAM_HEARTBEAT_INTERVAL": "0.1", **env}
        self.settings = settings_module.load(self.env)
        prepare_run_dir(self.settings)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.fakes: dict[str, FakeService] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self._closers: list[Callable[[], None]] = []

    def fake(self, name: str) -> "FakeService":
        service = self.fakes[name] = FakeService(self, name)
        return service

    def spawn(self, service: str, preexec: Callable[[], None] | None = None, **env: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"],
            env=clean_environment() | self.env | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=preexec,
        )
        self.processes.append(process)
        return process

    def subscribe(self, service: str, *topics: str) -> Subscriber:
        subscriber = Subscriber(self.context, self.settings, [events_endpoint(service)], topics)
        self._closers.append(subscriber.close)
        return subscriber

    def until(self, probe: Callable[[], T], timeout: float = 20.0, message: str = "") -> T:
        """As `eventually`, with the stand-ins alive meanwhile."""

        def pumped() -> T:
            self.pump()
            return probe()

        return eventually(pumped, timeout, message)

    def pump(self) -> None:
        for service in self.fakes.values():
            service.pump()

    def close(self) -> None:
        for process in self.processes:
            end(process)
        for closer in self._closers:
            closer()
        for service in self.fakes.values():
            service.close()
        self.context.term()


class FakeService:
    """Writes its streams, publishes them, and beats, as the real one would. Call `pump` often."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name
        self.publisher = Publisher(bench.context, bench.settings, events_endpoint(name))
        self.writers = {
            stream: TestWriter(bench.settings.journal_dir, stream, NOW)
            for stream in streams(bench.settings.gateway_names)
            if writer_of(stream) == name
        }
        self.beating = True
        self.deaf = False  # writes to the journal and publishes nothing
        self._beat_at = 0.0

    def ticks(self, rows: list[Tick], at: int = NOW) -> None:
        self.publish("ticks", self.writers["ticks"].ticks(rows, at))

    def events(self, stream: str, *listed: AnyEvent, at: int = NOW) -> None:
        self.publish(stream, self.writers[stream].events(*listed, time=at))

    def plan(self, symbols: list[str], at: int = NOW, *, started: bool = True) -> None:
        payload = self.writers["plan"].plan(symbols, at, started=started)
        if not self.deaf:
            self.publisher.set_last("plan", payload)

    def publish(self, topic: str, payload: bytes) -> None:
        if not self.deaf:
            self.publisher.send(topic, payload)

    def pump(self) -> None:
        self.publisher.on_readable()
        if not self.beating or time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + 0.1
        beat = Heartbeat(
            service=self.name,
            pid=os.getpid(),
            time=time.time_ns(),
            started_at=NOW,
            interval=0.1,
            loop_lag_ms=0.0,
            heads={stream: writer.journal.head for stream, writer in self.writers.items()},
        )
        self.publisher.set_last(heartbeat_topic(self.name), encode(beat))

    def close(self) -> None:
        self.publisher.close()
        for writer in self.writers.values():
            writer.close()


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of ibstream that a developer may have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}


def end(process: "subprocess.Popen[str]", number: int = signal.SIGTERM, timeout: float = 10.0) -> str:
    """Stop a process that the test started; returns what it printed."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    except ValueError:  # it was ended, and its output read, before
        return ""
