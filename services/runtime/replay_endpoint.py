"""The past of a stream over the bus: the writer's endpoint that replays it, and the source that asks there.

Both read and carry blocks as they stand in the journal. A writer's loop is never held up by those who ask, nor a
consumer's by one who does not answer, or answers nonsense.
"""

from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Final

import zmq

from messages.codec import decode_block, encode
from messages.control import AnyMessage, Failed, ReplayReply, ReplayRequest
from messages.errors import IbStreamError
from messages.events import Block, EventBlock, TickBlock
from messages.topics import replay_endpoint
from services.base.settings import Settings
from services.journal import JournalReader
from services.journal.cursor import Cursor
from services.runtime.bus import PlainSocket, Server, client_socket, read_answer

MAX_SEQ: Final = (1 << 63) - 1  # that a journal can hold
MAX_BYTES: Final = 8 << 20  # of blocks in one answer
LOOK_MS: Final = 4_000  # between two looks at the socket's file: consumers on this machine read the journal's files
PEER_LOOK_MS: Final = 1_000  # and at whether connections from elsewhere must prove themselves anew


class ReplayServer:
    """Answers ReplayRequests for the streams of one writer, from the files, in a thread of its own: the
    writer's loop is never held up."""

    def __init__(self, context: zmq.Context[PlainSocket], settings: Settings, service: str, streams: Iterable[str]):
        self._readers = {stream: JournalReader(settings.journal_dir, stream) for stream in streams}
        self._server = Server(context, settings, replay_endpoint(service), self._handle)
        self._disconnect_all = False
        self._look_ms = PEER_LOOK_MS if service in settings.peers else LOOK_MS

    def run(self) -> None:
        """Serve until the context ends. Call in a thread."""
        poller = zmq.Poller()
        poller.register(self._server.socket, zmq.POLLIN)
        poller.register(self._server.connections.socket, zmq.POLLIN)
        try:
            while True:
                poller.poll(self._look_ms)
                if self._disconnect_all:
                    self._disconnect_all = False
                    self._server.disconnect_all()
                self._server.on_readable()
                self._server.connections.drain()
                self._server.listener.look()
        except zmq.ContextTerminated:
            pass
        finally:
            self._server.close()
            for reader in self._readers.values():
                reader.close()

    def disconnect_all(self) -> None:
        """Within a second, end every connection over tcp. Called from another thread."""
        self._disconnect_all = True

    def metrics(self) -> dict[str, float]:
        """Read from another thread: numbers, each of which only rises."""
        return self._server.metrics()

    def _handle(self, message: AnyMessage) -> AnyMessage:
        if not isinstance(message, ReplayRequest) or message.stream not in self._readers:
            return Failed(code="invalid_request", message="this endpoint replays " + ", ".join(self._readers))
        if not (0 <= message.from_seq <= MAX_SEQ and message.max_bytes > 0):
            return Failed(code="invalid_request", message=f"from_seq is from 0 to {MAX_SEQ}, max_bytes above 0")
        reader = self._readers[message.stream]
        from_seq = message.from_seq
        if message.from_time > 0:
            from_seq = max(from_seq, reader.seq_at(message.from_time))
        rows = reader.read(from_seq, min(message.max_bytes, MAX_BYTES))
        blocks = [row.payload for row in rows]
        if message.symbols:
            wanted = frozenset(message.symbols)
            blocks = [payload for payload in blocks if mentions(decode_block(message.stream, payload), wanted)]
        last = reader.last()
        head = last.last_seq if last is not None else 0
        next_seq = rows[-1].last_seq + 1 if rows else from_seq
        return ReplayReply(stream=message.stream, head_seq=head, blocks=blocks, next_seq=next_seq)


def mentions(block: Block, symbols: frozenset[str]) -> bool:
    """Whether a block holds something of one of the symbols. A plan is of all of them."""
    match block:
        case TickBlock():
            return not symbols.isdisjoint(block.symbols)
        case EventBlock():
            return any(getattr(event, "symbol", None) in symbols for event in block.events)
    return True


class _Asked:
    """A question under way, and its answer once that is there."""

    def __init__(self, number: bytes, message: ReplayRequest, at: float) -> None:
        self.number, self.message, self.at = number, message, at
        self.blocks: list[bytes] | None = None


class RemoteSource:
    """Replays from the writer's endpoint: for a consumer on another machine, on the thread that reads.

    A read waits for WAIT at most and comes back empty until the answer is there; ask for the same again. One who does
    not answer, or answers something else, is asked again only after a pause; `problem` says so of the latter.
    """

    WAIT = 0.05  # seconds that one read may take
    PATIENCE = 2.0  # seconds after which nobody answers
    PAUSE = 2.0  # seconds before asking again
    QUESTIONS = 4  # under way at once

    def __init__(
        self, settings: Settings, service: str, stream: str, context: "zmq.Context[PlainSocket] | None" = None
    ) -> None:
        """Without a `context` it makes one of its own at the first read."""
        self.problem: str | None = None
        self.malformed = 0  # answers that were none
        self._settings = settings
        self._endpoint = replay_endpoint(service)
        self._stream = stream
        self._context = context
        self._own_context: zmq.Context[PlainSocket] | None = None
        self._socket: PlainSocket | None = None
        self._asked: dict[tuple[int, int], _Asked] = {}
        self._count = 0
        self._ask_again = 0.0

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        if monotonic() < self._ask_again:
            return []
        try:
            asked = self._asked.get((from_seq, max_bytes)) or self._ask(from_seq, max_bytes)
            self._collect(asked)
        except IbStreamError as error:
            self.unreadable(error.message)
            return []
        if asked.blocks is None:
            if monotonic() - asked.at > self.PATIENCE:
                self._give_up()
            return []
        self.problem = None
        return self._asked.pop((from_seq, max_bytes)).blocks or []

    def unreadable(self, why: str) -> None:
        """What came is no answer, or holds what is no block of the stream: as if nobody had answered."""
        self.malformed += 1
        self.problem = f"the past of {self._stream} cannot be read: {why}"
        self._give_up()

    def head(self) -> Cursor | None:
        """Not known before the writer is heard."""
        return None

    def close(self) -> None:
        """Let go, on the thread that reads. A later read begins anew."""
        self._hang_up()
        if self._own_context is not None:
            self._own_context.term()
            self._own_context = self._context = None

    def _ask(self, from_seq: int, max_bytes: int) -> _Asked:
        """Raises IbStreamError when there is no key to ask with."""
        sock = self._socket or self._open()
        if len(self._asked) >= self.QUESTIONS:
            self._asked.clear()
        self._count += 1
        message = ReplayRequest(stream=self._stream, from_seq=from_seq, max_bytes=max_bytes)
        asked = self._asked[from_seq, max_bytes] = _Asked(b"%d" % self._count, message, monotonic())
        with suppress(zmq.Again):  # nobody is there yet, and much waits: the patience is for that too
            sock.send_multipart([asked.number, b"", encode(message)], zmq.NOBLOCK)
        return asked

    def _collect(self, asked: _Asked) -> None:
        """Take in what has come, until the answer to `asked` is there or the time is up. Raises IbStreamError."""
        until = monotonic() + self.WAIT
        while asked.blocks is None and self._socket is not None:
            if not self._socket.poll(max(0, int((until - monotonic()) * 1000))):
                return
            number, _, *parts = [*self._socket.recv_multipart(), b"", b""][:3]
            found = next((one for one in self._asked.values() if one.number == number), None)
            if found is not None:
                found.blocks = self._blocks(found.message, parts)

    def _blocks(self, message: ReplayRequest, parts: list[bytes]) -> list[bytes]:
        reply: AnyMessage = read_answer(message, parts, self._endpoint)
        if not isinstance(reply, ReplayReply) or reply.stream != self._stream:
            raise IbStreamError("invalid_request", f"{self._endpoint} answers of another stream")
        return reply.blocks

    def _open(self) -> PlainSocket:
        if self._context is None:
            self._context = self._own_context = zmq.Context()
        self._socket = client_socket(self._context, zmq.DEALER, self._settings, self._endpoint)
        return self._socket

    def _give_up(self) -> None:
        self._hang_up()
        self._ask_again = monotonic() + self.PAUSE

    def _hang_up(self) -> None:
        self._asked.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
