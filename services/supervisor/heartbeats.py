"""Which services are alive: heartbeats in, states and changes out.

Pure: times are seconds on a clock that never goes back. Guarantees: a service is `down` once it was silent
for longer than the timeout, never because this process itself was held up.
"""

from collections import deque
from collections.abc import Collection
from typing import Final, Literal

from messages.events import ServiceChanged
from messages.topics import SERVICES, SIDE_SERVICES, kind
from messages.views import UNVOUCHED, Head, Heartbeat, ServiceStatus
from services.base.clock import iso
from services.base.liveness import Liveness

REQUIRED: Final = ("gateway", "planner", "sink")
"""Services that the supervisor expects unless it is told others. The simulator and the web page count once they were
heard."""

OPTIONAL: Final = ("web", *SIDE_SERVICES)
"""Services whose absence does not degrade the stream, unless they are expected."""

START_GRACE = 15.0  # seconds for a service that was never heard: a slow machine starts them all at once

BEHIND = 2.5  # seconds for which what a writer announced may be waiting at a consumer

State = Literal["waiting", "up", "down", "failing"]


class Announced:
    """Where a stream's head was in the last seconds."""

    def __init__(self) -> None:
        self.epoch = 0
        self.heads: deque[tuple[float, int]] = deque()

    def hear(self, head: Head, at: float) -> None:
        if head.epoch != self.epoch:
            self.epoch = head.epoch
            self.heads.clear()
        self.heads.append((at, head.seq))
        while len(self.heads) > 1 and self.heads[1][0] <= at - BEHIND:
            self.heads.popleft()

    def due_by(self, at: float) -> int:
        """The head that a consumer must have applied by then."""
        found = [seq for heard, seq in self.heads if heard <= at - BEHIND]
        return found[-1] if found else 0


class Watch:
    """Hear heartbeats, `check` at least once a second and when `wait` is over, and ask for `states`."""

    def __init__(
        self,
        timeout: float,
        started: float,
        required: Collection[str] = REQUIRED,
        services: Collection[str] = SERVICES,
    ) -> None:
        self.known = (*services, *SIDE_SERVICES)
        self.gateways = tuple(name for name in services if kind(name) == "gateway")
        self._required = required
        self._optional = frozenset(OPTIONAL).difference(required)
        self._alive = Liveness(timeout, started, required, START_GRACE)
        self._beats: dict[str, Heartbeat] = {}
        self._announced: dict[str, Announced] = {}
        self._behind: dict[str, dict[str, int]] = {}  # consumers, and by how many events of which streams

    def hear(self, beat: Heartbeat, at: float) -> bool:
        """True when it says something else than the one before it."""
        name = beat.service
        if name not in self.known:
            return False
        before, was_lost, was_behind = self._beats.get(name), name in self._alive.lost, self._behind.get(name)
        for stream, head in beat.heads.items():
            self._announced.setdefault(stream, Announced()).hear(head, at)
        self._behind[name] = {
            stream: due - seq
            for stream, seq in beat.cursors.items()
            if stream in self._announced and (due := self._announced[stream].due_by(at)) > seq
        }
        self._beats[name] = beat
        self._alive.hear(name, at)
        return was_lost or bool(was_behind or self._behind[name]) or before is None or _told(before) != _told(beat)

    def check(self, at: float) -> bool:
        """Notice who has gone silent. True: this process was held up, and has heard nobody meanwhile."""
        return self._alive.check(at)

    def wait(self, at: float) -> float:
        """Seconds until one who is heard now will be down if nothing more comes; infinity when none is heard."""
        return self._alive.wait(at)

    def state(self, service: str) -> State:
        if service in self._alive.lost:
            return "down"
        beat = self._beats.get(service)
        if beat is None:
            return "waiting"
        return "failing" if beat.problem else "up"

    def missing(self) -> list[str]:
        """Those that are down, those apart that the stream does not need."""
        return [name for name in self.known if name not in self._optional and self.state(name) == "down"]

    def waiting(self) -> list[str]:
        return [name for name in self._required if self.state(name) == "waiting"]

    def failing(self) -> dict[str, str]:
        """What services say is wrong with themselves, those apart that the stream does not need."""
        names = [name for name in self.known if name not in self._optional and self.state(name) == "failing"]
        return {name: self._beats[name].problem or "" for name in names}

    def behind(self) -> dict[str, dict[str, int]]:
        """Services that have not applied for seconds what was announced to them, those apart that the stream does not
        need: how many events of each stream."""
        return {
            name: streams
            for name, streams in self._behind.items()
            if streams and name not in self._optional and self.state(name) in ("up", "failing")
        }

    def has_applied(self, service: str, cursors: dict[str, int]) -> bool:
        """Whether a service has got so far in these streams; one that does not tell has."""
        beat = self._beats.get(service)
        return (
            beat is None or not beat.cursors or all(beat.cursors.get(name, 0) >= seq for name, seq in cursors.items())
        )

    def unvouched(self, service: str) -> int:
        """How many current prices the sink does not vouch for, as it says itself."""
        beat = self._beats.get(service)
        return int(beat.metrics.get(UNVOUCHED, 0)) if beat is not None else 0

    def epoch(self, service: str, stream: str) -> int | None:
        """The epoch in which a service that is up writes a stream."""
        beat = self._beats.get(service)
        if beat is None or service in self._alive.lost or stream not in beat.heads:
            return None
        return beat.heads[stream].epoch

    def changes(self, said: dict[str, str]) -> list[ServiceChanged]:
        """What is to be said, given what was said last of each service."""
        events = []
        for name in self.known:
            state = self.state(name)
            if state == "waiting" or said.get(name) == state:
                continue
            beat = self._beats.get(name)
            detail = beat.problem if beat is not None and state == "failing" else None
            events.append(
                ServiceChanged(service=name, state=state, pid=beat.pid if beat is not None else None, detail=detail)
            )
        return events

    def statuses(self) -> dict[str, ServiceStatus]:
        """For the status: each service that was heard or is expected."""
        return {name: self._status(name) for name in self.known if name in self._beats or name in self._required}

    def _status(self, name: str) -> ServiceStatus:
        beat = self._beats.get(name)
        state = self.state(name)
        if beat is None:
            detail = "not heard yet" if state == "waiting" else "never heard"
            return ServiceStatus(state="down", detail=detail)
        assert state != "waiting"
        head = max(beat.heads.values(), key=lambda head: head.seq, default=None)
        return ServiceStatus(
            state=state,
            pid=beat.pid,
            epoch=head.epoch if head is not None else None,
            head_seq=head.seq if head is not None else None,
            heads=beat.heads,
            last_heartbeat=iso(beat.time),
            loop_lag_ms=beat.loop_lag_ms,
            detail=beat.problem,
        )


def _told(beat: Heartbeat) -> tuple[object, ...]:
    """What of a heartbeat a verdict goes by, heads and cursors apart."""
    return beat.pid, beat.started_at, beat.problem, beat.metrics.get(UNVOUCHED)
