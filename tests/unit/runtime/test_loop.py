"""A process's loop without a bus: the order of a turn, how long it sleeps, and what wakes it."""

import math
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from services.base.clock import SystemClock
from services.runtime.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    before = signal.set_wakeup_fd(-1)
    made = Loop(SystemClock())
    yield made
    made.close()
    signal.set_wakeup_fd(before)


def _never(_now: float = 0.0) -> float:
    return math.inf


def test_what_is_beside_goes_before_the_timers_and_the_turn_s_end_comes_last(loop: Loop) -> None:
    told: list[str] = []

    def end() -> float:
        told.append("end")
        loop.stop()
        return math.inf

    loop.each_turn(end)
    loop.every(3600.0, lambda: told.append("timer"))
    loop.beside(lambda: told.append("beside"), _never)
    loop.run()
    assert told == ["beside", "timer", "end"]


def test_it_sleeps_no_longer_than_what_is_beside_wants(loop: Loop) -> None:
    """Nothing else would wake it within the hour."""
    steps: list[float] = []

    def step() -> None:
        steps.append(loop.clock.monotonic())
        if len(steps) == 5:
            loop.stop()

    loop.every(3600.0, lambda: None)
    loop.beside(step, lambda _now: 0.001)
    loop.each_turn(_never)
    _within_seconds(loop.run)
    assert len(steps) == 5


def test_a_call_from_another_thread_wakes_it(loop: Loop) -> None:
    loop.every(3600.0, lambda: None)
    loop.each_turn(_never)
    caller = threading.Thread(target=lambda: loop.call_soon(loop.stop))
    loop.call_soon(caller.start)
    _within_seconds(loop.run)
    caller.join()


def test_handlers_of_its_end_are_called_in_reverse(loop: Loop) -> None:
    told: list[int] = []
    loop.on_close(lambda: told.append(1))
    loop.on_close(lambda: told.append(2))
    loop.close()
    assert told == [2, 1]


def _within_seconds(run: Callable[[], None]) -> None:
    """Fails instead of waiting for the timer of an hour."""

    def late(*_: object) -> None:
        raise AssertionError("the loop slept on")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    try:
        run()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
