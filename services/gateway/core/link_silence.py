"""The silence of all: is it the market, the subscriptions, or the connection? Called by the core.

First the gateway is asked for the time, and IB for snapshots of a few important symbols; then, at the limit of
`link_stale_after`, silence is called what it is and these few are renewed. What they bring tells for all.
"""

import heapq
from typing import Final

from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, SECOND, ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.link import Link, LinkStep
from services.gateway.core.recovery import Recovery
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.timing import Pace

CANARIES: Final = 3
CLOCK_EVERY: Final = ns(3600)


class Silence:
    def __init__(self, context: Context, pace: Pace, requests: Requests, link: Link, recovery: Recovery) -> None:
        self.context = context
        self.shared = context.shared
        self.pace = pace
        self.requests = requests
        self.link = link
        self.recovery = recovery
        self.heard_at = 0  # when anything came from the gateway
        self._since = 0  # ticks can come since then
        self._time: Request | None = None  # an unanswered question for the time
        self._clock: Request | None = None  # likewise, to compare the clocks

    # --- the link's turns ---

    def link_stepped(self, step: LinkStep) -> None:
        now = self.context.now
        self._since = now
        if step is LinkStep.UP:
            self.heard_at = now
            self._set_deadline("ping", now + self.pace.ping)
            self._ask_for_clock()
            self._watch()
        elif step is LinkStep.DOWN:
            self._time = self._clock = None
            for what in ("ping", "look", "time", "clock"):
                self._set_deadline(what, NEVER)

    # --- what comes ---

    def ticked(self) -> None:
        """At least one stream brought a tick just now. After silence: if a fresh subscription ticks, the others
        need one too."""
        if not self.shared.silent:
            return
        self.shared.silent = False
        now = self.context.now
        cured = any(
            symbol.cure.step == "resubscribed" and symbol.ticks.last == now for symbol in self.context.symbols.values()
        )
        for symbol in self.context.symbols.values():
            if symbol.ticks.last == now or not symbol.subscribed_at:
                continue
            symbol.trust.suspect_since = max(symbol.trust.suspect_since, now - 1)
            if cured and symbol.cure.step in ("trust", "probing") and symbol.market_open(now):
                self.recovery.resubscribe(symbol)
        self.context.touch_all()

    def time_seen(self, seconds: int) -> None:
        """The gateway's clock, in whole seconds: the truth lies within the second that begins with its answer."""
        asked = self._time or self._clock
        self._time = self._clock = None
        if asked is None or not asked.sent_at or self.context.mock:
            return
        early = seconds - self.context.now / SECOND
        late = seconds + 1 - asked.sent_at / SECOND
        self.link.clock_said(max(early, 0.0) if early > 0 else min(late, 0.0))

    # --- time ---

    def due(self, what: str) -> LinkStep | None:
        if what == "look":
            if self.link.phase == "ready":
                self._look()
            self._watch()
        elif what == "ping":
            if self.context.now - self.heard_at >= self.pace.ping:
                self._ask_time()
            self._set_deadline("ping", max(self.heard_at + self.pace.ping, self.context.now + self.pace.ping // 2))
        elif what == "clock":
            self._ask_for_clock()
        elif what == "time" and self._time is not None:
            return self._judge_time(self._time)
        return None

    def _watch(self) -> None:
        """Set the next look: at half of the limit, at the limit, and at times after it."""
        half = self.pace.link_stale_after // 2
        newest = max(self.shared.newest_tick, self._since)
        due = next(
            (due for due in (newest + half, newest + 2 * half) if due > self.context.now), self.context.now + half
        )
        self._set_deadline("look", due)

    def _look(self) -> None:
        """Is nobody ticking who should?"""
        shared = self.shared
        silence = self.context.now - max(shared.newest_tick, self._since)
        streaming = [symbol for symbol in self.context.symbols.values() if self._should_tick(symbol)]
        expected = [symbol for symbol in streaming if not symbol.quiet(self.context.now)]
        if silence < self.pace.link_stale_after // 2 or not expected:
            return
        canaries = heapq.nsmallest(CANARIES, expected, key=lambda symbol: symbol.priority)
        self.recovery.canaries = {symbol.name for symbol in canaries}
        if silence < self.pace.link_stale_after:
            self._ask_time()
            for symbol in canaries:
                if symbol.cure.step == "trust" and not symbol.suspect:
                    self.recovery.probe(symbol)
        elif not shared.silent and not any(symbol.trust.verified_at > shared.newest_tick for symbol in streaming):
            shared.silent = True
            for symbol in canaries:
                if symbol.cure.step == "probing":
                    self.recovery.unanswered(symbol)
            self.context.touch_all()

    def _should_tick(self, symbol: Symbol) -> bool:
        return bool(symbol.subscribed_at) and not symbol.trust.competing and symbol.market_open(self.context.now)

    def _ask_time(self) -> None:
        """Is anybody there? One question at a time."""
        if self._time is None:
            self._time = self.requests.bare(Kind.TIME)
            self._set_deadline("time", self.context.now + self.pace.answer)

    def _ask_for_clock(self) -> None:
        """Do the clocks differ? No answer is no harm."""
        if self._clock is None:
            self._clock = self.requests.bare(Kind.TIME)
        self._set_deadline("clock", self.context.now + CLOCK_EVERY)

    def _judge_time(self, asked: Request) -> LinkStep | None:
        due = (asked.sent_at or self.context.now) + self.pace.answer
        if due > self.context.now:
            self._set_deadline("time", due)
            return None
        self._time = None
        if self.heard_at > asked.sent_at:
            return None  # not the time, but something came
        return self.link.drop("gateway_silent", "the gateway did not answer when asked for the time")

    def _set_deadline(self, what: str, at: int) -> None:
        self.context.deadlines.set(("silence", what), at)
