"""A process that plays an IB gateway to one client after another: handshake, ready messages, then a burst.

    with Feeder(frames=100_000) as port: ...

In text, or with `protobuf` in that, at a server version of its time. The burst starts when the client asks for the
current time, and ends with a tickSnapshotEnd.
"""

import multiprocessing
import socket
import struct
from multiprocessing.synchronize import Event
from types import TracebackType

from tests import protobuf as wire
from tests.benchmarks.burst import (
    END,
    FIRST_REQUEST,
    PROTOBUF_END,
    PROTOBUF_VERSION,
    SERVER_VERSION,
    burst,
    frame,
    with_length,
)

START_API, ASK_TIME = (71, 271), (49, 249)


class Feeder:
    """The feeder's process; entering gives its port."""

    def __init__(self, frames: int, *, protobuf: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._ready, self._port = context.Event(), context.Value("i", 0)
        self._process = context.Process(target=_serve, args=(frames, protobuf, self._port, self._ready), daemon=True)

    def __enter__(self) -> int:
        self._process.start()
        assert self._ready.wait(60)
        return int(self._port.value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


def _serve(frames: int, protobuf: bool, port: "multiprocessing.sharedctypes.Synchronized[int]", ready: Event) -> None:
    data = burst(frames, protobuf=protobuf) + (PROTOBUF_END if protobuf else END)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.value = server.getsockname()[1]
        ready.set()
        while True:
            client, _ = server.accept()
            with client:
                try:
                    _play(client, data, protobuf)
                except OSError:
                    continue  # the client has gone: its time was up


def _play(client: socket.socket, data: bytes, protobuf: bool) -> None:
    stream = client.makefile("rb")
    stream.read(4)  # `API\0`
    _read(stream)
    client.sendall(frame(PROTOBUF_VERSION if protobuf else SERVER_VERSION, "20260105 09:30:00 EST"))
    greeting = frame(15, 1, "DU1234567") + frame(9, 1, FIRST_REQUEST)
    if protobuf:
        greeting = with_length(wire.message(15, (1, "DU1234567"))) + with_length(wire.message(9, (1, FIRST_REQUEST)))
    while message := _read(stream):
        kind = int.from_bytes(message[:4], "big") if protobuf else int(message.partition(b"\0")[0])
        if kind in START_API:
            client.sendall(greeting)
        elif kind in ASK_TIME:
            client.sendall(data)


def _read(stream: "socket.SocketIO") -> bytes:
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""
