"""Which gateway serves which symbol: homes that stay, failures that move the important ones, and the way back."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.planner.placement import Place, place
from tests.support import examples

LINES = {"a": 100, "b": 100}


def names(count: int) -> list[str]:
    return [f"S{number:03}" for number in range(count)]


def placed(symbols, lines=LINES, failed=(), before=None, cut=()):
    return place(symbols, cut, lines, failed, before or {})


def on(places: dict[str, Place], gateway: str) -> list[str]:
    return sorted(symbol for symbol, place in places.items() if place.gateway == gateway)


def streamed(symbols, lines, places) -> set[str]:
    """Who gets a line when each gateway gives its own to the most important of its symbols, as it does."""
    found = set()
    for gateway, count in lines.items():
        found |= set([symbol for symbol in symbols if places[symbol].gateway == gateway][:count])
    return found


def test_symbols_are_shared_out_by_free_lines() -> None:
    assert Counter(place.gateway for place in placed(names(150)).values()) == {"a": 75, "b": 75}
    uneven = placed(names(30), {"a": 10, "b": 30})
    assert Counter(place.gateway for place in uneven.values()) == {"a": 5, "b": 25}


def test_the_lines_that_are_left_go_to_the_most_important_of_all() -> None:
    symbols = names(150)
    failed = placed(symbols, failed={"a"}, before=placed(symbols))
    assert on(failed, "b") == symbols
    assert streamed(symbols, {"b": 100}, failed) == set(symbols[:100])
    assert {place.home for place in failed.values()} == {"a", "b"}


def test_those_beyond_the_lines_stay_where_they_are_while_others_move() -> None:
    symbols, lines = names(90), {"a": 30, "b": 30, "c": 30}
    before = placed(symbols, lines)
    after = placed(symbols, lines, {"c"}, before)
    kept = [symbol for symbol in symbols if before[symbol].gateway != "c"]
    assert all(after[symbol].gateway == before[symbol].gateway for symbol in kept)
    assert streamed(symbols, {"a": 30, "b": 30}, after) == set(symbols[:60])


def test_while_all_have_failed_nothing_moves() -> None:
    symbols = names(150)
    failed = placed(symbols, failed={"a"}, before=placed(symbols))
    assert placed(symbols, failed={"a", "b"}, before=failed) == failed


def test_a_gateway_that_is_named_no_more_loses_its_symbols() -> None:
    symbols = names(40)
    after = placed(symbols, {"b": 100, "c": 100}, before=placed(symbols))
    assert not on(after, "a")
    assert all(place.home == place.gateway for place in after.values())


def test_symbols_of_a_gateway_with_fewer_lines_than_thought_find_new_homes() -> None:
    symbols = names(150)
    before = placed(symbols)
    after = placed(symbols, {"a": 60, "b": 100}, before=before)
    moved = [symbol for symbol in symbols if before[symbol] != after[symbol]]
    assert Counter(place.gateway for place in after.values()) == {"a": 60, "b": 90}
    assert moved == [symbol for symbol in symbols if before[symbol].gateway == "a"][60:]


def test_cut_symbols_take_no_line_and_are_spread() -> None:
    places = placed(names(20), {"a": 10, "b": 10}, cut=["X1", "X2", "X3", "X4"])
    assert Counter(places[symbol].gateway for symbol in ("X1", "X2", "X3", "X4")) == {"a": 2, "b": 2}
    assert Counter(places[symbol].gateway for symbol in names(20)) == {"a": 10, "b": 10}


gateways = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1)
pool = st.lists(st.sampled_from([f"S{number}" for number in range(40)]), unique=True, max_size=40)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[list[str], list[str], dict[str, int], set[str]]]:
    """Plans one after the other: symbols and cut, the gateways' lines, and which have failed."""
    found = []
    for _ in range(draw(st.integers(1, 6))):
        lines, ranked = draw(gateways), draw(pool)
        most = min(sum(lines.values()), draw(st.integers(0, 40)))
        failed = draw(st.sets(st.sampled_from(sorted(lines))))
        found.append((ranked[:most], ranked[most:], lines, failed))
    return found


@settings(max_examples=examples(300), deadline=None)
@given(steps())
def test_whatever_happens(listed) -> None:
    before: dict[str, Place] = {}
    for symbols, cut, lines, failed in listed:
        places = place(symbols, cut, lines, failed, before)
        living = {name: count for name, count in lines.items() if name not in failed}
        assert places.keys() == {*symbols, *cut}, "no symbol is lost, none is invented"
        assert {p.gateway for p in places.values()} | {p.home for p in places.values()} <= lines.keys()
        assert place(symbols, cut, lines, failed, places) == places, "without a change nothing moves"
        homes = Counter(places[symbol].home for symbol in symbols)
        assert all(homes[name] <= count for name, count in lines.items()), "a line for each at home"
        if living:
            assert {p.gateway for p in places.values()} <= living.keys()
            important = symbols[: sum(living.values())]
            assert streamed(symbols, living, places) == set(important), "the most important ones are live"
            loads = Counter(places[symbol].gateway for symbol in important)
            assert all(loads[name] <= count for name, count in living.items()), "none is over its lines"
            stayed = [s for s in important if places[s].home in living]
            assert all(places[s].gateway == places[s].home for s in stayed), "who can be at home is"
        if not failed:
            assert all(p.gateway == p.home for p in places.values())
        before = places


@settings(max_examples=examples(200), deadline=None)
@given(pool, gateways, st.data())
def test_after_failures_and_returns_everything_is_where_it_was(symbols, lines, data) -> None:
    symbols = symbols[: sum(lines.values())]
    first = places = place(symbols, [], lines, set(), {})
    for failed in data.draw(st.lists(st.sets(st.sampled_from(sorted(lines))), max_size=4)):
        places = place(symbols, [], lines, failed, places)
    assert place(symbols, [], lines, set(), places) == first
