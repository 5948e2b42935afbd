"""The recent past of the link: gaps, the status word's history, and what the chart needs to know of the link.

Fed by followers of the streams `link` and `control` on the service's thread, read by endpoints on others:
every call takes the lock. Bounded in everything; what it shows begins DAYS before the start of the process.
"""

import threading
from bisect import bisect_right
from collections import deque
from operator import attrgetter
from typing import Any

from messages.events import (
    AnyEvent,
    Bar,
    BarsReceived,
    Block,
    EventBlock,
    GapClosed,
    GapFilled,
    GapOpened,
    LinkChanged,
    StatusChanged,
)
from services.base.clock import DAY, iso
from services.quotes.gaps import Gap, GapFold

DAYS = 7
GAPS_KEPT = 5_000
CHANGES_KEPT = 5_000
BAR_AGE = DAY  # bars older than the longest chart are of no use
BARS_KEPT = 200_000


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links: dict[str, _LinkPast] = {}  # by gateway
        self.forget_control()

    def forget_link(self, gateway: str = "") -> None:
        """Its stream is going to be folded again from the beginning."""
        with self._lock:
            self._links.pop(gateway, None)

    def forget_control(self) -> None:
        with self._lock:
            self._changes: deque[dict[str, Any]] = deque(maxlen=CHANGES_KEPT)

    def apply(self, block: Block, gateway: str = "") -> None:
        """Fold a block of `control`, or of the `link` of a gateway."""
        assert isinstance(block, EventBlock)
        with self._lock:
            link = self._links.setdefault(gateway, _LinkPast())
            for event in block.events:
                if isinstance(event, StatusChanged):
                    self._changes.append({"time": iso(block.time), "status": event.status, "reason": event.reason})
                else:
                    link.apply(event, block.time)

    def view(self) -> dict[str, Any]:
        """Gaps by their start, and the changes of the status word, oldest first."""
        with self._lock:
            gaps = sorted((gap for link in self._links.values() for gap in link.gaps.gaps()), key=attrgetter("start"))
            return {"gaps": [_shown(gap) for gap in gaps], "link": list(self._changes)}

    def mock_at(self, time: int) -> bool | None:
        """Whether prices received at `time` came from a simulator; None when the ledger does not know."""
        with self._lock:
            known = [mock for link in self._links.values() if (mock := link.mock_at(time)) is not None]
            return any(known) if known else None

    def bars(self, symbol: str, start: int, end: int) -> list[tuple[Bar, bool]]:
        """Bars that filled gaps, of times in [start, end), oldest first; True with those that are invented."""
        with self._lock:
            found = {time: bar for link in self._links.values() for time, bar in link.bars.get(symbol, {}).items()}
            return [bar for time, bar in sorted(found.items()) if start <= time < end]


class _LinkPast:
    """What one gateway's stream tells."""

    def __init__(self) -> None:
        self.gaps = GapFold(GAPS_KEPT)
        self.bars: dict[str, dict[int, tuple[Bar, bool]]] = {}
        self._mock: list[tuple[int, bool]] = []  # from when on the prices were invented, or not
        self._bar_count = 0

    def apply(self, event: AnyEvent, time: int) -> None:
        match event:
            case GapOpened() | GapClosed() | GapFilled():
                self.gaps.apply(event)
            case BarsReceived():
                self._keep_bars(event, time)
            case LinkChanged(account_kind=kind) if kind is not None:
                self._note_account(time, kind == "simulator")
            case _:
                pass

    def mock_at(self, time: int) -> bool | None:
        index = bisect_right(self._mock, time, key=lambda change: change[0])
        return self._mock[index - 1][1] if index else None

    def _keep_bars(self, event: BarsReceived, now: int) -> None:
        if event.purpose != "gap_fill":
            return
        if self._bar_count > BARS_KEPT:
            self._drop_old_bars(list(self.bars), now)
        if self._bar_count > BARS_KEPT:
            return
        kept = self.bars.setdefault(event.symbol, {})
        kept.update({bar.time: (bar, event.mock) for bar in event.bars})
        self._drop_old_bars([event.symbol], now)

    def _drop_old_bars(self, symbols: list[str], now: int) -> None:
        for symbol in symbols:
            kept = {time: bar for time, bar in self.bars[symbol].items() if time >= now - BAR_AGE}
            self.bars[symbol] = kept
            if not kept:
                del self.bars[symbol]
        self._bar_count = sum(map(len, self.bars.values()))

    def _note_account(self, time: int, mock: bool) -> None:
        if not self._mock or self._mock[-1][1] != mock:
            self._mock.append((time, mock))


def _shown(gap: Gap) -> dict[str, Any]:
    return {
        "symbol": gap.symbol,
        "start": iso(gap.start),
        "end": iso(gap.end) if gap.end is not None else None,
        "reason": gap.reason,
        "filled": gap.filled,
    }
