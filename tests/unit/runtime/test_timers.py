"""Timers after a stall: each fires once, and what the heartbeat says of the lag is the stall, for a while."""

from services.runtime.timers import LAG_SECONDS, Timers


class Loop:
    """Two timers, as a service has them: a heartbeat that tells the lag, and something quicker."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, float]] = []
        self.told: list[float] = []
        self.timers = Timers()
        self.timers.add(0.5, self.beat, 0.0)
        self.timers.add(0.1, lambda: self.calls.append(("quick", self.now)), 0.0)

    def beat(self) -> None:
        self.calls.append(("beat", self.now))
        self.told.append(self.timers.lag.longest(self.now))

    def turn(self, until: float) -> None:
        """Wake for each timer in its time, as a loop with nothing to do does."""
        while self.now + self.timers.wait(self.now) <= until:
            self.now += self.timers.wait(self.now)
            self.timers.run(self.now)
        self.now = until


def test_timers_keep_their_rhythm() -> None:
    loop = Loop()
    loop.turn(2.01)
    assert [round(at, 6) for name, at in loop.calls if name == "beat"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert sum(name == "quick" for name, _ in loop.calls) == 21
    assert max(loop.told) < 1e-6


def test_timers_that_begin_at_any_moment_fall_together() -> None:
    timers, calls = Timers(), list[tuple[str, float]]()
    now = 1000.137
    timers.add(1.0, lambda: calls.append(("rare", now)), now)
    now = 1000.358
    timers.add(0.5, lambda: calls.append(("often", now)), now)
    wakes = set()
    while now < 1004.9:
        wakes.add(round(now, 6))
        timers.run(now)
        now += timers.wait(now)
    assert {at for name, at in calls if name == "rare"} - {1000.358} == {1001.0, 1002.0, 1003.0, 1004.0}
    assert wakes == {1000.358, 1000.5, 1001.0, 1001.5, 1002.0, 1002.5, 1003.0, 1003.5, 1004.0, 1004.5}


def test_after_a_stall_each_timer_fires_once_and_the_lag_is_told_for_a_while() -> None:
    loop = Loop()
    loop.turn(1.05)
    loop.calls.clear()
    loop.told.clear()
    loop.now = 6.0  # nobody turned the loop for five seconds
    loop.timers.run(loop.now)
    assert sorted(loop.calls) == [("beat", 6.0), ("quick", 6.0)]
    loop.turn(6.0 + LAG_SECONDS)
    assert min(loop.told) > 4.4, "every heartbeat of that time tells the stall"
    loop.turn(8.0 + LAG_SECONDS)
    assert loop.told[-1] < 1e-6, "and then it is over"
