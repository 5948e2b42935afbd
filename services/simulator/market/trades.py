"""What was traded of an instrument while its feed ran, by the minute: history is made of it.

Used by both kinds of feed, invented (prices.py) and recorded (tape). Pure; times in UTC nanoseconds.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from services.base.clock import MINUTE


class RawBar(NamedTuple):
    """A bar of real numbers: `start` in UTC nanoseconds, prices unrounded, volume in shares or contracts."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    turnover: float = 0.0  # price times volume; 0: not known

    @property
    def average(self) -> float:
        """By volume; where that is not known, the middle of its four prices."""
        return self.turnover / self.volume if self.turnover else sum(self[1:5]) / 4


class Minutes:
    """Reports of trades in order of time, as bars of a minute; at most `most` of them, None: all."""

    def __init__(self, most: int | None = None) -> None:
        self.since = 0  # from when on every trade is in them; 0: none yet
        self._most = most
        self._bars: deque[RawBar] = deque()

    def begin(self, at: int) -> None:
        """Trades before `at` are not known."""
        self.since = at
        self._bars.clear()

    def note(self, at: int, price: float, volume: float) -> None:
        """A report of a trade, and how much was traded since the one before."""
        start = at - at % MINUTE
        if not self._bars or self._bars[-1].start < start:
            self._bars.append(RawBar(start, price, price, price, price, volume, 1, price * volume))
            if self._most is not None and len(self._bars) > self._most:
                self._bars.popleft()
                self.since = self._bars[0].start
            return
        _, opened, high, low, _, before, trades, turnover = self._bars[-1]
        self._bars[-1] = RawBar(
            self._bars[-1].start,
            opened,
            price if price > high else high,
            price if price < low else low,
            price,
            round(before + volume, 6),  # parts of a coin are no whole numbers
            trades + 1,
            turnover + price * volume,
        )

    def within(self, start: int, end: int) -> list[RawBar]:
        """The minutes that begin in [start, end) and in which something was traded, oldest first."""
        return [bar for bar in self._bars if start <= bar.start < end]


def merged(bars: Iterable[RawBar], start: int) -> RawBar | None:
    """One bar of all, in order of time, that begins at `start`; None of none."""
    listed = list(bars)
    if not listed:
        return None
    return RawBar(
        start,
        listed[0].open,
        max(bar.high for bar in listed),
        min(bar.low for bar in listed),
        listed[-1].close,
        round(sum(bar.volume for bar in listed), 6),
        sum(bar.trades for bar in listed),
        sum(bar.average * bar.volume for bar in listed) if any(bar.turnover for bar in listed) else 0.0,
    )
