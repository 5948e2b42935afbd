"""Invented prices that behave: consistent, deterministic, and the same in history as they were live."""

import itertools
from datetime import date

import pytest

from services.base.clock import SECOND
from services.simulator.market import bars
from services.simulator.market.contracts import Instrument, Master
from services.simulator.market.hours import MarketHours
from services.simulator.market.listed import usual
from services.simulator.market.market import Market
from services.simulator.market.prices import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    CLOSE,
    HIGH,
    LAST,
    LOW,
    OPEN,
    VOLUME,
    Feed,
    Tick,
    Walk,
)
from services.simulator.market.trades import Minutes
from tests.support import some
from tests.unit.simulator.conversation import MONDAY_NOON

MASTER = Master(usual(date(2026, 1, 5)))
HOURS = MarketHours()


def run(feed: Feed, steps: int, since: int = MONDAY_NOON, every: float = 0.25) -> list[list[Tick]]:
    return [feed.step(since + int(n * every * SECOND)) for n in range(1, steps + 1)]


def fresh(instrument: Instrument, seed: int = 1, now: int = MONDAY_NOON) -> Feed:
    feed = Feed(seed, instrument, HOURS)
    feed.refresh(now)
    return feed


@pytest.mark.parametrize("instrument", list(MASTER), ids=lambda one: one.key)
def test_a_day_s_figures_agree_with_each_other(instrument: Instrument) -> None:
    feed = fresh(instrument)
    now: dict[int, float] = {}
    volume = 0
    for ticks in [feed.image(), *run(feed, 400)]:
        for tick in ticks:
            if tick.field in (BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN):
                now[tick.field] = float(tick.text)
                assert len(tick.text.partition(".")[2]) == instrument.decimals
            if tick.field in (BID, ASK, BID_SIZE, ASK_SIZE):
                assert tick.size > 0  # 0 says that there is no quote
            if tick.field == VOLUME:
                assert tick.size >= volume
                volume = tick.size
        if instrument.has_quotes:
            assert 0 < now[BID] < now[ASK] < now[BID] * 1.01
        if instrument.has_trades:
            assert now[LOW] <= now[LAST] <= now[HIGH]
            assert now[LOW] <= now[OPEN] <= now[HIGH]
        assert abs(now[CLOSE] / instrument.price - 1) < 30 * instrument.daily
    assert (volume > 0) == (instrument.volume > 0)


def test_the_same_seed_gives_the_same_ticks_and_another_seed_others() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    first, second, third = (run(fresh(spy, seed), 100) for seed in (1, 1, 2))
    assert first == second != third


@pytest.mark.parametrize("seed", some(range(20), 4))
def test_a_quote_has_a_size_from_the_first_moment(seed: int) -> None:
    of_each_kind = {(one.sec_type, one.round_lot, one.has_quotes): one for one in MASTER}
    for instrument in of_each_kind.values():
        image = fresh(instrument, seed).image()
        assert all(tick.size > 0 for tick in image if tick.field in (BID, ASK, BID_SIZE, ASK_SIZE))


def test_only_changes_are_told() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    feed, bid = fresh(spy), None
    for ticks in run(feed, 500):
        for tick in ticks:
            if tick.field == BID:
                assert tick.text != bid
                bid = tick.text


def test_a_restart_goes_on_where_prices_were() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    feed = fresh(spy)
    run(feed, 4000)
    later = fresh(spy, now=MONDAY_NOON + 1000 * SECOND)
    assert abs(feed.bid - later.bid) <= 2
    assert abs(feed.high - later.high) * 0.01 < 0.5
    assert (feed.open, feed.close) == (later.open, later.close)


def test_the_walk_can_be_asked_in_any_order() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    forward, back = Walk(3, spy), Walk(3, spy)
    times = [MONDAY_NOON + n * 7 * SECOND for n in range(500)]
    assert [forward.at(t) for t in times] == [back.at(t) for t in reversed(times)][::-1]


def test_a_day_s_move_has_about_the_right_size() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    walk = Walk(1, spy)
    closes = [walk.at(MONDAY_NOON + n * 86_400 * SECOND) for n in range(250)]
    moves = [abs(b / a - 1) for a, b in itertools.pairwise(closes)]
    assert 0.3 * spy.daily < sum(moves) / len(moves) < 2 * spy.daily


def test_history_shows_what_was_live() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    feed = fresh(spy)
    seen = [float(tick.text) for ticks in run(feed, 240) for tick in ticks if tick.field == LAST]
    (bar,) = bars.bars(1, spy, HOURS, MONDAY_NOON, MONDAY_NOON + 60 * SECOND, 60)
    assert bar.low - 0.1 <= min(seen) <= max(seen) <= bar.high + 0.1


def test_minutes_of_history_are_the_trades_that_were_told() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    feed = fresh(spy)
    before = feed.volume
    told = [tick for ticks in run(feed, 4 * 120 - 1) for tick in ticks]
    prices = [float(tick.text) for tick in told if tick.field == LAST]
    first, second = bars.bars(1, spy, HOURS, MONDAY_NOON, MONDAY_NOON + 120 * SECOND, 60, feed.minutes)
    assert (max(first.high, second.high), min(first.low, second.low)) == pytest.approx((max(prices), min(prices)))
    assert second.close == pytest.approx(prices[-1])
    assert first.volume + second.volume == feed.volume - before
    (whole,) = bars.bars(1, spy, HOURS, MONDAY_NOON, MONDAY_NOON + 120 * SECOND, 120, feed.minutes)
    assert whole[1:7] == (
        first.open,
        max(first.high, second.high),
        min(first.low, second.low),
        second.close,
        first.volume + second.volume,
        first.trades + second.trades,
    )
    assert whole.low < whole.average < whole.high


def test_trading_goes_on_while_nobody_looks() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    market = Market(1, 0, HOURS)
    feed = market.activate(spy, MONDAY_NOON)
    market.deactivate(spy)
    volume, later = feed.volume, MONDAY_NOON + 179 * SECOND
    list(market.advance(later))
    made = market.bars(spy, MONDAY_NOON, later, 60)
    assert len(made) == 3 and all(bar.trades > 20 for bar in made)
    assert market.activate(spy, later) is feed
    assert sum(bar.volume for bar in made) == feed.volume - volume
    assert made[-1].close == pytest.approx(feed.last * spy.tick)


def test_a_minute_without_a_trade_stands_still_and_old_minutes_are_the_walks() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    minutes = Minutes(most=2)
    minutes.begin(MONDAY_NOON)
    for minute, price in ((0, 600.0), (1, 601.0), (3, 603.0)):
        minutes.note(MONDAY_NOON + minute * 60 * SECOND, price, 5)
    made = bars.bars(1, spy, HOURS, MONDAY_NOON, MONDAY_NOON + 240 * SECOND, 60, minutes)
    assert [bar[1:7] for bar in made[1:]] == [
        (601.0, 601.0, 601.0, 601.0, 5, 1),
        (601.0, 601.0, 601.0, 601.0, 0, 0),
        (603.0, 603.0, 603.0, 603.0, 5, 1),
    ]
    assert made[0] == bars.bars(1, spy, HOURS, MONDAY_NOON, MONDAY_NOON + 60 * SECOND, 60)[0]


def test_a_halted_symbol_does_not_move() -> None:
    feed = fresh(next(one for one in MASTER if one.symbol == "SPY"))
    feed.halted = 1
    assert run(feed, 50) == [[]] * 50


def test_a_new_day_begins_with_a_new_open_and_the_old_close() -> None:
    spy = next(one for one in MASTER if one.symbol == "SPY")
    midnight = HOURS.to_ns(HOURS.local(MONDAY_NOON).replace(hour=0)) + 86_400 * SECOND
    feed = fresh(spy, now=midnight - SECOND)
    before = feed.volume
    feed.step(midnight + SECOND)
    assert feed.volume < before / 100
    assert feed.low <= feed.open <= feed.high


@pytest.mark.parametrize(
    ("text", "seconds"), [("1 D", 86_400), ("600 S", 600), ("2 W", 1_209_600), ("1 M", 2_592_000), ("1 Y", 31_536_000)]
)
def test_durations(text: str, seconds: int) -> None:
    assert bars.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "D", "0 D", "1 H", "-1 D", "1 D 2"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        bars.parse_duration(text)
