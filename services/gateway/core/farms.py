"""Data farms: which are broken, and which symbols that concerns. Called by the core and by recovery.

Which may serve a symbol, its region tells (regions.py). A symbol that goes on ticking is not served by the farm that
broke.
"""

from services.gateway.core.context import Context
from services.gateway.core.link import Farm, FarmChange
from services.gateway.core.regions import served_by
from services.gateway.core.symbol import Symbol
from services.gateway.core.timing import Pace


class Farms:
    """Market data farms. Guarantees: the socket and what other farms serve are never touched."""

    def __init__(self, context: Context, pace: Pace) -> None:
        self.context = context
        self.pace = pace
        self.broken: dict[str, int] = {}  # and since when
        self.history_works = True  # false while all of IB's history farms are broken

    def changed(self, change: FarmChange, all_farms: dict[Farm, str]) -> None:
        (kind, name), before, state = change
        if kind == "history":
            states = [state for (kind, _), state in all_farms.items() if kind == "history"]
            self.history_works = any(state != "broken" for state in states)
        elif kind == "market_data" and state == "broken":
            self.broken[name] = self.context.now
            self._touch(name)
        elif kind == "market_data" and before == "broken":
            self._restored(name)

    def connection_lost(self) -> None:
        self.broken.clear()
        self.history_works = True

    def trouble(self, symbol: Symbol) -> int | None:
        """Silent since a farm broke that may serve it: wait for its return, but not for ever, as its word may be
        lost. Returns until when to wait, None when there is nothing to wait for."""
        now = self.context.now
        for name, since in self.broken.items():
            proven = max(symbol.ticks.last, symbol.trust.verified_at if symbol.quiet(now) else 0)
            if proven > since + self.pace.in_flight or not served_by(name, symbol.region):
                continue
            if now < (flagged := since + self._grace(symbol)):
                return flagged
            if not symbol.trust.farm_down:
                symbol.trust.farm_down = True
                symbol.trust.suspect_since = now
            return since + self.pace.farm_patience if now < since + self.pace.farm_patience else None
        return None

    def _grace(self, symbol: Symbol) -> int:
        """Silence after which the farm is taken for its trouble: one that ticks rarely is given longer."""
        return min(max(self.pace.farm_grace, 5 * symbol.ticks.rhythm), self.pace.stale_after)

    def _restored(self, name: str) -> None:
        """It is back: those that went silent must show a tick soon."""
        since = self.broken.pop(name, self.context.now)
        for symbol in self.context.symbols.values():
            if symbol.ticks.last <= since + self.pace.in_flight and served_by(name, symbol.region):
                symbol.trust.farm_down = False
                symbol.doubt(self.context.now - 1)
                self.context.touch(symbol)

    def _touch(self, name: str) -> None:
        for symbol in self.context.symbols.values():
            if served_by(name, symbol.region):
                self.context.touch(symbol)
