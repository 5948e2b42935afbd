"""Reads on threads of their own, so that a slow or dead database never holds up the planner's loop.

The service submits jobs and drains outcomes in its loop. Each job has a deadline: one that overruns it is
answered with an error, and what it gives later is dropped. A thread that hangs cannot be ended, so their
number is bounded.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import structlog

from messages.errors import IbStreamError

log = structlog.get_logger()

MAX_THREADS: Final = 6

T = TypeVar("T")


class Reader(Generic[T]):
    """Runs jobs for one loop. A job's outcome is what it returned, or the IbStreamError that stopped it."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a job may take before it is given up."""
        self._seconds = seconds
        self._done: queue.SimpleQueue[tuple[int, T | IbStreamError]] = queue.SimpleQueue()
        self._pending: dict[int, tuple[float, Callable[[T | IbStreamError], None]]] = {}
        self._threads: list[threading.Thread] = []
        self._count = 0
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)

    @property
    def wakeup(self) -> int:
        """A file descriptor that turns readable when an outcome is there."""
        return self._ear.fileno()

    def submit(self, job: Callable[[], T], then: Callable[[T | IbStreamError], None], monotonic: float) -> None:
        """Run `job` on a thread; `drain` or `expire` calls `then` with its outcome, exactly once."""
        self._count += 1
        self._pending[self._count] = (monotonic + self._seconds, then)
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= MAX_THREADS:
            error = IbStreamError("database_unavailable", "earlier reads of the database still hang")
            self._finish(self._count, error)
            return
        thread = threading.Thread(target=self._run, args=(self._count, job), name="read", daemon=True)
        self._threads.append(thread)
        thread.start()

    def drain(self) -> None:
        """Hand in what has come. Call when `wakeup` is readable."""
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)
        while not self._done.empty():
            self._settle(*self._done.get())

    def expire(self, monotonic: float) -> None:
        """Give up what has overrun its deadline. Call a few times a second."""
        for number, (deadline, _) in list(self._pending.items()):
            if monotonic > deadline:
                words = f"the database or the snapshot's file gave no answer in {self._seconds:g} seconds"
                self._settle(number, IbStreamError("database_unavailable", words))

    def close(self) -> None:
        """Threads that still run are left to end with the process; their outcomes go nowhere."""
        self._pending.clear()
        self._ear.close()
        self._bell.close()

    def _run(self, number: int, job: Callable[[], T]) -> None:
        outcome: T | IbStreamError
        try:
            outcome = job()
        except IbStreamError as error:
            outcome = error
        except Exception as error:
            # The words of an unexpected error may hold anything, a password too: only its kind is said.
            kind = type(error).__name__
            log.error("read_failed", error=kind)
            outcome = IbStreamError("database_unavailable", f"the read failed unexpectedly ({kind})")
        self._finish(number, outcome)

    def _finish(self, number: int, outcome: T | IbStreamError) -> None:
        self._done.put((number, outcome))
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    def _settle(self, number: int, outcome: T | IbStreamError) -> None:
        _, then = self._pending.pop(number, (0.0, None))
        if then is not None:
            then(outcome)
