"""Stands between IB clients and a gateway, passes every byte on as it came, and records what may be kept.

Back pressure goes through: a side that does not read holds the other one up, and nothing piles up here but one chunk a
direction and one unfinished frame. What cannot be recorded (garbage, a full file) is passed on all the same.
"""

import asyncio
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from services.base.clock import Clock
from services.simulator.protocol.wire import GREETING
from services.simulator.recording.capture import CaptureFile
from services.simulator.recording.scrub import Scrubber

CHUNK: Final = 1 << 16
MOST_FRAME: Final = 1 << 24  # bytes; a longer one ends the recording of its connection
MOST_CLIENTS: Final = 64
CONNECT_WITHIN: Final = 10.0  # seconds
_LENGTH: Final = struct.Struct(">I")


class Proxy:
    """`say` is told what a user wants to know: who came and went, and why nothing is recorded."""

    def __init__(self, gateway: tuple[str, int], file: CaptureFile, clock: Clock, say: Callable[[str], None]) -> None:
        self._gateway, self._file, self._clock, self._say = gateway, file, clock, say
        self._accounts: set[str] = set()
        self._legs = 0
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=CHUNK)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if len(self._open) > MOST_CLIENTS:
                self._say(f"a client was turned away: there are {MOST_CLIENTS}")
                return
            await self._pass_on(from_client, to_client)
        except asyncio.CancelledError:
            pass  # the end of the recording: what was open is closed below
        finally:
            self._open.discard(task)
            to_client.close()

    async def _pass_on(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        host, port = self._gateway
        try:
            connecting = asyncio.open_connection(host, port, limit=CHUNK)
            from_gateway, to_gateway = await asyncio.wait_for(connecting, CONNECT_WITHIN)
        except (OSError, TimeoutError) as error:
            why = os.strerror(error.errno) if error.errno else "it does not answer"
            self._say(f"no gateway at {host}:{port}: {why}")
            return
        self._legs += 1
        leg = Leg(self._legs, self._file, self._accounts, self._clock, self._say)
        self._say(f"connection {leg.number} begins")
        ends = {
            asyncio.create_task(_pump(from_client, to_gateway, leg.said_by_client)): "client",
            asyncio.create_task(_pump(from_gateway, to_client, leg.said_by_server)): "gateway",
        }
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            leg.ended(next(ends[one] for one in done))
        finally:
            for one in ends:
                one.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            to_gateway.close()
            leg.ended("recorder")
            self._say(f"connection {leg.number} ended")


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, tap: Callable[[bytes], None]) -> None:
    """Until either side ends."""
    with suppress(OSError):
        while data := await source.read(CHUNK):
            target.write(data)
            tap(data)  # raises nothing: whatever is said must be passed on
            await target.drain()


class Leg:
    """One connection: cuts both directions into frames and has them recorded. Raises nothing, whatever they are."""

    def __init__(
        self, number: int, file: CaptureFile, accounts: set[str], clock: Clock, say: Callable[[str], None]
    ) -> None:
        self.number = number
        self._file, self._accounts, self._clock, self._say = file, accounts, clock, say
        self._scrubber: Scrubber | None = None
        self._client, self._server = bytearray(), bytearray()
        self._greeted = False  # the client's greeting and its versions are behind us
        self._recording = True

    def said_by_client(self, data: bytes) -> None:
        if not self._recording:
            return
        self._client += data
        if not self._greeted and not self._take_greeting():
            return
        if self._scrubber is None:
            if len(self._client) > MOST_FRAME:
                self._give_up("the gateway does not answer the client's versions")
            return
        for payload in self._frames(self._client):
            self._keep(payload, from_server=False)

    def said_by_server(self, data: bytes) -> None:
        if not self._recording:
            return
        self._server += data
        for payload in self._frames(self._server):
            if self._scrubber is None:
                self._take_version(payload)
            else:
                self._keep(payload, from_server=True)

    def ended(self, by: str) -> None:
        """Told once."""
        if self._recording and self._scrubber is not None:
            self._file.disconnected(self.number, by, self._clock.now())
            self._file.flush()
        self._recording = False

    def _take_greeting(self) -> bool:
        """Past `API`, and the frame with the versions and whatever options the client adds to them."""
        if len(self._client) < len(GREETING) + _LENGTH.size:
            return False
        if not self._client.startswith(GREETING):
            self._give_up("it does not begin like an IB client")
            return False
        end = len(GREETING) + _LENGTH.size + _LENGTH.unpack_from(self._client, len(GREETING))[0]
        if end > MOST_FRAME:
            self._give_up("its greeting is no greeting")
        if not self._recording or len(self._client) < end:
            return False
        del self._client[:end]
        self._greeted = True
        return True

    def _take_version(self, payload: bytes) -> None:
        version = payload.split(b"\0")[0]
        if not version.isdigit() or len(version) > 6:
            self._give_up("the gateway answers no server version")
            return
        self._scrubber = Scrubber(int(version), self._accounts)
        self._file.connected(self.number, int(version), self._clock.now())
        self.said_by_client(b"")  # what it said too early

    def _keep(self, payload: bytes, from_server: bool) -> None:
        if self._scrubber is None or not self._recording:
            return
        kind, frame = self._scrubber.scrub(payload, from_server)
        self._file.message(self.number, from_server, kind, frame, self._clock.now())
        if self._file.ended:
            self._give_up(self._file.ended)

    def _frames(self, buffer: bytearray) -> list[bytes]:
        found: list[bytes] = []
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size > MOST_FRAME:
                self._give_up(f"a frame of {size} bytes")
                break
            if len(buffer) - at - _LENGTH.size < size:
                break
            found.append(bytes(buffer[at + _LENGTH.size : at + _LENGTH.size + size]))
            at += _LENGTH.size + size
        del buffer[:at]
        return found

    def _give_up(self, why: str) -> None:
        if self._recording:
            self._say(f"connection {self.number} is passed on and not recorded any more: {why}")
        self.ended("recorder")
        self._client.clear()
        self._server.clear()
