"""Work beside a loop, answered on it: jobs that may block (a name lookup, a database, a question to a peer) run on
threads, and their outcomes come back on the loop's own thread, so that neither side needs a lock.

`Service.background` makes one for a service; anything that can be handed a call from another thread will do as
the loop. The number of threads, of waiting jobs, and the time of each job are bounded.
"""

import math
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from messages.errors import IbStreamError

log = structlog.get_logger()

MAX_WAITING: Final = 100  # jobs that wait for a free thread

T = TypeVar("T")


class _Pending(NamedTuple):
    deadline: float
    seconds: float
    then: Callable[[Any], None]


class Background:
    """Jobs of one kind, such as the reads of a database: a kind that hangs holds up no other kind.

    A job's outcome is what it returned, or the IbStreamError that stopped it. Of any other exception only the kind
    and the place are told, in the log and as an error with `code`: its words may hold a password. A job that overruns
    its deadline is answered with an error, and what it gives later is dropped; its thread cannot be ended, and
    counts as long as it hangs. Call every method on the loop's thread.
    """

    def __init__(
        self,
        what: str,
        code: str,
        call_soon: Callable[[Callable[[], None]], Any],
        monotonic: Callable[[], float],
        threads: int = 4,
    ) -> None:
        """`what` begins the sentences ("the database gave no answer in 5 seconds"), `code` is their error code;
        `call_soon` has a call made on the loop and may be used from any thread; `threads` is the most at a time."""
        self._what = what
        self._code = code
        self._call_soon = call_soon
        self._monotonic = monotonic
        self._free = threads
        self._count = 0
        self._pending: dict[int, _Pending] = {}
        self._waiting: dict[int, Callable[[], Any]] = {}  # oldest first

    def submit(self, job: Callable[[], T], then: Callable[[T | IbStreamError], None], seconds: float) -> None:
        """Run `job` on a thread as soon as one is free. `then` is called with its outcome exactly once, never from
        within this call, at the latest about `seconds` from now; not at all after `close`."""
        self._count += 1
        self._pending[self._count] = _Pending(self._monotonic() + seconds, seconds, then)
        if self._free:
            self._start(self._count, job)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[self._count] = job
        else:
            number, crowded = self._count, self._error("has too many jobs waiting")
            self._call_soon(lambda: self._settle(number, crowded))

    def wait(self, now: float) -> float:
        """Seconds until `expire` may have something to do; infinity while no job is under way."""
        if not self._pending:
            return math.inf
        return max(0.0, min(job.deadline for job in self._pending.values()) - now)

    def expire(self) -> None:
        """Give up what has overrun its deadline. The loop calls it when `wait` is over; a Service does."""
        if not self._pending:
            return
        now = self._monotonic()
        for number, job in list(self._pending.items()):
            if now >= job.deadline:
                hang = ": earlier ones still hang" if self._waiting.pop(number, None) is not None else ""
                self._settle(number, self._error(f"gave no answer in {job.seconds:g} seconds{hang}"))

    def close(self) -> None:
        """Threads that still run are left to end with the process; their outcomes go nowhere."""
        self._pending.clear()
        self._waiting.clear()

    def _start(self, number: int, job: Callable[[], Any]) -> None:
        self._free -= 1
        threading.Thread(target=self._run, args=(number, job), name=self._what, daemon=True).start()

    def _run(self, number: int, job: Callable[[], Any]) -> None:
        """On the thread."""
        try:
            outcome = job()
        except IbStreamError as error:
            outcome = error
        except Exception as error:
            kind, frame = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
            log.error("job_failed", what=self._what, error=kind, at=f"{frame.filename}:{frame.lineno}")
            outcome = self._error(f"failed unexpectedly ({kind})")
        try:
            self._call_soon(lambda: self._finish(number, outcome))
        except RuntimeError:
            log.info("job_outlived_its_loop", what=self._what)

    def _finish(self, number: int, outcome: Any) -> None:
        self._free += 1
        if self._waiting:
            waiting = next(iter(self._waiting))
            self._start(waiting, self._waiting.pop(waiting))
        self._settle(number, outcome)

    def _settle(self, number: int, outcome: Any) -> None:
        job = self._pending.pop(number, None)
        if job is not None:
            job.then(outcome)

    def _error(self, words: str) -> IbStreamError:
        return IbStreamError(self._code, f"{self._what} {words}")
