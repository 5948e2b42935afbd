"""The way to TWS or IB Gateway until TCP is up: a name looked up, its addresses tried in turn; and probes.

Used by the gateway's loop, which nothing here holds up. When to dial, and again after what pause, the core decides
(link.py); a connection that is up belongs to whoever is told of it.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from messages.errors import IbStreamError
from services.gateway.wire.connection import Address, Connection, LinkClosed, resolve
from services.gateway.wire.endpoint_probe import probe
from services.gateway.wire.official_client import NEWEST_VERSION, OLDEST_VERSION
from services.runtime.process import Service

LOOKUP_SECONDS = 5.0  # more for a probe, whose handshake has a deadline of its own


class Dialler:
    """Makes one connection at a time. It ends with one call, of `opened` with the connection, or of `failed`."""

    def __init__(
        self, service: Service, opened: Callable[[Connection], None], failed: Callable[[LinkClosed], None]
    ) -> None:
        self._service = service
        self._seconds = service.settings.ib_connect_timeout
        self._opened = opened
        self._failed = failed
        self._connection: Connection | None = None  # until TCP is up
        self._addresses: list[Address] = []  # of this attempt, not tried yet
        self._next_at = 0.0  # monotonic: when the next one is tried though this one has not failed
        self._attempt = 0  # so that a late answer of a lookup is known for one
        self._lookups = service.background("the name lookup", "invalid_setting", threads=2)
        self._probes = service.background("the probe of the first gateway", "invalid_setting", threads=1)
        self._probing = False

    @property
    def connecting(self) -> bool:
        """TCP is on its way: `look` may find that it is up."""
        return self._connection is not None

    def dial(self, host: str, port: int) -> None:
        """Connect, and give up what is under way. Raises LinkClosed, and calls nothing, when that fails at once."""
        self.hang_up()
        try:
            addresses = resolve(host, port, numeric=True)
        except LinkClosed:  # it is a name
            answer = partial(self._looked_up, self._attempt)
            self._lookups.submit(partial(_look_up, host, port), answer, self._seconds)
        else:
            self._try(addresses)

    def hang_up(self) -> None:
        """Give up what is under way, without a call."""
        self._attempt += 1
        self._addresses = []
        self._let_go()

    def look(self) -> None:
        """See what has come of the connection, and try the next address when the time of this one is up. Call it
        several times a second while `connecting`: not every system wakes a poll for it."""
        if self._connection is not None:
            self._on_socket()
        hangs = self.connecting and self._service.clock.monotonic() > self._next_at
        if hangs and self._addresses and not self._try_next():
            self._failed(LinkClosed("unreachable", "no address of the gateway takes a connection"))

    def probe(self, host: str, port: int, then: Callable[[bool], None]) -> None:
        """Ask another endpoint for a version handshake: `then` is called with whether it completed one. While it is
        under way nothing comes of another call."""
        if self._probing:
            return
        self._probing = True

        def answered(up: bool | IbStreamError) -> None:
            self._probing = False
            then(up is True)

        self._probes.submit(partial(probe, host, port, self._seconds), answered, self._seconds + LOOKUP_SECONDS)

    def _looked_up(self, attempt: int, found: list[Address] | IbStreamError) -> None:
        """The name lookup of a connection has come to an end."""
        if attempt != self._attempt:
            return  # it was given up meanwhile
        try:
            if isinstance(found, IbStreamError):
                raise LinkClosed("unreachable", found.message)
            self._try(found)
        except LinkClosed as error:
            self._failed(error)

    def _try(self, addresses: list[Address]) -> None:
        """Connect to the first of them that takes a try; the others wait for it to fail. Raises LinkClosed."""
        while addresses:
            address, *addresses = addresses
            try:
                connection = Connection(address, OLDEST_VERSION, NEWEST_VERSION)
            except LinkClosed:
                if not addresses:
                    raise
                continue
            self._connection, self._addresses = connection, addresses
            self._next_at = self._service.clock.monotonic() + self._seconds / (len(addresses) + 1)
            self._service.on_readable(connection.fd, self._on_socket)
            self._service.on_writable(connection.fd, True)
            return

    def _try_next(self) -> bool:
        """The connection came to nothing. Whether there is another address that takes a try."""
        self._let_go()
        addresses, self._addresses = self._addresses, []
        with suppress(LinkClosed):
            self._try(addresses)
        return self.connecting

    def _on_socket(self) -> None:
        """TCP is up, or failed, or neither yet."""
        connection = self._connection
        assert connection is not None
        try:
            if not connection.connected():
                return
        except LinkClosed as error:
            if not self._try_next():
                self._failed(error)
        else:
            self._service.forget(connection.fd)
            self._connection, self._addresses = None, []
            self._opened(connection)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._service.forget(connection.fd)
            connection.close()


def _look_up(host: str, port: int) -> list[Address]:
    """On a thread: a resolver may take as long as it likes."""
    try:
        return resolve(host, port)
    except LinkClosed as error:
        raise IbStreamError("invalid_setting", error.detail) from None
