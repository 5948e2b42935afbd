"""A competing session: another login of the same user has the market data (10197). Called by the core.

One symbol is asked for again now and then, the others wait for its answer: a phone that is looked at for an
hour must not cost thousands of messages.
"""

from services.gateway.core.context import Context
from services.gateway.core.recovery import Recovery
from services.gateway.core.symbol import Symbol
from services.gateway.core.timing import Pace


class Competing:
    def __init__(self, context: Context, pace: Pace, recovery: Recovery) -> None:
        self.context = context
        self.pace = pace
        self.recovery = recovery
        self._canary: str | None = None

    def said(self, symbol: Symbol) -> None:
        """10197 came for its stream."""
        symbol.trust.competing = True
        symbol.doubt(self.context.now)
        if self._canary in (None, symbol.name):
            self._canary = None
            self.context.due_in("competing", "try", self.pace.competing)
        self.context.touch(symbol)

    def ticked(self, symbol: Symbol) -> None:
        """A symbol that the other session had ticks again: the others may come by themselves, for a moment."""
        symbol.trust.competing = False
        self._canary = None
        self.context.deadlines.clear(("competing", "try"))
        self.context.due_in("competing", "over", self.pace.competing_settle)

    def connection_lost(self) -> None:
        self._canary = None

    def due(self, what: str) -> None:
        waiting = [symbol for symbol in self.context.symbols.values() if symbol.trust.competing]
        if what == "over":
            for symbol in waiting:
                symbol.trust.competing = False
                if symbol.subscribed_at:
                    self.recovery.resubscribe(symbol)
                self.context.touch(symbol)
        elif asked := [symbol for symbol in waiting if symbol.subscribed_at]:
            canary = min(asked, key=lambda symbol: symbol.priority)
            self._canary = canary.name
            self.recovery.resubscribe(canary)
            self.context.due_in("competing", "try", self.pace.competing)
        elif waiting:
            self.context.due_in("competing", "try", self.pace.competing)
