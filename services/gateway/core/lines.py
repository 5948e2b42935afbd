"""Market data lines: who streams and who does not, when there are more symbols than lines.

Called by the core. The most important symbols stream, the rest rotate through snapshots. The limit is a
setting until IB says 101; then it is what was open, and one more is tried from time to time, since the lines
are shared with the user's desktop.
"""

from typing import Final

from messages.events import LineLimitLearned
from services.gateway.core.context import Context
from services.gateway.core.deadlines import ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Cut, Symbol

SETTLE: Final = ns(1)  # 101 comes once for each request too many: the limit is said after the last one
FIRST_RAISE: Final = 300.0  # seconds until one more line is tried
LAST_RAISE: Final = 3600.0
RAISED_AGAIN: Final = 30.0
RAISED: Final = ns(10)  # a line that was not refused for so long is ours


class Lines:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self.unbalanced = False
        self.raise_every = FIRST_RAISE
        self._raise_by = 1
        self._raising = False
        self._said = requests.governor.line_limit

    def balance(self) -> None:
        """Give the lines to the most important symbols that IB does not refuse."""
        self.unbalanced = False
        ranked = sorted(
            (
                symbol
                for symbol in self.context.symbols.values()
                if (symbol.cut is None or symbol.cut.reason == "line_limit") and symbol.refusal.rejection is None
            ),
            key=lambda symbol: (symbol.priority, symbol.name),
        )
        lines = self._for_streams(len(ranked))
        for symbol in ranked[:lines]:
            if symbol.cut is not None:
                symbol.cut = None
                self.context.touch(symbol)
        for symbol in ranked[lines:]:
            if symbol.cut is None:
                symbol.cut = Cut("line_limit")
                self.requests.cancel(symbol.requests.stream)
                self.context.touch(symbol)
        if len(ranked) > lines and self.requests.governor.line_limit < self.context.settings.ib_line_limit:
            self.context.due_in("lines", "raise", ns(self.raise_every))

    def _for_streams(self, wanted: int) -> int:
        governor = self.requests.governor
        limit = governor.line_limit
        if governor.snapshots_take_lines and wanted >= limit:
            return limit - (2 if limit >= 20 else 1 if limit >= 2 else 0)
        return limit

    def refused(self, request: Request, symbol: Symbol) -> None:
        """IB said 101 to this request, which is finished already."""
        governor = self.requests.governor
        if request.kind is Kind.SNAPSHOT:
            governor.snapshots_take_lines = True
        else:
            governor.line_limit = min(governor.line_limit, governor.open_streams)
            self._raise_by = 1
            if self._raising:
                self._raising = False
                self.raise_every = min(2 * self.raise_every, LAST_RAISE)
            self.context.due_in("lines", "learned", SETTLE)
        self.unbalanced = True
        self.context.touch(symbol)

    def due(self, what: str) -> None:
        governor = self.requests.governor
        if what == "learned":
            self._say(governor.line_limit)
        elif what == "raise":
            governor.line_limit = min(governor.line_limit + self._raise_by, self.context.settings.ib_line_limit)
            self._raising = True
            self.unbalanced = True
            self.context.due_in("lines", "raised", RAISED)
        elif what == "raised" and self._raising:
            self._raising = False
            self._raise_by *= 2  # there may be more: ask sooner, for more
            self.raise_every = max(RAISED_AGAIN, self.raise_every / 2)
            self._say(governor.line_limit)
            self.unbalanced = True

    def _say(self, limit: int) -> None:
        if limit != self._said:
            self._said = limit
            self.context.emit(LineLimitLearned(limit=limit))
