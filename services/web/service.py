"""The web service: a client of the bus on the service's loop, and an HTTP server on a thread beside it.

The two meet in one place: the newest frame of each topic, taken over by the server's loop ten times a second.
So neither ever waits for the other, and what lies between them is bounded.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
import structlog
from starlette.types import ASGIApp

from messages.codec import decode_candle
from messages.errors import IbStreamError
from messages.topics import (
    CANDLE_PREFIX,
    CONTROL,
    HEARTBEAT_PREFIX,
    LINK,
    PLAN,
    PLANNER_CONTROL,
    QUOTE_PREFIX,
    SIDE_SERVICES,
    STATUS,
    SUPERVISOR_CONTROL,
    sharded,
)
from services.base.clock import SECOND
from services.journal import JournalReader
from services.journal.cursor import Cursor
from services.runtime.process import Service
from services.web.app import create_app
from services.web.backend import COMMAND_SECONDS, READ_MARGIN, Backend, ServiceControl, Threads, reading
from services.web.chart import History
from services.web.events import Room
from services.web.hub import Hub
from services.web.ledger import DAYS, Ledger
from services.web.server import WebServer, bind

log = structlog.get_logger()

TURN_SECONDS = 0.02  # between two drains of the bus, under load
BIND_SECONDS = 1.0  # between two tries to have the page's address
STEP_SECONDS = 0.1  # between two looks at what came: the most that the page is behind for it


class LatestFrames:
    """The newest payload of each topic, from one thread to another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: dict[str, bytes] = {}

    def put(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._frames[topic] = payload

    def put_candle(self, topic: str, payload: bytes) -> None:
        """The newest of each candle: one that is over is not replaced by the next."""
        with suppress(msgspec.MsgspecError):
            self.put(f"{topic} {decode_candle(payload).start}", payload)

    def take(self) -> dict[str, bytes]:
        with self._lock:
            frames, self._frames = self._frames, {}
            return frames


def build(service: Service) -> None:
    settings = service.settings
    service.pace = TURN_SECONDS
    latest, ledger = LatestFrames(), Ledger()
    for topic in (STATUS, PLAN, QUOTE_PREFIX, HEARTBEAT_PREFIX):
        service.on_topic(topic, latest.put)
    service.on_demand(CANDLE_PREFIX, latest.put_candle)
    for gateway in settings.gateway_names:
        stream = sharded(LINK, gateway)
        forget = partial(ledger.forget_link, gateway)
        service.follow(stream, partial(ledger.apply, gateway=gateway), forget, _some_days_ago(service, stream))
    service.follow(CONTROL, ledger.apply, ledger.forget_control, _some_days_ago(service, CONTROL))
    runner = Runner(service, latest, ledger)
    page = Page(service, runner)
    service.on_close(page.close)
    service.every(BIND_SECONDS, page.turn)
    service.subscribe((*settings.services, *SIDE_SERVICES))


class Page:
    """The HTTP server, as soon as its address can be had. Until then the heartbeat, and with it the status, says
    why not: prices do not depend on the page."""

    def __init__(self, service: Service, runner: "Runner") -> None:
        self._service = service
        self._runner = runner
        self._server: WebServer | None = None

    def turn(self) -> None:
        """Serve, or look whether it is still served. Raises RuntimeError when the server ended by itself."""
        if self._server is None:
            self._open()
        elif not self._server.alive:
            raise RuntimeError("the HTTP server ended by itself") from self._server.failed

    def close(self) -> None:
        self._runner.close()
        if self._server is not None:
            self._server.close()

    def _open(self) -> None:
        service = self._service
        try:
            sock = bind(service.settings)
        except IbStreamError as error:
            if service.problem != error.message:
                log.error("page_not_served", code=error.code, message=error.message, then="tried every second")
            service.problem = error.message
            return
        service.problem = None
        self._server = WebServer(service.settings, sock, self._runner.start)
        self._server.start()


class Runner:
    """What lives on the server's event loop."""

    def __init__(self, service: Service, latest: LatestFrames, ledger: Ledger) -> None:
        self._service = service
        self._latest = latest
        self._ledger = ledger
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> ASGIApp:
        settings, clock = self._service.settings, self._service.clock
        instance = f"{self._service.started_at:x}"
        hub = Hub(settings.heartbeat_timeout, instance, clock.monotonic(), settings.good_for_seconds)
        control, read = ServiceControl(settings, SUPERVISOR_CONTROL, COMMAND_SECONDS), reading()
        planner = ServiceControl(settings, PLANNER_CONTROL, settings.database_timeout + READ_MARGIN)
        backend = Backend(
            settings=settings,
            clock=clock,
            hub=hub,
            room=Room(hub, self._listen),
            ledger=self._ledger,
            history=History(settings.journal_dir, self._ledger),
            control=control,
            planner=planner,
            read=read,
        )

        def leave() -> None:
            backend.room.close()
            control.close()
            planner.close()

        self._loop, self._leave = asyncio.get_running_loop(), leave
        self._tasks.append(asyncio.create_task(self._pass_on(backend, control.threads, planner.threads, read)))
        return create_app(backend)

    def close(self) -> None:
        """Let event streams and commands end, so that the server can. Called on the service's thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the server ended by itself, and its loop with it
                self._loop.call_soon_threadsafe(self._leave)

    def _listen(self, candle: str, wanted: bool) -> None:
        self._service.call_soon(partial(self._service.listen, CANDLE_PREFIX + candle, wanted=wanted))

    async def _pass_on(self, backend: Backend, *threads: Threads) -> None:
        clock = backend.clock
        while True:
            for kind in threads:
                kind.expire()
            frames = self._latest.take()
            if backend.hub.apply(frames.items(), clock.monotonic(), clock.now()):
                backend.room.wake()
            await asyncio.sleep(STEP_SECONDS)


def _some_days_ago(service: Service, stream: str) -> Cursor | None:
    """Where to begin to follow a stream whose far past does not matter; None: at its beginning."""
    with JournalReader(service.settings.journal_dir, stream) as reader:
        seq = reader.seq_at(service.clock.now() - DAYS * 86_400 * SECOND)
        before = next(iter(reader.read(seq - 1, 1)), None) if seq > 1 else None
    return None if before is None or before.last_seq != seq - 1 else Cursor(before.epoch, before.last_seq)
