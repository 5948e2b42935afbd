"""`derive`: what is called clear is clear, what is not has a reason, and time is foreseen to the nanosecond."""

from hypothesis import given, settings
from hypothesis import strategies as st

from messages.events import PlannedSymbol
from services.base.trading_hours import Hours
from services.gateway.core.deadlines import NEVER, SECOND
from services.gateway.core.governor import Kind, Request
from services.gateway.core.regions import region, served_by
from services.gateway.core.symbol import Cut, Rejection, SharedFacts, Symbol
from services.gateway.core.symbol_state import ALL_CLEAR, REASONS, derive, next_change
from tests.support import examples

NOW = 1_000 * SECOND
TIMES = st.one_of(st.just(0), st.integers(NOW - 70 * SECOND, NOW))
SESSIONS = st.lists(st.tuples(st.integers(900, 1100), st.integers(1, 60)), max_size=3)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Symbol, SharedFacts]:
    shared = SharedFacts(15 * SECOND, 10 * SECOND)
    shared.outage = draw(st.sampled_from([None, None, "connection_lost"]))
    shared.silent = draw(st.booleans())
    symbol = Symbol(PlannedSymbol("SPY", "test", 0), draw(TIMES) or NOW)
    symbol.ticks.last, symbol.price.time = draw(TIMES), draw(TIMES)
    symbol.trust.suspect_since, symbol.trust.verified_at = draw(TIMES), draw(TIMES)
    symbol.trust.verified_until = symbol.trust.verified_at + draw(st.sampled_from([0, 30, 60])) * SECOND
    symbol.price.source = draw(st.sampled_from([None, 0, 1, 2]))
    symbol.feed.data_type = draw(st.sampled_from([None, 1, 2, 3, 4]))
    symbol.feed.halted, symbol.feed.delayed = draw(st.booleans()), draw(st.booleans())
    for name in ("dead", "farm_down", "competing"):
        setattr(symbol.trust, name, draw(st.booleans()))
    symbol.snapshots.in_vain = draw(st.integers(0, 2))
    symbol.cut = draw(st.sampled_from([None, None, None, Cut("line_limit")]))
    if draw(st.booleans()):
        symbol.requests.stream = Request(Kind.STREAM, "SPY")
        symbol.requests.stream.sent_at = draw(TIMES)
    if draw(st.booleans()):
        spans = [(start * SECOND, (start + length) * SECOND) for start, length in draw(SESSIONS)]
        symbol.contract.hours = Hours(spans, draw(st.sampled_from([0, NOW + SECOND])), 2_000 * SECOND)
    if draw(st.integers(0, 9)) == 0:
        symbol.refusal.rejection = Rejection("no_contract", 200, "no")
    return symbol, shared


@given(situations())
@settings(max_examples=examples(500))
def test_what_is_called_clear_is_clear_and_the_rest_has_a_reason(situation: tuple[Symbol, SharedFacts]) -> None:
    symbol, shared = situation
    view = derive(symbol, shared, NOW)
    if view.state in ALL_CLEAR and view.reason is None:
        fresh = symbol.ticks.last > symbol.trust.suspect_since and NOW - symbol.ticks.last < 15 * SECOND
        verified = symbol.trust.verified_at > symbol.trust.suspect_since and symbol.trust.verified_until > NOW
        assert shared.outage is None
        assert fresh or verified or (view.state == "closed" and not symbol.market_open(NOW))
        assert not view.stale
    else:
        assert view.reason is not None
        assert view.reason in REASONS or view.reason in ("connection_lost", "no_contract")
    if symbol.feed.data_type in (2, 4):
        assert view.state not in ("live", "quiet", "delayed", "halted", "snapshot")
        assert view.stale or not symbol.market_open(NOW)
    if view.state == "live":
        assert NOW - symbol.ticks.last < 15 * SECOND


@given(situations(), st.floats(0, 1, exclude_min=True, exclude_max=True))
@settings(max_examples=examples(500))
def test_nothing_changes_before_the_time_that_was_foreseen(situation: tuple[Symbol, SharedFacts], part: float) -> None:
    symbol, shared = situation
    until = min(next_change(symbol, shared, NOW), NOW + 200 * SECOND)
    assert until > NOW
    between = NOW + int((until - NOW) * part)
    assert derive(symbol, shared, between) == derive(symbol, shared, NOW)


def test_nothing_is_awaited_of_a_symbol_without_facts() -> None:
    symbol = Symbol(PlannedSymbol("SPY", "test", 0), NOW - 100 * SECOND)
    assert next_change(symbol, SharedFacts(15 * SECOND, 10 * SECOND), NOW) == NEVER


def test_which_farm_serves_whom() -> None:
    stock = region(PlannedSymbol("SPY", "", 0))
    assert served_by("usfarm", stock) and served_by("usfarm.nj", stock) and served_by("secret", stock)
    assert not served_by("cashfarm", stock) and not served_by("eufarm", stock) and not served_by("usfuture", stock)
    assert served_by("cashfarm", region(PlannedSymbol("EUR", "", 0, sec_type="CASH")))
    assert served_by("eufarm", region(PlannedSymbol("SAP", "", 0, currency="EUR")))
    assert served_by("hfarm", region(PlannedSymbol("700", "", 0, currency="HKD")))
    assert served_by("usfuture", region(PlannedSymbol("ES", "", 0, sec_type="FUT")))


def test_the_exchange_tells_the_region_before_the_currency() -> None:
    def of(exchange: str, currency: str = "USD", sec_type: str = "STK", primary: str = "") -> str:
        planned = PlannedSymbol("A", "", 0, exchange=exchange, currency=currency, sec_type=sec_type)
        return region(planned, primary)

    assert of("LSEETF") == "eu" and of("SMART", primary="LSEETF") == "eu"
    assert of("TSE", "CAD") == "ca" and of("SMART", "CAD") == "ca"
    assert of("PAXOS", sec_type="CRYPTO") == "crypto" and not served_by("usfarm", "crypto")
    assert of("SMART") == "us" and of("SMART", "EUR") == "eu"
    assert served_by("usfarm", of("NOWHERE")) and served_by("eufarm", of("NOWHERE"))
