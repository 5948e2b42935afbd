"""The door of an endpoint: counts who was turned away, and who left, as the socket's own monitor tells.

Used by bus.py for every endpoint that it binds; the counts go into the service's heartbeat. Lives on its
socket's thread.
"""

import contextlib
import sys

import zmq

REFUSALS = {
    int(zmq.Event.HANDSHAKE_FAILED_AUTH): "auth",  # a key that is not allowed in
    int(zmq.Event.HANDSHAKE_FAILED_PROTOCOL): "protocol",  # not ZeroMQ, or not with CURVE
    int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL): "incomplete",  # gone, or silent, before the handshake was done
}
LEFT = int(zmq.Event.DISCONNECTED)
MAX_DRAIN = 500


class Door:
    def __init__(self, watched: "zmq.Socket[bytes]") -> None:
        """`watched` must not be bound yet."""
        self._watched = watched
        self.refused = dict.fromkeys(REFUSALS.values(), 0)
        self.left = 0  # connections that ended, whoever ended them: an oversize frame ends one too
        address = f"inproc://door-{id(self)}"
        watched.monitor(address, LEFT | sum(REFUSALS))
        self.socket = watched.context.socket(zmq.PAIR)
        # Without a limit: ZeroMQ's own thread would wait for room, and whoever closes the socket for that thread.
        # What can pile up is what arrives at a door between two turns of the loop.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)

    def drain(self) -> None:
        """Call when `socket` is readable."""
        for _ in range(MAX_DRAIN):
            try:
                described, _endpoint = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            event = int.from_bytes(described[:2], sys.byteorder)
            if event in REFUSALS:
                self.refused[REFUSALS[event]] += 1
            elif event == LEFT:
                self.left += 1

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
