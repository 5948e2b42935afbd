"""A process that plays an IB gateway to one client after another: handshake, ready messages, then a burst.

    with Feeder(frames=100_000) as port: ...

The burst starts when the client asks for the current time, and ends with a tickSnapshotEnd.
"""

import multiprocessing
import socket
import struct
from multiprocessing.synchronize import Event
from types import TracebackType

from tests.benchmarks.burst import END, FIRST_REQUEST, SERVER_VERSION, burst, frame

START_API, ASK_TIME = b"71", b"49"


class Feeder:
    """The feeder's process; entering gives its port."""

    def __init__(self, frames: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ready, self._port = context.Event(), context.Value("i", 0)
        self._process = context.Process(target=_serve, args=(frames, self._port, self._ready), daemon=True)

    def __enter__(self) -> int:
        self._process.start()
        assert self._ready.wait(60)
        return int(self._port.value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


def _serve(frames: int, port: "multiprocessing.sharedctypes.Synchronized[int]", ready: Event) -> None:
    data = burst(frames) + END
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.value = server.getsockname()[1]
        ready.set()
        while True:
            client, _ = server.accept()
            with client:
                try:
                    _play(client, data)
                except OSError:
                    continue  # the client has gone: its time was up


def _play(client: socket.socket, data: bytes) -> None:
    stream = client.makefile("rb")
    stream.read(4)  # `API\0`
    _read(stream)
    client.sendall(frame(SERVER_VERSION, "20260105 09:30:00 EST"))
    while message := _read(stream):
        kind = message.partition(b"\0")[0]
        if kind == START_API:
            client.sendall(frame(15, 1, "DU1234567") + frame(9, 1, FIRST_REQUEST))
        elif kind == ASK_TIME:
            client.sendall(data)


def _read(stream: "socket.SocketIO") -> bytes:
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""
