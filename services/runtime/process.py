"""What every service's process is made of: one poll loop, timers, signals, heartbeats, streams followed.

A service builds its sockets and handlers on a `Service`, and `main` runs it: settings and lock first, with
one clear line and an exit code when they are wrong; then the loop until SIGINT or SIGTERM; then a close that
takes well under five seconds. Handlers run on the loop's thread, one at a time; an exception ends the process.
The loop sleeps until a socket can be read or something is due, however long that is; what woke it is counted.
"""

import contextlib
import gc
import math
import os
import queue
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

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
from services.runtime.background import Background
from services.runtime.bus import LOOK_SECONDS, PlainSocket, Publisher, Server, Subscriber
from services.runtime.follow import FileSource, Follower
from services.runtime.replay_endpoint import RemoteSource, ReplayServer
from services.runtime.timers import Timers

log = structlog.get_logger()

BEHIND_SECONDS = 0.02  # between two looks at a stream that is known to go on


class Service:
    """One process of the pipeline: its loop and what hangs on it."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.clock = SystemClock()
        self.started_at = self.clock.now()
        self.metrics: dict[str, float] = {}
        self.problem: str | None = None
        self.source_heard: Callable[[], int] | None = None  # when IB was last heard: for the heartbeat
        self.new_prices: Callable[[], dict[str, PriceTime]] = dict  # since the last heartbeat, for the next one
        self.journals: dict[str, JournalWriter] = {}
        self.followers: dict[str, Follower] = {}
        self._remote: dict[str, RemoteSource] = {}  # where the past of some of them is asked for
        self.lock = self._take_lock()
        self._context: zmq.Context[PlainSocket] = zmq.Context()
        self._poller = zmq.Poller()
        self._readers: dict[Any, Callable[[], None]] = {}
        self._wakes: dict[str, int] = {}  # of the loop, by the handler that it woke for
        self._timers = Timers()
        self._turn_handlers: list[Callable[[], float]] = []
        self._patience = 0.0
        self.pace = 0.0  # least seconds between the beginnings of two turns that the sockets woke; set by `build`
        self._topics: dict[str, Callable[[str, bytes], None]] = {}
        self._on_demand: set[str] = set()
        self._subscriber: Subscriber | None = None
        self._closers: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []
        self._servers: list[Server | ReplayServer] = []
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._backgrounds: list[Background] = []
        self._stopping = False
        self.reload = False  # stopping only to start again with new settings
        self.malformed = 0  # frames from other services that could not be read
        self._wakeup = self._catch_signals()
        if name in settings.peers:
            guard = keys.Guard(self._context, settings)
            self.every(keys.RELOAD_SECONDS, lambda: self._check_keys(guard))
            self.on_close(guard.stop)
        self.publisher = Publisher(self._context, settings, events_endpoint(name))
        self.on_readable(self.publisher.socket, self.publisher.on_readable)
        self.on_readable(self.publisher.connections.socket, self.publisher.connections.drain)
        self.every(settings.heartbeat_interval, self.beat)
        self.every(LOOK_SECONDS, self.publisher.listener.look)

    # --- what a service is built of ---

    def on_readable(self, source: PlainSocket | int, handler: Callable[[], None]) -> None:
        """Call `handler` when a ZeroMQ socket or a file descriptor can be read; it must drain in bounds."""
        self._poller.register(source, zmq.POLLIN)
        self._readers[source] = handler

    def on_writable(self, fd: int, wanted: bool) -> None:
        """Also wake `fd`'s handler when it can be written."""
        self._poller.register(fd, zmq.POLLIN | (zmq.POLLOUT if wanted else 0))

    def forget(self, source: PlainSocket | int) -> None:
        if self._readers.pop(source, None) is not None:
            self._poller.unregister(source)

    def every(self, seconds: float, handler: Callable[[], None]) -> None:
        """Call `handler` at once and then at every multiple of `seconds` on the monotonic clock, together with all
        other timers that are due then; after a stall once, not once for each time missed."""
        self._timers.add(seconds, handler, self.clock.monotonic())

    def each_turn(self, handler: Callable[[], float]) -> None:
        """Call `handler` at the end of each turn of the loop, after all that the turn brought; it returns the
        seconds after which it wants to be called again even if nothing happens, infinity for never."""
        self._turn_handlers.append(handler)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Have `call` made on the loop, in one of its next turns. May be used from any thread, and only this may."""
        self._calls.put(call)
        with contextlib.suppress(OSError):  # many wake-ups are waiting already
            self._wakeup_end.send(b"\0")

    def background(self, what: str, code: str, threads: int = 4) -> Background:
        """Threads for one kind of job that may block, such as name lookups; the answers come back on the loop:

            names = service.background("the name lookup", "invalid_setting")
            names.submit(partial(socket.getaddrinfo, host, port), self._resolved, seconds=5.0)

        `what` begins the sentence of an error, and `code` is its code: see Background, which also names the bounds.
        """
        made = Background(what, code, self.call_soon, self.clock.monotonic, threads)
        self._backgrounds.append(made)
        self.on_close(made.close)
        return made

    def on_close(self, handler: Callable[[], None]) -> None:
        """Call at the end, in reverse order of registration, before sockets and journals close."""
        self._closers.append(handler)

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
        publisher = Publisher(self._context, self.settings, events_endpoint(service))
        self.on_close(publisher.close)
        self.on_readable(publisher.socket, publisher.on_readable)
        self.on_readable(publisher.connections.socket, publisher.connections.drain)
        self.every(LOOK_SECONDS, publisher.listener.look)
        return publisher

    def serve(self, endpoint: str, handle: Callable[[AnyMessage], AnyMessage | None]) -> Server:
        server = Server(self._context, self.settings, endpoint, handle)
        self._servers.append(server)
        self.on_readable(server.socket, server.on_readable)
        self.on_readable(server.connections.socket, server.connections.drain)
        self.every(LOOK_SECONDS, server.listener.look)
        self.on_close(server.close)
        return server

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
        elsewhere = isinstance(source, RemoteSource)
        follower = Follower(stream, source, apply, restart, cursor, time=time, unproven=elsewhere)
        self.followers[stream] = follower
        if isinstance(source, RemoteSource):
            self._remote[stream] = source
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
        subscriber = Subscriber(self._context, self.settings, map(events_endpoint, services), topics)
        self._subscriber = subscriber
        self.on_readable(subscriber.socket, self.drain)
        self.on_close(subscriber.close)
        for follower in self.followers.values():
            follower.look_back()

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

    def stop(self) -> None:
        self._stopping = True

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

    # --- the loop ---

    def run(self) -> None:
        """Serve until a signal or `stop`."""
        notify_systemd("READY=1")
        log.info("started", pid=os.getpid(), streams={name: w.epoch for name, w in self.journals.items()} or None)
        gc.freeze()
        while not self._stopping:
            self._turn()
        notify_systemd("RELOADING=1" if self.reload else "STOPPING=1")
        log.info("stopping")

    def close(self) -> None:
        """Let go of everything; the journals are durable afterwards."""
        for closer in reversed(self._closers):
            closer()
        for writer in self.journals.values():
            writer.close()
        self.publisher.close()
        self._context.term()
        for thread in self._threads:
            thread.join(2.0)
        self.lock.release()

    def _turn(self) -> None:
        woken = self._poller.poll(self._sleep())
        began = self.clock.monotonic()
        for source, _ in woken:
            handler = self._readers.get(source)
            if handler is not None:
                handler()
        self._count_wake(self._readers.get(woken[0][0]) if woken else None, began)
        for follower in self.followers.values():
            if follower.behind:
                follower.step()
        self._timers.run(self.clock.monotonic())
        for background in self._backgrounds:
            background.expire()
        self._patience = min((handler() for handler in self._turn_handlers), default=math.inf)
        if woken and self.pace and not self._stopping:
            # Under load a turn then takes many blocks at once; the first one after a quiet while never waits.
            self._rest(began + self.pace - self.clock.monotonic())

    def _rest(self, seconds: float) -> None:
        """Leave the sockets alone for so long; a signal, and a call from another thread, end it."""
        if 0.0 < seconds <= self.pace:
            select.select([self._wakeup], [], [], seconds)

    def _sleep(self) -> int:
        """Milliseconds until something is due."""
        now = self.clock.monotonic()
        wait = min(self._patience, self._timers.wait(now))
        for background in self._backgrounds:
            wait = min(wait, background.wait(now))
        if any(follower.behind for follower in self.followers.values()):
            wait = min(wait, BEHIND_SECONDS)
        return math.ceil(wait * 1000)

    def _count_wake(self, handler: Callable[[], None] | None, at: float) -> None:
        """What the loop woke for: a socket's handler, else the timer that is due, else what a turn's handler wanted."""
        if handler is None and self._timers.wait(at) <= 0.0:
            handler = self._timers.next
        name = "deadline" if handler is None else getattr(handler, "__qualname__", type(handler).__name__)
        self._wakes[name] = self._wakes.get(name, 0) + 1

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

    def _take_lock(self) -> OwnedLock:
        path = prepare_run_dir(self.settings) / f"{self.name}.lock"
        for folder in (self.settings.state_dir, self.settings.flight_dir):  # account numbers are in recorded traffic
            with contextlib.suppress(OSError):  # told by whoever has to write there
                private_folder(folder)
        busy = f"another {self.name} runs already on the data root {self.settings.root}"
        return OwnedLock(path, busy, self.started_at)

    def _catch_signals(self) -> socket.socket:
        """SIGINT and SIGTERM stop the loop, SIGHUP reloads; a byte on a socket pair wakes it."""
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, lambda *_: self.reload_settings())
        self.on_readable(here.fileno(), self._make_calls)
        self._wakeup_end = there
        return here

    def _make_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        for _ in range(self._calls.qsize()):
            self._calls.get()()


def _resident_bytes() -> float:
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - read every second, Path costs more
            return int(statm.read().split()[1]) * float(os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return 0.0


def _as_they_are(settings: Settings) -> Settings:
    return settings


def notify_systemd(message: str) -> None:
    """Tell systemd about readiness, stopping and life (sd_notify(3)); nothing where it did not start us."""
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.sendto(message.encode(), "\0" + where[1:] if where.startswith("@") else where)


def main(
    name: str, build: Callable[[Service], object], shard: str = "", adapt: Callable[[Settings], Settings] = _as_they_are
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
