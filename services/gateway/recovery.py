"""Graduated recovery: wait, probe, resubscribe the symbol, then its region's symbols, then reconnect.

Called by the core, for one symbol at a time (`check`) and for all of them (`due`). Guarantees: a farm's blip
never costs the socket; a symbol is resubscribed only after something spoke against its stream; the pauses
between two tries of the same cure grow.
"""

import heapq
from typing import Final

from messages.fields import ASK, BID, LAST, QUOTE_FIELD, SOURCE_STREAM, VOLUME
from services.gateway.deadlines import NEVER, SECOND, ns
from services.gateway.desk import Desk
from services.gateway.farms import served_by
from services.gateway.link import Farm, Link, Turn
from services.gateway.pacing import Request
from services.gateway.requests import Requests
from services.gateway.symbols import Symbol

VERIFY: Final = 5.0  # seconds in which ticks must be seen after the link or a farm came back
FARM_GRACE: Final = ns(3)  # silence after which a broken farm is taken for a symbol's trouble
FARM_PATIENCE: Final = ns(300)
FIRST_PAUSE: Final = 15.0  # seconds between two resubscriptions of one symbol, doubling
LAST_PAUSE: Final = 300.0
CANARIES: Final = 3  # symbols that are probed when all are silent
GROUP_PAUSE: Final = ns(60)
RECONNECT_PAUSE: Final = ns(60)  # between two reconnects for silence, doubling
LAST_RECONNECT_PAUSE: Final = ns(600)
COMPETING_PAUSE: Final = ns(10)
COMPETING_SETTLE: Final = ns(1)
PING: Final = ns(60)  # silence of the socket after which the time is asked
TIME_TO_ANSWER: Final = ns(5)

_COMPARED: Final = {"bid": BID, "ask": ASK, "last": LAST, "volume": VOLUME}


class Recovery:
    def __init__(self, desk: Desk, requests: Requests, link: Link) -> None:
        self.desk = desk
        self.requests = requests
        self.link = link
        self.net = desk.net
        self.verify = min(ns(VERIFY), self.net.stale_after // 2)
        self.heard_at = 0  # when anything came from the gateway
        self._time: Request | None = None  # an unanswered AskTime
        self.region_ticked: dict[str, int] = {}
        self._region_cured: dict[str, int] = {}
        self._broken: dict[str, int] = {}  # market data farms, and since when
        self._reconnected_at = 0
        self._reconnect_pause = RECONNECT_PAUSE
        self._canaries: set[str] = set()  # asked for all when all are silent
        self._canary: str | None = None  # of a competing session

    # --- one symbol ---

    def check(self, symbol: Symbol) -> int:
        """Do what its silence calls for. Returns when to look again."""
        now = self.desk.now
        stream = symbol.stream
        if self.link.phase != "ready" or stream is None or not stream.sent_at or symbol.competing:
            return NEVER
        if symbol.last_tick > max(symbol.suspect_since, stream.sent_at - 1):
            self._trust(symbol)
        if not symbol.market_open(now):
            symbol.step = "trust"
            return NEVER
        if (farm_until := self._farm_trouble(symbol)) is not None:
            return farm_until
        match symbol.step:
            case "trust":
                due = self._patience(symbol)
                if now < due:
                    return due
                return self._doubt(symbol)
            case "probing":
                asked = symbol.snapshot.sent_at or now if symbol.snapshot is not None else 0
                due = asked + ns(self.desk.settings.probe_timeout)
                if now < due:
                    return due
                return self._unanswered(symbol)
            case "resubscribed":
                due = stream.sent_at + self.verify
                if now < due:
                    return due
                return self._failed(symbol)
            case "failed":
                if now < symbol.retry_at:
                    return symbol.retry_at
                return self._resubscribe(symbol)

    def _trust(self, symbol: Symbol) -> None:
        """The stream brings ticks: earlier doubts are settled."""
        if symbol.step in ("resubscribed", "failed"):
            symbol.step = "trust"
            symbol.resubscribes = 0
        symbol.proven = True
        symbol.dead = symbol.farm_down = False
        symbol.answerless = 0

    def _patience(self, symbol: Symbol) -> int:
        """When its silence becomes a reason to check."""
        since = symbol.silent_since(self.desk.now)
        if symbol.suspect:
            return since + self.verify
        limit = self.net.stale_after
        # A probe that takes long is asked for earlier, so that its answer comes before the limit.
        lead = min(max(ns(1.2 * symbol.probe_seconds + 1), limit // 2), limit * 4 // 5)
        return max(since + limit, symbol.verified_until) - lead

    def _doubt(self, symbol: Symbol) -> int:
        siblings = self.region_ticked.get(symbol.region, 0)
        if symbol.suspect and siblings <= symbol.suspect_since:
            return self._resubscribe(symbol)  # back, it was said, but nothing at all flows
        if self._all_silent() and not symbol.suspect and symbol.name not in self._canaries:
            return self.desk.now + SECOND  # the canaries are asked; one answer tells for all
        return self._probe(symbol)

    def _probe(self, symbol: Symbol) -> int:
        symbol.step = "probing"
        if symbol.snapshot is None:
            self.requests.snapshot(symbol, "probe")
        return self.desk.now + ns(self.desk.settings.probe_timeout)

    def renew(self, symbol: Symbol) -> None:
        """IB ended its stream, or asks to renew it: at once, and with growing pauses if that happens again."""
        symbol.stream = None
        symbol.step = "resubscribed"
        pause = FIRST_PAUSE * 2.0 ** (symbol.resubscribes - 1) if symbol.resubscribes else 0.0
        symbol.hold_until = self.desk.now + ns(min(LAST_PAUSE, pause))
        symbol.resubscribes += 1
        self.desk.touch(symbol)

    def _resubscribe(self, symbol: Symbol) -> int:
        """With a fresh request id. Its deadline starts when the request was sent."""
        self.requests.cancel(symbol.stream)
        symbol.stream = None
        self.requests.stream(symbol)
        symbol.step = "resubscribed"
        symbol.resubscribes += 1
        return NEVER

    def _unanswered(self, symbol: Symbol) -> int:
        """The probe did not come back."""
        if symbol.snapshot is not None:
            self.requests.cancel(symbol.snapshot)
            symbol.snapshot = None
        symbol.answerless += 1
        return self._resubscribe(symbol)

    def _failed(self, symbol: Symbol) -> int:
        symbol.step = "failed"
        pause = LAST_PAUSE if symbol.farm_down else min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** (symbol.resubscribes - 1))
        symbol.retry_at = self.desk.now + ns(pause)
        self._escalate(symbol)
        return symbol.retry_at

    def snapshot_ended(
        self, symbol: Symbol, request: Request, prices: dict[int, float], streamed: dict[int, float]
    ) -> None:
        """A snapshot came back, whoever wanted it: what does it say of the stream?"""
        now = self.desk.now
        symbol.probe_seconds = (now - request.sent_at) / SECOND
        image = _comparable(prices)
        if image:
            symbol.answerless = 0
        else:
            symbol.answerless += 1
        if symbol.step != "probing":
            return
        symbol.step = "trust"
        if symbol.last_tick >= request.sent_at or symbol.stream is None:
            return  # it ticked meanwhile
        if image and _same(image, _comparable(streamed)):
            self._verified(symbol)
        else:
            if image:
                symbol.dead = True
                symbol.suspect_since = now
            self._resubscribe(symbol)

    def _verified(self, symbol: Symbol) -> None:
        """IB has nothing newer than what the stream brought: quiet. The longer it is, the rarer it is asked."""
        now = self.desk.now
        often = 4 if symbol.verified_at > symbol.last_tick else 2
        symbol.verified_at = now
        symbol.verified_until = now + often * self.net.stale_after
        symbol.dead = False
        symbol.suspect_since = min(symbol.suspect_since, now - 1)
        self.desk.priced_by(symbol, SOURCE_STREAM, now)

    # --- regions, and all ---

    def _escalate(self, symbol: Symbol) -> None:
        """Its own resubscription was in vain. Is it alone?"""
        now, net = self.desk.now, self.net
        if not (symbol.dead or symbol.proven):
            return  # it never ticked and nobody says that it should
        if self.region_ticked.get(symbol.region, 0) > now - net.stale_after:
            return
        if now - self._region_cured.get(symbol.region, -GROUP_PAUSE) >= GROUP_PAUSE:
            self._region_cured[symbol.region] = now
            if self._cure_region(symbol.region):
                return
        if net.newest_tick <= now - net.stale_after:
            self._reconnect()

    def _cure_region(self, region: str) -> bool:
        """Resubscribe its silent symbols that have not been. False when there is none."""
        cured = False
        for other in self.desk.book.values():
            waits = other.stream is not None and other.stream.sent_at and not other.competing
            if other.region == region and waits and other.step in ("trust", "probing"):
                if other.fresh(self.net, self.desk.now) or not other.market_open(self.desk.now):
                    continue
                self._resubscribe(other)
                self.desk.touch(other)
                cured = True
        return cured

    def _reconnect(self) -> None:
        """The last resort, and rare. Not for what a new connection cannot cure."""
        now = self.desk.now
        if self._broken or any(symbol.competing for symbol in self.desk.book.values()):
            return
        if self._reconnected_at and now - self._reconnected_at < self._reconnect_pause:
            return
        if now - self._reconnected_at < 2 * LAST_RECONNECT_PAUSE:
            self._reconnect_pause = min(2 * self._reconnect_pause, LAST_RECONNECT_PAUSE)
        else:
            self._reconnect_pause = RECONNECT_PAUSE
        self._reconnected_at = now
        self.desk.deadlines.set(("net", "reconnect"), now)

    def _all_silent(self) -> bool:
        return self.desk.now - self.net.newest_tick >= self.net.link_limit // 2

    def ticked(self) -> None:
        """At least one stream brought a tick just now."""
        if self.net.silent:
            self._heard_again()

    def _heard_again(self) -> None:
        """After silence of all. If a fresh subscription ticks, the others need one too."""
        self.net.silent = False
        now = self.desk.now
        cured = any(symbol.step == "resubscribed" and symbol.last_tick == now for symbol in self.desk.book.values())
        for symbol in self.desk.book.values():
            if symbol.last_tick != now and symbol.stream is not None and symbol.stream.sent_at:
                symbol.suspect_since = max(symbol.suspect_since, now - 1)
                if cured and symbol.step in ("trust", "probing") and symbol.market_open(now):
                    self._resubscribe(symbol)
        self.desk.touch_all()

    def watch(self) -> None:
        """Set the next look at the silence of all. Called when the link became ready, and by itself."""
        newest = max(self.net.newest_tick, self.heard_at if self.net.newest_tick == 0 else 0)
        due = newest + self.net.link_limit // 2
        if due <= self.desk.now:
            due = newest + self.net.link_limit
        if due <= self.desk.now:
            due = self.desk.now + self.net.link_limit // 2
        self.desk.deadlines.set(("net", "silence"), due)

    def due(self, what: str) -> Turn | None:
        now = self.desk.now
        match what:
            case "silence" if self.link.phase == "ready":
                self._look_for_silence()
                self.watch()
            case "ping" if self.link.connected:
                if now - self.heard_at >= PING:
                    self.ask_time()
                self.desk.deadlines.set(("net", "ping"), max(self.heard_at + PING, now + PING // 2))
            case "time" if self._time is not None and self.link.connected:
                return self._judge_time(self._time)
            case "reconnect" if self.link.phase == "ready":
                return self.link.drop("link_silent", "subscriptions bring nothing, renewed or not")
            case "competing" if self.link.phase == "ready":
                self._try_competing()
            case "competing_end" if self.link.phase == "ready":
                self._end_competing()
            case _:
                pass
        return None

    def _look_for_silence(self) -> None:
        """Is nobody ticking who should? First ask a few, then call it what it is, and renew these few."""
        now, net = self.desk.now, self.net
        silence = now - net.newest_tick
        expected = [s for s in self._streaming() if not s.quiet(now)]
        if silence < net.link_limit // 2 or not expected:
            return
        canaries = heapq.nsmallest(CANARIES, expected, key=lambda symbol: symbol.priority)
        self._canaries = {symbol.name for symbol in canaries}
        if silence < net.link_limit:
            self.ask_time()
            for symbol in canaries:
                if symbol.step == "trust":
                    self._probe(symbol)
        elif not net.silent and not any(s.verified_at > net.newest_tick for s in self._streaming()):
            net.silent = True
            for symbol in canaries:
                if symbol.step == "probing":
                    self._unanswered(symbol)
            self.desk.touch_all()

    def _streaming(self) -> list[Symbol]:
        """Symbols whose stream ought to bring something."""
        now = self.desk.now
        return [s for s in self.desk.book.values() if s.subscribed_at and not s.competing and s.market_open(now)]

    def ask_time(self) -> None:
        """Is anybody there? One question at a time."""
        if self._time is None:
            self._time = self.requests.time()
            self.desk.deadlines.set(("net", "time"), self.desk.now + TIME_TO_ANSWER)

    def time_seen(self) -> None:
        self._time = None

    def _judge_time(self, asked: Request) -> Turn | None:
        due = (asked.sent_at or self.desk.now) + TIME_TO_ANSWER
        if due > self.desk.now:
            self.desk.deadlines.set(("net", "time"), due)
            return None
        self._time = None
        if self.heard_at > asked.sent_at:
            return None  # not the time, but something came
        return self.link.drop("gateway_silent", "the gateway did not answer when asked for the time")

    # --- the link's turns ---

    def turned(self, turn: Turn) -> None:
        """What a step of the link does to trust."""
        now = self.desk.now
        if turn is Turn.UP:
            self.desk.deadlines.set(("net", "ping"), now + PING)
            self.watch()
        if turn is Turn.DOWN:
            self._time = None
            self._broken.clear()
            self._canary = None
        self.net.silent = False
        for symbol in self.desk.book.values():
            symbol.suspect_since = now
            symbol.step = "trust"
            if turn in (Turn.DOWN, Turn.DATA_LOST):
                symbol.stream = None
                symbol.dead = symbol.farm_down = symbol.competing = False
                symbol.resubscribes = symbol.answerless = 0

    # --- farms ---

    def farm_changed(self, farm: Farm, before: str, state: str) -> None:
        kind, name = farm
        if kind != "market_data":
            return
        now = self.desk.now
        if state == "broken":
            self._broken[name] = now
            for symbol in self._of_farm(name):
                self.desk.touch(symbol)
        elif before == "broken":
            since = self._broken.pop(name, now)
            for symbol in self._of_farm(name):
                if symbol.last_tick <= since + SECOND:  # others went on ticking: not served by this farm
                    symbol.farm_down = False
                    symbol.suspect_since = now
                    symbol.step = "trust"
                    self.desk.touch(symbol)

    def _of_farm(self, name: str) -> list[Symbol]:
        return [symbol for symbol in self.desk.book.values() if served_by(name, symbol.planned)]

    def _farm_trouble(self, symbol: Symbol) -> int | None:
        """Silent since a farm broke that may serve it: wait for its return, but not for ever, as its word may be
        lost. Returns until when to wait, None when there is nothing to wait for."""
        now = self.desk.now
        if symbol.quiet(now):
            return None
        for name, since in self._broken.items():
            if symbol.last_tick > since + SECOND or not served_by(name, symbol.planned):
                continue
            if now < since + FARM_GRACE:
                return since + FARM_GRACE
            if not symbol.farm_down:
                symbol.farm_down = True
                symbol.suspect_since = now
            return since + FARM_PATIENCE if now < since + FARM_PATIENCE else None
        return None

    # --- a competing session ---

    def competing(self, symbol: Symbol) -> None:
        """10197: its stream brings nothing while another session has the data."""
        symbol.competing = True
        symbol.suspect_since = self.desk.now
        symbol.step = "trust"
        if self._canary == symbol.name or self._canary is None:
            self._canary = None
            self.desk.deadlines.set(("net", "competing"), self.desk.now + COMPETING_PAUSE)
        self.desk.touch(symbol)

    def _try_competing(self) -> None:
        """Ask for one symbol again; the others wait for its answer."""
        waiting = [s for s in self.desk.book.values() if s.competing and s.stream is not None and s.stream.sent_at]
        if not waiting:
            return
        canary = min(waiting, key=lambda symbol: symbol.priority)
        self._canary = canary.name
        self._resubscribe(canary)
        canary.step = "trust"
        self.desk.deadlines.set(("net", "competing"), self.desk.now + COMPETING_PAUSE)

    def competing_ticked(self, symbol: Symbol) -> None:
        """A symbol that the other session had ticks again."""
        symbol.competing = False
        self._canary = None
        self.desk.deadlines.set(("net", "competing_end"), self.desk.now + COMPETING_SETTLE)
        self.desk.deadlines.clear(("net", "competing"))

    def _end_competing(self) -> None:
        """The other session is over: renew those that did not come back by themselves."""
        for symbol in self.desk.book.values():
            if symbol.competing:
                symbol.competing = False
                if symbol.stream is not None and symbol.stream.sent_at:
                    self._resubscribe(symbol)
                self.desk.touch(symbol)


def _comparable(prices: dict[int, float]) -> dict[int, float]:
    """Bid, ask, last and volume, live or delayed, as far as they say something."""
    return {
        _COMPARED[name]: value
        for field, value in prices.items()
        if (name := QUOTE_FIELD.get(field)) in _COMPARED and value > 0
    }


def _same(snapshot: dict[int, float], streamed: dict[int, float]) -> bool:
    """Did the stream bring all that the snapshot shows?"""
    return all(streamed.get(field) == value for field, value in snapshot.items())
