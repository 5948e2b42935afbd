"""Limits on HTTP connections, so that whoever only connects takes nothing from those who ask.

A request's head must be whole within HEAD_SECONDS and its body within BODY_SECONDS, or the connection ends. There
are fewer connections than files may be open; one too many is closed at once, and that is logged once a minute.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Any, Final

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger()

HEAD_SECONDS: Final = 10.0  # from the connection, or the first byte of a further request
BODY_SECONDS: Final = 30.0
MAX_CONNECTIONS: Final = 4096
FILES: Final = 8192  # open files asked for, where the system lets us
RESERVED: Final = 256  # files for everything else, and for connections that are accepted and not yet counted
LOG_SECONDS: Final = 60.0

_WAITED_FOR: Final = {h11.IDLE: HEAD_SECONDS, h11.SEND_BODY: BODY_SECONDS}


def most_connections() -> int:
    """How many connections there may be; raises the limit of open files as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        soft = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = FILES if soft == resource.RLIM_INFINITY else soft
    return max(16, min(MAX_CONNECTIONS, files - RESERVED))


class Refusals:
    """Counts refused connections, and tells of them once in LOG_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.total = 0
        self._clock = clock
        self._quiet_until = float("-inf")

    def add(self, why: str) -> None:
        self.total += 1
        if self._clock() >= self._quiet_until:
            self._quiet_until = self._clock() + LOG_SECONDS
            log.warning("connections_refused", why=why, so_far=self.total)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio's exception handler: running out of files is told as a refusal, not with a trace for each."""
        if "socket.accept()" in str(context.get("message", "")):
            self.add("this process or the system has no more files to open")
        else:
            loop.default_exception_handler(context)


def protocol(most: int, refusals: Refusals) -> type[asyncio.Protocol]:
    """uvicorn's protocol with these limits: at most so many connections at once."""

    class Limited(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None
        _waits_in: Any = None  # the parser's state that the deadline is for

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                refusals.add(f"{most} connections are open, and no more may be")
                transport.abort()
                return
            self._await_request()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._await_request()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_waiting()

        def _await_request(self) -> None:
            """A deadline for what the client has begun; a new one when the parser's state is another."""
            state = self.conn.their_state
            if state is self._waits_in:
                return
            self._stop_waiting()
            seconds = _WAITED_FOR.get(state)
            if seconds is not None and not self.transport.is_closing():
                self._waits_in = state
                self._deadline = self.loop.call_later(seconds, self.transport.abort)

        def _stop_waiting(self) -> None:
            self._waits_in = None
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Limited
