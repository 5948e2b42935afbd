"""Server-sent events: the answer that never ends, one for each client.

A client here is a version that it has seen and one message under way: what is sent is worked out only when
its socket takes more, so a slow client gets fewer, larger steps, and one that takes nothing for STALL_SECONDS
is let go. Ends at once when the process stops.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.web.hub import Hub

log = structlog.get_logger()

MAX_CLIENTS = 1_000
STALL_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 3.0  # a comment after that much silence, so that both sides notice a dead line
RETRY_MS = 1_000  # the pause before a browser comes back
OPENING = b"retry: %d\n\n" % RETRY_MS
KEEP_ALIVE = b": still here\n\n"


class Room:
    """Who listens, and the call that wakes them all. Lives on the web's event loop."""

    def __init__(self, hub: Hub, listen: Callable[[str, bool], None] = lambda _candle, _wanted: None) -> None:
        """`listen` is called when somebody wants the candles `{interval}.{SYMBOL}`, and when nobody does any more."""
        self.hub = hub
        self._listen = listen
        self._listeners: Counter[str] = Counter()  # by candle
        self.clients = 0
        self.stalled = 0  # clients let go
        self.closing = False
        self._news = asyncio.Event()

    @property
    def full(self) -> bool:
        return self.clients >= MAX_CLIENTS

    def wake(self) -> None:
        """There is something new, or it is time to leave."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        self.closing = True
        self.wake()

    def want(self, candles: Iterable[str]) -> None:
        for candle in candles:
            self._listeners[candle] += 1
            if self._listeners[candle] == 1:
                self.hub.listen(candle, wanted=True)
                self._listen(candle, True)

    def leave(self, candles: Iterable[str]) -> None:
        for candle in candles:
            self._listeners[candle] -= 1
            if not self._listeners[candle]:
                del self._listeners[candle]
                self.hub.listen(candle, wanted=False)
                self._listen(candle, False)

    async def news(self) -> None:
        """Until something is new; at most KEEP_ALIVE_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                await self._news.wait()


class EventStream(Response):
    """The events after `version`, for ever; with the candles `{interval}.{SYMBOL}` that are asked for."""

    media_type = "text/event-stream"

    def __init__(self, room: Room, version: int, candles: frozenset[str] = frozenset()) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._room = room
        self._version = version
        self._candles = candles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        self._room.clients += 1
        self._room.want(self._candles)
        gone = asyncio.create_task(_disconnected(receive))
        talk = asyncio.create_task(self._talk(send))
        try:
            await asyncio.wait((gone, talk), return_when=asyncio.FIRST_COMPLETED)
            if talk.done():
                talk.result()
        finally:
            gone.cancel()
            talk.cancel()
            self._room.clients -= 1
            self._room.leave(self._candles)

    async def _talk(self, send: Send) -> None:
        room, hub = self._room, self._room.hub
        try:
            await self._send(send, OPENING)
            while not room.closing:
                # An empty part goes through when the socket takes more, and not before: only then is it worked
                # out what this client has missed.
                await self._send(send, b"")
                chunk = hub.with_candles(self._version, self._candles, hub.changes_since(self._version))
                self._version = hub.version
                if chunk:
                    await self._send(send, chunk)
                if hub.version == self._version:  # else something came while this client was slow to take it
                    await room.news()
                    if hub.version == self._version and not room.closing:
                        await self._send(send, KEEP_ALIVE)
            await self._send(send, b"", more=False)
        except TimeoutError:
            room.stalled += 1
            log.info("event_client_stalled", clients=room.clients)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(STALL_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
