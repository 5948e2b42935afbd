"""The pacing governor: every request to IB waits here until no rule forbids it.

Called by the core alone. Guarantees, for whatever is submitted: at most `rate` messages in any second, no
more streams than market data lines, few snapshots at once, and IB's history rules; important ones first.

Rules and their source (TWS API documentation): messages a second are lines / 2, and three breaches (100)
end the session; history allows 60 requests in 10 minutes, none identical within 15 s, fewer than 6 for one
contract in 2 s, BID_ASK counts twice, 50 open. The history rules are for bars of 30 s or less; here all
history keeps them.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.gateway.core.deadlines import NEVER, SECOND, ns

# A burst may be squeezed together on its way: the window is a little longer than IB's second.
WINDOW: Final = ns(1.2)
LEAST_RATE: Final = 2  # one request, and the message that says of which type
MAX_SNAPSHOTS: Final = 10

HISTORY_WINDOW: Final = 600 * SECOND
HISTORY_IN_WINDOW: Final = 58  # two below the limit
HISTORY_SAME: Final = 16 * SECOND
HISTORY_CONTRACT_WINDOW: Final = ns(2.2)
HISTORY_IN_CONTRACT_WINDOW: Final = 5
HISTORY_OPEN: Final = 48


class Kind(IntEnum):
    """What a request is; also its rank in the queue, first to last."""

    TIME = 0
    CANCEL = 1
    CANCEL_HISTORY = 2
    CANCEL_TICK_BY_TICK = 3
    CANCEL_BARS = 4
    CANCEL_POSITIONS = 5
    POSITIONS = 6
    STREAM = 7
    SNAPSHOT = 8
    DETAILS = 9
    HELD_DETAILS = 10
    TICK_BY_TICK = 11
    BARS = 12
    OPTIONS = 13
    HISTORY = 14


@dataclass(slots=True, eq=False)
class Request:
    """One message to IB, queued or sent. `req_id` and `sent_at` are 0 while it waits."""

    kind: Kind
    symbol: str = ""
    priority: int = 0
    data_type: int = 0  # streams and snapshots: the market data type to ask for
    req_id: int = 0
    sent_at: int = 0
    waiting: bool = False
    purpose: str = ""
    delivered: int = 0  # the market data type of what comes, as IB said
    got: bool = False  # a price came in answer
    con_id: int = 0  # the contract id that it named, 0 for none
    generic_ticks: frozenset[int] = frozenset()  # that it asked for
    give_up_at: int = 0  # when no answer is awaited any more, where that is sooner than usual
    end: int = 0  # history: until when, UTC ns, 0 for now
    start: int = 0
    duration: str = ""
    bar_size: str = "1 min"
    what_to_show: str = "TRADES"
    month: int = 0  # history: the id of the contract, where it is another one than the symbol's

    @property
    def history_key(self) -> "HistoryKey":
        return (self.symbol, self.month, self.end, self.duration, self.bar_size, self.what_to_show)


HistoryKey = tuple[str, int, int, str, str, str]


class Governor:
    """Queue and budgets. The core submits; `take` hands out what may be sent now."""

    def __init__(self, rate: int, line_limit: int) -> None:
        self.full_rate = self.rate = max(LEAST_RATE, rate)
        self.line_limit = line_limit
        self.snapshots_take_lines = False
        self.data_type = 0  # what the connection was last told; 0 is unknown
        self.strikes = 0
        self._paused_until = 0
        self._sent: deque[int] = deque()
        self._queues: list[list[tuple[int, int, Request]]] = [[] for _ in Kind]
        self._order = 0
        self.waiting = 0  # requests that are queued
        self._streams: set[int] = set()
        self._snapshots: set[int] = set()
        self.history = HistoryBudget()

    # --- the queue ---

    def submit(self, request: Request) -> None:
        assert not request.waiting
        request.waiting = True
        self.waiting += 1
        self._order += 1
        heapq.heappush(self._queues[request.kind], (request.priority, self._order, request))

    def withdraw(self, request: Request) -> None:
        """Not wanted any more, and not sent yet."""
        request.waiting = False
        self.waiting -= 1

    def take(self, now: int) -> Iterator[Request]:
        """The requests that may be sent now, in order. Each counts as sent once it was handed out."""
        while self.waiting and (request := self._next(now)) is not None:
            yield request

    def _next(self, now: int) -> Request | None:
        room = self._room(now)
        if room < 1:
            return None
        self.history.unpark(now, self._queues[Kind.HISTORY])
        for kind in Kind:
            request = self._first_history(now) if kind is Kind.HISTORY else self._first(kind)
            if request is None or not self._allowed(request):
                continue
            cost = self.cost(request)
            if cost + self._kept_free(kind) > room:
                return None
            heapq.heappop(self._queues[kind])
            request.waiting = False
            self.waiting -= 1
            self._sent.extend([now] * cost)
            return request
        return None

    def _kept_free(self, kind: Kind) -> int:
        """Messages that what can wait leaves to what cannot."""
        return self.rate // 4 if kind >= Kind.DETAILS else 0

    def cost(self, request: Request) -> int:
        """Messages: a stream or snapshot of another market data type needs one more, to say so."""
        return 2 if request.data_type and request.data_type != self.data_type else 1

    def _first(self, kind: Kind) -> Request | None:
        queue = self._queues[kind]
        while queue and not queue[0][2].waiting:
            heapq.heappop(queue)
        return queue[0][2] if queue else None

    def _allowed(self, request: Request) -> bool:
        if request.kind is Kind.STREAM:
            return len(self._streams) + self._snapshot_lines < self.line_limit
        if request.kind is Kind.SNAPSHOT:
            full = self.snapshots_take_lines and len(self._streams) + len(self._snapshots) >= self.line_limit
            return len(self._snapshots) < MAX_SNAPSHOTS and not full
        return True

    def _first_history(self, now: int) -> Request | None:
        """The first history request that no rule holds up; those that their contract's rules do step aside."""
        queue = self._queues[Kind.HISTORY]
        while (request := self._first(Kind.HISTORY)) is not None:
            at = self.history.contract_free_at(request, now)
            if at <= now:
                return request if self.history.free_at(request, now) <= now else None
            self.history.park(heapq.heappop(queue), at)
        return None

    @property
    def _snapshot_lines(self) -> int:
        return len(self._snapshots) if self.snapshots_take_lines else 0

    # --- budgets ---

    def _room(self, now: int) -> int:
        if now < self._paused_until:
            return 0
        while self._sent and self._sent[0] <= now - WINDOW:
            self._sent.popleft()
        return self.rate - len(self._sent)

    def sent(self, request: Request, now: int) -> None:
        """The core gave it its id and sent it."""
        if request.kind is Kind.STREAM:
            self._streams.add(request.req_id)
        elif request.kind is Kind.SNAPSHOT:
            self._snapshots.add(request.req_id)
        elif request.kind is Kind.CANCEL:
            self._streams.discard(request.req_id)
            self._snapshots.discard(request.req_id)
        elif request.kind is Kind.HISTORY:
            self.history.sent(request, now)

    def finished(self, request: Request) -> None:
        """It was answered or refused: what it held open is free again."""
        self._streams.discard(request.req_id)
        self._snapshots.discard(request.req_id)
        self.history.open.discard(request.req_id)

    def connection_lost(self) -> None:
        """Queue and open requests are moot. What was sent still counts: IB may remember it too."""
        for queue in self._queues:
            for _, _, request in queue:
                request.waiting = False
            queue.clear()
        self.waiting = 0
        self._streams.clear()
        self._snapshots.clear()
        self.history.connection_lost()
        self.data_type = 0
        self.strikes = 0
        self.rate = self.full_rate

    def strike(self, now: int) -> None:
        """IB said 100, too many messages: pause, then go at half the rate for as long as the session lives."""
        self.strikes += 1
        self.rate = max(LEAST_RATE, self.rate // 2)
        self._paused_until = now + self.strikes * 2 * SECOND

    @property
    def open_streams(self) -> int:
        return len(self._streams)


class HistoryBudget:
    """IB's history pacing, and what it holds open. Survives a reconnect: IB counts per user."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.parked: list[tuple[int, int, tuple[int, int, Request]]] = []
        self._sent: deque[tuple[int, int]] = deque()  # time, weight
        self._weight = 0
        self._same: dict[HistoryKey, int] = {}
        self._contract: dict[tuple[str, str], deque[int]] = {}
        self._paused_until = 0

    def sent(self, request: Request, now: int) -> None:
        weight = _weight(request)
        self.open.add(request.req_id)
        self._sent.append((now, weight))
        self._weight += weight
        if len(self._same) > 1000:
            self._same = {key: at for key, at in self._same.items() if at > now - HISTORY_SAME}
            self._contract = {k: times for k, times in self._contract.items() if times[-1] > now - HISTORY_SAME}
        self._same[request.history_key] = now
        times = self._contract.setdefault((request.symbol, request.what_to_show), deque(maxlen=16))
        times.extend([now] * weight)

    def free_at(self, request: Request, now: int) -> int:
        """When the budget of all history has room for this one."""
        while self._sent and self._sent[0][0] <= now - HISTORY_WINDOW:
            self._weight -= self._sent.popleft()[1]
        if len(self.open) >= HISTORY_OPEN:
            return NEVER
        if now < self._paused_until:
            return self._paused_until
        over = self._weight + _weight(request) - HISTORY_IN_WINDOW
        if over <= 0:
            return now
        for at, weight in self._sent:
            over -= weight
            if over <= 0:
                return at + HISTORY_WINDOW
        return NEVER

    def contract_free_at(self, request: Request, now: int) -> int:
        """When the rules of one contract allow this one."""
        at = self._same.get(request.history_key, -HISTORY_SAME) + HISTORY_SAME
        times = self._contract.get((request.symbol, request.what_to_show))
        room = HISTORY_IN_CONTRACT_WINDOW - _weight(request)
        if times is not None and len(times) > room:
            at = max(at, times[-1 - room] + HISTORY_CONTRACT_WINDOW)
        return max(at, now)

    def refused(self, now: int) -> None:
        """IB spoke of a pacing violation all the same: another program of this user asks too."""
        self._paused_until = now + HISTORY_WINDOW // 5

    def park(self, entry: tuple[int, int, Request], until: int) -> None:
        """Set aside a request that its contract's rules hold up, so that others pass it."""
        heapq.heappush(self.parked, (until, entry[1], entry))

    def unpark(self, now: int, queue: list[tuple[int, int, Request]]) -> None:
        while self.parked and self.parked[0][0] <= now:
            heapq.heappush(queue, heapq.heappop(self.parked)[2])

    def connection_lost(self) -> None:
        for _, _, (_, _, request) in self.parked:
            request.waiting = False
        self.parked.clear()
        self.open.clear()


def _weight(request: Request) -> int:
    return 2 if request.what_to_show == "BID_ASK" else 1
