"""The server's end of a conversation at any server version: greeting and requests in the encoding that it has there.

Scripts for a `BadGateway` are made with it: `BadGateway(lambda peer: play(VersionedPeer(peer, 225)))`.
"""

import contextlib
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from tests import protobuf
from tests.process.bad_gateway import Peer

REQUEST_MARKET_DATA, CANCEL_MARKET_DATA, REQUEST_DETAILS, REQUEST_HISTORY = 1, 2, 9, 20
CANCEL_HISTORY, ASK_TIME, SET_DATA_TYPE, START_API = 25, 49, 59, 71


class Request(NamedTuple):
    """What the client asked for; the symbol and conId of requests that are about a contract."""

    kind: int
    req_id: int
    symbol: str
    con_id: int
    snapshot: bool


class VersionedPeer:
    """One connection, at one server version."""

    def __init__(self, peer: Peer, version: int) -> None:
        self.peer = peer
        self.version = version

    def greet(self, account: str = "DU9000001") -> None:
        """Versions, startApi, and the two messages that make a client ready."""
        self.peer.answer_versions(self.version)
        assert self.read().kind == START_API
        self.send(15, [(1, account)], [1, account], since=207)
        self.send(9, [(1, 1)], [1, 1], since=213)

    def send(self, message_id: int, fields: Sequence[protobuf.Field], texts: Sequence[object], since: int) -> None:
        """A message as protobuf from the version `since` on, as text below."""
        if self.version >= since:
            self.send_payload(protobuf.message(message_id, *fields))
        elif self.version >= 201:
            self.send_payload(protobuf.text(message_id, *texts))
        else:
            self.send_payload("".join(f"{field}\0" for field in (message_id, *texts)).encode())

    def send_payload(self, payload: bytes) -> None:
        self.peer.sock.sendall(struct.pack(">I", len(payload)) + payload)

    def read(self) -> Request:
        payload = self.peer.read_payload()
        if self.version < 201:
            kind, _, rest = payload.partition(b"\0")
            return _text_request(int(kind), rest)
        kind = int.from_bytes(payload[:4], "big")
        return _protobuf_request(kind - 200, payload[4:]) if kind > 200 else _text_request(kind, payload[4:])

    def read_until(self, kind: int, req_id: int | None = None) -> Request:
        """Read on until a request of this kind comes."""
        while True:
            request = self.read()
            if request.kind == kind and req_id in (None, request.req_id):
                return request

    def swallow(self) -> None:
        """Read and ignore until the client goes away."""
        with contextlib.suppress(OSError):
            while self.peer.sock.recv(65536):
                pass

    def hang_up(self) -> None:
        self.peer.sock.shutdown(socket.SHUT_RDWR)


def _text_request(kind: int, body: bytes) -> Request:
    fields = body.decode().split("\0")[:-1]
    if kind in (REQUEST_MARKET_DATA, REQUEST_DETAILS):  # both begin with the version of the message, then the id
        snapshot = kind == REQUEST_MARKET_DATA and "1" in fields[16:18]
        return Request(kind, int(fields[1]), fields[3], int(fields[2]), snapshot)
    if kind == REQUEST_HISTORY:
        return Request(kind, int(fields[0]), fields[2], int(fields[1]), False)
    return Request(kind, int(fields[1]) if len(fields) > 1 and fields[1] else -1, "", 0, False)


def _protobuf_request(kind: int, body: bytes) -> Request:
    fields = protobuf.decode(body)
    req_id = _number(fields, 1, -1)
    if kind not in (REQUEST_MARKET_DATA, REQUEST_DETAILS, REQUEST_HISTORY):
        return Request(kind, req_id, "", 0, False)
    (contract,) = fields[2]
    assert isinstance(contract, bytes)
    inner = protobuf.decode(contract)
    (symbol,) = inner.get(2, [b""])
    assert isinstance(symbol, bytes)
    snapshot = kind == REQUEST_MARKET_DATA and _number(fields, 4, 0) == 1
    return Request(kind, req_id, symbol.decode(), _number(inner, 1, 0), snapshot)


def _number(fields: dict[int, list[int | bytes]], number: int, default: int) -> int:
    (value,) = fields.get(number, [default])
    assert isinstance(value, int)
    return value
