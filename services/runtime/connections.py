"""The connections of a bound socket, as ZeroMQ's own monitor tells of them: counts who was refused and who left, and
ends them all when each must prove itself anew.

Used by bus.py for every endpoint that it binds; the counts go into the service's heartbeat. Lives on its
socket's thread.
"""

import contextlib
import os
import socket
import sys

import zmq

REFUSALS = {
    int(zmq.Event.HANDSHAKE_FAILED_AUTH): "auth",  # a key that is not allowed in
    int(zmq.Event.HANDSHAKE_FAILED_PROTOCOL): "protocol",  # not ZeroMQ, or not with CURVE
    int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL): "incomplete",  # gone, or silent, before the handshake was done
}
CAME = int(zmq.Event.ACCEPTED)
LEFT = int(zmq.Event.DISCONNECTED)
MAX_DRAIN = 500
MAX_BACKLOG = 100_000  # events looked through before all are ended


class ConnectionMonitor:
    def __init__(self, watched: "zmq.Socket[bytes]") -> None:
        """`watched` must not be bound yet."""
        self._watched = watched
        self.refused = dict.fromkeys(REFUSALS.values(), 0)
        self.left = 0  # connections that ended, whoever ended them: an oversize frame ends one too
        self._inside: set[int] = set()  # file descriptors of the connections, as far as the monitor has told
        address = f"inproc://connections-{id(self)}"
        watched.monitor(address, CAME | LEFT | sum(REFUSALS))
        self.socket = watched.context.socket(zmq.PAIR)
        # Without a limit: ZeroMQ's own thread would wait for room, and whoever closes the socket for that thread.
        # What can pile up is what happens between two turns of the loop.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)

    def drain(self, most: int = MAX_DRAIN) -> None:
        """Call when `socket` is readable."""
        for _ in range(most):
            try:
                described, _endpoint = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = int.from_bytes(described[:2], sys.byteorder)
            if event in REFUSALS:
                self.refused[REFUSALS[event]] += 1
            elif event == CAME:
                self._inside.add(int.from_bytes(described[2:6], sys.byteorder))
            elif event == LEFT:
                self.left += 1
                self._inside.discard(int.from_bytes(described[2:6], sys.byteorder))

    def disconnect_all(self) -> None:
        """End every tcp connection that was accepted before this call. Honest clients are back within a second, by
        the handshake; what was published meanwhile they read from the journal.

        ZeroMQ cannot end one connection of a bound socket, and does not say which connection is whose; it hears
        of this as it does of a client that leaves.
        """
        self.drain(MAX_BACKLOG)
        endpoint = self._watched.getsockopt_string(zmq.LAST_ENDPOINT)
        if endpoint.startswith("tcp:"):
            for number in self._inside:
                _end(number, int(endpoint.rpartition(":")[2]))

    def close(self) -> None:
        """Call before the watched socket closes."""
        with contextlib.suppress(zmq.ContextTerminated):  # then it is disabled already
            self._watched.disable_monitor()
        self.socket.close()

    def metrics(self, endpoint: str) -> dict[str, float]:
        counts = {
            f'bus_refused_total{{endpoint="{endpoint}",reason="{why}"}}': float(count)
            for why, count in self.refused.items()
        }
        return counts | {f'bus_disconnected_total{{endpoint="{endpoint}"}}': float(self.left)}


def _end(number: int, port: int) -> None:
    """Shut the connection down if the descriptor is one to this port of ours. ZeroMQ may have closed it by now, and
    the number be another's: so it is doubled first, and what is looked at is what is shut."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
        if connection.getsockname()[1] == port:
            connection.shutdown(socket.SHUT_RDWR)
