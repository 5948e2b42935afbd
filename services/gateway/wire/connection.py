"""One TCP connection to TWS or IB Gateway: our own, because the official one loses bytes and may hang.

Called by the gateway's loop, never blocks. It connects, exchanges versions, buffers what is to be sent, and
hands received bytes over as they come. Source of the handshake: observed, and TWS API `client.py`.
"""

import errno
import os
import select
import socket
import struct
import time
from enum import Enum
from typing import Any, NamedTuple

HELLO_FRAME_LIMIT = 4096  # bytes: the version answer is some 30
REDIRECTED = b"-1"  # in the place of a version: another host is named
SEND_LIMIT = 4 << 20  # bytes waiting for a gateway that does not read: more, and the link is dead
RECEIVE_SIZE = 1 << 18


class Stage(Enum):
    CONNECTING = 1
    VERSIONS = 2  # waiting for the version answer
    OPEN = 3
    CLOSED = 4


class Address(NamedTuple):
    """One address of a gateway, as the sockets want it."""

    family: int
    where: Any

    def __str__(self) -> str:
        return str(self.where[0])


class LinkClosed(Exception):
    """The connection ended. `reason` is one of the core's words: refused, unreachable, timeout, eof, reset,
    bad_frame, bad_version."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Connection:
    """A connection on its way from connecting to open to closed. Every method raises LinkClosed at its end."""

    def __init__(self, address: Address, oldest: int, newest: int) -> None:
        self.address = address
        self.stage = Stage.CONNECTING
        self.server_version = 0
        self._versions = (oldest, newest)
        self._out = bytearray()
        self._in = bytearray()
        self._scratch = memoryview(bytearray(RECEIVE_SIZE))
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        code = self._socket.connect_ex(address.where)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self.close()
            raise _refusal(code)

    @property
    def fd(self) -> int:
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        return self.stage is Stage.CONNECTING or bool(self._out)

    def connected(self) -> bool:
        """Whether TCP is up by now; sends the version line when it has just come up."""
        if self.stage is not Stage.CONNECTING:
            return True
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise _refusal(code)
        try:
            self._socket.getpeername()
        except OSError:
            return False
        self.stage = Stage.VERSIONS
        line = b"v%d..%d" % self._versions
        self.send(b"API\0" + struct.pack(">I", len(line)) + line)
        return True

    def send(self, data: bytes) -> None:
        """Send now what the kernel takes and keep the rest, in order."""
        if len(self._out) + len(data) > SEND_LIMIT:
            raise LinkClosed("timeout", f"the gateway has not read {len(self._out)} bytes")
        self._out += data
        self.flush()

    def flush(self) -> None:
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError as error:
                raise LinkClosed("reset", error.strerror or str(error)) from None
            del self._out[:sent]

    def receive(self) -> memoryview | None:
        """Some of the bytes that are there, valid until the next call; None when there are none now.

        Before the versions are agreed it consumes the version answer, and what follows it comes out later.
        """
        try:
            count = self._socket.recv_into(self._scratch)
        except BlockingIOError:
            return None
        except OSError as error:
            raise LinkClosed("reset", error.strerror or str(error)) from None
        if not count:
            raise LinkClosed("eof", "the gateway closed the connection")
        if self.stage is Stage.OPEN:
            return self._scratch[:count]
        self._in += self._scratch[:count]
        return self._read_versions()

    def close(self) -> None:
        self.stage = Stage.CLOSED
        self._socket.close()

    def _read_versions(self) -> memoryview | None:
        """The first frame with two fields is `version\\0time\\0`; other early frames (news) are passed over."""
        while len(self._in) >= 4:
            (size,) = struct.unpack_from(">I", self._in)
            if not 0 < size <= HELLO_FRAME_LIMIT:
                raise LinkClosed("bad_frame", f"a first frame of {size} bytes; is this an IB gateway's API port?")
            if len(self._in) < 4 + size:
                break
            fields = bytes(self._in[4 : 4 + size]).split(b"\0")[:-1]
            del self._in[: 4 + size]
            if fields[:1] == [REDIRECTED]:
                where = b" ".join(fields[1:]).decode("ascii", "backslashreplace")
                raise LinkClosed("bad_version", f"the gateway wants its clients to connect to {where}")
            if len(fields) == 2 and fields[0].isdigit():
                return self._agree(int(fields[0]))
        return None

    def _agree(self, version: int) -> memoryview | None:
        oldest, newest = self._versions
        if not oldest <= version <= newest:
            raise LinkClosed("bad_version", f"the gateway speaks version {version}; {oldest} to {newest} are known")
        self.server_version = version
        self.stage = Stage.OPEN
        rest, self._in = memoryview(bytes(self._in)), bytearray()
        return rest if len(rest) else None


def resolve(host: str, port: int, *, numeric: bool = False) -> list[Address]:
    """The addresses of a host, in the order in which they are to be tried. May block for as long as the resolver
    likes, but not with `numeric`: then a name that needs one has none. Raises LinkClosed."""
    flags = socket.AI_NUMERICHOST if numeric else 0
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        raise LinkClosed("unreachable", f"{host}: {getattr(error, 'strerror', None) or error}") from None
    return list(dict.fromkeys(Address(family, where) for family, _, _, _, where in found))


def open_any(host: str, port: int, oldest: int, newest: int, seconds: float) -> Connection:
    """A connection to the first address that accepts one: it is past CONNECTING. Blocks; `seconds` are for all
    addresses together. Raises LinkClosed with the last one's reason, and what came of each."""
    addresses = resolve(host, port)
    failures: list[LinkClosed] = []
    for address in addresses:
        deadline = time.monotonic() + seconds / len(addresses)
        try:
            connection = Connection(address, oldest, newest)
        except LinkClosed as error:
            failures.append(error)
            continue
        try:
            while not connection.connected():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LinkClosed("timeout", f"no TCP connection to {address} port {port}")
                select.select([], [connection.fd], [], min(left, 0.2))
        except LinkClosed as error:
            connection.close()
            failures.append(error)
        else:
            return connection
    if not failures:
        raise LinkClosed("unreachable", f"{host} has no address")
    tried = zip(addresses, failures, strict=True)
    raise LinkClosed(failures[-1].reason, "; ".join(_told(host, address, failure) for address, failure in tried))


def _told(host: str, address: Address, failure: LinkClosed) -> str:
    return failure.detail if str(address) == host else f"{address}: {failure.detail}"


def _refusal(code: int) -> LinkClosed:
    words = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
    return LinkClosed(words.get(code, "unreachable"), os.strerror(code))
