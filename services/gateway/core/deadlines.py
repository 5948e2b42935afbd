"""Deadlines by key, for the gateway's core: set, move and clear in O(log n), nothing to do while none is due."""

import heapq
from collections.abc import Iterator
from typing import Final, Literal

from services.base.clock import SECOND as SECOND

NEVER: Final = 2**62


def ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return int(seconds * SECOND)


Part = Literal["symbol", "link", "silence", "competing", "lines", "fill", "units", "rejected", "errors", "positions"]
"""Whose deadline it is."""

Key = tuple[Part, str]
"""The part, and what of it is due: a symbol's name, or the part's own word."""


class Deadlines:
    """One time per key, UTC nanoseconds."""

    def __init__(self) -> None:
        self._at: dict[Key, int] = {}
        self._heap: list[tuple[int, int, Key]] = []
        self._order = 0

    def set(self, key: Key, at: int) -> None:
        """The key is due at this time, and no longer at an earlier one. NEVER clears it."""
        if at >= NEVER:
            self.clear(key)
            return
        if self._at.get(key) == at:
            return
        self._at[key] = at
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, key))
        if len(self._heap) > 4 * len(self._at) + 64:
            self._rebuild()

    def clear(self, key: Key) -> None:
        self._at.pop(key, None)

    def due(self, now: int) -> Iterator[Key]:
        """Take out the keys whose time has come, earliest first. Each may be set again while iterating."""
        while self.next <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._at[key]
            yield key

    @property
    def next(self) -> int:
        """The earliest time, or NEVER."""
        while self._heap:
            at, _, key = self._heap[0]
            if self._at.get(key) == at:
                return at
            heapq.heappop(self._heap)  # moved or cleared since
        return NEVER

    def _rebuild(self) -> None:
        self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)
