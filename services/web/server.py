"""The HTTP server: uvicorn on a thread of its own, beside the service's loop.

The port is taken before the thread starts, so that a busy one is told in one sentence. `close` returns within two
seconds, with event streams open or not.
"""

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from messages.errors import IbStreamError
from services.base.settings import Settings
from services.web.limits import Refusals, most_connections, protocol

SEND_BUFFER = 256 << 10  # bytes in the kernel for a client that does not read; it would grow to megabytes
UNSENT_MS = 15_000  # after which the kernel ends a connection whose client takes nothing
GRACE_SECONDS = 1
BACKLOG = 512
ACCEPTED_AT_ONCE = 32  # connections in one turn of the loop; they are counted some turns later


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises IbStreamError `invalid_setting` naming address and port."""
    host, port = settings.web_host.strip("[]"), settings.web_port
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise IbStreamError("invalid_setting", f"IBSTREAM_WEB_HOST {host!r} is no address: {error}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # connections inherit both
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MS)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise IbStreamError(
            "invalid_setting",
            f"the page cannot be served on {host} port {port}: {error.strerror}; set IBSTREAM_WEB_PORT to another",
        ) from None
    return sock


class _Server(uvicorn.Server):
    """uvicorn's, less its looking ten times a second whether it shall end: it is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop = asyncio.get_running_loop()
        self._ends = asyncio.Event()

    async def main_loop(self) -> None:
        await self._ends.wait()

    def end(self) -> None:
        """May be called from any thread."""
        self.should_exit = True
        with suppress(RuntimeError):  # its loop has ended by itself
            self._loop.call_soon_threadsafe(self._ends.set)


def dated(app: ASGIApp) -> ASGIApp:
    """The app with the header `Date` on every answer, of the moment at which it begins."""

    async def with_date(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(time.time(), usegmt=True).encode()
                message = {**message, "headers": [(b"date", date), *message.get("headers", ())]}
            await send(message)

        await app(scope, receive, send_with_date)

    return with_date


class WebServer:
    """Serves what `start` builds on the event loop's thread, until `close`. `failed` says why it ended by itself."""

    def __init__(self, settings: Settings, sock: socket.socket, start: Callable[[], Awaitable[ASGIApp]]) -> None:
        self.failed: BaseException | None = None
        self._settings = settings
        self._sock = sock
        self._start = start
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._quiet()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._server is not None:
            self._server.end()
        if self._thread.ident is not None:
            self._thread.join(2 * GRACE_SECONDS)
        self._sock.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failed = error

    async def _serve(self) -> None:
        app = await self._start()
        loop = asyncio.get_running_loop()
        refusals = Refusals(loop.time)
        loop.set_exception_handler(refusals.on_loop_error)
        config = uvicorn.Config(
            dated(app),
            http=protocol(most_connections(), refusals),
            backlog=ACCEPTED_AT_ONCE,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            h11_max_incomplete_event_size=32 << 10,
        )
        self._server = _Server(config)
        ready = asyncio.create_task(self._announce(self._server))
        await self._server.serve(sockets=[self._sock])
        ready.cancel()

    async def _announce(self, server: uvicorn.Server) -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        self._sock.listen(BACKLOG)  # the loop made it as short as what it accepts at once
        sys.stdout.write(f"ibstream: open {self._settings.page_url}\n")
        sys.stdout.flush()

    @staticmethod
    def _quiet() -> None:
        """What uvicorn calls an error when an event client is let go, or when the process ends, is none; nor is
        what any client can make it say as often as it likes."""
        harmless = (
            "ASGI callable returned without completing",
            "Cancel ",
            "Invalid HTTP request received",
            "Unsupported upgrade request",
            "No supported WebSocket library",
        )
        logging.getLogger("uvicorn.error").addFilter(lambda record: not record.getMessage().startswith(harmless))
