"""What every service's process is made of: its loop, signals, heartbeats, streams followed.

A service builds its sockets and handlers on a `Service`, and `main` runs it: settings and lock first, with
one clear line and an exit code when they are wrong; then the loop until SIGINT or SIGTERM; then a close that
takes well under five seconds. An exception in a handler ends the process.
"""

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
import structlog
import zmq

from messages.codec import decode_heartbeat, encode
from messages.control import AnyMessage
from messages.errors import IbStreamError
from messages.events import Block
from messages.topics import HEARTBEAT_PREFIX, events_endpoint, heartbeat_topic, sharded, writer_of
from messages.views import Heartbeat, PriceTime
from services.base import keys, logs
from services.base.clock import SystemClock
from services.base.files import private_folder
from services.base.lock import OwnedLock
from services.base.run_dir import prepare_run_dir
from services.base.settings import Settings, load
from services.journal import JournalWriter
from services.journal.cursor import Cursor
from services.runtime.bus import LOOK_SECONDS, PlainSocket, Publisher, Server, Subscriber
from services.runtime.follow import FileSource, Follower
from services.runtime.loop import Loop
from services.runtime.replay_endpoint import RemoteSource, ReplayServer

log = structlog.get_logger()

Listening = TypeVar("Listening", Publisher, Server)


class Service(Loop):
    """One process of the pipeline: its loop and what hangs on it."""

    def __init__(self, name: str, settings: Settings) -> None:
        clock = SystemClock()
        self.name = name
        self.settings = settings
        self.started_at = clock.now()
        self.metrics: dict[str, float] = {}
        self.problem: str | None = None
        self.source_heard: Callable[[], int] | None = None  # when IB was last heard: for the heartbeat
        self.new_prices: Callable[[], dict[str, PriceTime]] = dict  # since the last heartbeat, for the next one
        self.journals: dict[str, JournalWriter] = {}
        self.followers: dict[str, Follower] = {}
        self._remote: dict[str, RemoteSource] = {}  # where the past of some of them is asked for
        self.lock = self._take_lock()
        super().__init__(clock)
        self._context: zmq.Context[PlainSocket] = zmq.Context()
        self._topics: dict[str, Callable[[str, bytes], None]] = {}
        self._on_demand: set[str] = set()
        self._subscriber: Subscriber | None = None
        self._threads: list[threading.Thread] = []
        self._servers: list[Server | ReplayServer] = []
        self.reload = False  # stopping only to start again with new settings
        self.malformed = 0  # frames from other services that could not be read
        self._catch_signals()
        if name in settings.peers:
            guard = keys.Guard(self._context, settings)
            self.every(keys.RELOAD_SECONDS, lambda: self._check_keys(guard))
            self.on_close(guard.stop)
        self.every(settings.heartbeat_interval, self.beat)
        self.publisher = self._attended(Publisher(self._context, settings, events_endpoint(name)))

    # --- what a service is built of ---

    def journal(self, stream: str) -> JournalWriter:
        """The writer of one of this service's own streams. Raises IbStreamError."""
        assert writer_of(stream) == self.name, (stream, self.name)
        writer = JournalWriter(
            self.settings.journal_dir,
            stream,
            now=self.clock.now(),
            commit_seconds=self.settings.journal_commit_ms / 1000,
        )
        self.journals[stream] = writer
        return writer

    def serve_replay(self) -> None:
        """Answer replay requests for this service's streams, in a thread. Call after the journals are open."""
        server = ReplayServer(self._context, self.settings, self.name, self.journals)
        self._servers.append(server)
        thread = threading.Thread(target=server.run, name="replay", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stand_in(self, service: str) -> Publisher:
        """A publisher in the place of a service that runs on another machine, for those that look for it here.

        Raises IbStreamError `ib_stream_lock_busy` when it runs here, and `invalid_setting` when it is a peer.
        """
        if service in self.settings.peers:
            raise IbStreamError(
                "invalid_setting", f"IBSTREAM_BUS_PEERS names {service}, and the {self.name} is to stand in for it"
            )
        busy = f"the {service} itself runs on the data root {self.settings.root}"
        lock = OwnedLock(self.settings.run_path / f"{service}.lock", busy, self.started_at)
        self.on_close(lock.release)
        publisher = self._attended(Publisher(self._context, self.settings, events_endpoint(service)))
        self.on_close(publisher.close)
        return publisher

    def serve(self, endpoint: str, handle: Callable[[AnyMessage], AnyMessage | None]) -> Server:
        server = self._attended(Server(self._context, self.settings, endpoint, handle))
        self._servers.append(server)
        self.on_close(server.close)
        return server

    def _attended(self, endpoint: Listening) -> Listening:
        self.on_readable(endpoint.socket, endpoint.on_readable)
        self.on_readable(endpoint.connections.socket, endpoint.connections.drain)
        self.every(LOOK_SECONDS, endpoint.listener.look)
        return endpoint

    # --- what others publish ---

    def follow(
        self,
        stream: str,
        apply: Callable[[Block], None],
        restart: Callable[[], None],
        cursor: Cursor | None = None,
        time: int = 0,
    ) -> Follower:
        """Follow another service's stream from `cursor` on, without gaps. Call before `subscribe`. A cursor of a stream
        that is written here must be of its journal (see saved_state.py); of another machine's that is found out by the
        `time` of the block at the cursor, UTC nanoseconds."""
        source = self.source(stream)
        if isinstance(source, RemoteSource):
            self._remote[stream] = source
        follower = Follower(stream, source, apply, restart, cursor, time=time, unproven=stream in self._remote)
        self.followers[stream] = follower
        self.beside(follower.step, follower.wait)
        self._topics[stream] = lambda _topic, payload: follower.on_frame(payload)
        return follower

    def source(self, stream: str) -> RemoteSource | FileSource:
        """Where the past of another service's stream is read: here, or at its writer on another machine."""
        writer = writer_of(stream)
        source: RemoteSource | FileSource = (
            RemoteSource(self.settings, writer, stream, self._context)
            if writer in self.settings.peers
            else FileSource(self.settings.journal_dir, stream)
        )
        self.on_close(source.close)
        return source

    def on_topic(self, prefix: str, handler: Callable[[str, bytes], None]) -> None:
        """Call `handler` for frames of a topic, or of all topics that begin with `prefix` when it ends in a dot.
        Call before `subscribe`."""
        self._topics[prefix] = handler

    def on_demand(self, prefix: str, handler: Callable[[str, bytes], None]) -> None:
        """Call `handler` for those topics below `prefix` (it ends in a dot) that are listened to by then."""
        self._topics[prefix] = handler
        self._on_demand.add(prefix)

    def listen(self, topic: str, *, wanted: bool) -> None:
        """Listen to a topic below a prefix of `on_demand`, or do so no more. On the loop; call after `subscribe`."""
        assert self._subscriber is not None
        (self._subscriber.subscribe if wanted else self._subscriber.unsubscribe)(topic)

    def subscribe(self, services: Iterable[str]) -> None:
        """Connect to the publishers of `services` for all that was asked for with `follow` and `on_topic`."""
        heartbeats = {heartbeat_topic(writer_of(stream)) for stream in self.followers}
        topics = {*self._topics, *heartbeats} - self._on_demand
        subscriber = self._subscriber = Subscriber(self._context, self.settings, map(events_endpoint, services), topics)
        self.on_readable(subscriber.socket, self.drain)
        self.on_close(subscriber.close)
        for follower in self.followers.values():
            follower.look_back()

    def drain(self) -> None:
        """Take in what other services have published. The loop does it by itself, at its pace."""
        assert self._subscriber is not None
        for topic, payload in self._subscriber.drain():
            if topic.startswith(HEARTBEAT_PREFIX):
                self._hear(payload)
            handler = self._topics.get(topic) or self._topics.get(topic.partition(".")[0] + ".")
            if handler is not None:
                handler(topic, payload)

    def _hear(self, payload: bytes) -> None:
        """A writer's heartbeat tells the followers of its streams where their heads are."""
        try:
            heartbeat = decode_heartbeat(payload)
        except msgspec.MsgspecError:
            self.malformed += 1
            return
        for stream, head in heartbeat.heads.items():
            follower = self.followers.get(stream)
            if follower is not None:
                follower.on_head(head.epoch, head.seq, heartbeat.started_at)

    # --- what it says of itself ---

    def beat(self) -> None:
        """Publish the heartbeat now."""
        now = self.clock.now()
        heartbeat = Heartbeat(
            service=self.name,
            pid=os.getpid(),
            time=now,
            started_at=self.started_at,
            interval=self.settings.heartbeat_interval,
            loop_lag_ms=round(self._timers.lag.longest(self.clock.monotonic()) * 1000, 3),
            heads={stream: writer.head for stream, writer in self.journals.items()},
            cursors={stream: follower.cursor.seq for stream, follower in self.followers.items()},
            source_heard=self.source_heard() if self.source_heard is not None else None,
            prices=self.new_prices(),
            problem=self.problem or next((one.problem for one in self._troubled() if one.problem), None),
            metrics=self.metrics | self._own_metrics(),
        )
        self.publisher.set_last(heartbeat_topic(self.name), encode(heartbeat))
        notify_systemd("WATCHDOG=1")

    def _troubled(self) -> Iterable[JournalWriter | RemoteSource]:
        """All that may have a problem of its own."""
        return (*self.journals.values(), *self._remote.values())

    def _own_metrics(self) -> dict[str, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            "cpu_seconds_total": usage.ru_utime + usage.ru_stime,
            "memory_peak_bytes": usage.ru_maxrss * 1024.0,
            "memory_bytes": _resident_bytes(),
            "bus_malformed_frames_total": self.malformed + (self._subscriber.malformed if self._subscriber else 0),
        }
        values.update({f'loop_wakeups_total{{by="{name}"}}': float(count) for name, count in self._wakes.items()})
        for endpoint in (self.publisher, *self._servers):
            values.update(endpoint.metrics())
        for stream, follower in self.followers.items():
            values[f'stream_behind_events{{stream="{stream}"}}'] = follower.behind
            values[f'stream_gaps_total{{stream="{stream}"}}'] = follower.gaps
            remote = self._remote.get(stream)
            malformed = follower.malformed + (remote.malformed if remote is not None else 0)
            values[f'stream_malformed_frames_total{{stream="{stream}"}}'] = malformed
        for stream, writer in self.journals.items():
            values[f'journal_bytes_total{{stream="{stream}"}}'] = writer.bytes_written
        return values

    # --- its life ---

    def run(self) -> None:
        """Serve until a signal or `stop`."""
        notify_systemd("READY=1")
        log.info("started", pid=os.getpid(), streams={name: w.epoch for name, w in self.journals.items()} or None)
        gc.freeze()
        super().run()
        notify_systemd("RELOADING=1" if self.reload else "STOPPING=1")
        log.info("stopping")

    def close(self) -> None:
        """Let go of everything; the journals are durable afterwards."""
        super().close()
        for writer in self.journals.values():
            writer.close()
        self.publisher.close()
        self._context.term()
        for thread in self._threads:
            thread.join(2.0)
        self.lock.release()

    def reload_settings(self) -> None:
        """On SIGHUP: stop and start again under the same process id, if the settings can be read."""
        try:
            load()
        except IbStreamError as error:
            log.error("reload_refused", code=error.code, message=error.message)
            return
        self.reload = True
        self.stop()

    def _check_keys(self, guard: keys.Guard) -> None:
        if guard.check():
            log.info("key_revoked", then="every connection must prove itself anew")
            for endpoint in (self.publisher, *self._servers):
                endpoint.disconnect_all()

    def _take_lock(self) -> OwnedLock:
        path = prepare_run_dir(self.settings) / f"{self.name}.lock"
        for folder in (self.settings.state_dir, self.settings.flight_dir):  # account numbers are in recorded traffic
            with contextlib.suppress(OSError):  # told by whoever has to write there
                private_folder(folder)
        busy = f"another {self.name} runs already on the data root {self.settings.root}"
        return OwnedLock(path, busy, self.started_at)

    def _catch_signals(self) -> None:
        """SIGINT and SIGTERM stop the loop, SIGHUP reloads."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, lambda *_: self.reload_settings())


def _resident_bytes() -> float:
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - read every second, Path costs more
            return int(statm.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return 0.0


def notify_systemd(message: str) -> None:
    """Tell systemd about readiness, stopping and life (sd_notify(3)); nothing where it did not start us."""
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.sendto(message.encode(), "\0" + where[1:] if where.startswith("@") else where)


def main(
    name: str,
    build: Callable[[Service], object],
    shard: str = "",
    adapt: Callable[[Settings], Settings] = lambda settings: settings,
) -> int:
    """Run a service from its `__main__`: returns the exit code. `build` hangs handlers on the Service; one that runs
    several times is told its `shard` on the command line, and may `adapt` the settings. Raises nothing."""
    module, name = name, sharded(name, shard)
    try:
        settings = adapt(load())
        logs.configure(settings, name)
        service = Service(name, settings)
    except IbStreamError as error:
        print(f"ibstream {name}: {error.message} [{error.code}]", file=sys.stderr)  # noqa: T201
        return error.exit_code
    try:
        build(service)
        service.run()
    except IbStreamError as error:
        log.error("failed", code=error.code, message=error.message)
        return error.exit_code
    except Exception:
        log.exception("crashed")
        return 1
    finally:
        service.close()
    if service.reload:
        log.info("reloading")
        os.execv(sys.executable, [sys.executable, "-m", f"services.{module}", *([shard] if shard else [])])  # noqa: S606 - our own module
    return 0
