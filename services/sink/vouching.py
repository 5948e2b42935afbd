"""What the sink may vouch for, and until when: heartbeats, cursors and the time in, a moment or a reason out.

Pure, used by the sink's loop alone, and no part of the fold. A price of a gateway is vouched for until a span after the
newest moment of which all this is known: the gateway lived, it heard IB, and the sink has applied all that it had
journalled by then. So whoever dies, freezes or lags, nothing is vouched for longer than the span. Times `at` are
seconds on a clock that never goes back, `now` is UTC nanoseconds; a moment is held on both, and the older one counts:
the first stands still while the machine sleeps, the second may be set.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from messages.topics import kind
from messages.views import Head, Heartbeat
from services.base.clock import SECOND

HELD_UP: Final = 1.0  # seconds between two turns after which what waits in the sockets is of before
AHEAD: Final = SECOND // 4  # a heartbeat of this machine that is later than now tells of a clock that was set back
WAITING: Final = 32  # heartbeats of one writer whose heads are not reached yet
RENEW_SHARE: Final = (
    0.5  # of the span: a price of which less is left is renewed with the next heartbeat that allows it:
)
# with the third of five in a span, so that one that comes late, or a busy machine, costs nobody a price
LATE_SHARE: Final = 0.2  # and without one, as long as it can be
NEWER: Final = SECOND // 20  # by which a heartbeat allows more than the last one

Reached = Callable[[str, Head], bool]
"""Whether all of a stream up to a head is applied."""


class Moment(NamedTuple):
    """An instant on both clocks."""

    at: float
    now: int

    def age(self, at: float, now: int) -> float:
        """Seconds since then, by the clock that says more."""
        return max(at - self.at, (now - self.now) / SECOND, 0.0)

    def earlier(self, seconds: float) -> "Moment":
        return Moment(self.at - seconds, self.now - int(seconds * SECOND))


class _Beat(NamedTuple):
    sent: Moment
    source: Moment | None  # when it had heard IB; None when it has no connection
    heads: Mapping[str, Head]


class _Writer:
    def __init__(self) -> None:
        self.started_at = 0
        self.heard: Moment | None = None  # its newest heartbeat was sent then
        self.reached: _Beat | None = None  # the newest heartbeat with all of its heads reached
        self.waiting: deque[_Beat] = deque(maxlen=WAITING)


class Voucher:
    """Call `turn` once a turn of the loop, before anything is heard in it."""

    def __init__(self, span: float, silence: float, gateways: Iterable[str], elsewhere: Iterable[str] = ()) -> None:
        self._span = span  # seconds: the longest that anything is vouched for
        self._silence = silence  # seconds after which a writer that is not heard counts as down
        self._writers: dict[str, _Writer] = {name: _Writer() for name in gateways}
        self._elsewhere = frozenset(elsewhere)  # on other machines, whose clocks tell nothing here
        self._last: Moment | None = None
        self._deaf_until = 0.0
        self._set_back = False

    def turn(self, at: float, now: int) -> None:
        """Time passes. A turn long after the last one shows that this process, or the machine, was held up."""
        if self._last is not None:
            self._set_back |= now - self._last.now < int((at - self._last.at) * SECOND) - AHEAD
            if self._last.age(at, now) > HELD_UP:
                self._deaf_until = at + HELD_UP / 2
        self._last = Moment(at, now)

    def clock_was_set_back(self) -> bool:
        """Whether it was, since this was asked last: moments given before then lie too far ahead."""
        was, self._set_back = self._set_back, False
        return was

    def hear(self, beat: Heartbeat, at: float, now: int) -> None:
        """A heartbeat of any of the writers that the sink follows."""
        writer = self._writers.setdefault(beat.service, _Writer())
        sent = self._sent(beat, at, now)
        if sent is None:
            return
        if beat.started_at != writer.started_at:  # another process: nothing of the last one holds
            writer.started_at, writer.reached = beat.started_at, None
            writer.waiting.clear()
        source: Moment | None = sent
        if beat.source_heard is not None:
            behind = max(0.0, (beat.time - beat.source_heard) / SECOND)
            source = sent.earlier(behind) if beat.source_heard else None
        writer.heard = sent
        writer.waiting.append(_Beat(sent, source, beat.heads))

    def _sent(self, beat: Heartbeat, at: float, now: int) -> Moment | None:
        """When it was sent; None when that is not known."""
        if beat.service in self._elsewhere:
            return None if at < self._deaf_until else Moment(at, now)
        if beat.time > now + AHEAD:
            return None
        return Moment(at, now).earlier(max(0, now - beat.time) / SECOND)

    def settle(self, reached: Reached) -> None:
        """Hold what was announced against what is applied."""
        for writer in self._writers.values():
            while writer.waiting and all(reached(stream, head) for stream, head in writer.waiting[0].heads.items()):
                writer.reached = writer.waiting.popleft()

    def good_until(self, gateway: str, at: float, now: int) -> int:
        """Until when a fresh price of this gateway may be used, UTC ns; in the past when it may not be."""
        known = self._known(gateway)
        return now + int((self._span - known.age(at, now)) * SECOND) if known is not None else 0

    def withheld(self, gateway: str, at: float, now: int) -> str | None:
        """Why nothing of this gateway is vouched for: a stable word; None while it is."""
        limit = min(self._silence, self._span)
        writer = self._writers[gateway]
        if writer.heard is None or writer.heard.age(at, now) > limit:
            return "service_down"
        if writer.reached is None or writer.reached.sent.age(at, now) > limit or self._lags(at, now):
            return "reader_behind"
        source = writer.reached.source
        if source is None:
            return "link_down"
        return "link_silent" if source.age(at, now) >= self._span else None

    def wait(self, at: float, now: int) -> float:
        """Seconds until something may be withheld though nothing comes; infinity when nothing is vouched for."""
        limit = min(self._silence, self._span)
        left: list[float] = []
        for name, writer in self._writers.items():
            if kind(name) == "gateway":
                left += [limit - moment.age(at, now) for moment in _moments(writer)]
                if writer.reached is not None and writer.reached.source is not None:
                    left.append(self._span - writer.reached.source.age(at, now))
            elif writer.waiting:
                left.append(limit - writer.waiting[0].sent.age(at, now))
        return min((seconds for seconds in left if seconds >= 0), default=math.inf)

    def _known(self, gateway: str) -> Moment | None:
        beat = self._writers[gateway].reached
        if beat is None or beat.source is None:
            return None
        return Moment(min(beat.sent.at, beat.source.at), min(beat.sent.now, beat.source.now))

    def _lags(self, at: float, now: int) -> bool:
        """Whether the plan or the commands have been waiting for too long to be applied. Their writers may be down:
        then there is nothing new of theirs."""
        limit = min(self._silence, self._span)
        return any(
            writer.waiting and writer.waiting[0].sent.age(at, now) > limit
            for name, writer in self._writers.items()
            if kind(name) != "gateway"
        )


class Renewals:
    """When prices of one gateway that do not change are vouched for anew: together, once a heartbeat allows more."""

    def __init__(self, span: float) -> None:
        self._span = span * SECOND
        self._allowed = 0  # until when a fresh price could be used, when that was news last

    def due(self, until: int, now: int) -> int:
        """Those that are good until the returned moment at most are to be renewed. `until`: what a fresh one gets. All
        are UTC nanoseconds. After a clock that was set back, less than before is news too."""
        news = abs(until - self._allowed) > NEWER
        if news:
            self._allowed = until
        return now + int(self._span * (RENEW_SHARE if news else LATE_SHARE))


def _moments(writer: _Writer) -> Iterable[Moment]:
    """Those whose age decides whether a gateway is vouched for."""
    if writer.heard is not None:
        yield writer.heard
    if writer.reached is not None:
        yield writer.reached.sent
