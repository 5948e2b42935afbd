"""Graduated recovery: wait, probe, resubscribe the symbol, then its region's symbols, then reconnect.

Called by the core, for one symbol at a time. Guarantees: a farm's blip never costs the socket; a symbol is
resubscribed only after something spoke against its stream; the pauses between two tries of the same cure grow.
"""

from typing import Final

from messages.fields import ASK, BID, LAST, QUOTE_FIELD, SOURCE_STREAM, VOLUME
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER
from services.gateway.core.farms import Farms
from services.gateway.core.governor import Request
from services.gateway.core.interface import is_number
from services.gateway.core.link import Link, LinkStep
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.timing import Pace, growing

_COMPARED: Final = {"bid": BID, "ask": ASK, "last": LAST, "volume": VOLUME}


class Recovery:
    def __init__(self, context: Context, pace: Pace, requests: Requests, link: Link, farms: Farms) -> None:
        self.context = context
        self.shared = context.shared
        self.pace = pace
        self.requests = requests
        self.link = link
        self.farms = farms
        self.region_ticked: dict[str, int] = {}
        self.canaries: set[str] = set()  # asked for all when all are silent
        self._region_cured: dict[str, int] = {}
        self._reconnected_at = 0
        self._reconnect_pause = pace.first_reconnect

    def link_stepped(self, step: LinkStep) -> None:
        """What a step of the link does to trust: what came before it proves nothing about now."""
        self.shared.silent = False
        for symbol in self.context.symbols.values():
            symbol.doubt(self.context.now - 1)  # ticks of this very turn came after it
            if step in (LinkStep.DOWN, LinkStep.DATA_LOST):
                symbol.subscription_lost()

    # --- one symbol ---

    def check(self, symbol: Symbol) -> int:
        """Do what its silence calls for. Returns when to look again."""
        now = self.context.now
        if not symbol.subscribed_at or symbol.trust.competing:
            return NEVER
        if symbol.ticks.last > max(symbol.trust.suspect_since, symbol.subscribed_at - 1):
            self._trust(symbol)
            if symbol.cure.step == "probing" and symbol.ticks.last >= symbol.snapshots.asked_at:
                symbol.cure.step = "trust"  # it ticked before the probe came back
            if now - symbol.ticks.rhythm_since >= self.pace.verify:
                symbol.ticks.feel_rhythm()
        if not symbol.market_open(now):
            symbol.cure.step = "trust"
            return NEVER
        if (until := self.farms.trouble(symbol)) is not None:
            return until
        match symbol.cure.step:
            case "trust":
                due, act = self._patience(symbol), self._doubt
            case "probing":
                probe = symbol.requests.snapshot
                asked = probe.sent_at or now if probe is not None else 0
                due, act = asked + self.pace.probe_timeout, self.unanswered
            case "resubscribed":
                due, act = symbol.subscribed_at + self.pace.verify, self._failed
            case "failed":
                due, act = symbol.cure.retry_at, self.resubscribe
        return due if now < due else act(symbol)

    def _patience(self, symbol: Symbol) -> int:
        """When its silence becomes a reason to check."""
        since = symbol.silent_since(self.context.now)
        if symbol.suspect:
            return since + self.pace.verify
        limit = symbol.patience(self.shared)
        # A probe that takes long is asked for earlier, so that its answer comes before the limit.
        lead = min(max(symbol.snapshots.took * 5 // 4 + limit // 15, limit // 2), limit * 4 // 5)
        verified_until = symbol.trust.verified_until if symbol.quiet(self.context.now) else 0
        return max(since + limit, verified_until) - lead

    def _doubt(self, symbol: Symbol) -> int:
        if symbol.suspect and self.region_ticked.get(symbol.region, 0) <= symbol.trust.suspect_since:
            return self._resubscribe_in_time(symbol)  # all is back, it was said, and nothing at all flows
        all_silent = self.context.now - self.shared.newest_tick >= self.pace.link_stale_after // 2
        if all_silent and not symbol.suspect and symbol.name not in self.canaries:
            return self.context.now + self.pace.verify // 5  # the canaries are asked; their answer tells for all
        return self.probe(symbol)

    def probe(self, symbol: Symbol) -> int:
        """Ask for a snapshot, to compare it with what the stream brought."""
        symbol.cure.step = "probing"
        if symbol.requests.snapshot is None:
            self.requests.snapshot(symbol, "probe")
        return self.context.now + self.pace.probe_timeout

    def resubscribe(self, symbol: Symbol) -> int:
        """With a fresh request id. Its deadline starts when the request was sent."""
        self.requests.cancel(symbol.requests.stream)
        self.requests.stream(symbol)
        symbol.cure.step = "resubscribed"
        symbol.cure.resubscribes += 1
        return NEVER

    def renew(self, symbol: Symbol) -> None:
        """IB ended its stream, or asks to renew it: at once, and with growing pauses if that happens again soon,
        also when it ticks in between."""
        now, cure = self.context.now, symbol.cure
        if now - cure.renewed_at > self.pace.last_pause:
            cure.renewals = 0
        pause = growing(self.pace.first_pause, self.pace.last_pause, cure.renewals - 1)
        cure.hold_until = cure.renewed_at = now + pause if cure.renewals else now
        cure.renewals += 1
        cure.step = "resubscribed"
        self.context.touch(symbol)

    def unanswered(self, symbol: Symbol) -> int:
        """The probe did not come back in time."""
        self.requests.give_up_snapshot(symbol)
        return self._resubscribe_in_time(symbol)

    def _resubscribe_in_time(self, symbol: Symbol) -> int:
        """Once more, but not at once when the last time brought nothing but the picture that each begins with."""
        cure = symbol.cure
        due = symbol.subscribed_at + growing(self.pace.first_pause, self.pace.last_pause, cure.resubscribes - 1)
        if not cure.resubscribes or self.context.now >= due:
            return self.resubscribe(symbol)
        cure.step, cure.failed_at, cure.retry_at = "failed", self.context.now, due
        return due

    def _failed(self, symbol: Symbol) -> int:
        now, cure = self.context.now, symbol.cure
        cure.step, cure.failed_at = "failed", now
        pause = growing(self.pace.first_pause, self.pace.last_pause, cure.resubscribes - 1)
        cure.retry_at = now + (self.pace.last_pause if symbol.trust.farm_down else pause)
        self._escalate(symbol)
        return cure.retry_at

    def _trust(self, symbol: Symbol) -> None:
        """The stream brings ticks: earlier doubts are settled. The picture that a subscription begins with is no cure
        yet: only ticks after it forget the tries that were in vain."""
        cure = symbol.cure
        if cure.step == "resubscribed" or (cure.step == "failed" and symbol.ticks.last > cure.failed_at):
            cure.step = "trust"
        if symbol.ticks.last > symbol.subscribed_at + self.pace.verify:
            cure.resubscribes = 0
        symbol.trust.proven = True
        symbol.trust.dead = symbol.trust.farm_down = False
        symbol.snapshots.in_vain = 0

    # --- what a snapshot tells ---

    def snapshot_ended(
        self, symbol: Symbol, request: Request, prices: dict[int, float], streamed: dict[int, float]
    ) -> None:
        """A snapshot came back, whoever wanted it: what does it say of the stream?"""
        symbol.snapshots.took = self.context.now - request.sent_at
        image, withdrawn = _read_image(prices)
        symbol.snapshots.in_vain = 0 if image else symbol.snapshots.in_vain + 1
        if symbol.cure.step != "probing":
            return
        symbol.cure.step = "trust"
        if symbol.ticks.last >= request.sent_at or not symbol.subscribed_at:
            return  # it ticked meanwhile
        stream, _ = _read_image(streamed)
        if image and not withdrawn & stream.keys() and all(stream.get(field) == image[field] for field in image):
            self._verified(symbol)
            return
        if image:
            symbol.trust.found_dead(self.context.now)
        self._resubscribe_in_time(symbol)

    def _verified(self, symbol: Symbol) -> None:
        """IB has nothing newer than what the stream brought: quiet. The longer it is, the rarer it is asked."""
        now, trust = self.context.now, symbol.trust
        again = trust.verified_at > symbol.ticks.last
        trust.verified_at = now
        trust.verified_until = now + (4 * self.pace.stale_after if again else 2 * symbol.patience(self.shared))
        trust.dead = False
        trust.suspect_since = min(trust.suspect_since, now - 1)
        self.context.priced_by(symbol, SOURCE_STREAM, now, trust.stream_since)

    # --- its region, and all ---

    def _escalate(self, symbol: Symbol) -> None:
        """Its own resubscription was in vain. Is it alone?"""
        now = self.context.now
        if not (symbol.trust.dead or symbol.trust.proven):
            return  # it never ticked, and nothing says that it should
        if self.region_ticked.get(symbol.region, 0) > now - self.pace.stale_after:
            return
        if now - self._region_cured.get(symbol.region, -self.pace.region_pause) >= self.pace.region_pause:
            self._region_cured[symbol.region] = now
            if self._cure_region(symbol.region):
                return
        if self.shared.newest_tick <= now - self.pace.stale_after:
            self._reconnect()

    def _cure_region(self, region: str) -> bool:
        """Resubscribe its silent symbols that have not been. False when there is none."""
        now = self.context.now
        silent = [
            other
            for other in self.context.symbols.values()
            if other.region == region and other.subscribed_at and other.cure.step in ("trust", "probing")
            if not other.trust.competing and not other.fresh(self.shared, now) and other.market_open(now)
        ]
        for other in silent:
            self.resubscribe(other)
            self.context.touch(other)
        return bool(silent)

    def _reconnect(self) -> None:
        """The last resort, and rare. Not for what a new connection cannot cure."""
        now = self.context.now
        if self.farms.broken or any(symbol.trust.competing for symbol in self.context.symbols.values()):
            return
        if self._reconnected_at and now - self._reconnected_at < self._reconnect_pause:
            return
        again = now - self._reconnected_at < 2 * self.pace.last_reconnect
        pause = 2 * self._reconnect_pause if again else self.pace.first_reconnect
        self._reconnect_pause = min(pause, self.pace.last_reconnect)
        self._reconnected_at = now
        self.context.deadlines.set(("link", "silent"), now)  # not in the midst of a review of all symbols


def _read_image(values: dict[int, float]) -> tuple[dict[int, float], set[int]]:
    """Bid, ask, last and volume, live or delayed: what each says; and the prices that IB says do not exist now."""
    told = [
        (_COMPARED[name], value) for field, value in values.items() if (name := QUOTE_FIELD.get(field)) in _COMPARED
    ]
    image = {field: value for field, value in told if is_number(value)}
    return image, {field for field, _ in told if field in (BID, ASK)} - image.keys()
