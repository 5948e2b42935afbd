"""The governor: no rule of IB is ever broken, whatever is submitted and when."""

from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.deadlines import SECOND
from services.gateway.core.governor import MAX_SNAPSHOTS, Governor, Kind, Request
from tests.support import examples

RATE, LINES = 45, 20


class Wire:
    """Sends what the governor hands out, and counts as IB does."""

    def __init__(self, rate: int = RATE, lines: int = LINES) -> None:
        self.governor = Governor(rate, lines)
        self.rate, self.lines = rate, lines
        self.now = 1_000 * SECOND
        self.next_id = 0
        self.sent: deque[tuple[int, Request]] = deque()
        self.streams: dict[int, Request] = {}
        self.snapshots: dict[int, Request] = {}
        self.histories: dict[int, Request] = {}
        self.history_log: deque[tuple[int, Request]] = deque()

    def pump(self) -> list[Request]:
        out = []
        for request in self.governor.take(self.now):
            cost = self.governor.cost(request)
            if request.data_type:
                self.governor.data_type = request.data_type
            request.sent_at = self.now
            if request.kind not in (Kind.CANCEL, Kind.CANCEL_HISTORY, Kind.TIME):
                self.next_id += 1
                request.req_id = self.next_id
            self.governor.sent(request, self.now)
            for _ in range(cost):
                self._judge(request)
            self._open(request)
            out.append(request)
        return out

    def _judge(self, request: Request) -> None:
        self.sent.append((self.now, request))
        while self.sent[0][0] <= self.now - SECOND:
            self.sent.popleft()
        assert len(self.sent) <= self.rate

    def _open(self, request: Request) -> None:
        if request.kind is Kind.STREAM:
            self.streams[request.req_id] = request
            assert len(self.streams) <= self.lines
        elif request.kind is Kind.SNAPSHOT:
            self.snapshots[request.req_id] = request
            assert len(self.snapshots) <= MAX_SNAPSHOTS
        elif request.kind is Kind.CANCEL:
            self.streams.pop(request.req_id, None)
        elif request.kind is Kind.HISTORY:
            self._judge_history(request)

    def _judge_history(self, request: Request) -> None:
        weight = 2 if request.what_to_show == "BID_ASK" else 1
        for _ in range(weight):
            self.history_log.append((self.now, request))
        while self.history_log[0][0] <= self.now - 600 * SECOND:
            self.history_log.popleft()
        assert len(self.history_log) <= 60
        recent = [r for at, r in self.history_log if at > self.now - 2 * SECOND]
        assert max(Counter((r.symbol, r.what_to_show) for r in recent).values()) < 6
        same = [r for at, r in self.history_log if at > self.now - 15 * SECOND and r.history_key == request.history_key]
        assert len({id(r) for r in same}) == 1
        self.histories[request.req_id] = request
        assert len(self.histories) <= 50

    def finish_history(self) -> None:
        for request in self.histories.values():
            self.governor.finished(request)
        self.histories.clear()

    def finish_snapshots(self) -> None:
        for request in self.snapshots.values():
            self.governor.finished(request)
        self.snapshots.clear()

    def lose_connection(self) -> None:
        self.governor.connection_lost()
        for open_ones in (self.streams, self.snapshots, self.histories):
            open_ones.clear()


def history(symbol: str, duration: str = "60 S", what: str = "TRADES", priority: int = 0) -> Request:
    request = Request(Kind.HISTORY, symbol, priority)
    request.duration, request.what_to_show = duration, what
    return request


SYMBOLS = st.sampled_from(["A", "B", "C"])
STEPS = st.one_of(
    st.tuples(st.just("stream"), st.integers(1, 60), st.sampled_from([1, 3])),
    st.tuples(st.just("snapshot"), st.integers(1, 30), st.sampled_from([1, 3])),
    st.tuples(st.just("details"), st.integers(1, 60)),
    st.tuples(st.just("history"), st.integers(1, 20), SYMBOLS, st.sampled_from(["TRADES", "BID_ASK"])),
    st.tuples(st.just("many_histories"), st.integers(1, 80)),
    st.tuples(st.just("cancel"), st.integers(1, 30)),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 0.3, 1.0, 1.3, 2.1, 16.0, 601.0])),
    st.tuples(st.sampled_from(["finish_history", "finish_snapshots", "lose_connection", "strike"])),
)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=examples(150), deadline=None)
def test_no_rule_is_ever_broken(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    wire = Wire()
    governor = wire.governor
    for name, *arguments in steps:
        match name:
            case "stream" | "snapshot":
                for number in range(arguments[0]):
                    kind = Kind.STREAM if name == "stream" else Kind.SNAPSHOT
                    governor.submit(Request(kind, "A", number, data_type=arguments[1]))
            case "details":
                for number in range(arguments[0]):
                    governor.submit(Request(Kind.DETAILS, "A", number))
            case "history":
                for number in range(arguments[0]):
                    governor.submit(history(arguments[1], what=arguments[2], priority=number))
            case "many_histories":
                for number in range(arguments[0]):
                    governor.submit(history(f"S{number}", priority=number))
            case "cancel":
                for req_id in list(wire.streams)[: arguments[0]]:
                    governor.submit(Request(Kind.CANCEL, "A", req_id=req_id))
            case "wait":
                wire.now += int(arguments[0] * SECOND)
            case "strike":
                governor.strike(wire.now)
            case _:
                getattr(wire, name)()
        wire.pump()


@given(st.lists(st.sampled_from([Kind.STREAM, Kind.DETAILS, Kind.SNAPSHOT, Kind.TIME]), min_size=1, max_size=300))
@settings(max_examples=50, deadline=None)
def test_whatever_was_submitted_goes_out(kinds: list[Kind]) -> None:
    wire = Wire(lines=1000)
    for number, kind in enumerate(kinds):
        wire.governor.submit(Request(kind, "A", number, data_type=1 if kind in (Kind.STREAM, Kind.SNAPSHOT) else 0))
    sent = 0
    for _ in range(40 * len(kinds)):
        sent += len(wire.pump())
        wire.finish_snapshots()
        wire.now += SECOND // 20
    assert sent == len(kinds) and not wire.governor.waiting


def test_the_important_ones_go_first() -> None:
    wire = Wire(lines=1000)
    wire.governor.submit(history("X"))
    wire.governor.submit(Request(Kind.DETAILS, "D"))
    for priority in (5, 1, 3):
        wire.governor.submit(Request(Kind.STREAM, f"S{priority}", priority))
    wire.governor.submit(Request(Kind.CANCEL, "old", req_id=99))
    assert [request.symbol for request in wire.pump()] == ["old", "S1", "S3", "S5", "D", "X"]


def test_a_strike_slows_down_for_the_session() -> None:
    wire = Wire()
    wire.governor.strike(wire.now)
    for number in range(100):
        wire.governor.submit(Request(Kind.DETAILS, "A", number))
    assert wire.pump() == []
    wire.now += 3 * SECOND
    assert len(wire.pump()) <= RATE // 2
    wire.governor.connection_lost()
    assert wire.governor.rate == RATE


def test_what_was_withdrawn_is_not_sent() -> None:
    wire = Wire()
    requests = [Request(Kind.STREAM, f"S{number}", number) for number in range(3)]
    for request in requests:
        wire.governor.submit(request)
    wire.governor.withdraw(requests[1])
    assert wire.pump() == [requests[0], requests[2]] and wire.governor.waiting == 0


def test_a_held_up_history_request_does_not_hold_up_others() -> None:
    wire = Wire()
    for number in range(6):
        wire.governor.submit(history("A", duration=f"{number} S", priority=0))
    wire.governor.submit(history("B", priority=9))
    assert Counter(request.symbol for request in wire.pump()) == {"A": 5, "B": 1}
    wire.now += 3 * SECOND
    assert [request.symbol for request in wire.pump()] == ["A"]


def test_a_long_queue_goes_out_steadily() -> None:
    """The wire counts the messages of each second; a squeezed burst has room too."""
    wire = Wire()
    for number in range(400):
        wire.governor.submit(Request(Kind.DETAILS, "A", number))
    start = wire.now
    while wire.governor.waiting:
        wire.now += SECOND // 20
        wire.pump()
    assert 400 / RATE < (wire.now - start) / SECOND < 16


def test_an_identical_history_request_waits() -> None:
    wire = Wire()
    for _ in range(3):
        wire.governor.submit(history("A"))
    start = wire.now
    while wire.governor.waiting:
        wire.now += SECOND // 4
        wire.pump()
    assert 30 <= (wire.now - start) / SECOND <= 34
