"""The extremes of a moving span are those of a list of all its prices, in a tenth of the memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.codec import decoder, encode
from services.quotes.extremes import Extremes

PARTS = 300


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 4)), max_size=60), st.integers(1, 8))
def test_they_are_those_of_all_prices_of_the_span(steps: list[tuple[int, int]], length: int) -> None:
    extremes, told, part, price = Extremes(), [], 0, 100.0
    for later, change in steps:
        part, price = part + later, price + change
        told.append((part, price))
        span = [price for at, price in told if at >= part - length]
        assert extremes.note(part, price, part - length) == (min(span), max(span))
        extremes = decoder(Extremes)(encode(extremes))


def test_after_a_move_only_what_follows_counts() -> None:
    extremes = Extremes()
    extremes.note(1, 90.0, 0)
    extremes.begin(1, 100.0)
    assert extremes.note(2, 101.0, 0) == (100.0, 101.0)


@pytest.mark.parametrize(("step", "most"), [((-0.01, 0.01), 120), ((0.0, 0.01), PARTS + 2)])
def test_few_prices_are_kept_of_one_that_goes_up_and_down_and_one_a_part_of_one_that_only_rises(
    step: tuple[float, float], most: int
) -> None:
    chance, extremes, price, held = random.Random(5), Extremes(), 100.0, []
    for number in range(20 * PARTS):
        price += chance.uniform(*step)
        extremes.note(number // 4, price, number // 4 - PARTS)
        held.append(len(extremes.low.parts) + len(extremes.high.parts))
    assert max(held) <= most
    assert len(extremes.high.parts) + len(extremes.low.parts) == held[-1] < PARTS + 3
