"""The recent past of the link: gaps, the status word's history, and what the chart needs to know of the link.

Fed by followers of the streams `link` and `control` on the service's thread, read by endpoints on others:
every call takes the lock. Bounded in everything; what it shows begins DAYS before the start of the process.
"""

import threading
from bisect import bisect_right
from collections import deque
from typing import Any

from messages.events import (
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
from services.clock import SECOND, iso

DAYS = 7
GAPS_KEPT = 5_000
CHANGES_KEPT = 5_000
BAR_AGE = 86_400 * SECOND  # bars older than the longest chart are of no use
BARS_KEPT = 200_000


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget_link()
        self.forget_control()

    def forget_link(self) -> None:
        """Its stream is going to be folded again from the beginning."""
        with self._lock:
            self._gaps: dict[tuple[str, int], dict[str, Any]] = {}
            self._mock: list[tuple[int, bool]] = []  # from when on the prices were invented, or not
            self._bars: dict[str, dict[int, tuple[Bar, bool]]] = {}
            self._bar_count = 0

    def forget_control(self) -> None:
        with self._lock:
            self._changes: deque[dict[str, Any]] = deque(maxlen=CHANGES_KEPT)

    def apply(self, block: Block) -> None:
        """Fold a block of `link` or `control`."""
        assert isinstance(block, EventBlock)
        with self._lock:
            for event in block.events:
                match event:
                    case GapOpened():
                        self._open(event)
                    case GapClosed():
                        self._close(event)
                    case GapFilled():
                        self._fill(event)
                    case BarsReceived():
                        self._keep_bars(event, block.time)
                    case LinkChanged(account_kind=kind) if kind is not None:
                        self._note_account(block.time, kind == "simulator")
                    case StatusChanged():
                        self._changes.append({"time": iso(block.time), "status": event.status, "reason": event.reason})
                    case _:
                        pass

    def view(self) -> dict[str, Any]:
        """Gaps by their start, and the changes of the status word, oldest first."""
        with self._lock:
            gaps = [dict(gap) for _, gap in sorted(self._gaps.items(), key=lambda item: item[0][1])]
            return {"gaps": gaps, "link": list(self._changes)}

    def mock_at(self, time: int) -> bool | None:
        """Whether prices received at `time` came from a simulator; None when the ledger does not know."""
        with self._lock:
            index = bisect_right(self._mock, time, key=lambda change: change[0])
            return self._mock[index - 1][1] if index else None

    def bars(self, symbol: str, start: int, end: int) -> list[tuple[Bar, bool]]:
        """Bars that filled gaps, of times in [start, end), oldest first; True with those that are invented."""
        with self._lock:
            return [bar for time, bar in sorted(self._bars.get(symbol, {}).items()) if start <= time < end]

    # --- inside, under the lock ---

    def _open(self, event: GapOpened) -> None:
        self._gaps[event.symbol, event.start] = {
            "symbol": event.symbol,
            "start": iso(event.start),
            "end": None,
            "reason": event.reason,
            "filled": False,
        }
        while len(self._gaps) > GAPS_KEPT:
            del self._gaps[next(iter(self._gaps))]

    def _close(self, event: GapClosed) -> None:
        if (event.symbol, event.start) not in self._gaps:
            self._open(GapOpened(symbol=event.symbol, start=event.start, reason=event.reason))
        self._gaps[event.symbol, event.start]["end"] = iso(event.end)

    def _fill(self, event: GapFilled) -> None:
        """One answer may cover several gaps."""
        if event.bars:
            for (symbol, start), gap in self._gaps.items():
                if symbol == event.symbol and event.start <= start and gap["end"] and gap["end"] <= iso(event.end):
                    gap["filled"] = True

    def _keep_bars(self, event: BarsReceived, now: int) -> None:
        if event.purpose != "gap_fill":
            return
        if self._bar_count > BARS_KEPT:
            self._drop_old_bars(list(self._bars), now)
        if self._bar_count > BARS_KEPT:
            return
        kept = self._bars.setdefault(event.symbol, {})
        kept.update({bar.time: (bar, event.mock) for bar in event.bars})
        self._drop_old_bars([event.symbol], now)

    def _drop_old_bars(self, symbols: list[str], now: int) -> None:
        for symbol in symbols:
            kept = {time: bar for time, bar in self._bars[symbol].items() if time >= now - BAR_AGE}
            self._bars[symbol] = kept
            if not kept:
                del self._bars[symbol]
        self._bar_count = sum(map(len, self._bars.values()))

    def _note_account(self, time: int, mock: bool) -> None:
        if not self._mock or self._mock[-1][1] != mock:
            self._mock.append((time, mock))
