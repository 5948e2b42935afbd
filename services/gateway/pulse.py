"""When IB was last heard: what the heartbeat says of it, and when to ask for the time so that it can be said.

Pure, used by the gateway's loop. Any byte proves that IB lives, but for after this process or the machine was held up:
then what comes first has waited in the sockets, and only the answer to a question that was asked since proves
anything. Times `at` are seconds on a clock that never goes back, `now` is UTC nanoseconds; the older one counts.
"""

from typing import Final

from services.base.clock import SECOND

HELD_UP: Final = 1.0  # seconds


class Pulse:
    """`interval`: seconds of silence after which IB is asked for the time."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._heard: tuple[float, int] | None = None  # on both clocks; None without a connection
        self._asked = 0  # questions sent on this connection
        self._answered = 0
        self._needed = 0  # answers before anything proves that IB is heard
        self._asked_at = 0.0
        self._last: tuple[float, int] | None = None

    def begin(self) -> None:
        """The connection ended, or another one begins: nothing of the last one holds."""
        self._heard = None
        self._asked = self._answered = self._needed = 0
        self._asked_at = 0.0

    def heard(self, at: float, now: int) -> None:
        """Something came from IB."""
        self._pass(at, now)
        if self._answered >= self._needed:
            self._heard = (at, now)

    def asked(self, at: float) -> None:
        """A question for the time was sent, whoever wanted it."""
        self._asked += 1
        self._asked_at = at

    def answered(self, at: float, now: int) -> None:
        """The answers come in the order of the questions."""
        self._answered += 1
        self.heard(at, now)

    def wants(self, at: float, now: int) -> bool:
        """Whether to ask for the time now. Call several times a second."""
        self._pass(at, now)
        if at - self._asked_at < self._interval:
            return False
        return self._answered < self._needed or self._heard is None or _age(self._heard, at, now) >= self._interval

    def heard_at(self, at: float, now: int) -> int:
        """UTC ns of when IB was last heard, on the clock of `now`; 0 when it was not on this connection."""
        return now - int(_age(self._heard, at, now) * SECOND) if self._heard is not None else 0

    def _pass(self, at: float, now: int) -> None:
        if self._last is not None and _age(self._last, at, now) > HELD_UP:
            self._needed = self._asked + 1
            self._asked_at = 0.0
        self._last = (at, now)


def _age(moment: tuple[float, int], at: float, now: int) -> float:
    return max(at - moment[0], (now - moment[1]) / SECOND, 0.0)
