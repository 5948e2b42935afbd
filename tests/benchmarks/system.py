"""The pipeline as it runs, on prices that come as told: services of `make run` behind an Exchange in place of IB."""

import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import psutil
import zmq

from messages.codec import decode_heartbeat
from messages.topics import HEARTBEAT_PREFIX, TICKS, events_endpoint
from messages.views import Heartbeat
from services.runtime.bus import Subscriber
from tests.benchmarks.exchange import Exchange
from tests.process.pipeline import Pipeline
from tests.support import eventually

SERVICES = ("gateway", "planner", "sink", "supervisor")


class System:
    """Services that stream `symbols` symbols. Nothing of its own happens meanwhile: no probes of silent symbols."""

    def __init__(self, symbols: int, services: Iterable[str] = SERVICES, **env: object) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ibs-bench-"))
        self._symbols = symbols
        self._names = [f"SIM{number + 1:04}" for number in range(symbols)]
        settings = {
            "api_mode": "ib",
            "ib_line_limit": max(symbols, 1),
            "max_symbols": max(symbols, 1),
            "ib_message_rate": 1000,
            "stale_after": 3600,
            "link_stale_after": 3600,
            "gap_fill": False,
            "log_level": "warning",
        }
        self.exchange = Exchange(symbols)
        self.pipeline = Pipeline(self._folder, services, settings | env)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._subscribers: list[Subscriber] = []

    def __enter__(self) -> "System":
        try:
            self._start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _start(self) -> None:
        self.exchange.__enter__()
        self.pipeline.env["IBSTREAM_IB_PORT"] = self.pipeline.env["IBSTREAM_SIM_PORT"] = str(self.exchange.port)
        self.pipeline.__enter__()
        eventually(self.pipeline.status, 60.0, "the supervisor answers")
        started = self.pipeline.cli("start", "--symbols", ",".join(self._names))
        assert started.returncode == 0, started.stderr
        self.exchange.await_lines(self._symbols, timeout=60 + self._symbols / 50)
        self.exchange.burst(50 * self._symbols)  # every symbol has had prices: the gateway has no more to say
        self.exchange.burst_sent()
        time.sleep(3.0)
        assert set(self.pipeline.alive()) == set(self.pipeline.services)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for subscriber in self._subscribers:
            subscriber.close()
        self._context.term()
        self.pipeline.__exit__(kind, error, trace)
        self.exchange.__exit__(kind, error, trace)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def symbols(self) -> list[str]:
        return self._names

    def subscribe(self, services: Iterable[str], topics: Iterable[str]) -> Subscriber:
        endpoints = [events_endpoint(service) for service in services]
        subscriber = Subscriber(self._context, self.pipeline.settings, endpoints, topics)
        self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.remove(subscriber)
        subscriber.close()

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each service so far."""
        return {name: sum(process.cpu_times()[:2]) for name, process in self._processes().items()}

    def memory(self) -> dict[str, float]:
        """Resident megabytes of each service."""
        return {name: process.memory_info().rss / 1e6 for name, process in self._processes().items()}

    def heartbeats(self, seconds: float = 1.5) -> dict[str, Heartbeat]:
        """The newest heartbeat of each service."""
        subscriber = self.subscribe(self.pipeline.services, [HEARTBEAT_PREFIX])
        newest, until = {}, time.monotonic() + seconds
        while time.monotonic() < until:
            subscriber.socket.poll(100)
            for topic, payload in subscriber.drain():
                newest[topic.removeprefix(HEARTBEAT_PREFIX)] = decode_heartbeat(payload)
        self.unsubscribe(subscriber)
        return newest

    def await_sink(self, seq: int, timeout: float = 30.0) -> None:
        """Wait until the sink has applied the ticks up to `seq`."""
        deadline = time.monotonic() + timeout
        while True:
            cursor = self.heartbeats(0.7)["sink"].cursors[TICKS]
            if cursor >= seq:
                return
            assert time.monotonic() < deadline, f"the sink is at {cursor}, the head is {seq}"

    def _processes(self) -> dict[str, psutil.Process]:
        return {name: psutil.Process(process.pid) for name, process in self.pipeline.processes.items()}
