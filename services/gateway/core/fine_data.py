"""Tick by tick and five-second bars, for the few symbols that the plan names.

Called by the core. IB's limits (TWS API documentation, "Tick-by-Tick Data" and "Real Time Bars"): one tick-by-tick
request for each hundred market data lines and three at least, no second one for a contract within 15 seconds, at most
50 real-time bars; what is more is refused (10190), and so is what is not entitled (10189, 420). A refusal holds until
the next connection. The most important symbols come first. Nothing here speaks for a price: the symbol's own stream
does.
"""

from typing import Final

from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol

ASK_AGAIN: Final = ns(16)
LEAST: Final = 3
LINES_EACH: Final = 100
MOST_BARS: Final = 50
TOO_MANY: Final = 10190
FINE: Final = (Kind.TICK_BY_TICK, Kind.BARS)
NAMES: Final = {Kind.TICK_BY_TICK: "tick by tick", Kind.BARS: "five-second bars"}


class FineData:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self._asked_at: dict[tuple[str, Kind], int] = {}
        self._refused: dict[tuple[str, Kind], int] = {}  # and with which code
        self._most: dict[Kind, int] = {}
        self.connection_lost()

    def connection_lost(self) -> None:
        self._asked_at.clear()
        self._refused.clear()
        lines = self.context.settings.ib_line_limit
        self._most = {Kind.TICK_BY_TICK: max(LEAST, lines // LINES_EACH), Kind.BARS: MOST_BARS}

    def data_lost(self) -> None:
        """IB lost all subscriptions: the ids are over, without a message."""
        for symbol in self.context.symbols.values():
            for kind in FINE:
                held = symbol.requests.fine(kind)
                if held is not None and not held.waiting:
                    self.requests.finish(held)

    def check(self, symbol: Symbol) -> int:
        """Ask for what the plan wants of it, and cancel what it does not. Returns when to look again."""
        wake = NEVER
        for kind in FINE:
            held, what = symbol.requests.fine(kind), wish(symbol, kind)
            if held is not None and held.purpose != what:
                self.requests.cancel(held)
                held = None
            if held is not None or not what or not self._may(symbol, kind):
                continue
            due = self._asked_at.get((symbol.name, kind), -ASK_AGAIN) + ASK_AGAIN
            if self.context.now < due:
                wake = min(wake, due)
                continue
            self._asked_at[symbol.name, kind] = self.context.now
            self.requests.fine(symbol, kind, what)
        return wake

    def refused(self, request: Request, symbol: Symbol, entry: IbCode) -> None:
        self.requests.finish(request)
        self._refused[symbol.name, request.kind] = entry.code
        if entry.code == TOO_MANY:
            held = [one.requests.fine(request.kind) for one in self.context.symbols.values()]
            self._most[request.kind] = sum(one is not None and not one.waiting for one in held)

    def note(self, symbol: Symbol) -> str | None:
        """What the user does not get, in words."""
        missed = [
            f"{NAMES[kind]} is refused ({self._refused[symbol.name, kind]})"
            for kind in FINE
            if (symbol.name, kind) in self._refused
        ]
        return "; ".join(missed) or None

    def _may(self, symbol: Symbol, kind: Kind) -> bool:
        if symbol.cut is not None or symbol.refusal.rejection is not None or (symbol.name, kind) in self._refused:
            return False
        if symbol.month_unknown:
            return False
        wishing = [
            one
            for one in self.context.symbols.values()
            if wish(one, kind) and one.cut is None and (one.name, kind) not in self._refused
        ]
        first = sorted(wishing, key=lambda one: (one.priority, one.name))[: self._most[kind]]
        return symbol in first


def wish(symbol: Symbol, kind: Kind) -> str:
    """What the plan wants of this kind; empty for nothing."""
    return symbol.planned.tick_by_tick if kind is Kind.TICK_BY_TICK else symbol.planned.real_time_bars
