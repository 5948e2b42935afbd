"""Silence: of whom it is told, and that it is never the listener's own."""

import math

import pytest

from services.base.liveness import STALL, Liveness


def passing(alive: Liveness, at: float, seconds: float, *beating: str) -> float:
    """Time passes in tenths of a second; what beats is heard in each."""
    for _ in range(round(seconds * 10)):
        at += 0.1
        for name in beating:
            alive.hear(name, at)
        alive.check(at)
    return at


def test_who_is_silent_for_longer_than_the_timeout_is_lost_until_heard_again() -> None:
    alive = Liveness(1.5, 100.0)
    at = passing(alive, 100.0, 1.0, "gateway", "sink")
    at = passing(alive, at, 1.4, "sink")
    assert alive.heard("gateway") and not alive.lost
    at = passing(alive, at, 0.2, "sink")
    assert alive.lost == {"gateway"} and not alive.heard("gateway") and alive.heard("sink")
    alive.hear("gateway", at)
    assert not alive.lost


def test_it_tells_until_when_there_is_nothing_to_check() -> None:
    alive = Liveness(1.5, 100.0)
    assert alive.wait(100.0) == math.inf
    alive.hear("gateway", 100.2)
    alive.hear("sink", 100.6)
    assert alive.wait(100.7) == pytest.approx(1.0)
    for at in (100.7, 101.2, 101.71):
        alive.check(at)
    assert alive.lost == {"gateway"}
    assert alive.wait(101.8) == pytest.approx(0.3), "who is lost already is not waited for"


def test_who_is_expected_and_never_comes_is_lost_after_the_grace() -> None:
    alive = Liveness(1.5, 0.0, ["gateway", "sink"], grace=5.0)
    at = passing(alive, 0.0, 4.9, "sink")
    assert not alive.lost and not alive.heard("gateway")
    passing(alive, at, 0.2, "sink")
    assert alive.lost == {"gateway"}
    assert alive.names() == ["sink"]


def test_a_listener_that_was_held_up_blames_nobody() -> None:
    """A laptop that slept: everybody gets the whole timeout once more, and the grace as well."""
    alive = Liveness(1.5, 0.0, ["planner"], grace=5.0)
    at = passing(alive, 0.0, 2.0, "gateway", "sink")
    at += 3600.0
    alive.hear("sink", at)  # its frames were waiting
    assert alive.check(at)
    assert not alive.lost
    at = passing(alive, at, 1.4)
    assert not alive.lost, "the one that was heard in the same turn has no longer than the others"
    at = passing(alive, at, 0.2)
    assert alive.lost == {"gateway", "sink"}
    passing(alive, at, 1.5)
    assert "planner" in alive.lost


def test_being_held_up_does_not_bring_back_who_was_lost_before() -> None:
    alive = Liveness(1.5, 0.0)
    alive.hear("gateway", 0.0)
    at = passing(alive, 0.0, 1.7)
    assert alive.lost == {"gateway"}
    alive.check(at + STALL + 1.0)
    assert alive.lost == {"gateway"}


def test_any_unit_will_do() -> None:
    second = 10**9
    alive = Liveness(2 * second, 10**18, ["a"], grace=3 * second, stall=second // 2)
    for tenth in range(1, 32):
        alive.check(10**18 + tenth * second // 10)
    assert alive.lost == {"a"}
