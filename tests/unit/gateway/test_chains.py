"""The strike in the middle of a chain: it does not flap."""

from hypothesis import given
from hypothesis import strategies as st

from messages.events import OptionClass, OptionsListed
from services.gateway.core.chains import in_strikes, nearest

LISTED = OptionsListed("SPY", "SMART", [OptionClass("SPY", "100", ["20260116"], [580.0, 585.0, 590.0, 600.0])])


def test_the_nearest_strike_until_another_is_clearly_nearer() -> None:
    assert nearest(LISTED, 586.0, None) == 585.0
    assert nearest(LISTED, 588.7, 585.0) == 585.0  # past the middle, and not clearly
    assert nearest(LISTED, 588.8, 585.0) == 590.0
    assert nearest(LISTED, 586.3, 590.0) == 590.0
    assert nearest(LISTED, 586.2, 590.0) == 585.0
    assert nearest(LISTED, 597.6, 585.0) == 600.0  # a jump
    assert nearest(LISTED, 700.0, 600.0) == 600.0 and nearest(LISTED, 1.0, None) == 580.0
    assert nearest(LISTED, 586.0, 587.5) == 585.0  # a strike that is not listed any more
    assert nearest(OptionsListed("SPY", "SMART", []), 586.0, None) == 0.0


@given(st.floats(575, 605), st.floats(-1.2, 1.2))
def test_a_price_that_trembles_moves_nothing(price: float, tremble: float) -> None:
    centre = nearest(LISTED, price, nearest(LISTED, price, None))
    near = nearest(LISTED, price + tremble, centre)
    assert nearest(LISTED, price, near) in (near, centre)
    if abs(price - centre) < 1:
        assert near == centre


def test_a_price_in_cents_is_looked_for_among_strikes_of_either_kind() -> None:
    in_dollars = OptionsListed("ZC", "CBOT", [OptionClass("OZC", "5000", ["20261218"], [4.0, 4.5, 5.0])])
    in_cents = OptionsListed("ZC", "CBOT", [OptionClass("OZC", "5000", ["20261218"], [400.0, 450.0, 500.0])])
    assert nearest(in_dollars, in_strikes(in_dollars, 452.5, 100), None) == 4.5
    assert nearest(in_cents, in_strikes(in_cents, 452.5, 100), None) == 450.0
    assert in_strikes(in_cents, 900.0, 100) == 9.0 and in_strikes(LISTED, 586.0, 1) == 586.0
    assert in_strikes(OptionsListed("ZC", "CBOT", []), 452.5, 100) == 4.525
