"""A gateway that follows a script, in a thread: what a real one does on its worst days, byte by byte.

Each accepted connection is handed to the next script of the list (the last one repeats). A script is a
function of a `Peer`. Loopback only.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

SERVER_VERSION = 176


def frame(*fields: object) -> bytes:
    payload = b"".join(str(field).encode() + b"\0" for field in fields)
    return struct.pack(">I", len(payload)) + payload


def tick_price(req_id: int, field: int, price: float, size: int) -> bytes:
    return frame(1, 6, req_id, field, price, size, 0)


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.requests: dict[str, int] = {}  # symbol -> request id of its market data request
        self._buffer = b""

    def handshake(self) -> None:
        """Version answer, then the two messages that make a client ready."""
        self.answer_versions(SERVER_VERSION)
        self.read_message()  # startApi
        self.sock.sendall(frame(15, 1, "DU0000001") + frame(9, 1, 1))

    def answer_versions(self, version: int) -> str:
        """Returns what the client offers, such as `v100..176`."""
        assert self._take(4) == b"API\0"
        offer = self.read_payload().decode()
        self.sock.sendall(frame(version, "20260105 09:30:00 EST"))
        return offer

    def read_payload(self) -> bytes:
        (size,) = struct.unpack(">I", self._take(4))
        return self._take(size)

    def read_message(self) -> list[str]:
        return self.read_payload().decode().split("\0")[:-1]

    def await_subscriptions(self, count: int) -> None:
        """Read until `count` market data requests came; answer nothing."""
        while len(self.requests) < count:
            fields = self.read_message()
            if fields[0] == "1":
                self.requests[fields[4]] = int(fields[2])

    def swallow(self) -> None:
        """Read and ignore until the client goes away."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the client went away")
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


class BadGateway:
    """Listens on a loopback port of its own; `connections` counts what it accepted, with times."""

    def __init__(self, *scripts: Callable[[Peer], None]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[float] = []
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
            self.connections.append(time.monotonic())
            self._open.append(sock)
            threading.Thread(target=self._play, args=(script, Peer(sock)), daemon=True).start()

    def _play(self, script: Callable[[Peer], None], peer: Peer) -> None:
        with contextlib.suppress(OSError):
            script(peer)
        with contextlib.suppress(OSError):
            peer.sock.close()

    def close(self) -> None:
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
