"""One stream of another machine, from JetStream to its mirror on the main loop.

Run by the engine. The replica's own head says where to go on, so nothing is kept here: the first newer message
is searched for in JetStream, and read on from there. One batch is under way at a time: while the disk or the
main loop is slow, the rest waits in JetStream.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from messages.codec import decode_block
from services.relay.engine import Connection
from services.relay.mirror import Verdict
from services.relay.names import Position, Trouble, jetstream_name, position, subject

ANSWER_SECONDS = 5.0
BATCH = 256  # messages
IDLE_SECONDS = 2.0  # without a message, after which JetStream is asked whether there is none
CONSUMER_SECONDS = 60.0  # after which the server forgets a consumer that asks for nothing


class Receiver:
    """`take` and `head` are asked on the main loop, which owns the replica."""

    def __init__(
        self,
        stream: str,
        head: Callable[[], Awaitable[Position]],
        take: Callable[[list[bytes]], Awaitable[Verdict]],
    ) -> None:
        self.stream = stream
        self.received = 0  # messages
        self._head = head
        self._take = take
        self._name = jetstream_name(stream)

    def wake(self) -> None:
        """Nothing on this machine is waited for."""

    async def run(self, connection: Connection) -> None:
        js = connection.jetstream(timeout=ANSWER_SECONDS)
        begun: Position | None = None
        while True:
            head = await self._head()
            at = await self._find(js, head)
            verdict = await self._read(js, at)
            if verdict == "full":
                raise Trouble("the disk here takes no more blocks")
            if verdict == "early" and await self._head() == begun:
                raise Trouble(
                    f"JetStream does not hold what follows sequence number {head.seq} any more: move the folder of its"
                    f" journal here away, and it is filled again with what there is"
                )
            begun = head

    async def _find(self, js: Any, head: Position) -> int:
        """JetStream's sequence number of the first message that is newer than `head`; one past the end if none is."""
        from nats.js.errors import NotFoundError

        try:
            state = (await js.stream_info(self._name)).state
        except NotFoundError:
            raise Trouble(f"JetStream has no stream {self._name} yet: nobody has sent it") from None
        low, high = max(1, int(state.first_seq)), int(state.last_seq) + 1
        probe = high - 1  # most often there is little that is new, or nothing
        while low < high:
            try:
                found = await js.get_msg(self._name, seq=probe)
                newer = position(decode_block(self.stream, found.data or b"")) > head
            except NotFoundError:  # retired meanwhile
                newer = False
            low, high = (low, probe) if newer else (probe + 1, high)
            probe = (low + high) // 2
        return low

    async def _read(self, js: Any, at: int) -> Verdict:
        """Read on from message `at` until JetStream must be looked at anew."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=at,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=CONSUMER_SECONDS,
        )
        consumer = await js.pull_subscribe(subject(self.stream), stream=self._name, config=config)
        try:
            while True:
                messages = await self._fetch(js, consumer, at)
                if messages is None:
                    return "taken"
                verdict = await self._take([message.data for message in messages])
                if verdict != "taken":
                    return verdict
                self.received += len(messages)
                at += len(messages)
        finally:
            with contextlib.suppress(Exception):
                await consumer.unsubscribe()

    async def _fetch(self, js: Any, consumer: Any, at: int) -> list[Any] | None:
        """The next messages, of which the first is `at`; None when the consumer went astray."""
        while True:
            try:
                messages: list[Any] = await consumer.fetch(BATCH, timeout=IDLE_SECONDS)
            except TimeoutError:
                if (await js.stream_info(self._name)).state.last_seq >= at:
                    return None  # there is something, and it does not come: the server was restarted
                continue
            numbers = [message.metadata.sequence.stream for message in messages]
            return messages if numbers == list(range(at, at + len(messages))) else None
