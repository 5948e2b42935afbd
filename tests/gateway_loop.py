"""The gateway's loop in this process, on a real socket, with journals in memory: for tests of what a conversation with
IB leaves behind, at the price of milliseconds.

    with GatewayLoop(tmp_path, [PlannedSymbol(...)], port) as gateway:
        gateway.run_until(lambda: gateway.quote("SPY"))
"""

import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, TypeVar

from messages.codec import decode_events, decode_ticks
from messages.events import LinkEvent, Plan, PlannedSymbol
from messages.ticks import Tick, ticks
from messages.views import PriceTime, Quote
from services.base.clock import Clock, SystemClock
from services.base.settings import load
from services.gateway.service import Gateway
from services.quotes.book import QuoteBook
from services.runtime.background import Background

T = TypeVar("T")


class MemoryJournal:
    def __init__(self, stream: str) -> None:
        self.stream, self.epoch, self.next_seq, self.time = stream, 1, 1, 0
        self.blocks: list[bytes] = []

    def append(self, payload: bytes, count: int, now: int) -> bool:
        self.blocks.append(payload)
        self.next_seq += count
        self.time = now
        return True

    def poll(self, now: float) -> None:
        """Nothing is buffered."""


class LoopService:
    """What the gateway needs of a `Service`: sockets and timers are served by `turn`."""

    def __init__(self, folder: Path, port: int, clock: Clock | None = None, **settings: object) -> None:
        env = {"IBSTREAM_DATA_ROOT": str(folder), "IBSTREAM_API_MODE": "ib", "IBSTREAM_IB_PORT": str(port)}
        env |= {f"IBSTREAM_{name.upper()}": str(value) for name, value in settings.items()}
        self.settings = load({"IBSTREAM_IB_BACKOFF_MAX": "0.5", "IBSTREAM_FLIGHT_RECORDER_MB": "0", **env})
        self.name = "gateway"
        self.pace = 0.0
        self.clock = clock or SystemClock()
        self.metrics: dict[str, float] = {}
        self.publisher = SimpleNamespace(send=lambda topic, payload: None)
        self.journals: dict[str, MemoryJournal] = {}
        self.source_heard: Callable[[], int] | None = None
        self.new_prices: Callable[[], dict[str, PriceTime]] = dict
        self.on_plan: Callable[[Any], None] = lambda plan: None
        self.close: Callable[[], None] = lambda: None
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._turn_ends: list[Callable[[], float]] = []
        self._readable: dict[int, Callable[[], None]] = {}
        self._writable: set[int] = set()
        self._calls: deque[Callable[[], None]] = deque()  # from other threads

    def journal(self, stream: str) -> MemoryJournal:
        return self.journals.setdefault(stream, MemoryJournal(stream))

    def follow(self, stream: str, apply: Callable[[Any], None], **_: object) -> None:
        self.on_plan = apply

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append((seconds, call))

    def each_turn(self, call: Callable[[], float]) -> None:
        self._turn_ends.append(call)

    def background(self, what: str, code: str, threads: int = 4) -> Background:
        return Background(what, code, self._calls.append, self.clock.monotonic, threads)

    def on_close(self, call: Callable[[], None]) -> None:
        self.close = call

    def on_readable(self, fd: int, call: Callable[[], None]) -> None:
        self._readable[fd] = call

    def on_writable(self, fd: int, wanted: bool) -> None:
        (self._writable.add if wanted else self._writable.discard)(fd)

    def forget(self, fd: int) -> None:
        self._readable.pop(fd, None)
        self._writable.discard(fd)

    def serve_replay(self) -> None:
        """Nobody asks."""

    def subscribe(self, services: Sequence[str]) -> None:
        """Plans are given by hand."""

    def beat(self) -> None:
        """Nobody listens."""

    def turn(self, wait: float = 0.01) -> None:
        ready, writable, _ = select.select(list(self._readable), list(self._writable), [], wait)
        for fd in {*ready, *writable}:
            if fd in self._readable:
                self._readable[fd]()
        while self._calls:
            self._calls.popleft()()
        for _, call in self._timers:
            call()
        for end in self._turn_ends:
            end()


class GatewayLoop:
    """A gateway with a plan of these symbols, connecting to a port of this host. Settings by their short name.
    `clock`: the one that it lives by, such as the simulated gateway's."""

    def __init__(
        self,
        folder: Path,
        planned: Sequence[PlannedSymbol],
        port: int,
        clock: Clock | None = None,
        **settings: object,
    ) -> None:
        self.service = LoopService(folder, port, clock, **settings)
        self._gateway = Gateway(self.service)  # type: ignore[arg-type]
        self.plan = Plan(1, 1, self.service.clock.now(), True, list(planned), allow_delayed=True)
        self.service.on_plan(self.plan)

    def __enter__(self) -> "GatewayLoop":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.close()

    def run_until(self, done: Callable[[], T], seconds: float = 10.0) -> T:
        """Serve the socket until `done()` gives something. Raises AssertionError at the deadline."""
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, f"{self.quotes()}\n{self.events()[-5:]}"
            self.service.turn()
        return found

    def run_for(self, seconds: float) -> None:
        """For what must not happen."""
        until = time.monotonic() + seconds
        self.run_until(lambda: time.monotonic() >= until)

    def ticks(self) -> list[Tick]:
        """What IB sent, as journalled."""
        blocks = map(decode_ticks, self.service.journal("ticks").blocks)
        return [tick for block in blocks for tick in ticks(block) if tick.field < 200]

    def events(self) -> list[LinkEvent]:
        blocks = map(decode_events, self.service.journal("link").blocks)
        return [event for block in blocks for event in block.events]  # type: ignore[misc]

    def quotes(self) -> dict[str, Quote]:
        """The fold of the journal."""
        book = QuoteBook()
        for block in map(decode_ticks, self.service.journal("ticks").blocks):
            book.apply(block)
        return {symbol: quote for symbol in book.symbols() if (quote := book.quote(symbol)) is not None}

    def quote(self, symbol: str) -> Quote | None:
        return self.quotes().get(symbol)
