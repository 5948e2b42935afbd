"""The server's time as its answers tell it: a price counts in that, and this machine's clock may be wrong.

Where two readings of the time disagree the later one counts: a price then expires too early, and never too late.
"""

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from services.base.clock import SECOND, parse_time

EXACT: Final = "X-Server-Time"
WHOLE_SECOND: Final = SECOND  # what a Date header may lack, ns
SLOW: Final = SECOND  # an answer that took longer tells less than one before it
JUMP: Final = SECOND  # by which the two clocks may drift apart between answers


class Reading(NamedTuple):
    """This machine's clocks, ns: the wall's can be set, the steady one may stop while it sleeps."""

    wall: int
    steady: int


def read_clocks() -> Reading:
    return Reading(time.time_ns(), time.monotonic_ns())


class ServerClock:
    def __init__(self, read: Callable[[], Reading] = read_clocks) -> None:
        self.read = read
        self._anchor: tuple[int, Reading] | None = None  # one tuple: another thread sees all of it or nothing

    def now(self) -> int:
        """UTC ns of the server, or a little later; this machine's own while nothing is known."""
        if self._anchor is None:
            return self.read().wall
        server, at = self._anchor
        return server + self._since(at)

    @property
    def jumped(self) -> bool:
        """Whether one of this machine's clocks was set or stood still since the last answer: time to ask again."""
        if self._anchor is None:
            return False
        now, (_, then) = self.read(), self._anchor
        return abs((now.wall - then.wall) - (now.steady - then.steady)) > JUMP

    def answered(self, headers: Mapping[str, str], sent: Reading) -> None:
        """An answer came to what was sent at `sent`: the server told its time somewhere in between. Raises ValueError
        when it told none."""
        server = _time_in(headers)
        if self._anchor is None or self.jumped or self._since(sent) <= SLOW:
            self._anchor = (server, sent)

    def _since(self, then: Reading) -> int:
        now = self.read()
        return max(0, now.wall - then.wall, now.steady - then.steady)


def _time_in(headers: Mapping[str, str]) -> int:
    """To the microsecond, or behind a proxy that hides that to the second."""
    exact = headers.get(EXACT)
    if exact is not None:
        return parse_time(exact, 0)
    date = headers.get("Date")
    if date is None:
        raise ValueError("it tells no time")
    return int(parsedate_to_datetime(date).timestamp()) * SECOND + WHOLE_SECOND
