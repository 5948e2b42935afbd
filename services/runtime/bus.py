"""The bus: ZeroMQ sockets, their options and addresses. Nothing else in the project sets a socket option.

Events go out on one XPUB socket a service and may be dropped for a slow subscriber (the journal is the
truth, see follow.py); a send never blocks. Commands are request/reply with a deadline.
"""

import socket as os_socket
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Any, overload

import msgspec
import zmq

from messages.codec import decode_message, encode
from messages.control import (
    ANSWERS,
    AnyMessage,
    ComputePlan,
    Failed,
    GetStatus,
    PlanReply,
    ReplayReply,
    ReplayRequest,
    StatusReply,
)
from messages.errors import CODES, IbStreamError
from messages.topics import SIDE_SERVICES
from services.base import keys
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings
from services.runtime.connections import ConnectionMonitor

SEND_HIGH_WATER = 10_000  # frames held for one slow subscriber before its frames are dropped
RECEIVE_HIGH_WATER = 50_000
MAX_FRAME = 64 << 20  # bytes: the largest frame that a client takes from the service that it connected to
MAX_REQUEST = 1 << 20  # bytes: the largest frame that a service takes from a client; a larger one cuts it off
REQUEST_HIGH_WATER = 1_000  # messages held for a service from one client; more wait at the client
LINGER_MS = 200
MAX_DRAIN = 2_000  # frames taken from a socket in one turn of the loop
LOOK_SECONDS = 1.0  # between two looks whether a socket's file is still there
TCP_HEARTBEAT_MS = 2_000  # a tcp connection that is silent for twice as long is given up, and made anew
TCP_CONNECT_MS = 3_000
RECONNECT_MS = 50  # before the first try to connect anew, doubling up to
LONGEST_RECONNECT_MS = 500
SIDE_RECONNECT_MS = 4_000  # and up to this for a service that most machines do not run: a try costs a wake-up

PlainSocket = zmq.Socket[bytes]


def _log() -> Any:
    """The logger, for services: a client, which never listens, needs none of its library."""
    import structlog

    return structlog.get_logger()


_PORT_OFFSET = {"events": 0, "replay": 1, "control": 2}


def address(settings: Settings, endpoint: str) -> str:
    """Where an endpoint such as `gateway.events` is: a local socket, or tcp for a service in IBSTREAM_BUS_PEERS."""
    service, _, kind = endpoint.rpartition(".")
    peer = settings.peers.get(service)
    if peer is None:
        return f"ipc://{settings.run_path / endpoint}"
    return f"tcp://{peer[0]}:{peer[1] + _PORT_OFFSET[kind]}"


def _bind(sock: PlainSocket, settings: Settings, endpoint: str) -> None:
    where = address(settings, endpoint)
    sock.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST)
    sock.setsockopt(zmq.RCVHWM, REQUEST_HIGH_WATER)
    if where.startswith("tcp:"):
        keys.arm_server(sock, settings, "control" if endpoint.endswith(".control") else "data")
        _watch_link(sock)
    try:
        sock.bind(where)
    except zmq.ZMQError as error:
        raise IbStreamError("invalid_setting", f"cannot listen on {where}: {error.strerror}") from None


class Listener:
    """The place where a socket accepts connections, taken again when its file was removed: whoever tidies the run
    folder must not cut off those who connect later. Connections that are there live on meanwhile."""

    def __init__(self, sock: PlainSocket, settings: Settings, endpoint: str) -> None:
        self._sock = sock
        self._settings = settings
        self._endpoint = endpoint
        self._path = None if endpoint.rpartition(".")[0] in settings.peers else settings.run_path / endpoint
        self._looked = monotonic()
        _bind(sock, settings, endpoint)

    def look(self) -> None:
        """Is the file still there? Call once a second or more often, on the socket's thread."""
        at = monotonic()
        if self._path is None or at - self._looked < LOOK_SECONDS / 2:
            return
        self._looked = at
        if self._path.exists():
            return
        try:
            prepare_run_dir(self._settings)
            _bind(self._sock, self._settings, self._endpoint)
        except (IbStreamError, OSError) as error:
            _log().error("not_listening", path=str(self._path), error=str(error))
        else:
            _log().warning("listening_again", path=str(self._path), because="its file was removed")


def _connect(sock: PlainSocket, settings: Settings, endpoint: str) -> None:
    where, service = address(settings, endpoint), endpoint.partition(".")[0]
    if where.startswith("tcp:"):
        keys.arm_client(sock, settings, service)
        _watch_link(sock)
    longest = SIDE_RECONNECT_MS if service in SIDE_SERVICES else LONGEST_RECONNECT_MS
    sock.setsockopt(zmq.RECONNECT_IVL_MAX, longest)  # holds for the connections made after it
    sock.connect(where)


def _watch_link(sock: PlainSocket) -> None:
    """Notice within seconds that the other machine, or the way to it, is gone: TCP itself may take for ever."""
    sock.setsockopt(zmq.HEARTBEAT_IVL, TCP_HEARTBEAT_MS)
    sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, 2 * TCP_HEARTBEAT_MS)
    sock.setsockopt(zmq.CONNECT_TIMEOUT, TCP_CONNECT_MS)


def _socket(context: zmq.Context[PlainSocket], kind: int) -> PlainSocket:
    sock = context.socket(kind)
    sock.setsockopt(zmq.LINGER, LINGER_MS)
    sock.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER)
    sock.setsockopt(zmq.RCVHWM, RECEIVE_HIGH_WATER)
    sock.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME)
    sock.setsockopt(zmq.HANDSHAKE_IVL, 5_000)
    sock.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    return sock


class Endpoint:
    """A socket that others connect to, where it listens, and who is connected."""

    def __init__(self, context: zmq.Context[PlainSocket], settings: Settings, endpoint: str, kind: int) -> None:
        self.socket = _socket(context, kind)
        self.connections = ConnectionMonitor(self.socket)
        try:
            self.listener = Listener(self.socket, settings, endpoint)
        except BaseException:
            self.close()
            raise
        self.malformed = 0  # frames from them that this is not for

    def disconnect_all(self) -> None:
        """End every connection over tcp: a key was revoked. What is under way may be lost."""
        self.connections.disconnect_all()

    def close(self) -> None:
        self.connections.close()
        self.socket.close()


class Publisher(Endpoint):
    """A service's events. `send` may be lost or dropped, never reordered within this publisher.

    A value given to `set_last` goes to every later subscriber of its topic at once.
    """

    def __init__(self, context: zmq.Context[PlainSocket], settings: Settings, endpoint: str) -> None:
        super().__init__(context, settings, endpoint, zmq.XPUB)
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every new subscriber shows, not only the first of a topic
        self.subscribed: set[str] = set()  # what somebody listens to: topics, or what they begin with
        self._prefixes: tuple[str, ...] = ()  # the same
        self._new: set[str] = set()  # of these, since somebody asked
        self._last: dict[str, bytes] = {}

    def send(self, topic: str, payload: bytes) -> None:
        self.socket.send(topic.encode(), zmq.SNDMORE)
        self.socket.send(payload)

    def set_last(self, topic: str, payload: bytes) -> None:
        self._last[topic] = payload
        self.send(topic, payload)

    def forget(self, topic: str) -> None:
        self._last.pop(topic, None)

    def on_readable(self) -> None:
        """Greet new subscribers with the current values of what they asked for; each value once a turn, so that
        one who subscribes without end cannot hold up the rest."""
        wanted: list[str] = []
        for _ in range(MAX_DRAIN):
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            topic = frame[1:].decode("utf-8", "replace")
            if frame[:1] == b"\x01":
                wanted.append(topic)
                self.subscribed.add(topic)
                self._new.add(topic)
            elif frame[:1] == b"\x00":  # nobody does any more
                self.subscribed.discard(topic)
                self._new.discard(topic)
            else:
                self.malformed += 1
        self._prefixes = tuple(self.subscribed)
        prefixes = tuple(set(wanted))
        for topic, payload in self._last.items() if prefixes else ():
            if topic.startswith(prefixes):
                self.send(topic, payload)

    def wants(self, topic: str) -> bool:
        """Whether anybody listens to it."""
        return topic.startswith(self._prefixes)

    def new_subscriptions(self) -> tuple[str, ...]:
        """What was subscribed to since this was asked last, by whomever: for topics whose value is made on demand."""
        new, self._new = tuple(self._new), set()
        return new

    def metrics(self) -> dict[str, float]:
        malformed = {'bus_malformed_total{endpoint="events"}': float(self.malformed)}
        return malformed | self.connections.metrics("events")


class Subscriber:
    """Topics of other services, from any number of publishers. Reconnects by itself, and may miss frames. Raises
    IbStreamError without a key to show."""

    def __init__(
        self, context: zmq.Context[PlainSocket], settings: Settings, endpoints: Iterable[str], topics: Iterable[str]
    ) -> None:
        self.socket = _socket(context, zmq.SUB)
        for topic in topics:
            self.subscribe(topic)
        # Local ones first: the keys that a tcp endpoint needs stay on the socket, for all connections made after it.
        try:
            for endpoint in sorted(endpoints, key=lambda endpoint: address(settings, endpoint).startswith("tcp:")):
                _connect(self.socket, settings, endpoint)
        except BaseException:
            self.close()
            raise
        self.malformed = 0

    def subscribe(self, topic: str) -> None:
        """One topic more."""
        self.socket.setsockopt(zmq.SUBSCRIBE, topic.encode())

    def unsubscribe(self, topic: str) -> None:
        """As often as it was subscribed to."""
        self.socket.setsockopt(zmq.UNSUBSCRIBE, topic.encode())

    def drain(self) -> list[tuple[str, bytes]]:
        """All that has arrived, in order for each publisher, at most MAX_DRAIN frames."""
        frames: list[tuple[str, bytes]] = []
        for _ in range(MAX_DRAIN):
            try:
                parts = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if len(parts) == 2:
                frames.append((parts[0].decode("utf-8", "replace"), parts[1]))
            else:
                self.malformed += 1
        return frames

    def close(self) -> None:
        self.socket.close()


class Server(Endpoint):
    """Answers commands. `handle` returns the reply; an IbStreamError it raises becomes a `Failed`."""

    def __init__(
        self,
        context: zmq.Context[PlainSocket],
        settings: Settings,
        endpoint: str,
        handle: Callable[[AnyMessage], AnyMessage | None],
    ) -> None:
        super().__init__(context, settings, endpoint, zmq.ROUTER)
        self._handle = handle
        self._kind = endpoint.partition(".")[2]
        self.failed = 0  # commands that were answered with an error
        self._current: list[bytes] = []

    def on_readable(self) -> None:
        for _ in range(MAX_DRAIN):
            try:
                *route, payload = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._current = route
            reply = self._answer(payload)
            if reply is not None:
                self.reply(route, reply)
            if isinstance(reply, Failed):
                self.failed += 1

    def reply(self, route: list[bytes], message: AnyMessage) -> None:
        """Send an answer, also a late one for which `handle` returned None and `route` was kept."""
        self.socket.send_multipart([*route, encode(message)])

    @property
    def route(self) -> list[bytes]:
        """Whom the command that is being handled came from."""
        return self._current

    def _answer(self, payload: bytes) -> AnyMessage | None:
        try:
            message = decode_message(payload)
        except (msgspec.MsgspecError, ValueError) as error:
            self.malformed += 1
            return Failed(code="invalid_request", message=f"not a command: {error}")
        try:
            return self._handle(message)
        except IbStreamError as error:
            return Failed.by(error)

    def metrics(self) -> dict[str, float]:
        counts = {
            f'bus_malformed_total{{endpoint="{self._kind}"}}': float(self.malformed),
            f'bus_failed_total{{endpoint="{self._kind}"}}': float(self.failed),
        }
        return counts | self.connections.metrics(self._kind)


def client_socket(context: zmq.Context[PlainSocket], kind: int, settings: Settings, endpoint: str) -> PlainSocket:
    """A socket that asks an endpoint; what it has not sent goes with it. Raises IbStreamError without a key to show."""
    sock = _socket(context, kind)
    sock.setsockopt(zmq.LINGER, 0)
    try:
        _connect(sock, settings, endpoint)
    except BaseException:
        sock.close()
        raise
    return sock


@overload
def request(settings: Settings, endpoint: str, message: GetStatus, *, timeout: float = 5.0) -> StatusReply: ...


@overload
def request(settings: Settings, endpoint: str, message: ComputePlan, *, timeout: float = 5.0) -> PlanReply: ...


@overload
def request(settings: Settings, endpoint: str, message: ReplayRequest, *, timeout: float = 5.0) -> ReplayReply: ...


@overload
def request(settings: Settings, endpoint: str, message: AnyMessage, *, timeout: float = 5.0) -> AnyMessage: ...


def request(settings: Settings, endpoint: str, message: AnyMessage, *, timeout: float = 5.0) -> AnyMessage:
    """Ask and wait for the answer, which is of the type that messages/control.py promises for the question.

    Raises IbStreamError: what a `Failed` says, or `supervisor_unreachable` (`planner_unreachable` for the planner's
    endpoint) when nobody answers within `timeout` seconds, or something else than an answer to this;
    `invalid_request` for what no message can hold."""
    try:
        question = encode(message)
    except OverflowError:
        raise IbStreamError(
            "invalid_request", "a number of the request is too large: it has more than 64 bits"
        ) from None
    except UnicodeEncodeError as error:
        raise IbStreamError("invalid_request", f"{error.object!r} is no text: it has half a character") from None
    context: zmq.Context[PlainSocket] = zmq.Context()
    try:
        with client_socket(context, zmq.REQ, settings, endpoint) as sock:
            sock.send(question)
            if not sock.poll(int(timeout * 1000)):
                raise unreachable(settings, endpoint)
            parts = sock.recv_multipart()
    finally:
        context.term()
    return read_answer(message, parts, endpoint)


def read_answer(message: AnyMessage, parts: list[bytes], endpoint: str) -> AnyMessage:
    """The answer to `message` in the frames that came. Raises IbStreamError as `request` does."""
    service = endpoint.partition(".")[0]
    try:
        reply: AnyMessage = decode_message(parts[0] if len(parts) == 1 else b"")
    except msgspec.MsgspecError:
        raise IbStreamError(_gone_code(endpoint), f"the {service} answers what this version does not know") from None
    if isinstance(reply, Failed):
        if reply.code not in CODES:  # a newer version has more of them
            raise IbStreamError("invalid_request", f"{reply.message} [{reply.code}]", reply.field)
        raise IbStreamError(reply.code, reply.message, reply.field)
    wanted = ANSWERS.get(type(message))
    if wanted is not None and not isinstance(reply, wanted):
        kind = type(reply).__name__
        raise IbStreamError(_gone_code(endpoint), f"the {service} answers {kind}, and not what it was asked for")
    return reply


def _gone_code(endpoint: str) -> str:
    return "planner_unreachable" if endpoint.partition(".")[0] == "planner" else "supervisor_unreachable"


def unreachable(settings: Settings, endpoint: str) -> IbStreamError:
    service = endpoint.partition(".")[0]
    return IbStreamError(
        _gone_code(endpoint),
        f"the {service} does not answer (data root {settings.root}); is ibstream running? `make run` starts it",
    )


def is_listening(path: Path) -> bool:
    """Whether somebody accepts connections on a unix socket file."""
    with os_socket.socket(os_socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
