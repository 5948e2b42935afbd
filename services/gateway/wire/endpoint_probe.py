"""Asks, beside the running connection, whether another endpoint answers a version handshake.

It blocks, so it runs on a thread. It never sends startApi: that would take the client id away from the connection
that runs.
"""

import select
import time

from services.gateway.wire.connection import LinkClosed, Stage, open_any
from services.gateway.wire.official_client import NEWEST_VERSION, OLDEST_VERSION


def probe(host: str, port: int, timeout: float) -> bool:
    """Whether it completes one. Takes `timeout` seconds at most, and a name lookup."""
    deadline = time.monotonic() + timeout
    try:
        connection = open_any(host, port, OLDEST_VERSION, NEWEST_VERSION, timeout)
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
        finally:
            connection.close()
    except LinkClosed:
        return False
    return True
