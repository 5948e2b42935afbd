"""The sink's pure core: which symbols are to be written, and when.

Called by the sink's loop alone. Guarantees: the first change of a symbol is due at once; further ones are
conflated to one an interval; the last change always comes; at most so many writes a second, the longest
waiting first. The cost follows the changes: no call looks at symbols that have none.
"""

import heapq
import math
from collections.abc import Iterable
from itertools import islice

BURST_SECONDS = 0.1  # the part of a second's budget that may be spent at once


class Conflator:
    """Times are seconds on a clock that never goes back."""

    def __init__(self, interval: float, writes_per_second: float) -> None:
        self._interval = interval
        self._rate = writes_per_second
        self._burst = max(1.0, writes_per_second * BURST_SECONDS)
        self._budget = self._burst
        self._refilled = -math.inf
        self._ready: dict[str, None] = {}  # changed and due, in order of arrival
        self._resting: dict[str, float] = {}  # written: may be written again at that time; in order of time
        self._later: list[tuple[float, str]] = []  # heap of those resting that have changed since
        self._changed: set[str] = set()  # the symbols in that heap

    @property
    def pending(self) -> int:
        """Symbols with a change that was not taken yet."""
        return len(self._ready) + len(self._later)

    def mark(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            due = self._resting.get(symbol)
            if due is None:
                self._ready[symbol] = None
            elif symbol not in self._changed:
                self._changed.add(symbol)
                heapq.heappush(self._later, (due, symbol))

    def take(self, now: float) -> list[str]:
        """The symbols to write now. They count as written at `now`."""
        self._wake(now)
        self._budget = min(self._burst, self._budget + (now - self._refilled) * self._rate)
        self._refilled = now
        taken = list(islice(self._ready, int(self._budget)))
        self._budget -= len(taken)
        for symbol in taken:
            del self._ready[symbol]
            self._resting[symbol] = now + self._interval
        return taken

    def wait(self, now: float) -> float:
        """Seconds until `take` may give something, as things are; infinity when nothing has changed."""
        if self._ready:
            return max(0.0, (1.0 - self._budget) / self._rate)
        return max(0.0, self._later[0][0] - now) if self._later else math.inf

    def drain(self) -> list[str]:
        """All that is pending, due or not: for the end."""
        pending = [*self._ready, *(symbol for _, symbol in self._later)]
        self._ready.clear()
        self._later.clear()
        self._changed.clear()
        return pending

    def _wake(self, now: float) -> None:
        """Let those rest no more whose time has come; symbols that have not changed are just forgotten."""
        while self._later and self._later[0][0] <= now:
            _, symbol = heapq.heappop(self._later)
            self._changed.discard(symbol)
            self._ready[symbol] = None
        while self._resting:
            symbol = next(iter(self._resting))
            if self._resting[symbol] > now:
                return
            del self._resting[symbol]
