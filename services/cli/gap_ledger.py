"""The gap ledger: per symbol, from when to when streamed prices were missing, why, and what filled the hole.

A fold of the stream `link`. Pure; used by `ibstream gaps`. Times are UTC nanoseconds.
"""

import msgspec

from messages.events import EventBlock, GapClosed, GapFilled, GapOpened


class Gap(msgspec.Struct, kw_only=True):
    symbol: str
    start: int
    end: int | None = None  # None: still open
    reason: str
    filled_bars: int | None = None  # one-minute bars from history that cover it; None: not filled (yet)


class GapLedger:
    def __init__(self) -> None:
        self._gaps: dict[tuple[str, int], Gap] = {}

    def apply(self, block: EventBlock) -> None:
        for event in block.events:
            match event:
                case GapOpened():
                    gap = Gap(symbol=event.symbol, start=event.start, reason=event.reason)
                    self._gaps.setdefault((event.symbol, event.start), gap)
                case GapClosed():
                    known = self._gaps.setdefault(
                        (event.symbol, event.start),
                        Gap(symbol=event.symbol, start=event.start, reason=event.reason),
                    )
                    known.end, known.reason = event.end, event.reason
                case GapFilled():
                    self._fill(event)
                case _:
                    pass

    def gaps(self, symbol: str | None = None) -> list[Gap]:
        """Oldest first."""
        found = [gap for gap in self._gaps.values() if symbol in (None, gap.symbol)]
        return sorted(found, key=lambda gap: (gap.start, gap.symbol))

    def _fill(self, event: GapFilled) -> None:
        for gap in self._gaps.values():
            if gap.symbol == event.symbol and gap.end is not None and event.start <= gap.start and gap.end <= event.end:
                gap.filled_bars = event.bars
