"""A process that plays an IB gateway to our own: the simulator answers requests, and prices come as told, and fast.

    with Exchange(symbols=100) as exchange:
        exchange.await_lines(100)
        exchange.burst(100_000)

The simulator's core sends its contracts and first images; the ticks that are measured are sent from prepared
bytes, so that this process costs next to nothing.
"""

import multiprocessing
import select
import socket
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from services.simulator.core import Config, Core
from services.simulator.effects import Send
from tests.benchmarks.burst import PROTOBUF_VERSION, burst, frame

MARK_FIELD = 5  # last size: carries the number of a marked tick
ACCOUNT_LIMIT = 1_000_000


class Exchange:
    """The process; `port` is where it listens. Commands return when they are carried out."""

    def __init__(self, symbols: int, *, protobuf: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, symbols, protobuf), daemon=True)
        self.port = 0

    def __enter__(self) -> "Exchange":
        self._process.start()
        self.port = self._pipe.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def await_lines(self, lines: int, timeout: float = 120.0) -> None:
        """Wait until the gateway holds that many market data lines."""
        deadline = time.monotonic() + timeout
        while (held := self._ask("lines")) < lines:
            assert time.monotonic() < deadline, f"{held} of {lines} lines after {timeout} s"
            time.sleep(0.05)

    def prepare(self, frames: int) -> None:
        """Make the bytes of a burst ahead."""
        self._ask("prepare", frames)

    def burst(self, frames: int) -> float:
        """Send all at once. Returns the monotonic time at which it began; does not wait for its end."""
        began = time.perf_counter()
        self._pipe.send(("burst", frames))
        return began

    def burst_sent(self) -> float:
        """Wait until the burst was handed to the kernel; the time that took, seconds."""
        return float(self._pipe.recv())

    def stream(self, rate: int, seconds: float, pairs: int = 1) -> None:
        """Send `rate` marked ticks a second, evenly, in groups of `pairs` prices of one symbol with their sizes, but
        at most a thousand writes a second; in text. Returns when it begins."""
        self._ask("stream", rate, seconds, pairs)

    def stream_sent(self) -> list[int]:
        """Wait for the end of the stream. When tick number i was written: `perf_counter_ns`."""
        sent: list[int] = self._pipe.recv()
        return sent

    def _ask(self, *command: Any) -> Any:
        self._pipe.send(command)
        return self._pipe.recv()


def _serve(pipe: Connection, symbols: int, protobuf: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        pipe.send(server.getsockname()[1])
        while True:
            readable, _, _ = select.select([server, pipe], [], [])
            if pipe in readable:
                command = pipe.recv()
                pipe.send(0)  # nobody is connected: no lines; prepared when somebody is
                assert command[0] in ("lines", "prepare")
            if server in readable:
                client, _ = server.accept()
                with client:
                    try:
                        _Session(client, pipe, symbols, protobuf).run()
                    except OSError:
                        continue


class _Session:
    """One connection of a gateway."""

    def __init__(self, client: socket.socket, pipe: Connection, symbols: int, protobuf: bool) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        version = PROTOBUF_VERSION if protobuf else 176
        config = Config(symbols=symbols, server_version=version, line_limit=ACCOUNT_LIMIT, message_limit=ACCOUNT_LIMIT)
        self._protobuf = protobuf
        self._socket, self._pipe = client, pipe
        self._core = Core(config, time.time_ns())
        self._prepared: dict[int, bytes] = {}
        self._apply(self._core.handle_connected(1, time.time_ns()))

    def run(self) -> None:
        while True:
            readable, _, _ = select.select([self._socket, self._pipe], [], [])
            if self._socket in readable:
                data = self._socket.recv(1 << 16)
                if not data:
                    return
                self._apply(self._core.handle_bytes(1, data, time.time_ns()))
            if self._pipe in readable:
                name, *arguments = self._pipe.recv()
                self._pipe.send(getattr(self, f"_{name}")(*arguments))

    def _apply(self, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._socket.sendall(effect.data)

    def _requests(self) -> list[int]:
        return sorted(self._core.clients[1].subscriptions)

    def _lines(self) -> int:
        return len(self._core.clients[1].subscriptions)

    def _prepare(self, frames: int) -> int:
        self._prepared[frames] = burst(frames, requests=self._requests(), protobuf=self._protobuf)
        return 0

    def _burst(self, frames: int) -> float:
        data = self._prepared.get(frames) or burst(frames, requests=self._requests(), protobuf=self._protobuf)
        began = time.perf_counter()
        self._socket.sendall(data)
        return time.perf_counter() - began

    def _stream(self, rate: int, seconds: float, together: int) -> list[int]:
        """Marked ticks: a tickPrice and its tickSize, whose size is the pair's number."""
        requests = self._requests()
        total = int(rate * seconds / 2) // together * together
        pairs = [
            frame(1, 6, requests[n // together % len(requests)], 4, f"{100 + n % 50 / 100:.2f}", n + 1, 0)
            + frame(2, 6, requests[n // together % len(requests)], MARK_FIELD, n + 1)
            for n in range(total)
        ]
        sent: list[int] = []
        self._pipe.send(0)
        start = time.perf_counter()
        while len(sent) < total:
            time.sleep(0.001)
            due = min(total, int((time.perf_counter() - start) * rate / 2) // together * together)
            if due > len(sent):
                now = time.perf_counter_ns()
                self._socket.sendall(b"".join(pairs[len(sent) : due]))
                sent += [now] * (due - len(sent))
        return sent
