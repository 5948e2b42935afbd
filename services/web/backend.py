"""What the endpoints stand on, in one place, so that a test can put in its own."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from messages.control import AnyMessage, Command
from messages.errors import IbStreamError
from messages.topics import SUPERVISOR_CONTROL
from services.base.clock import Clock
from services.base.settings import Settings
from services.runtime.bus import request
from services.web.chart import History
from services.web.events import Room
from services.web.hub import Hub
from services.web.ledger import Ledger

T = TypeVar("T")

MAX_COMMANDS = 8  # under way at once
COMMAND_SECONDS = 10.0


class Control(Protocol):
    async def __call__(self, command: Command) -> AnyMessage:
        """The supervisor's answer. Raises IbStreamError."""


class Backend(msgspec.Struct, kw_only=True):
    settings: Settings
    clock: Clock
    hub: Hub
    room: Room
    ledger: Ledger
    history: History
    control: Control

    def supervised(self) -> None:
        """Raises IbStreamError `supervisor_unreachable` while the supervisor is not heard."""
        if self.hub.status_json is None or self.hub.lost("supervisor", self.clock.monotonic()):
            raise IbStreamError("supervisor_unreachable", "the supervisor is not heard; is ibstream running?")


class SupervisorControl:
    """Commands to the supervisor, each on a thread of its own: an answer may take seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(MAX_COMMANDS)
        self._waiting: set[asyncio.Future[AnyMessage]] = set()
        self._closed = False

    async def __call__(self, command: Command) -> AnyMessage:
        async with self._slots:
            if self._closed:
                raise _ending()
            answer = in_thread(partial(request, self._settings, SUPERVISOR_CONTROL, command, timeout=COMMAND_SECONDS))
            self._waiting.add(answer)
            try:
                return await answer
            finally:
                self._waiting.discard(answer)

    def close(self) -> None:
        """Wait for no answer any more. Whether a command under way comes true, nobody here learns."""
        self._closed = True
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(_ending())


def _ending() -> IbStreamError:
    return IbStreamError("supervisor_unreachable", "the web service ends; `ibstream status` says what became of it")


def in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """The call's result, from a thread that does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=run, daemon=True).start()
    return future
