"""The connections of an endpoint: one that is ended comes in again by the handshake, and no other is touched."""

import socket
from pathlib import Path
from typing import Any

import zmq

from services.runtime.connections import ConnectionMonitor
from tests.support import eventually


class House:
    """A publisher with the monitor of its connections, and its readers."""

    def __init__(self, address: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._sockets: list[Any] = []
        self.publisher = self._socket(zmq.XPUB)
        self.connections = ConnectionMonitor(self.publisher)
        self.publisher.bind(address)

    def reader(self) -> Any:
        made = self._socket(zmq.SUB)
        made.setsockopt(zmq.SUBSCRIBE, b"")
        made.setsockopt(zmq.RECONNECT_IVL, 20)
        made.connect(self.publisher.getsockopt_string(zmq.LAST_ENDPOINT))
        return made

    def _socket(self, kind: int) -> Any:
        made = self._context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        self._sockets.append(made)
        return made

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *_: object) -> None:
        self.connections.close()
        for one in self._sockets:
            one.close()
        self._context.term()


def hears(publisher: Any, *readers: Any) -> None:
    def all_hear() -> bool:
        publisher.send(b"here")
        return all(one.poll(20) for one in readers)

    eventually(all_hear)


def test_who_is_shown_out_is_gone_and_comes_again() -> None:
    with House("tcp://127.0.0.1:*") as house:
        readers = [house.reader() for _ in range(3)]
        hears(house.publisher, *readers)
        house.connections.disconnect_all()

        def gone() -> bool:
            house.connections.drain()
            return house.connections.left == len(readers)

        eventually(gone)
        for one in readers:
            while one.poll(0):
                one.recv()
        hears(house.publisher, *readers)


def test_a_number_that_became_anothers_is_left_alone() -> None:
    """ZeroMQ closed a connection, and the process opened another one under its number."""
    with (
        House("tcp://127.0.0.1:*") as house,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as mine,
        server.accept()[0] as theirs,
    ):
        house.connections._inside |= {mine.fileno(), theirs.fileno(), 9_999}
        house.connections.disconnect_all()
        mine.sendall(b"still")
        assert theirs.recv(5) == b"still"
        theirs.sendall(b"open")
        assert mine.recv(4) == b"open"


def test_local_readers_are_not_asked_for_keys(tmp_path: Path) -> None:
    with House(f"ipc://{tmp_path}/events") as house:
        local = house.reader()
        hears(house.publisher, local)
        house.connections.disconnect_all()
        hears(house.publisher, local)
        house.connections.drain()
        assert house.connections.left == 0
