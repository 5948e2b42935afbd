"""The degrade ladder: where a price comes from while a symbol's stream does not bring one.

Called by the core for one symbol at a time. The rungs: snapshots on the link (never a regulatory one, which
costs money), bars from IB's history, bars that the journal kept. Each price carries its source and its own
time, and an older one never replaces a newer one. Symbols without a market data line rotate through
snapshots here too.
"""

from typing import Final

from messages.events import Bar
from messages.fields import LAST, PRICE_TIME, SOURCE_HISTORY
from services.base.clock import MINUTE
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, SECOND
from services.gateway.core.farms import Farms
from services.gateway.core.governor import Kind, Request
from services.gateway.core.interface import NAN
from services.gateway.core.link import Link
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.timing import Pace

IN_VAIN: Final = 2  # snapshots without a price after which they are asked for rarely
AGGREGATED_TRADES: Final = 168  # server version from which IB has them
FALLBACK_SPAN: Final = "3600 S"
LAST_IN_LINE: Final = 1_000_000_000  # rotation comes after every snapshot that a streamed symbol needs


class Ladder:
    def __init__(self, context: Context, pace: Pace, requests: Requests, link: Link, farms: Farms) -> None:
        self.context = context
        self.shared = context.shared
        self.pace = pace
        self.requests = requests
        self.link = link
        self.farms = farms

    def check(self, symbol: Symbol) -> int:
        """Ask the next rung where it is time. Returns when to look again."""
        if symbol.refusal.rejection is not None:
            return NEVER
        if self.link.phase != "ready":
            self.serve_local(symbol)
            return NEVER
        if symbol.month_unknown:
            return NEVER
        overdue = self._give_up(symbol)
        if symbol.cut is not None:
            return min(overdue, self._snapshot(symbol, "rotation"))
        if not self._needed(symbol):
            return overdue
        wake = min(overdue, self._snapshot(symbol, "ladder"))
        if symbol.snapshots.in_vain or symbol.trust.farm_down or symbol.trust.competing:
            wake = min(wake, self._history(symbol))
        return wake

    def _needed(self, symbol: Symbol) -> bool:
        now = self.context.now
        if symbol.fresh(self.shared, now) or symbol.quiet(now):
            return False
        if not symbol.market_open(now):
            return symbol.price_time == 0 and symbol.ticks.last == 0 and symbol.cure.step == "trust"
        if symbol.trust.dead or symbol.cure.step == "failed":
            return True
        if symbol.trust.farm_down or symbol.trust.competing:  # a blip is not worth a request
            return now - max(symbol.ticks.last, symbol.subscribed_at) >= self.pace.stale_after
        since = max(symbol.silent_since(now), symbol.planned_at)
        return symbol.cure.step == "trust" and now - since >= self.pace.stale_after

    def _snapshot(self, symbol: Symbol, purpose: str) -> int:
        if symbol.requests.snapshot is not None or symbol.trust.farm_down or symbol.trust.competing:
            return NEVER
        every = self.pace.snapshot if symbol.snapshots.in_vain < IN_VAIN else self.pace.snapshot_rarely
        due = symbol.snapshots.asked_at + every if symbol.snapshots.asked_at else 0
        if self.context.now < due:
            return due
        self.requests.snapshot(symbol, purpose, LAST_IN_LINE if purpose == "rotation" else symbol.priority)
        return NEVER

    def _give_up(self, symbol: Symbol) -> int:
        """A snapshot that never ends is given up; returns when. Probes are recovery's to judge."""
        snapshot = symbol.requests.snapshot
        if snapshot is None or not snapshot.sent_at or symbol.cure.step == "probing":
            return NEVER
        due = snapshot.sent_at + self.pace.probe_timeout
        if self.context.now < due:
            return due
        self.requests.give_up_snapshot(symbol)
        return NEVER

    # --- IB's history ---

    def _history(self, symbol: Symbol) -> int:
        held = symbol.requests.history
        if held is not None and held.waiting and held.purpose != "fallback":
            self.requests.cancel(held)  # a price now is worth more than an old gap
            self.context.due_in("fill", symbol.name, self.pace.history)
        if symbol.requests.history is not None:
            return NEVER
        due = symbol.bars.asked_at + self.pace.history if symbol.bars.asked_at else 0
        if self.context.now < due:
            return due
        symbol.bars.asked_at = self.context.now
        if not self.farms.history_works:
            self.serve_local(symbol)
            return self.context.now + self.pace.history
        request = Request(Kind.HISTORY, symbol.name, symbol.priority)
        request.purpose = "fallback"
        request.duration = FALLBACK_SPAN
        request.what_to_show = what_to_show(symbol, self.context.server_version)
        if symbol.bars.behind:
            end = self.context.now - symbol.bars.behind
            request.end = end - end % MINUTE
        self.requests.submit_history(symbol, request)
        return NEVER

    def history_came(self, symbol: Symbol, bars: list[Bar]) -> None:
        """Bars for the fallback; none when history had nothing to give."""
        known = self.context.memory.newest_bar.get(symbol.name)
        news = [bar for bar in bars if known is None or (bar.time >= known[0].time and bar != known[0])]
        if news:
            self.context.bars(symbol, news, "fallback")
        self.serve_local(symbol)

    # --- bars that are here already ---

    def serve_local(self, symbol: Symbol) -> None:
        """Give the newest bar's close as the price, if nothing newer was ever given."""
        known = self.context.memory.newest_bar.get(symbol.name)
        if known is None or symbol.fresh(self.shared, self.context.now):
            return
        bar, length, mock = known
        # Of a bar that is still growing only its start is certain.
        end = bar.time + length if bar.time + length <= self.context.now else bar.time
        if end <= max(symbol.price_time, symbol.price.floor, self._priced_before(symbol)) or mock != self.context.mock:
            return
        self.context.priced_by(symbol, SOURCE_HISTORY, end, self.context.now)
        self.context.ticks(symbol.name, [(LAST, bar.close, NAN, ""), (PRICE_TIME, end / SECOND, NAN, "")])

    def _priced_before(self, symbol: Symbol) -> int:
        """Until when an earlier run of the gateway may have given prices of this symbol."""
        if symbol.name not in self.context.memory.priced:
            return 0
        gap = self.context.memory.open_gaps.get(symbol.name)
        return gap.start if gap is not None else self.context.memory.streamed_until


def what_to_show(symbol: Symbol, server_version: int) -> str:
    """Which bars IB has of it. Currencies and CFDs have no trades; those of cryptocurrencies are aggregated, where the
    gateway knows the word."""
    if symbol.bars.kind is not None:
        return symbol.bars.kind
    if symbol.planned.sec_type in ("CASH", "CFD", "CMDTY"):
        return "MIDPOINT"
    aggregated = symbol.planned.sec_type == "CRYPTO" and server_version >= AGGREGATED_TRADES
    return "AGGTRADES" if aggregated else "TRADES"
