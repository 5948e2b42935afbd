"""Futures that roll, played against the gateway's core: at the time, while it is away, and where nothing is left."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from messages.events import ContractQualified, ContractRolled, GapFilled, MonthsTraded, PlannedSymbol
from tests.simulation.ib_world import OPEN_DAYS, SECOND, ZONE, World, fx
from tests.support import some

MINUTE = 60.0


def month(con_id: int, last: str, hours: str = OPEN_DAYS) -> ContractQualified:
    return ContractQualified(
        "", con_id, "FUT", "CME", "USD", local_symbol=f"ES{con_id}", time_zone=ZONE, liquid_hours=hours,
        trading_class="ES", last_trade_date=last, contract_month=last[:6], multiplier=50.0,
    )  # fmt: skip


FRONT = "ES_CME_USD_FUT_FRONT"
DAYS = ";".join(f"202609{day}:0000-202609{day}:2359" for day in range(20, 30))
MONTHS = [month(9, "20260928", DAYS), month(12, "20261218", DAYS), month(3, "20270319", DAYS)]
"""With five days, the first one gives way to the second on 2026-09-23, at 00:00 UTC."""
MIDNIGHT = int(datetime(2026, 9, 23, tzinfo=UTC).timestamp()) * SECOND


def rolling(start: int = MIDNIGHT - 600 * SECOND, roll: Literal["front", "second"] = "front") -> World:
    world = World(["SPY"], quotes=True, start=start)
    world.market_open = lambda symbol: symbol == FRONT
    world.contracts[FRONT] = PlannedSymbol(FRONT, "", 1, "FUT", "CME", ib_symbol="ES", roll=roll)
    world.listings[FRONT] = MONTHS[::-1]
    world.ambiguous.add(FRONT)
    world.plan(["SPY", FRONT])
    world.until(lambda: world.state(FRONT) == "live", within=10)
    return world


def asked(world: World, since: int = 0) -> list[int]:
    return [each.con_id for each in world.of(fx.Subscribe, since) if each.planned.symbol == FRONT]


@pytest.mark.parametrize(("roll", "before", "after"), some([("front", 9, 12), ("second", 12, 3)], 1))
def test_a_future_rolls_while_it_streams(roll: Literal["front", "second"], before: int, after: int) -> None:
    world = rolling(roll=roll)
    assert asked(world) == [before]
    world.run(590)
    assert asked(world) == [before] and world.of(ContractRolled) == []
    world.until(lambda: world.of(ContractRolled), within=15)
    (rolled,) = world.of(ContractRolled)
    assert world.now - MIDNIGHT <= 2 * SECOND
    assert (rolled.old_con_id, rolled.con_id, rolled.roll_days) == (before, after, 5)
    assert world.said[FRONT].stale
    world.until(lambda: world.state(FRONT) == "live", within=10)
    assert asked(world) == [before, after]
    assert len(world.streams(FRONT)) == 1
    world.rest(3600)
    assert len(world.of(ContractRolled)) == 1 and world.state(FRONT) == "live"


def test_no_price_of_the_old_month_is_current_until_the_new_one_ticks() -> None:
    world = rolling()
    world.until(lambda: world.now >= MIDNIGHT - SECOND, within=601)
    world.starved.add(FRONT)  # the new month brings nothing
    world.until(lambda: world.of(ContractRolled), within=15)
    assert world.quotes is not None
    quote = world.quotes.book.quote(FRONT, stale=True)
    assert quote is not None and (quote.bid, quote.ask, quote.last, quote.volume) == (None, None, None, None)
    assert (quote.local_symbol, quote.contract_month) == ("ES12", "202612")
    while world.now < MIDNIGHT + 60 * SECOND and world.state(FRONT) != "snapshot":
        assert world.said[FRONT].stale
        world.step()
    world.starved.clear()
    world.until(lambda: world.state(FRONT) == "live", within=60)


def test_a_future_rolls_while_the_gateway_is_away() -> None:
    world = rolling()
    world.kill()
    world.run(1200)
    assert world.of(ContractRolled) == []
    since, world.up = world.now, True
    world.until(lambda: world.state(FRONT) == "live", within=60)
    assert [event.con_id for event in world.of(ContractRolled)] == [12]
    assert asked(world, since)[-1] == 12


def test_a_restarted_gateway_asks_for_the_month_before_it_subscribes() -> None:
    world = rolling()
    world.restart_core()
    world.until(lambda: world.state(FRONT) == "live", within=30)
    assert set(asked(world)) == {9} and world.of(ContractRolled) == []
    world._drop()
    world.now = MIDNIGHT + 3600 * SECOND
    since = world.now
    world.restart_core()
    world.until(lambda: world.state(FRONT) == "live", within=30)
    assert set(asked(world, since)) == {12}
    assert [event.old_con_id for event in world.of(ContractRolled)] == [9]
    gaps = [event for event in world.of(GapFilled) if event.symbol == FRONT]
    assert gaps and all(gap.bars == 0 for gap in gaps)
    assert not [each for each in world.of(fx.History, since) if each.planned.symbol == FRONT]


def test_without_details_a_future_that_rolls_is_not_asked_for_under_any_month() -> None:
    world = World(["SPY"])
    world.contracts[FRONT] = PlannedSymbol(FRONT, "", 1, "FUT", "CME", ib_symbol="ES", roll="front")
    world.details_silent = True
    world.plan(["SPY", FRONT])
    world.run(10 * MINUTE)
    asked_for = [each for each in world.of(fx.Subscribe) + world.of(fx.Snapshot) if each.planned.symbol == FRONT]
    assert asked_for == [] and world.said[FRONT].stale
    world.details_silent = False
    world.listings[FRONT] = MONTHS
    world.until(lambda: world.state(FRONT) == "live", within=120)


def test_a_future_that_nobody_lists_is_refused_and_tried_again_later() -> None:
    world = World(["SPY"])
    world.contracts[FRONT] = PlannedSymbol(FRONT, "", 1, "FUT", "CME", ib_symbol="ES", roll="front")
    world.unknown.add(FRONT)
    world.plan(["SPY", FRONT])
    world.run(10 * MINUTE)
    assert (world.state(FRONT), world.said[FRONT].code) == ("rejected", 200)
    assert len([each for each in world.of(fx.ContractDetails) if each.planned.symbol == FRONT]) <= 2
    world.unknown.clear()
    world.listings[FRONT] = MONTHS[:1]
    world.plan(["SPY", FRONT], refresh_token=3)
    world.until(lambda: world.state(FRONT) == "live", within=20)


def test_when_no_month_is_left_the_old_one_is_served_no_longer() -> None:
    world = rolling()
    world.listings[FRONT] = MONTHS[:1]
    world.run(700)
    said = world.said[FRONT]
    assert (said.state, said.reason) == ("rejected", "listing_not_offered") and "ES9" in (said.message or "")
    assert world.streams(FRONT) == []
    since, world.listings[FRONT] = world.now, MONTHS
    world.until(lambda: world.state(FRONT) == "live", within=900)
    assert set(asked(world, since)) == {12}


# --- by volume ---

DAY = 86_400 * SECOND
MONDAY = int(datetime(2026, 9, 21, tzinfo=UTC).timestamp()) * SECOND
LATER = [month(12, "20261218", DAYS), month(3, "20270319", DAYS), month(6, "20270618", DAYS)]


def by_volume(roll: Literal["front", "second"] = "front", start: int = MONDAY + 20 * 3600 * SECOND) -> World:
    """A Monday evening; the months are far from their last trade dates, and the first one trades most."""
    world = World(["SPY"], start=start)
    world.market_open = lambda symbol: symbol == FRONT
    world.contracts[FRONT] = PlannedSymbol(FRONT, "", 1, "FUT", "CME", ib_symbol="ES", roll=roll, roll_by="volume")
    world.listings[FRONT] = LATER
    world.ambiguous.add(FRONT)
    for each, volume in zip(LATER, (1000.0, 300.0, 5.0), strict=True):
        world.month_volumes[each.con_id] = {MONDAY - 3 * DAY: volume, MONDAY: volume / 2}
    world.plan(["SPY", FRONT])
    world.until(lambda: world.state(FRONT) == "live", within=10)
    world.pace = 5 * SECOND  # hours and days pass
    return world


def bars_asked(world: World, since: int = 0) -> list[int]:
    return [each.con_id for each in world.of(fx.History, since) if each.bar_size == "1 day"]


@pytest.mark.parametrize(("roll", "before", "after"), [("front", 12, 3), ("second", 3, 6)])
def test_it_rolls_on_the_day_after_the_next_month_traded_more(
    roll: Literal["front", "second"], before: int, after: int
) -> None:
    world = by_volume(roll)
    world.until(lambda: world.of(MonthsTraded), within=60)
    (told,) = world.of(MonthsTraded)
    assert (told.day, [each.volume for each in told.months]) == ("20260918", [1000.0, 300.0, 5.0])
    world.month_volumes[12][MONDAY], world.month_volumes[3][MONDAY] = 400.0, 700.0  # while the day runs: nothing yet
    world.run(3 * 3600)
    assert asked(world) == [before] and len(bars_asked(world)) == 3
    world.until(lambda: world.of(ContractRolled), within=2 * 3600)
    assert world.now < MONDAY + DAY + 1900 * SECOND
    (rolled,) = world.of(ContractRolled)
    assert (rolled.rule, rolled.day, rolled.old_con_id, rolled.con_id) == ("volume", "20260921", before, after)
    if roll == "front":
        assert (rolled.old_volume, rolled.volume) == (400.0, 700.0)
    world.until(lambda: world.state(FRONT) == "live", within=10)
    assert asked(world) == [before, after] and len(bars_asked(world)) == 6


def test_it_never_rolls_back_nor_after_a_restart() -> None:
    world = by_volume()
    world.month_volumes[3][MONDAY] = 700.0
    world.until(lambda: world.of(ContractRolled), within=5 * 3600)
    world.month_volumes[12][MONDAY + DAY], world.month_volumes[3][MONDAY + DAY] = 9000.0, 1.0
    world.run(3600)
    since = world.now
    world.restart_core()
    world.until(lambda: world.state(FRONT) == "live", within=30)
    assert bars_asked(world, since) == []  # the day's were told
    world.run(24 * 3600)
    assert set(asked(world, since)) == {3} and len(world.of(ContractRolled)) == 1
    assert 12 not in bars_asked(world, since)


def test_without_bars_of_the_front_month_the_calendar_alone_decides() -> None:
    world = by_volume()
    world.history_refusal = "HMDS query returned no data"
    since = world.now
    world.run(6 * 3600)
    assert world.of(ContractRolled) == [] and world.state(FRONT) == "live"
    assert len(bars_asked(world, since)) <= 3 * 6  # once an hour
    world.history_refusal, world.history_silent = None, True
    world.run(3 * 3600)
    world.history_silent = False
    world.month_volumes[12] = {MONDAY: float("nan")}
    world.month_volumes[3] = {MONDAY: 700.0}
    world.run(2 * 3600)
    assert world.of(ContractRolled) == []
    world.month_volumes[12] = {MONDAY: 400.0}
    world.until(lambda: world.of(ContractRolled), within=2 * 3600)


def test_no_month_is_passed_over_whose_bars_did_not_come() -> None:
    world = by_volume()
    world.until(lambda: world.of(MonthsTraded), within=60)
    world.month_volumes[12], world.month_volumes[3], world.month_volumes[6] = {MONDAY: 400.0}, {}, {MONDAY: 700.0}
    world.run(6 * 3600)
    assert world.of(ContractRolled) == [] and len(world.of(MonthsTraded)) == 2
    world.month_volumes[3] = {MONDAY: 9000.0}
    world.until(lambda: world.of(ContractRolled), within=2 * 3600)
    assert [each.con_id for each in world.of(ContractRolled)] == [3]


def test_by_volume_too_it_gives_way_days_before_its_end() -> None:
    world = rolling()
    world.contracts[FRONT] = PlannedSymbol(FRONT, "", 1, "FUT", "CME", ib_symbol="ES", roll="front", roll_by="volume")
    for each, volume in zip(MONTHS, (1000.0, 300.0, 5.0), strict=True):
        world.month_volumes[each.con_id] = {MIDNIGHT - 2 * DAY: volume}
    world.plan(["SPY", FRONT])
    world.until(lambda: world.of(ContractRolled), within=700)
    (rolled,) = world.of(ContractRolled)
    assert (rolled.rule, rolled.day, rolled.con_id) == ("days", "", 12)
