"""Who is still heard: the one judgement of silence, for all that listen to heartbeats.

Pure. Nobody is called silent because the listener itself was held up (busy, stopped, on a machine that slept): what
was said meanwhile is still in its socket. Times are of one clock and in one unit, seconds unless said otherwise.
"""

import math
from collections.abc import Collection
from typing import Final

STALL: Final = 1.4  # seconds between two checks that mean that the listener was held up


class Liveness:
    """Call `hear` for each heartbeat, and then `check`, at least once a second and when `wait` is over: `lost` is of
    the last check."""

    def __init__(
        self, timeout: float, at: float, expected: Collection[str] = (), grace: float = 0.0, stall: float = STALL
    ) -> None:
        """`timeout`: how long one may be silent. `grace`: how long an `expected` one may take to be heard at all."""
        self.started = at  # later by all that the listener was held up since
        self.lost: set[str] = set()  # silent for too long
        self._timeout = timeout
        self._expected = expected
        self._grace = grace
        self._stall = stall
        self._heard: dict[str, float] = {}
        self._checked = at

    def hear(self, name: str, at: float) -> None:
        self._heard[name] = at
        self.lost.discard(name)

    def check(self, at: float) -> bool:
        """Notice who has gone silent. True: the listener was held up since the last check."""
        held_up, self._checked = at - self._checked, at
        stalled = held_up > self._stall
        if stalled:
            self._heard = {name: min(at, heard + held_up) for name, heard in self._heard.items()}
            self.started += held_up
        self.lost |= {name for name, heard in self._heard.items() if at - heard > self._timeout}
        if at - self.started > self._grace:
            self.lost |= {name for name in self._expected if name not in self._heard}
        return stalled

    def wait(self, at: float) -> float:
        """How long until one who is heard now will be lost if nothing more comes; infinity when none is heard."""
        heard = [when for name, when in self._heard.items() if name not in self.lost]
        return max(0.0, min(heard) + self._timeout - at) if heard else math.inf

    def heard(self, name: str) -> bool:
        """Whether it was heard ever, and is not lost."""
        return name in self._heard and name not in self.lost

    def names(self) -> list[str]:
        """All that were ever heard."""
        return list(self._heard)
