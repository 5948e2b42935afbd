"""One stream of another machine, from JetStream to its mirror on the main loop.

Run by the engine. The replica's own head says where to go on, so nothing is kept here: the first newer message
is searched for in JetStream, and read on from there. While one batch is journalled the next one is on its way, and no
more: while the disk or the main loop is slow, the rest waits in JetStream.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from messages.codec import decode_block
from services.relay.engine import Connection
from services.relay.mirror import Verdict
from services.relay.names import Position, Trouble, jetstream_name, position

ANSWER_SECONDS = 5.0
BATCH = 512  # messages
IDLE_SECONDS = 2.0  # without a message, after which JetStream is asked whether there is none
EXPIRES = 30 * 1_000_000_000  # ns after which a request for messages is given up by the server
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
            verdict = await self._read(connection, js, at)
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

    async def _read(self, connection: Connection, js: Any, at: int) -> Verdict:
        """Read on from message `at` until JetStream must be looked at anew."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=at,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=CONSUMER_SECONDS,
        )
        consumer = await js.add_consumer(self._name, config)
        pull = _Pull(connection, f"$JS.API.CONSUMER.MSG.NEXT.{self._name}.{consumer.name}")
        try:
            await pull.begin()
            while True:
                messages = await pull.next()
                if not messages:
                    if (await js.stream_info(self._name)).state.last_seq >= at:
                        return "taken"  # there is something, and it does not come: the server was restarted
                    continue
                if (_number(messages[0]), _number(messages[-1])) != (at, at + len(messages) - 1):
                    return "taken"  # the consumer went astray: they come in order, so one between them is missing
                verdict = await self._take([message.data for message in messages])
                if verdict != "taken":
                    return verdict
                self.received += len(messages)
                at += len(messages)
        finally:
            with contextlib.suppress(Exception):
                await pull.end()


def _number(message: Any) -> int:
    """JetStream's sequence number of a message."""
    return int(message.metadata.sequence.stream)


class _Pull:
    """Messages of one consumer, asked for ahead: at most BATCH under way or waiting here, beside those handed out.

    The library's own `fetch` hands them over one by one, at several turns of its loop and a timer each.
    """

    def __init__(self, connection: Connection, subject: str) -> None:
        self._connection = connection
        self._subject = subject
        self._inbox = ""
        self._subscription: Any = None
        self._came: list[Any] = []
        self._wanted = 0  # asked for, and not here yet
        self._news = asyncio.Event()

    async def begin(self) -> None:
        self._inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe(self._inbox, cb=self._take)

    async def next(self) -> list[Any]:
        """All that has come; after IDLE_SECONDS without any, nothing."""
        if not self._wanted:
            await self._ask()
        if not self._came:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._news.wait()
        came, self._came = self._came, []
        if self._wanted <= BATCH // 2:
            await self._ask()  # on their way while these are journalled
        return came

    async def end(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _ask(self) -> None:
        many = BATCH - self._wanted
        self._wanted += many
        await self._connection.publish(self._subject, b'{"batch":%d,"expires":%d}' % (many, EXPIRES), reply=self._inbox)

    async def _take(self, message: Any) -> None:
        if not message.data and message.headers is not None and "Status" in message.headers:
            if message.headers["Status"] != "100":  # a request is over; how many were left of it does not matter:
                self._wanted = 0  # what comes of another one all the same is in order
        else:
            self._came.append(message)
            self._wanted = max(0, self._wanted - 1)
        self._news.set()
