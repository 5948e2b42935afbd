"""The loop of a process: sockets, timers, calls from other threads, and what goes on beside them in slices.

A Service is one (process.py). Handlers run on the loop's thread, one at a time; an exception ends the loop. It sleeps
until a socket can be read or something is due, however long that is; what woke it is counted.
"""

import contextlib
import math
import queue
import select
import signal
import socket
from collections.abc import Callable
from typing import Any

import zmq

from services.base.clock import Clock
from services.runtime.background import Background
from services.runtime.bus import PlainSocket
from services.runtime.timers import Timers


class Loop:
    """A turn of it: what the sockets brought, a step of all that is `beside`, the timers, the handlers of `each_turn`.

    On the process's main thread: a signal wakes it.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pace = 0.0  # least seconds between the beginnings of two turns that the sockets woke
        self._poller = zmq.Poller()
        self._readers: dict[Any, Callable[[], None]] = {}
        self._wakes: dict[str, int] = {}  # by the handler that the loop woke for
        self._beside: list[tuple[Callable[[], object], Callable[[float], float]]] = []
        self._timers = Timers()
        self._turn_handlers: list[Callable[[], float]] = []
        self._patience = 0.0
        self._closers: list[Callable[[], None]] = []
        self._stopping = False
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wakeup, self._wakeup_end = socket.socketpair()
        self._wakeup.setblocking(False)
        self._wakeup_end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_end.fileno(), warn_on_full_buffer=False)
        self.on_readable(self._wakeup.fileno(), self._make_calls)

    # --- what hangs on it ---

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

    def beside(self, step: Callable[[], object], wait: Callable[[float], float]) -> None:
        """Call `step` in each turn, after the sockets and before the timers; it must return in bounds. `wait` is told
        the monotonic time, and tells the seconds after which a step is wanted though nothing happens."""
        self._beside.append((step, wait))

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
        self.beside(made.expire, made.wait)
        self.on_close(made.close)
        return made

    def on_close(self, handler: Callable[[], None]) -> None:
        """Call at the end, in reverse order of registration, before sockets and journals close."""
        self._closers.append(handler)

    # --- the turns of it ---

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopping:
            self._turn()

    def stop(self) -> None:
        self._stopping = True

    def close(self) -> None:
        """Call the handlers of `on_close`; nothing wakes it any more."""
        for closer in reversed(self._closers):
            closer()
        signal.set_wakeup_fd(-1)
        self._wakeup.close()
        self._wakeup_end.close()

    def _turn(self) -> None:
        woken = self._poller.poll(self._sleep())
        began = self.clock.monotonic()
        for source, _ in woken:
            handler = self._readers.get(source)
            if handler is not None:
                handler()
        self._count_wake(self._readers.get(woken[0][0]) if woken else None, began)
        for step, _ in self._beside:
            step()
        self._timers.run(self.clock.monotonic())
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
        waits = (wait(now) for _, wait in self._beside)
        return math.ceil(min(self._patience, self._timers.wait(now), *waits) * 1000)

    def _count_wake(self, handler: Callable[[], None] | None, at: float) -> None:
        """What the loop woke for: a socket's handler, else the timer that is due, else what a turn's handler wanted."""
        if handler is None and self._timers.wait(at) <= 0.0:
            handler = self._timers.next
        name = "deadline" if handler is None else getattr(handler, "__qualname__", type(handler).__name__)
        self._wakes[name] = self._wakes.get(name, 0) + 1

    def _make_calls(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        for _ in range(self._calls.qsize()):
            self._calls.get()()
