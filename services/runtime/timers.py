"""The timers of a loop, and how late the loop was for them. Pure: times are seconds on a clock that never goes back.

A timer is due at the whole multiples of its period on that clock, which all processes of a machine share: so what is
done every half second and what is done every second fall together, in one process and in all of them, and each wakes
up once for both.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

LAG_SECONDS: Final = 10.0  # how long a stall is told: longer than any watcher of heartbeats looks away


class Timers:
    """Handlers that are called again and again. After a stall each is called once, not once for each time missed."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, float, Callable[[], None]]] = []
        self._numbers = count()
        self.lag = LoopLag()

    def add(self, seconds: float, handler: Callable[[], None], now: float) -> None:
        """Call `handler` at once, and then at every multiple of `seconds`, which are more than none."""
        assert seconds > 0
        heapq.heappush(self._due, (now, next(self._numbers), seconds, handler))

    def wait(self, now: float) -> float:
        """Seconds until the next one is due."""
        return max(0.0, self._due[0][0] - now)

    @property
    def next(self) -> Callable[[], None]:
        """The handler that is due next."""
        return self._due[0][3]

    def run(self, now: float) -> None:
        """Call what is due."""
        while self._due[0][0] <= now:
            due, number, seconds, handler = self._due[0]
            self.lag.note(now - due, now)
            heapq.heapreplace(self._due, (_multiple_after(now, seconds), number, seconds, handler))
            handler()


def _multiple_after(now: float, seconds: float) -> float:
    """The first multiple of `seconds` after `now`, which may be one itself but for what floats leave of it."""
    return (math.floor(now / seconds + 1e-6) + 1) * seconds


class LoopLag:
    """The longest that a loop was late within the last `LAG_SECONDS`."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, float]] = deque()  # when, and how late; longest first

    def note(self, late: float, now: float) -> None:
        while self._noted and self._noted[-1][1] <= late:
            self._noted.pop()
        self._noted.append((now, late))

    def longest(self, now: float) -> float:
        """In seconds."""
        while self._noted and now - self._noted[0][0] > LAG_SECONDS:
            self._noted.popleft()
        return self._noted[0][1] if self._noted else 0.0
