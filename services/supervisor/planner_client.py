"""Questions to the planner that do not hold up the loop: each in a thread of its own, one at a time by design.

Used by the supervisor's service. The answer comes back on the loop's thread, through `drain`.
"""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable

from messages.control import AnyMessage, Failed
from messages.errors import IbStreamError
from messages.topics import PLANNER_CONTROL
from services.base.settings import Settings
from services.runtime.bus import request


class PlannerDesk:
    """Register `wakeup` as readable with `drain` as its handler."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._answers: queue.SimpleQueue[tuple[Callable[[Failed | None], None], Failed | None]] = queue.SimpleQueue()
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)

    @property
    def wakeup(self) -> int:
        return self._here.fileno()

    def ask(self, message: AnyMessage, then: Callable[[Failed | None], None]) -> None:
        """Call `then` from `drain`, once: with None when the planner agreed, else with why not, such as
        `planner_unreachable` after the timeout."""
        threading.Thread(target=self._ask, args=(message, then), name="ask-planner", daemon=True).start()

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._here.recv(4096)
        while not self._answers.empty():
            then, failure = self._answers.get()
            then(failure)

    def close(self) -> None:
        self._there.close()
        self._here.close()

    def _ask(self, message: AnyMessage, then: Callable[[Failed | None], None]) -> None:
        failure = None
        try:
            request(self._settings, PLANNER_CONTROL, message, timeout=self._timeout)
        except IbStreamError as error:
            failure = Failed(code=error.code, message=error.message)
        self._answers.put((then, failure))
        with contextlib.suppress(OSError):  # closed meanwhile: nobody waits for the answer
            self._there.send(b"\0")
