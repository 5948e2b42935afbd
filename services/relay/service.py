"""The relay's loop: what is heard on the bus goes to the engine, what comes from there goes to the mirrors.

`build` hangs it on a Service. Guarantees: every block of a sent stream gets to JetStream once and unchanged,
every block of a received one is in the local journal before it is published here; whichever side is killed,
the journals on both ends say where to go on. While NATS is away, the heartbeat's `problem` says so.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from messages.errors import IbStreamError
from messages.topics import HEARTBEAT_PREFIX, STATUS, SUPERVISOR_CONTROL, writer_of
from services.base.settings_rules import relay_streams
from services.relay.engine import Engine, Relayed
from services.relay.mirror import Mirror, Verdict
from services.relay.names import Position, retention_days, values_of
from services.relay.receiver import Receiver
from services.relay.sender import Sender
from services.runtime.follow import FileSource
from services.runtime.process import Service
from services.runtime.replay_endpoint import RemoteSource

T = TypeVar("T")

STATUS_WRITER = SUPERVISOR_CONTROL.partition(".")[0]
WATCH_SECONDS = 0.25
POLL_SECONDS = 1.0


async def on_loop(service: Service, call: Callable[[], T]) -> T:
    """The result of a call that is made on the service's loop; it waits while that is busy. What the call raises ends
    the service, as it does anywhere on its loop."""
    future: Future[T] = Future()

    def make() -> None:
        if future.set_running_or_notify_cancel():
            future.set_result(call())

    service.call_soon(make)
    return await asyncio.wrap_future(future)


class Relay:
    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._sent, self._received = relay_streams(settings)
        if not self._sent and not self._received:
            raise IbStreamError(
                "invalid_setting",
                "IBSTREAM_RELAY_SEND and IBSTREAM_RELAY_RECEIVE are empty: the relay needs a stream in one of them",
            )
        self._mirrors: dict[str, Mirror] = {}
        for writer in dict.fromkeys(writer_of(stream) for stream in self._received):
            of_it = [stream for stream in self._received if writer_of(stream) == writer]
            self._mirrors[writer] = Mirror(service, writer, of_it)
        self._senders = [self._sender(stream) for stream in self._sent]
        self._receivers = [self._receiver(stream) for stream in self._received]
        tasks: list[Relayed] = [*self._senders, *self._receivers]
        self._engine = Engine(settings.nats_url, tasks, values_of(self._received), self._value_came)

    def start(self) -> None:
        service = self._service
        for stream in self._sent:
            service.on_topic(stream, lambda _topic, _payload: self._engine.heard())
        for topic in values_of(self._sent):
            service.on_topic(topic, self._engine.offer)
        service.every(WATCH_SECONDS, self._watch)
        service.every(POLL_SECONDS, self._poll)
        service.on_close(self._engine.close)
        service.subscribe({writer_of(stream) for stream in self._sent})
        self._engine.start()

    # --- the two directions ---

    def _sender(self, stream: str) -> Sender:
        settings, writer = self._service.settings, writer_of(stream)
        source: FileSource | RemoteSource = (
            RemoteSource(settings, writer, stream)
            if writer in settings.peers
            else FileSource(settings.journal_dir, stream)
        )
        return Sender(stream, source, retention_days(settings, stream))

    def _receiver(self, stream: str) -> Receiver:
        mirror = self._mirrors[writer_of(stream)]

        async def head() -> Position:
            return await on_loop(self._service, partial(mirror.head, stream))

        async def take(payloads: list[bytes]) -> Verdict:
            return await on_loop(self._service, partial(mirror.take, stream, payloads))

        return Receiver(stream, head, take)

    async def _value_came(self, topic: str, payload: bytes) -> None:
        writer = STATUS_WRITER if topic == STATUS else topic.removeprefix(HEARTBEAT_PREFIX)
        await on_loop(self._service, partial(self._mirrors[writer].on_value, topic, payload))

    # --- what is said of it ---

    def _watch(self) -> None:
        problems = dict(self._engine.problems)
        self._service.problem = "; ".join(problems[about] for about in sorted(problems)) or None
        metrics = self._service.metrics
        metrics["relay_connects_total"] = self._engine.connects
        for sender in self._senders:
            metrics[f'relay_sent_blocks_total{{stream="{sender.stream}"}}'] = sender.sent
            metrics[f'relay_behind_events{{stream="{sender.stream}"}}'] = sender.behind
        for receiver in self._receivers:
            metrics[f'relay_received_blocks_total{{stream="{receiver.stream}"}}'] = receiver.received
        metrics["relay_doubled_blocks_total"] = sum(mirror.doubled for mirror in self._mirrors.values())
        metrics["relay_malformed_blocks_total"] = sum(mirror.malformed for mirror in self._mirrors.values())

    def _poll(self) -> None:
        for replica in self._service.journals.values():
            replica.poll(self._service.clock.monotonic())


def build(service: Service) -> None:
    Relay(service).start()
