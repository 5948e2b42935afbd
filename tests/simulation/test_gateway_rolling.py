"""Futures that roll, played against the gateway's core: at the time, while it is away, and where nothing is left."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from messages.events import ContractQualified, ContractRolled, GapFilled, PlannedSymbol
from tests.simulation.ib_world import OPEN_DAYS, SECOND, ZONE, World, fx

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


@pytest.mark.parametrize(("roll", "before", "after"), [("front", 9, 12), ("second", 12, 3)])
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
    world.run(3600)
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
