"""What the endpoints stand on, in one place, so that a test can put in its own."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from messages.control import AnyMessage, Command, PlannerCommand
from messages.errors import IbStreamError
from services.base.clock import Clock
from services.base.settings import Settings
from services.runtime.background import Background
from services.runtime.bus import request
from services.web.chart import History
from services.web.events import Room
from services.web.hub import Hub
from services.web.ledger import Ledger

T = TypeVar("T")

MAX_COMMANDS = 8  # under way at once
COMMAND_SECONDS = 10.0
READ_MARGIN = 5.0  # beyond what a read of the database may take
MAX_READS = 4  # of the journal, at once
READ_SECONDS = 30.0


class Control(Protocol):
    async def __call__(self, command: Command | PlannerCommand) -> AnyMessage:
        """The service's answer. Raises IbStreamError."""


class Read(Protocol):
    def __call__(self, job: Callable[[], T]) -> Awaitable[T]:
        """The result of a job that may block. Raises what the job raises as IbStreamError."""


class Backend(msgspec.Struct, kw_only=True):
    settings: Settings
    clock: Clock
    hub: Hub
    room: Room
    ledger: Ledger
    history: History
    control: Control  # of the supervisor
    planner: Control
    read: Read

    def now(self) -> Hub:
        """The hub, with what time has done to it: this process may have been held up."""
        self.hub.apply((), self.clock.monotonic(), self.clock.now())
        return self.hub

    def supervised(self) -> None:
        """Raises IbStreamError `supervisor_unreachable` while the supervisor is not heard."""
        if self.hub.status_json is None or not self.hub.heard("supervisor"):
            raise IbStreamError("supervisor_unreachable", "the supervisor is not heard; is ibstream running?")


class Threads:
    """Jobs that may block, awaited on the server's loop: what a `Background` is for a service's loop. Made on it."""

    def __init__(self, what: str, code: str, threads: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._background = Background(what, code, loop.call_soon_threadsafe, loop.time, threads)
        self._seconds = seconds
        self._waiting: set[asyncio.Future[Any]] = set()
        self._closed: IbStreamError | None = None

    async def __call__(self, job: Callable[[], T]) -> T:
        """The job's result. Raises IbStreamError: the job's own, or one with this kind's code."""
        if self._closed is not None:
            raise self._closed
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        self._background.submit(job, partial(_settle, answer), self._seconds)
        try:
            return await answer
        finally:
            self._waiting.discard(answer)

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._waiting)

    def expire(self) -> None:
        """Give up what has overrun its time. Call a few times a second."""
        self._background.expire()

    def close(self, error: IbStreamError) -> None:
        """Wait for nothing any more: whoever awaits a job gets `error`."""
        self._closed = error
        self._background.close()
        for answer in self._waiting:
            _settle(answer, error)


def _settle(answer: asyncio.Future[T], outcome: T | IbStreamError) -> None:
    if answer.done():  # its client has left
        return
    if isinstance(outcome, IbStreamError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def reading() -> Threads:
    """For what endpoints read from the journal: a chart of a day takes a second or two."""
    return Threads("the journal's reader", "journal_unavailable", MAX_READS, READ_SECONDS)


class ServiceControl:
    """Commands to one service's endpoint: an answer may take seconds."""

    def __init__(self, settings: Settings, endpoint: str, seconds: float) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._seconds = seconds
        service = endpoint.partition(".")[0]
        self.threads = Threads(f"the {service}", f"{service}_unreachable", MAX_COMMANDS, seconds + 1.0)

    async def __call__(self, command: Command | PlannerCommand) -> AnyMessage:
        return await self.threads(partial(request, self._settings, self._endpoint, command, timeout=self._seconds))

    def close(self) -> None:
        """Wait for no answer any more. Whether a command under way comes true, nobody here learns."""
        words = "the web service ends; `ibstream status` says what became of it"
        self.threads.close(IbStreamError("supervisor_unreachable", words))
