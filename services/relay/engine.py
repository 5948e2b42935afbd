"""The connection to NATS, in a thread of its own with an asyncio loop: made anew for ever, a stream a task.

Used by service.py. The main loop calls `start`, `offer`, `heard` and `close`; everything else happens on the
engine's thread. `problems` says what is wrong meanwhile; a task that failed is tried again every second.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from messages.errors import IbStreamError
from services.relay.names import Trouble, subject

log = structlog.get_logger()

RETRY_SECONDS = 1.0
CONNECT_SECONDS = 3
PING_SECONDS = 5  # two unanswered pings, and the connection is given up
CLOSE_SECONDS = 2.0

Connection = Any  # nats.aio.client.Client: an optional dependency, not typed


class Relayed(Protocol):
    """One stream, one way."""

    stream: str

    async def run(self, connection: Connection) -> None:
        """Relay until cancelled. Raises Trouble, errors of NATS, TimeoutError; then it is run again."""

    def wake(self) -> None: ...


class Engine:
    def __init__(
        self, url: str, tasks: list[Relayed], take_values: list[str], on_value: Callable[[str, bytes], Awaitable[None]]
    ) -> None:
        """`take_values` are topics to subscribe to; each of their values is given to `on_value`.

        Raises IbStreamError `invalid_setting` when the library for NATS is not installed.
        """
        try:
            import nats
        except ImportError:
            raise IbStreamError(
                "invalid_setting", "the relay needs the library for NATS: pip install '.[nats]' in the checkout"
            ) from None
        self._nats = nats
        self._url = url
        self._tasks = tasks
        self._take_values = take_values
        self._on_value = on_value
        self._offered: dict[str, bytes] = {}  # the newest value of each topic that is to go out
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)
        self._main: asyncio.Task[None] | None = None
        self._value_event = asyncio.Event()
        self.problems: dict[str, str] = {"connection": f"not connected to {without_secret(url)} yet"}
        self.connects = 0

    # --- for the main loop ---

    def start(self) -> None:
        self._thread.start()

    def offer(self, topic: str, payload: bytes) -> None:
        """Send a last value; a newer one of the same topic takes its place while there is no connection."""
        with self._lock:
            self._offered[topic] = payload
        self._soon(self._value_event.set)

    def heard(self) -> None:
        """There may be something new to send."""
        for task in self._tasks:
            self._soon(task.wake)

    def close(self) -> None:
        if self._main is not None:
            self._soon(self._main.cancel)
        self._thread.join(CLOSE_SECONDS)

    def _soon(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(call)

    # --- on the engine's thread ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._connect_for_ever())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.close()

    async def _connect_for_ever(self) -> None:
        while True:
            try:
                await self._one_connection()
                problem = "the connection was lost"
            except (TimeoutError, OSError, self._nats.errors.Error) as error:
                problem = f"{type(error).__name__} {error}".strip()
            self._say("connection", f"NATS at {without_secret(self._url)}: {problem}")
            await asyncio.sleep(RETRY_SECONDS)

    async def _one_connection(self) -> None:
        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            log.debug("nats", error=str(error))

        connection = await self._nats.connect(
            self._url,
            name="ibstream-relay",
            allow_reconnect=False,  # a new connection begins with a look at where both sides are
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            closed_cb=on_closed,
            error_cb=on_error,
        )
        running: list[asyncio.Task[None]] = []
        try:
            for topic in self._take_values:
                await connection.subscribe(subject(topic), cb=self._value_handler(topic))
            running = [asyncio.create_task(self._keep(task, connection)) for task in self._tasks]
            running.append(asyncio.create_task(self._send_values(connection)))
            self._say("connection", None)
            self.connects += 1
            await closed.wait()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.close(), CLOSE_SECONDS / 2)

    async def _keep(self, task: Relayed, connection: Connection) -> None:
        while not connection.is_closed:
            try:
                self._say(task.stream, None)
                await task.run(connection)
            except Trouble as trouble:
                self._say(task.stream, f"{task.stream}: {trouble}")
            except (TimeoutError, OSError, self._nats.errors.Error) as error:
                log.info("relay_tried_again", stream=task.stream, error=f"{type(error).__name__} {error}".strip())
                self._say(task.stream, f"{task.stream}: NATS: {error or type(error).__name__}")
            except IbStreamError as error:
                self._say(task.stream, f"{task.stream}: {error.message}")
            except Exception as error:
                log.exception("relay_failed", stream=task.stream)
                self._say(task.stream, f"{task.stream}: {type(error).__name__} {error}".strip())
            await asyncio.sleep(RETRY_SECONDS)

    def _value_handler(self, topic: str) -> Callable[[Any], Awaitable[None]]:
        async def handle(message: Any) -> None:
            await self._on_value(topic, message.data)

        return handle

    async def _send_values(self, connection: Connection) -> None:
        while True:
            await self._value_event.wait()
            self._value_event.clear()
            with self._lock:
                offered, self._offered = self._offered, {}
            for topic, payload in offered.items():
                await connection.publish(subject(topic), payload)

    def _say(self, about: str, problem: str | None) -> None:
        before = self.problems.pop(about, None)
        if problem is not None:
            self.problems[about] = problem
        if problem != before:
            log.info("relay", about=about, problem=problem)


def without_secret(url: str) -> str:
    """A URL less what stands before its @."""
    scheme, sep, rest = url.rpartition("://")
    return scheme + sep + rest.rpartition("@")[2]
