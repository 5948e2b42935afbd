"""Until when the sink vouches: bounded by the newest moment of which all is known, whatever clocks and processes do."""

import math

import msgspec
import pytest

from messages.views import Head, Heartbeat
from services.base.clock import SECOND
from services.sink.vouching import Renewals, Voucher

NOW = 1_700_000_000 * SECOND
SPAN, SILENCE = 5.0, 1.5


class World:
    """A gateway set to beat twice a second, and a sink that turns ten times; both clocks in hand."""

    def __init__(self, elsewhere: tuple[str, ...] = ()) -> None:
        self.voucher = Voucher(SPAN, SILENCE, ["gateway"], elsewhere)
        self.at, self.now = 100.0, NOW
        self.head, self.cursor = 10, 10
        self.beats = True
        self.heard_until: int | None = None  # when IB fell silent
        self.source: int | None = None

    def pass_time(self, seconds: float) -> "World":
        for step in range(round(seconds * 10)):
            self.at += 0.1
            self.now += SECOND // 10
            self.voucher.turn(self.at, self.now)
            if self.beats and step % 5 == 0:
                self.voucher.hear(self.beat(), self.at, self.now)
            self.voucher.settle(lambda _, head: self.cursor >= head.seq)
        return self

    def beat(self, **changes: object) -> Heartbeat:
        beat = Heartbeat(
            service="gateway",
            pid=1,
            time=self.now,
            started_at=NOW,
            interval=0.5,
            loop_lag_ms=0.0,
            heads={"ticks": Head(1, self.head, self.head)},
            source_heard=self.now if self.source is None else self.source,
        )
        return msgspec.structs.replace(beat, **changes)

    @property
    def left(self) -> float:
        return (self.voucher.good_until("gateway", self.at, self.now) - self.now) / SECOND

    @property
    def withheld(self) -> str | None:
        return self.voucher.withheld("gateway", self.at, self.now)


def test_before_the_gateway_is_heard_nothing_is_vouched_for() -> None:
    world = World()
    world.beats = False
    world.pass_time(1)
    assert (world.withheld, world.left < 0) == ("service_down", True)


def test_while_all_is_heard_there_is_always_time_left() -> None:
    world = World().pass_time(1)
    for _ in range(50):
        world.pass_time(0.1)
        assert world.withheld is None
        assert SPAN - 0.6 <= world.left <= SPAN


def test_a_silent_gateway_is_vouched_for_no_longer_than_the_span_after_its_last_heartbeat() -> None:
    world = World().pass_time(1)
    world.beats = False
    until = world.voucher.good_until("gateway", world.at, world.now)
    world.pass_time(4)
    assert world.withheld == "service_down"
    assert world.voucher.good_until("gateway", world.at, world.now) <= until
    assert world.pass_time(1).left <= 0


def test_it_tells_when_a_silence_begins_to_count_to_the_moment() -> None:
    world = World()
    assert world.voucher.wait(world.at, world.now) == math.inf, "nothing is vouched for yet"
    world.pass_time(1)
    world.beats = False
    while world.withheld is None:
        wait = world.voucher.wait(world.at, world.now)
        assert 0 <= wait <= SILENCE
        assert (
            world.voucher.withheld("gateway", world.at + wait - 0.01, world.now + int((wait - 0.01) * SECOND)) is None
        )
        before, expected = world.at, world.at + wait
        world.pass_time(0.1)
    assert before <= expected <= world.at + 0.1


def test_a_reader_that_falls_behind_withholds_and_gives_again_once_it_has_caught_up() -> None:
    world = World().pass_time(1)
    world.head = 20
    world.pass_time(2)
    assert world.withheld == "reader_behind"
    world.cursor = 20
    assert world.pass_time(0.6).withheld is None


def test_a_reader_that_is_always_a_little_behind_vouches_for_a_little_less() -> None:
    world = World().pass_time(1)
    for _ in range(20):
        world.head += 10
        world.pass_time(0.5)
        world.cursor = world.head - 10
    assert world.withheld is None and world.left > SPAN - 1.6


@pytest.mark.parametrize(("silent", "withheld"), [(2, None), (6, "link_silent")])
def test_ib_that_falls_silent_shortens_what_is_vouched_for(silent: float, withheld: str | None) -> None:
    world = World().pass_time(1)
    world.source = world.now
    world.pass_time(silent)
    assert world.withheld == withheld
    assert world.left <= SPAN - silent + 0.1


def test_without_a_connection_to_ib_nothing_is_vouched_for() -> None:
    world = World().pass_time(1)
    world.source = 0
    assert world.pass_time(0.6).withheld == "link_down"


def test_a_plan_or_command_that_is_not_applied_withholds() -> None:
    world = World().pass_time(1)
    stop = world.beat(service="supervisor", heads={"control": Head(1, 99, 99)})
    world.voucher.hear(stop, world.at, world.now)
    world.pass_time(2)
    assert world.withheld == "reader_behind"


def test_a_heartbeat_that_waited_while_the_sink_was_frozen_counts_from_when_it_was_sent() -> None:
    world = World().pass_time(1)
    old = world.beat()
    world.at += 60
    world.now += 60 * SECOND
    world.voucher.turn(world.at, world.now)
    world.voucher.hear(old, world.at, world.now)
    world.voucher.settle(lambda _, head: True)
    assert world.left < 0 and world.withheld == "service_down"


def test_of_a_sender_with_another_clock_what_comes_right_after_a_freeze_proves_nothing() -> None:
    world = World(elsewhere=("gateway",)).pass_time(1)
    old = world.beat(time=0)
    world.at += 60
    world.now += 60 * SECOND
    world.voucher.turn(world.at, world.now)
    world.voucher.hear(old, world.at, world.now)
    assert world.left < 0
    assert world.pass_time(2).withheld is None


def test_a_machine_that_slept_vouches_for_nothing_of_before() -> None:
    """The clock that never goes back stood still meanwhile."""
    world = World().pass_time(1)
    world.now += 3600 * SECOND
    assert world.left < 0 and world.withheld == "service_down"


def test_a_clock_that_is_set_back_is_noticed_and_lengthens_nothing() -> None:
    world = World().pass_time(1)
    world.beats = False
    world.now -= 3600 * SECOND
    world.pass_time(0.2)
    assert world.voucher.clock_was_set_back() and not world.voucher.clock_was_set_back()
    assert world.left <= SPAN
    assert world.pass_time(5).left <= 0


def test_a_heartbeat_from_the_future_proves_nothing() -> None:
    """It was sent before the clock was set back, and nobody knows when."""
    world = World()
    world.beats = False
    world.pass_time(0.1)
    world.voucher.hear(world.beat(time=world.now + 3600 * SECOND), world.at, world.now)
    world.voucher.settle(lambda _, head: True)
    assert world.withheld == "service_down"


def test_of_another_process_of_the_gateway_nothing_of_the_last_one_holds() -> None:
    world = World().pass_time(1)
    world.voucher.hear(world.beat(started_at=NOW + 1, source_heard=0), world.at, world.now)
    world.voucher.settle(lambda _, head: True)
    assert world.withheld == "link_down"


# --- when to renew ---


def lefts(back: float = 0.0) -> list[float]:
    """How many seconds a price that never changes still had each time it was renewed, in the minute after the clock was
    set back by so many seconds. The gateway beats once a second."""
    renewals, now, given, found = Renewals(SPAN), NOW, NOW + int(SPAN * SECOND), []
    for tenth in range(1200):
        if tenth == 600:
            now -= int(back * SECOND)
            given, found = now + int(SPAN * SECOND), []  # what was vouched for is written anew
        until = now - tenth % 10 * SECOND // 10 + int(SPAN * SECOND)
        if given <= renewals.due(until, now) and given < until:
            found.append((given - now) / SECOND)
            given = until
        now += SECOND // 10
    return found


def test_a_quiet_price_is_renewed_with_the_heartbeat_that_allows_it() -> None:
    assert min(lefts()) == 2.0  # of five, with the third heartbeat


def test_so_it_is_after_the_clock_was_set_back() -> None:
    assert min(lefts(back=3600)) == 2.0
