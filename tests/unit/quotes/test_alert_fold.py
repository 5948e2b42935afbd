"""When price alerts come: blocks in, alerts out."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages import fields
from messages.codec import decoder, encode
from messages.events import AlertAdded, AlertFired, AlertRemoved, Block, StreamStarted, StreamStopped, SymbolChanged
from messages.topics import CONTROL, LINK, PLAN, TICKS
from services.base.clock import SECOND
from services.quotes.alert_fold import AlertFold, AskedFor, State
from services.quotes.alert_rules import parse
from services.quotes.projection import Projection
from tests import blocks
from tests.blocks import NOW
from tests.support import examples


class Tape:
    """Blocks in order, numbered; `at` is seconds after NOW."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Block]] = []
        self._next = dict.fromkeys((TICKS, LINK, PLAN, CONTROL), 1)
        self.control(0, StreamStarted(project_id=1))
        self._add(PLAN, blocks.plan("SPY", "QQQ", time=NOW))
        self.link(0, "SPY", "live")
        self.link(0, "QQQ", "live")

    def control(self, at: float, *events) -> int:
        return self._add(CONTROL, blocks.events(*events, seq=self._next[CONTROL], time=_time(at)))

    def link(self, at: float, symbol: str, state: str, reason: str | None = None) -> None:
        event = SymbolChanged(symbol, state, state in ("stale", "pending"), reason)
        self._add(LINK, blocks.events(event, seq=self._next[LINK], time=_time(at)))

    def price(self, at: float, last: float, symbol: str = "SPY", field: int = fields.LAST) -> None:
        self._add(TICKS, blocks.ticks([(symbol, field, last, 100.0)], seq=self._next[TICKS], time=_time(at)))

    def quote(self, at: float, bid: float, ask: float) -> None:
        rows = [("SPY", fields.BID, bid, 1.0), ("SPY", fields.ASK, ask, 1.0)]
        self._add(TICKS, blocks.ticks(rows, seq=self._next[TICKS], time=_time(at)))

    def _add(self, stream: str, block: Block) -> int:
        self.rows.append((stream, block))
        seq = self._next[stream]
        self._next[stream] = seq + block.count
        return seq

    def play(self, *rules: str, pause: float = 60.0, until: float | None = None) -> list[AlertFired]:
        fold = AlertFold(Projection(), rules=[AskedFor(parse(rule), pause) for rule in rules] or None)
        fold.begin(NOW)
        found = [event for stream, block in self.rows for event in fold.apply(stream, block)]
        return found + (list(fold.advance(_time(until))) if until is not None else [])


def _time(at: float) -> int:
    return NOW + int(at * SECOND)


def test_the_list_of_what_is_held_follows_the_plan() -> None:
    tape = Tape()
    tape.link(10, "SPY", "stale", "farm_down")
    tape.link(10, "QQQ", "stale", "farm_down")
    plan = blocks.plan("SPY", "QQQ", seq=2, time=_time(20))
    marked = [msgspec.structs.replace(plan.symbols[0], reason="held; benchmark"), plan.symbols[1]]
    tape._add(PLAN, msgspec.structs.replace(plan, symbols=marked))
    assert {event.symbol for event in tape.play("@held stale for 30s", until=120)} == {"SPY"}
    assert {event.symbol for event in tape.play("@benchmark stale for 30s", until=120)} == {"SPY"}


def came(found: list[AlertFired]) -> list[tuple[float, str]]:
    return [((event.at - NOW) / SECOND, event.symbol) for event in found]


@pytest.mark.parametrize(
    ("rule", "prices", "times"),
    [
        ("SPY crosses 600", [599, 600, 601], [3]),
        ("SPY crosses 600", [601, 600, 601], []),  # it was touched, and not crossed
        ("SPY crosses 600", [601, 599], [2]),
        ("SPY rises above 600", [601, 599, 602], [3]),
        ("SPY falls below 600", [599, 601, 598], [3]),
        ("SPY rises above 600", [601], []),  # it was above when the rule was set
        ("SPY moves 1% in 5s", [100, 100.5, 101], [3]),
        ("SPY moves 1% in 2s", [100, 100.4, 100.8, 101.2], []),
        ("SPY moves 1% in 5s", [100, 101, 100], [2]),
    ],
)
def test_a_price_makes_a_rule_come_true(rule, prices, times):
    tape = Tape()
    for at, price in enumerate(prices, 1):
        tape.price(at, price)
    assert [at for at, _ in came(tape.play(rule))] == times


def test_what_came_says_what_it_saw():
    tape = Tape()
    tape.price(1, 599.5)
    tape.price(2, 600.25)
    (alert,) = tape.play("SPY crosses 600")
    assert (alert.id, alert.value, alert.text) == (1, 600.25, "SPY rose above 600: last 600.25")


def test_an_alert_comes_again_only_after_its_pause():
    tape = Tape()
    for at in range(1, 9):
        tape.price(at, 599 if at % 2 else 601)
    assert [at for at, _ in came(tape.play("SPY crosses 600", pause=3))] == [2, 5, 8]


def test_a_price_that_must_not_be_used_makes_nothing_true_and_one_that_jumped_over_the_level_has_crossed_it():
    tape = Tape()
    tape.price(1, 599)
    tape.link(2, "SPY", "stale", "farm_down")
    tape.price(3, 700)
    tape.price(4, 590)
    tape.price(5, 610)
    tape.link(6, "SPY", "live")
    assert came(tape.play("SPY crosses 600")) == [(6, "SPY")]


def test_a_spread_comes_when_it_widens_and_again_after_it_was_narrow():
    tape = Tape()
    for at, ask in enumerate([100.01, 100.2, 100.3, 100.01, 100.2], 1):
        tape.quote(at, 100.0, ask)
    assert [at for at, _ in came(tape.play("SPY spread above 0.1", pause=1))] == [2, 5]
    assert [at for at, _ in came(tape.play("SPY spread above 0.25%", pause=1))] == [3]


def test_silence_comes_once_at_its_very_moment_and_not_while_the_market_is_closed():
    tape = Tape()
    tape.price(1, 600)
    tape.price(20, 601)
    tape.link(22, "SPY", "closed")
    assert came(tape.play("SPY silent for 5s", pause=1, until=100)) == [(6, "SPY")]
    tape.link(30, "SPY", "live")
    assert came(tape.play("SPY silent for 5s", pause=1, until=100)) == [(6, "SPY"), (35, "SPY")]


def test_a_stale_symbol_of_a_list_comes_and_nothing_once_nobody_wants_the_stream():
    tape = Tape()
    tape.link(3, "QQQ", "stale", "farm_down")
    tape.link(10, "SPY", "stale", "farm_down")
    tape.control(12, StreamStopped())
    found = tape.play("@all stale for 5s", until=100)
    assert came(found) == [(8, "QQQ")]
    assert found[0].text == "QQQ has been stale for 5 s: farm_down"
    assert came(tape.play("@test stale for 5s", until=100)) == [(8, "QQQ")]
    assert tape.play("@benchmark stale for 5s", until=100) == []


def test_alerts_are_set_and_removed_in_the_control_stream():
    tape = Tape()
    tape.price(1, 599)
    number = tape.control(2, AlertAdded(rule="SPY crosses 600", pause=1.0))
    tape.price(3, 598)
    tape.price(4, 601)
    tape.control(5, AlertRemoved(id=number))
    tape.price(6, 598)
    found = tape.play()
    assert came(found) == [(4, "SPY")]
    assert found[0].id == number


STEPS = st.lists(
    st.tuples(st.sampled_from(["price", "quote", "stale", "live", "closed"]), st.integers(0, 4), st.integers(1, 30)),
    max_size=40,
)
RULES = (
    "SPY crosses 102",
    "SPY moves 1% in 5s",
    "SPY spread above 1.5",
    "SPY silent for 4s",
    "@all stale for 3s",
)


@given(steps=STEPS, cut=st.integers(0, 60))
@settings(max_examples=examples(200), deadline=None)
def test_a_fold_that_is_saved_and_loaded_anywhere_comes_to_the_same(steps, cut):
    tape = Tape()
    at = 1.0
    for kind, value, later in steps:
        match kind:
            case "price":
                tape.price(at, 100 + value)
            case "quote":
                tape.quote(at, 100.0, 100.5 + value)
            case _:
                tape.link(at, "SPY", kind)
        at += later / 10
    whole = tape.play(*RULES, pause=1.0, until=at + 60)
    asked = [AskedFor(parse(rule), 1.0) for rule in RULES]
    fold = AlertFold(Projection(), rules=asked)
    fold.begin(NOW)
    found = []
    for number, (stream, block) in enumerate(tape.rows):
        if number == cut:
            projection, _ = Projection.load(fold.projection.dump({}))
            state = decoder(State)(encode(fold.state))
            fold = AlertFold(projection, state, rules=())
        found += fold.apply(stream, block)
    found += fold.advance(_time(at + 60))
    assert found == whole
    assert found == sorted(found, key=lambda event: event.at)


def test_a_state_of_nonsense_is_refused():
    with pytest.raises(msgspec.MsgspecError):
        decoder(State)(encode({"alerts": {"x": 1}}))
