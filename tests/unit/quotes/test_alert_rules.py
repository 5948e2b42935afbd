"""The words of a price alert's rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.errors import IbStreamError
from services.quotes.alert_rules import Crosses, Moves, Silent, Spread, Stale, parse

TARGETS = st.sampled_from(["SPY", "BRK.B", "SAP_IBIS_EUR"])
LISTS = TARGETS | st.sampled_from(["@all", "@decision_snapshot"])
PRICES = st.integers(0, 10**9).map(lambda number: number / 1000)
OF = st.sampled_from(["last", "bid", "ask", "mid"])
SECONDS = st.integers(1, 86_400).map(float)
RULES = (
    st.builds(Crosses, TARGETS, PRICES, st.sampled_from(["up", "down", "either"]), OF)
    | st.builds(Moves, LISTS, st.integers(1, 10**6).map(lambda number: number / 1000), SECONDS, OF)
    | st.builds(Spread, LISTS, PRICES, st.booleans())
    | st.builds(Silent, LISTS, SECONDS)
    | st.builds(Stale, LISTS, SECONDS)
)


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("spy crosses 600", Crosses("SPY", 600.0, "either"), "SPY crosses 600"),
        ("SPY Rises Above 600.5 by bid", Crosses("SPY", 600.5, "up", "bid"), "SPY rises above 600.5 by bid"),
        ("brk b falls below .5", Crosses("BRK.B", 0.5, "down"), "BRK.B falls below 0.5"),
        ("SPY moves 2 % in 5m", Moves("SPY", 2.0, 300.0), "SPY moves 2% in 5m"),
        ("SPY moves 0.5% in 90s by mid", Moves("SPY", 0.5, 90.0, "mid"), "SPY moves 0.5% in 90s by mid"),
        ("@benchmark spread above 0.1%", Spread("@benchmark", 0.1, True), "@benchmark spread above 0.1%"),
        ("SPY spread above 0.05", Spread("SPY", 0.05, False), "SPY spread above 0.05"),
        ("  SPY   silent for 120s ", Silent("SPY", 120.0), "SPY silent for 2m"),
        ("@all stale for 2h", Stale("@all", 7200.0), "@all stale for 2h"),
    ],
)
def test_a_rule_is_read_as_people_write_it(text, rule, words):
    assert parse(text) == rule
    assert str(rule) == words


@given(RULES)
def test_the_canonical_words_say_the_same_rule(rule):
    assert parse(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("SPY", "expected SYMBOL crosses PRICE"),
        ("SPY crosses", "expected SYMBOL crosses PRICE"),
        ("SPY crosses 600 by close", "expected SYMBOL crosses PRICE"),
        ("SPY crosses 1e400", "expected SYMBOL crosses PRICE"),
        ("SPY crosses 6\u0660", "expected SYMBOL crosses PRICE"),
        ("SPY moves 0% in 5m", "more than 0 %"),
        ("SPY moves 2% in 25h", "from 1s to 24h"),
        ("SPY silent for 0s", "from 1s to 24h"),
        ("@all crosses 5", "of one symbol"),
        ("@All! stale for 5s", "a list is @"),
        ("x" * 300 + " crosses 5", "expected SYMBOL crosses PRICE"),
    ],
)
def test_what_is_no_rule_is_refused_in_a_sentence_with_its_field(text, named):
    with pytest.raises(IbStreamError, match=named) as refused:
        parse(text)
    assert (refused.value.code, refused.value.field) == ("invalid_request", "rule")


def test_a_symbol_that_is_none_is_named():
    with pytest.raises(IbStreamError) as refused:
        parse("??? crosses 5")
    assert refused.value.code == "invalid_symbol"
