"""What the supervisor says of the chain from the gateway to the files, and until when it vouches for it."""

import msgspec

from messages.views import UNVOUCHED, Head, Heartbeat
from services.base.clock import SECOND, iso
from tests.unit.supervisor.world import World


class Chain(World):
    """A world whose gateway announces ticks and whose sink tells how far it is."""

    head, cursor, unvouched = 100, 100, 0

    def beat(self, name: str) -> Heartbeat:
        beat = super().beat(name)
        if name == "gateway":
            return msgspec.structs.replace(beat, heads={**beat.heads, "ticks": Head(1, self.head, self.head)})
        if name == "sink":
            told = {UNVOUCHED: float(self.unvouched)}
            return msgspec.structs.replace(beat, cursors={"ticks": self.cursor, "link": 99}, metrics=told)
        return beat


def test_the_status_holds_for_a_span_after_it_was_said() -> None:
    world = World().started("SPY")
    assert world.status.good_until == iso(world.now + 5 * SECOND)


def test_it_holds_no_longer_because_it_is_told_later() -> None:
    world = World().started("SPY")
    looked = world.now
    world.at += 1.2
    assert world.status.good_until == iso(looked + 5 * SECOND)


def test_a_supervisor_that_was_held_up_vouches_for_nothing_before_it_hears_again() -> None:
    world = World().started("SPY")
    world.at += 60
    assert world.status.good_until is None
    world.passing(0.1)
    assert world.status.good_until is None
    assert world.passing(3).status.good_until is not None


def test_a_reader_that_falls_behind_is_named() -> None:
    world = Chain().started("SPY")
    assert world.passing(1).word == ("connected", None)
    world.head += 50
    assert world.passing(2).word == ("connected", None)
    world.passing(1)
    assert world.word == ("degraded", "reader_behind")
    assert "the sink is behind by 50 events of the stream ticks" in (world.core.verdict.message or "")
    world.cursor = world.head
    assert world.passing(0.2).word[0] != "degraded"


def test_a_reader_that_is_always_a_little_behind_is_not() -> None:
    world = Chain().started("SPY").passing(1)
    for _ in range(50):
        world.head += 10
        world.passing(0.1)
        world.cursor = world.head - 30
        assert world.word == ("connected", None)


def test_connected_is_not_said_before_the_files_are_there() -> None:
    world = Chain()
    world.unvouched = 1
    world.started("SPY")
    assert world.passing(1).word == ("starting", "awaiting_files")
    world.unvouched = 0
    assert world.passing(0.2).word == ("connected", None)


def test_nor_before_the_sink_has_applied_what_made_it_so() -> None:
    world = Chain()
    world.cursor = 0
    world.head = 1
    world.started("SPY")
    assert world.passing(1).word == ("starting", "awaiting_files")
    world.cursor = 1
    assert world.passing(0.2).word == ("connected", None)


def test_a_sink_that_stops_vouching_is_named() -> None:
    world = Chain().started("SPY").passing(1)
    world.unvouched = 1
    assert world.passing(2).word == ("connected", None)
    assert world.passing(2).word == ("degraded", "not_vouched")
