"""Asks, beside the running connection, whether another endpoint answers a version handshake.

A thread of its own with a deadline, because it may hang. It never sends startApi: that would take the
client id away from the connection that runs.
"""

import select
import threading
import time

from services.gateway.core.interface import EndpointSeen
from services.gateway.wire.connection import LinkClosed, Stage, open_any
from services.gateway.wire.official_client import NEWEST_VERSION, OLDEST_VERSION


class Probe:
    """One question to one endpoint; `finished` holds the answer once it is there, at the latest at the deadline."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.finished: EndpointSeen | None = None
        self._host, self._port, self._timeout = host, port, timeout
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(0.5)

    def _run(self) -> None:
        try:
            version = self._ask()
            self.finished = EndpointSeen(self._host, self._port, True, f"server version {version}")
        except LinkClosed as error:
            self.finished = EndpointSeen(self._host, self._port, False, str(error))

    def _ask(self) -> int:
        deadline = time.monotonic() + self._timeout
        connection = open_any(self._host, self._port, OLDEST_VERSION, NEWEST_VERSION, self._timeout)
        try:
            while connection.stage is not Stage.OPEN:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LinkClosed("timeout", "no version answer")
                writing = [connection.fd] if connection.wants_write else []
                select.select([connection.fd], writing, [], min(left, 0.2))
                if connection.connected():
                    connection.flush()
                    connection.receive()
            return connection.server_version
        finally:
            connection.close()
