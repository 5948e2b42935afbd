"""The web service: a client of the bus on the service's loop, and an HTTP server on a thread beside it.

The two meet in one place: the newest frame of each topic, taken over by the server's loop ten times a second while a
page listens. So neither ever waits for the other, and what lies between them is bounded. While nobody listens, the bus
is read at leisure and quotes are left as they came; a request has what is new taken in before it is answered.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

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
from services.base.clock import DAY
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
LEISURE_SECONDS = 0.25  # the same while nobody listens
AWAKE_SECONDS = 1.0  # for which a request has the bus read at full pace
CATCH_UP_SECONDS = 0.2  # that a request waits for it at most
LOOK_SECONDS = 1.0  # between two looks at who is still heard, while nobody listens
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

    def take_words(self) -> dict[str, bytes]:
        """All but the quotes."""
        with self._lock:
            words = {topic: payload for topic, payload in self._frames.items() if not topic.startswith(QUOTE_PREFIX)}
            for topic in words:
                del self._frames[topic]
            return words


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
        self._awake_until = 0.0
        self._asked = asyncio.Event()

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
        app = create_app(backend)

        async def fresh(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._catch_up(backend)
            await app(scope, receive, send)

        return fresh

    def close(self) -> None:
        """Let event streams and commands end, so that the server can. Called on the service's thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the server ended by itself, and its loop with it
                self._loop.call_soon_threadsafe(self._leave)

    def _listen(self, candle: str, wanted: bool) -> None:
        self._service.call_soon(partial(self._service.listen, CANDLE_PREFIX + candle, wanted=wanted))

    async def _pass_on(self, backend: Backend, *threads: Threads) -> None:
        clock, hub, room = backend.clock, backend.hub, backend.room
        while True:
            for kind in threads:
                kind.expire()
            at = clock.monotonic()
            awake = room.clients > 0 or at < self._awake_until or any(kind.busy for kind in threads)
            self._service.pace = TURN_SECONDS if awake else LEISURE_SECONDS
            frames = self._latest.take() if awake else self._latest.take_words()
            if hub.apply(frames.items(), at, clock.now()):
                room.wake()
            if awake:
                await asyncio.sleep(STEP_SECONDS)
            else:
                self._asked.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._asked.wait()

    async def _catch_up(self, backend: Backend) -> None:
        """Before a request is answered: take in what has come on the bus, unless that is done all the time."""
        clock = backend.clock
        listens = clock.monotonic() < self._awake_until - AWAKE_SECONDS / 2 or backend.room.clients > 0
        if not listens:
            await self._take_in(backend)
        self._awake_until = clock.monotonic() + AWAKE_SECONDS  # not before: another request may come meanwhile
        self._asked.set()

    async def _take_in(self, backend: Backend) -> None:
        """What has come on the bus by now."""
        clock = backend.clock
        assert self._loop is not None
        drained, loop = asyncio.Event(), self._loop

        def drain() -> None:
            self._service.drain()
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(drained.set)

        self._service.call_soon(drain)
        with suppress(TimeoutError):  # the service's loop is held up: what is known is shown, with its times
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await drained.wait()
        if backend.hub.apply(self._latest.take().items(), clock.monotonic(), clock.now()):
            backend.room.wake()


def _some_days_ago(service: Service, stream: str) -> Cursor | None:
    """Where to begin to follow a stream whose far past does not matter; None: at its beginning."""
    with JournalReader(service.settings.journal_dir, stream) as reader:
        seq = reader.seq_at(service.clock.now() - DAYS * DAY)
        before = next(iter(reader.read(seq - 1, 1)), None) if seq > 1 else None
    return None if before is None or before.last_seq != seq - 1 else Cursor(before.epoch, before.last_seq)
