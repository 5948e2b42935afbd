"""First change at once, then conflated; the last change always comes; bounded writes a second."""

import math

from hypothesis import given
from hypothesis import strategies as st

from services.sink.core import Conflator


def test_the_first_change_is_due_at_once_and_the_next_after_the_interval():
    conflator = Conflator(0.2, 1000)
    conflator.mark(["SPY"])
    assert conflator.take(10.0) == ["SPY"]
    conflator.mark(["SPY"])
    conflator.mark(["SPY"])
    assert conflator.take(10.1) == []
    assert math.isclose(conflator.wait(10.1), 0.1)
    assert conflator.take(10.2) == ["SPY"]
    assert conflator.wait(10.2) == math.inf
    assert conflator.take(99.0) == []


def test_a_symbol_that_rested_without_a_change_is_due_at_once_again():
    conflator = Conflator(0.2, 1000)
    conflator.mark(["SPY"])
    conflator.take(10.0)
    conflator.take(10.5)
    conflator.mark(["SPY"])
    assert conflator.take(10.5) == ["SPY"]


def test_no_interval_means_every_change():
    conflator = Conflator(0, 1000)
    for turn in range(5):
        conflator.mark(["SPY"])
        assert conflator.take(10.0 + turn / 1e6) == ["SPY"]


def test_writes_a_second_are_bounded_and_the_longest_waiting_goes_first():
    conflator = Conflator(0, 10)
    conflator.mark(["A", "B", "C"])
    assert conflator.take(5.0) == ["A"]
    conflator.mark(["A"])
    assert math.isclose(conflator.wait(5.0), 0.1)
    assert conflator.take(5.05) == []
    assert conflator.take(5.11) == ["B"]
    assert conflator.take(5.22) == ["C"]
    assert conflator.take(5.33) == ["A"]
    assert conflator.pending == 0


def test_drain_gives_all_that_is_pending_once():
    conflator = Conflator(60, 1)
    conflator.mark(["A", "B"])
    assert conflator.take(1.0) == ["A"]
    conflator.mark(["A"])
    assert conflator.pending == 2
    assert sorted(conflator.drain()) == ["A", "B"]
    assert conflator.drain() == []
    assert conflator.pending == 0


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.lists(st.sampled_from("ABCDEF"), max_size=3)), max_size=60),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.sampled_from([3, 50, 1000]),
)
def test_every_change_is_followed_by_a_write_within_the_bounds(steps, interval, rate):
    conflator = Conflator(interval, rate)
    now, marked, written, times = 0.0, {}, {}, []
    for pause, symbols in [*steps, *[(1.0, [])] * 20]:
        now += pause
        conflator.mark(symbols)
        marked.update(dict.fromkeys(symbols, now))
        for symbol in conflator.take(now):
            assert now - written.get(symbol, -math.inf) > interval - 1e-9
            written[symbol] = now
            times.append(now)
        assert conflator.wait(now) > 0
    assert all(written[symbol] >= when for symbol, when in marked.items())
    assert conflator.pending == 0
    assert conflator.wait(now) == math.inf
    for start in times:
        assert sum(start <= t < start + 1.0 for t in times) <= rate * 1.1 + 1 + 1e-9
