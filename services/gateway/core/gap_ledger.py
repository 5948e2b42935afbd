"""The gap ledger: per symbol, from when to when streamed prices were missing and why, and bars that fill it.

Called by the core. A gap opens when a planned symbol in an open market loses its stream's trust, and closes
when ticks flow again or the market closes. One-minute bars from history fill it as pacing allows.
"""

from typing import Final

from messages.events import Bar, GapClosed, GapFilled, GapOpened
from services.base.clock import DAY, MINUTE
from services.gateway.core.context import Context
from services.gateway.core.deadlines import SECOND, ns
from services.gateway.core.fallback import what_to_show
from services.gateway.core.governor import Kind, Request
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.symbol_state import STREAMED, View

SETTLE: Final = ns(10)  # after the end of the gap's last minute: then IB has its bar
TRY_AGAIN: Final = ns(600)
REFUSALS: Final = 3  # of the same gap, with growing pauses; one more, and the bars are taken to be missing
REFUSALS_BY_SERVICE: Final = 2
OLDEST: Final = 30 * DAY  # IB keeps more, but nobody waits for it
LAST_IN_LINE: Final = 1_000_000_000
MISSING: Final = frozenset({"stale", "snapshot", "history", "pending"})


class Gaps:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests

    def adopt(self, symbol: Symbol) -> None:
        """A gap that an earlier run left open goes on; one that its end tore open is noticed."""
        gap = self.context.memory.open_gaps.get(symbol.name)
        if gap is not None:
            symbol.gap.start = gap.start
        elif symbol.name in self.context.memory.streamed and self.context.memory.streamed_until:
            symbol.gap.torn_at = self.context.memory.streamed_until
        if symbol.name in self.context.memory.unfilled:
            self.fill_soon(symbol.name)

    def note(self, symbol: Symbol, view: View) -> None:
        """The symbol was just reviewed."""
        now = self.context.now
        if view.state in MISSING and symbol.market_open(now):
            if symbol.gap.start == 0 and (view.state != "pending" or self._waited(symbol)):
                self._open(symbol, view)
        elif view.state in STREAMED and symbol.ticks.last:
            if symbol.gap.torn_at and symbol.gap.start == 0:
                self._open(symbol, view)
            self._close(symbol, max(symbol.ticks.last, symbol.trust.verified_at), "restored")
        elif view.state == "closed":
            symbol.gap.torn_at = 0
            hours = symbol.contract.hours
            closed = hours.closed_at(now) if hours is not None else None
            self._close(symbol, closed or now, "market_closed")
        elif view.state in ("rejected", "over_limit"):
            self._close(symbol, now, view.reason or view.state)

    def left_to_others(self, names: set[str], since: int) -> None:
        """Symbols of an earlier run that another gateway serves since the time `since`: there their gaps end."""
        memory = self.context.memory
        for name in sorted(memory.streamed & names - memory.open_gaps.keys()):
            if 0 < memory.streamed_until < since:
                self.context.emit(GapOpened(symbol=name, start=memory.streamed_until, reason="gateway_restarted"))
        for name in sorted(memory.open_gaps.keys() & names):
            gap = memory.open_gaps[name]
            self.context.emit(GapClosed(symbol=name, start=gap.start, end=max(gap.start, since), reason=gap.reason))
        memory.streamed -= names

    def removed(self, symbol: Symbol) -> None:
        self._close(symbol, self.context.now, "not_planned")
        self.context.deadlines.clear(("fill", symbol.name))

    def rolled(self, symbol: Symbol) -> None:
        """Another contract has its name from now on. Gaps of the old one end here and stay without bars: history would
        bring the new one's."""
        now, gap = self.context.now, symbol.gap
        if gap.torn_at and gap.start == 0 and symbol.market_open(now):
            gap.start = gap.torn_at
            self.context.emit(GapOpened(symbol=symbol.name, start=gap.start, reason="gateway_restarted"))
        gap.torn_at = gap.refusals = 0
        self._close(symbol, now, "rolled")
        for left in list(self.context.memory.unfilled.get(symbol.name, ())):
            self.context.emit(GapFilled(symbol=symbol.name, start=left.start, end=left.end, bars=0))
        self.context.deadlines.clear(("fill", symbol.name))

    def _waited(self, symbol: Symbol) -> bool:
        return self.context.now - symbol.planned_at >= self.context.shared.stale_after

    def _open(self, symbol: Symbol, view: View) -> None:
        hours, gap = symbol.contract.hours, symbol.gap
        opened = hours.opened_at(self.context.now) if hours is not None else None
        trusted = max(symbol.ticks.last, symbol.trust.verified_at)
        gap.start = max(gap.torn_at or trusted or symbol.planned_at, opened or 0)
        reason = "gateway_restarted" if gap.torn_at else view.reason or view.state
        gap.torn_at = 0
        self.context.emit(GapOpened(symbol=symbol.name, start=gap.start, reason=reason))

    def _close(self, symbol: Symbol, end: int, reason: str) -> None:
        start, symbol.gap.start = symbol.gap.start, 0
        if start == 0:
            return
        opened = self.context.memory.open_gaps.get(symbol.name)
        why = opened.reason if opened is not None else reason
        end = max(start, end)
        self.context.emit(GapClosed(symbol=symbol.name, start=start, end=end, reason=why))
        self._fill_at(symbol.name, end - end % MINUTE + MINUTE + SETTLE)

    # --- filling ---

    def fill_soon(self, name: str) -> None:
        self._fill_at(name, self.context.now + SETTLE)

    def _fill_at(self, name: str, at: int) -> None:
        if self.context.settings.gap_fill:
            self.context.deadlines.set(("fill", name), at)

    def fill(self, symbol: Symbol, connected: bool) -> None:
        """Ask for the bars of all its closed gaps, in one request where they fit in a day."""
        now = self.context.now
        gaps = [gap for gap in self.context.memory.unfilled.get(symbol.name, ()) if gap.start > now - OLDEST]
        if not gaps:
            return
        if not connected or symbol.refusal.rejection is not None or symbol.month_unknown:
            self._fill_at(symbol.name, now + TRY_AGAIN)
            return
        if symbol.requests.history is not None:
            self._fill_at(symbol.name, now + MINUTE)
            return
        start = min(gap.start for gap in gaps)
        start -= start % MINUTE
        end = max([gap.end for gap in gaps if gap.end <= start + DAY], default=min(gap.end for gap in gaps))
        end += -end % MINUTE or MINUTE
        request = Request(Kind.HISTORY, symbol.name, LAST_IN_LINE + symbol.priority)
        request.purpose = "gap_fill"
        request.end = end
        request.start = start
        seconds = (end - start) // SECOND
        request.duration = f"{seconds} S" if seconds <= 86400 else f"{-(-seconds // 86400)} D"
        request.what_to_show = what_to_show(symbol, self.context.server_version)
        self.requests.submit_history(symbol, request)

    def filled(self, symbol: Symbol, request: Request, bars: list[Bar]) -> None:
        """History answered; with nothing, when it had nothing."""
        symbol.gap.refusals = 0
        bars = [bar for bar in bars if request.start <= bar.time < request.end]
        if bars:
            self.context.bars(symbol, bars, "gap_fill")
        for gap in list(self.context.memory.unfilled.get(symbol.name, ())):
            if request.start <= gap.start and gap.end <= request.end:
                covered = sum(gap.start < bar.time + MINUTE and bar.time <= gap.end for bar in bars)
                self.context.emit(GapFilled(symbol=symbol.name, start=gap.start, end=gap.end, bars=covered))
        if symbol.name in self.context.memory.unfilled:
            self.fill_soon(symbol.name)

    def refused(self, symbol: Symbol, request: Request, by_service: bool) -> None:
        """IB's history has no bars for its gaps, be it for now or for good; its text may be in any language. What it
        refused often enough is taken to be missing there: sooner when it names its data service (`by_service`)."""
        symbol.gap.refusals += 1
        if symbol.gap.refusals > (REFUSALS_BY_SERVICE if by_service else REFUSALS):
            self.filled(symbol, request, [])
            return
        pause = MINUTE if by_service else TRY_AGAIN
        self._fill_at(symbol.name, self.context.now + (pause << (symbol.gap.refusals - 1)))

    def failed(self, symbol: Symbol) -> None:
        """No answer."""
        self._fill_at(symbol.name, self.context.now + TRY_AGAIN)
