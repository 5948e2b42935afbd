"""Which of several gateways have failed: heartbeats and links in, names out. Pure; asked by state.py.

A gateway has failed once its link was lost for GRACE, or its process silent for as long as any service may be before
it is called down: a blip moves nothing. It has returned once its link has been ready for SETTLE. What is only beginning
gets longer: a login takes its time, and a machine starts everything at once. Times are UTC nanoseconds.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from messages.events import LinkChanged
from services.base import liveness
from services.base.clock import SECOND
from services.base.liveness import Liveness

GRACE: Final = 3 * SECOND // 2  # of a lost link; a process is silent for the timeout of its heartbeats
SETTLE: Final = 3 * SECOND
START_GRACE: Final = 5 * SECOND
STALL: Final = int(liveness.STALL * SECOND)


class LinkFact(msgspec.Struct, frozen=True):
    """What a link stream said last. `ready` is None while no connection is wanted; `lost`: it was there, or has been
    tried in vain."""

    epoch: int = 0
    ready: bool | None = None
    since: int = 0
    lost: bool = False


def fold_link(fact: LinkFact, event: LinkChanged, epoch: int, time: int) -> LinkFact:
    ready = None if event.phase == "idle" else event.phase == "ready"
    same = epoch == fact.epoch
    lost = ready is False and (event.phase in ("backoff", "no_ib") or (same and (fact.lost or fact.ready is True)))
    return LinkFact(epoch, ready, fact.since if same and ready is fact.ready else time, lost)


class Health:
    def __init__(self, names: Iterable[str], failed: Iterable[str], now: int, silence: float) -> None:
        """`failed`: those whose symbols live elsewhere already. `silence`: seconds after which a process has failed."""
        self.failed = frozenset(failed)
        self._names = tuple(names)
        patience = int(silence * SECOND)
        self._alive = Liveness(patience, now, self._names, max(START_GRACE, patience), STALL)
        self._epochs: dict[str, int] = {}  # of the link streams, as heartbeats say
        self._met: set[str] = set()  # that were ready since the start

    def on_beat(self, name: str, epoch: int, now: int) -> None:
        self._alive.hear(name, now)
        self._epochs[name] = epoch

    def check(self, links: dict[str, LinkFact], now: int) -> frozenset[str]:
        """Those that have failed by now. Call several times a second."""
        self._alive.check(now)
        for name in self._names:
            link = links.get(name, LinkFact())
            if self._is_failed(name, link, now):
                self.failed |= {name}
            elif name in self.failed and self._has_returned(name, link, now):
                self.failed -= {name}
        return self.failed

    def _is_failed(self, name: str, link: LinkFact, now: int) -> bool:
        if name in self._alive.lost:
            return True
        if not self._alive.heard(name):
            return False  # it still has time to come
        if self._is_ready(name, link):
            self._met.add(name)
            return False
        if link.ready is None or link.epoch < self._epochs[name]:
            return False  # nothing is wanted of it, or a new process has said nothing yet
        since = max(link.since, self._alive.started)
        return now - since > (GRACE if link.lost and name in self._met else START_GRACE)

    def _has_returned(self, name: str, link: LinkFact, now: int) -> bool:
        return self._is_ready(name, link) and now - link.since >= SETTLE

    def _is_ready(self, name: str, link: LinkFact) -> bool:
        return link.ready is True and link.epoch == self._epochs.get(name)
