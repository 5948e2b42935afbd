"""Gaps: per symbol, from when to when streamed prices were missing, why, and what filled the hole.

A fold of one gateway's stream `link`. Pure; used by `ibstream gaps` and by the web. Times are UTC nanoseconds.
"""

from collections.abc import Iterable

import msgspec

from messages.events import AnyEvent, GapClosed, GapFilled, GapOpened


class Gap(msgspec.Struct, kw_only=True):
    symbol: str
    start: int
    end: int | None = None  # None: still open
    reason: str
    filled_bars: int | None = None  # one-minute bars from history in it; 0: history has none; None: not asked yet

    @property
    def filled(self) -> bool:
        """Whether history had anything for it: a gap of which it has nothing stays a hole."""
        return bool(self.filled_bars)


class GapFold:
    """Two gateways may have a gap of one symbol at the same time: each has a fold of its own."""

    def __init__(self, kept: int | None = None, known: Iterable[Gap] = ()) -> None:
        """`kept`: how many of the gaps that opened last are remembered; None: all. `known`: the state of another."""
        self._gaps = {(gap.symbol, gap.start): gap for gap in known}
        self._kept = kept

    def state(self) -> list[Gap]:
        """All that is remembered, in the order in which it became known."""
        return list(self._gaps.values())

    def apply(self, event: AnyEvent) -> None:
        match event:
            case GapOpened():
                self._of(event)
            case GapClosed():  # also of a gap whose opening was retired from the journal
                gap = self._of(event)
                gap.end, gap.reason = event.end, event.reason
            case GapFilled():
                self._fill(event)
            case _:
                pass

    def gaps(self, symbol: str | None = None) -> list[Gap]:
        """Oldest first."""
        found = [gap for gap in self._gaps.values() if symbol in (None, gap.symbol)]
        return sorted(found, key=lambda gap: (gap.start, gap.symbol))

    def _of(self, event: GapOpened | GapClosed) -> Gap:
        key = (event.symbol, event.start)
        gap = self._gaps.get(key)
        if gap is None:
            gap = self._gaps[key] = Gap(symbol=event.symbol, start=event.start, reason=event.reason)
            if self._kept is not None and len(self._gaps) > self._kept:
                del self._gaps[next(iter(self._gaps))]
        return gap

    def _fill(self, event: GapFilled) -> None:
        """One answer of history may cover several gaps."""
        for gap in self._gaps.values():
            if gap.symbol == event.symbol and gap.end is not None and event.start <= gap.start and gap.end <= event.end:
                gap.filled_bars = max(gap.filled_bars or 0, event.bars)
