"""One stream of this machine, from its journal to JetStream: every block once, in order, unchanged.

Run by the engine. JetStream's own last message says where to go on, so nothing is kept here. Each message
names the sequence number that it must follow there: a lost, doubled or overtaken one is refused by the server, and so
is every one after it. So the acknowledgement of a slice's last message is that of all of them, and no other is asked
for; without it the stream is looked at anew. What is read ahead is one slice: while NATS is slow or away, the journal
waits.
"""

import asyncio
import contextlib
from typing import Any

from messages.codec import decode_block
from messages.events import Block
from services.journal.cursor import Cursor
from services.relay.engine import Connection
from services.relay.names import Position, Trouble, jetstream_name, message_id, position, subject
from services.runtime.follow import Follower, ReplaySource

SLICE_BYTES = 1 << 20
ACK_SECONDS = 5.0
LOOK_SECONDS = 0.5  # between two looks at the journal when nothing is heard
DUPLICATE_WINDOW = 120.0  # seconds in which the server knows message ids


class Sender:
    def __init__(self, stream: str, source: ReplaySource, days: int) -> None:
        self.stream = stream
        self.sent = 0  # blocks acknowledged
        self.behind = 0  # events
        self._source = source
        self._days = days
        self._wake = asyncio.Event()
        self._outbox: list[tuple[Block, bytes]] = []
        self._kept = Position(0, 0)  # what JetStream holds
        self._expected = 0  # JetStream's sequence number of its last message

    def wake(self) -> None:
        self._wake.set()

    async def run(self, connection: Connection) -> None:
        try:
            await self._run(connection)
        finally:
            self._source.close()

    async def _run(self, connection: Connection) -> None:
        js = connection.jetstream(timeout=ACK_SECONDS)
        await self._take_position(js)
        cursor = Cursor(self._kept.epoch, self._kept.seq)
        self._outbox.clear()
        follower = Follower(
            self.stream,
            self._source,
            lambda block: self._put(block, follower.payload),
            lambda: None,
            cursor,
            SLICE_BYTES,
        )
        while True:
            self._wake.clear()
            follower.look_back()
            self._check_head(follower)
            more = True
            while more:
                more = follower.step()
                self.behind = follower.behind + sum(block.count for block, _ in self._outbox)
                await self._send(js, connection)
            self.behind = follower.behind
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)

    async def _take_position(self, js: Any) -> None:
        from nats.js.api import RetentionPolicy, StorageType
        from nats.js.errors import NotFoundError

        name = jetstream_name(self.stream)
        try:
            info = await js.stream_info(name)
        except NotFoundError:
            info = await js.add_stream(
                name=name,
                subjects=[subject(self.stream)],
                retention=RetentionPolicy.LIMITS,
                storage=StorageType.FILE,
                max_age=self._days * 86_400,
                duplicate_window=DUPLICATE_WINDOW,
            )
        self._expected = info.state.last_seq
        self._kept = Position(0, 0)
        if info.state.messages:
            last = await js.get_msg(name, seq=info.state.last_seq)
            self._kept = position(decode_block(self.stream, last.data or b""))

    def _check_head(self, follower: Follower) -> None:
        head = self._source.head()
        if head is not None and head.epoch < self._kept.epoch:
            raise Trouble(
                f"JetStream holds epoch {self._kept.epoch} and the journal here is in epoch {head.epoch}: it is"
                f" another journal. Purge the JetStream stream {jetstream_name(self.stream)} to send this one"
            )

    def _put(self, block: Block, payload: bytes) -> None:
        # The follower may begin again at the journal's first block, when a power failure took the journal's tail.
        if block.epoch > self._kept.epoch or position(block).seq > self._kept.seq:
            self._outbox.append((block, payload))

    async def _send(self, js: Any, connection: Connection) -> None:
        """Send the outbox, and wait until all of it is acknowledged."""
        outbox, self._outbox = self._outbox, []
        to = subject(self.stream)
        for number, (block, payload) in enumerate(outbox, 1):
            if len(payload) + 1024 > connection.max_payload:
                raise Trouble(
                    f"a block of {len(payload)} bytes at sequence number {block.first_seq} is more than the server's"
                    f" max_payload of {connection.max_payload}: raise that"
                )
            headers = {
                "Nats-Msg-Id": message_id(self.stream, block),
                "Nats-Expected-Last-Sequence": str(self._expected + number - 1),
            }
            if number < len(outbox):
                await connection.publish(to, payload, headers=headers)
                continue
            answer = await js.publish(to, payload, headers=headers)
            if answer.seq != self._expected + number:
                raise Trouble(f"JetStream numbers a message {answer.seq} that follows {self._expected + number - 1}")
            self._expected = answer.seq
            self._kept = position(block)
            self.sent += number
