"""The loop around the core: listens on loopback, reads and writes sockets, turns the clock, writes statistics.

A client that does not read is dropped once `buffer` bytes wait for it; nothing ever waits for a client.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from services.base.clock import Clock, SystemClock
from services.base.files import replace_file
from services.simulator.core import Core
from services.simulator.effects import Close, Effect, Listen, Log, Send

log = structlog.get_logger()

TURN = 0.05  # seconds
STATS_EVERY = 1.0
CLOSE_WITHIN = 5.0
BUFFER = 16_000_000


class Server:
    """`on_turn` is called after every turn: the hook for heartbeats."""

    def __init__(self, core: Core, host: str, port: int, *, buffer: int = BUFFER, stats: Path | None = None,
                 port_file: Path | None = None, on_turn: Callable[[float], None] | None = None,
                 clock: Clock | None = None) -> None:  # fmt: skip
        self.core = core
        self.host, self.port = host, port
        self._clock = clock or SystemClock()
        self._buffer, self._stats, self._port_file = buffer, stats, port_file
        self._on_turn = on_turn
        self._listener: asyncio.Server | None = None
        self._connections: dict[int, Connection] = {}
        self._next_conn = 1
        self._waiting: list[Effect] = []
        self._stop = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        await self._listen(self.port)

    async def run(self) -> None:
        """Turn until `stop`. Call `start` first."""
        loop = asyncio.get_running_loop()
        due, stats_due, lag = loop.time() - TURN, loop.time(), 0.0  # the first turn at once: a scenario may have begun
        while not self._stop.is_set():
            due = max(due + TURN, loop.time() - TURN)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), max(0.0, due - loop.time()))
            late = max(0.0, loop.time() - due)
            lag = max(late, lag * 0.95)  # remembered for about a second: pacing is judged over one
            self.core.market.backlog = max((one.settle() for one in self._connections.values()), default=0)
            await self.apply(self.core.handle_turn(self._clock.now(), lag))
            if self.core.market.eager:
                due = loop.time() - TURN
            if self._on_turn is not None:
                self._on_turn(lag)
            if self._stats is not None and loop.time() >= stats_due:
                stats_due = loop.time() + STATS_EVERY
                self.write_stats()

    def stop(self) -> None:
        self._stop.set()

    async def close(self) -> None:
        """Close every socket and write the last statistics."""
        self._unlisten()
        for connection in list(self._connections.values()):
            connection.settle()
            connection.lost(connection.unsent(), "simulator stopped")
            connection.transport.abort()
        if self._stats is not None:
            self.write_stats()
        stats = self.core.stats
        log.info("stopped", ticks=stats.ticks, unsent=stats.unsent, clients=dict(stats.client_ids))

    # --- connections ---

    def connected(self, connection: "Connection") -> None:
        connection.conn = self._next_conn
        self._next_conn += 1
        self._connections[connection.conn] = connection
        self.apply_now(self.core.handle_connected(connection.conn, self._clock.now()))

    def received(self, connection: "Connection", data: bytes) -> None:
        self.apply_now(self.core.handle_bytes(connection.conn, data, self._clock.now()))

    def lost(self, connection: "Connection", unsent: int, reason: str) -> None:
        if self._connections.pop(connection.conn, None) is not None:
            self.core.handle_closed(connection.conn, self._clock.now(), unsent, reason)

    # --- effects ---

    def carry(self, action: Callable[[], None]) -> None:
        """Run something on the core from outside, now. What it asks of the listener happens in the next turn."""
        for effect in self.core.handle_call(action, self._clock.now()):
            if isinstance(effect, Listen):
                self._waiting.append(effect)
            else:
                self._apply(effect)

    async def apply(self, effects: list[Effect]) -> None:
        waiting, self._waiting = self._waiting, []
        for effect in [*waiting, *effects]:
            if isinstance(effect, Listen):
                await self._change_listener(effect)
            else:
                self._apply(effect)

    def apply_now(self, effects: list[Effect]) -> None:
        """Effects of a connection's event: these never change the listener."""
        for effect in effects:
            self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        if isinstance(effect, Log):
            log.info(effect.event, **effect.values)
            return
        assert not isinstance(effect, Listen)
        connection = self._connections.get(effect.conn)
        if connection is None:
            return
        if isinstance(effect, Close):
            connection.end(effect.abort)
            return
        connection.send(effect)
        waiting = connection.transport.get_write_buffer_size()
        if waiting > self._buffer:
            self.core.stats.slow += 1
            log.warning("client dropped: it does not read", conn=effect.conn, waiting_bytes=waiting)
            self.core.stats.note(effect.conn, "does not read")
            connection.lost(connection.unsent(), "does not read")
            connection.transport.abort()

    async def _change_listener(self, effect: Listen) -> None:
        self._unlisten()
        if not effect.on:
            return
        try:
            await self._listen(self.port if effect.port is None else effect.port)
        except OSError as error:  # somebody took the port meanwhile: try again in each turn
            if not self._waiting:
                log.warning("cannot listen", port=effect.port or self.port, reason=error.strerror)
            self._waiting.append(effect)
            return
        self.apply_now(self.core.handle_listening(self.port, self._clock.now()))

    async def _listen(self, port: int) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), self.host, port, family=family, reuse_address=True, backlog=128
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        log.info("listening", host=self.host, port=self.port)
        if self._port_file is not None:
            replace_file(self._port_file, f"{self.port}\n".encode())

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def counts(self) -> dict[str, Any]:
        return (
            self.core.stats.as_json(self._clock.now())
            | {"port": self.port, "pid": os.getpid()}
            | self.core.market.progress()
        )

    def unread(self) -> int:
        """The most bytes that wait for a client."""
        return max((one.transport.get_write_buffer_size() for one in self._connections.values()), default=0)

    def write_stats(self) -> None:
        if self._stats is not None:
            replace_file(self._stats, json.dumps(self.counts(), indent=1).encode())


class Connection(asyncio.Protocol):
    """One socket. Remembers its last sends, to say at the end how many ticks never left."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self.conn = 0
        self._sends: deque[tuple[int, int]] = deque()
        self._sent_bytes = 0
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connected(self)

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            self._server.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost(self.unsent(), "reset by the client" if exc else "closed by the client")

    def send(self, effect: Send) -> None:
        self._sent_bytes += len(effect.data)
        if effect.ticks:
            self._sends.append((self._sent_bytes, effect.ticks))
        self.transport.write(effect.data)
        self.settle()

    def settle(self) -> int:
        """Forget what has left this process; the bytes that have not."""
        waiting = self.transport.get_write_buffer_size()
        while self._sends and self._sends[0][0] <= self._sent_bytes - waiting:
            self._sends.popleft()
        return waiting

    def unsent(self) -> int:
        """Ticks of which at least a part was still in this process when it was last looked at, each turn. (The
        transport forgets its buffer when the connection breaks: that is too late to ask.)"""
        return sum(ticks for _, ticks in self._sends)

    def lost(self, unsent: int, reason: str) -> None:
        self._server.lost(self, unsent, reason)

    def end(self, abort: bool) -> None:
        self._ended = True
        if abort:
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.transport.close()  # waits for what is unsent: not for ever, if nobody reads
            asyncio.get_running_loop().call_later(CLOSE_WITHIN, self.transport.abort)
