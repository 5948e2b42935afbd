"""Sizes and volumes of US stocks are given as long as what comes bears out the unit: IB's setting "market data in
lots", and a day's volume that is not that of the day's bar, take the unit away."""

from messages.events import ContractQualified
from messages.fields import ASK_SIZE, BID_SIZE, DELAYED_VOLUME_UNIT, SIZE_UNIT, VOLUME, VOLUME_UNIT
from services.gateway.core import interface as fx
from tests.simulation.ib_world import OPEN_DAYS, SECOND, START, ZONE, World

LOT = 100.0


def stocks(*names: str, start: int = START) -> World:
    """US stocks whose details are known, so that their first ticks can be judged."""
    world = World(names, start=start)
    for name in names:
        world.listings[name] = [
            ContractQualified(
                "", sum(map(ord, name)), "STK", "SMART", "USD", "ARCA", name, time_zone=ZONE, liquid_hours=OPEN_DAYS,
                suggested_size_increment=LOT,
            )
        ]  # fmt: skip
    world.until(world.all_live, within=10)
    world.run(5)
    return world


def unit(world: World, symbol: str, field: int) -> float:
    return [value for _, name, number, value in world.rows if (name, number) == (symbol, field)][-1]


def day_bars(world: World) -> list[fx.History]:
    return [ask for ask in world.of(fx.History) if ask.bar_size == "1 day"]


def test_odd_bid_and_ask_sizes_are_in_lots_and_have_no_unit_from_the_first_tick_on() -> None:
    world = stocks("SPY", "QQQ")
    world.sizes = {"SPY": {BID_SIZE: 300, ASK_SIZE: 500}, "QQQ": {BID_SIZE: 40, ASK_SIZE: 120}}
    world.kill()
    world.up = True
    world.until(world.all_live, within=20)
    assert unit(world, "SPY", SIZE_UNIT) == 1 and unit(world, "SPY", VOLUME_UNIT) == LOT
    world.sizes = {"SPY": {BID_SIZE: 3, ASK_SIZE: 5}, "QQQ": {BID_SIZE: 7, ASK_SIZE: 12}}
    world.kill()
    world.up = True
    world.until(lambda: not world.said["SPY"].stale, within=20)
    assert [unit(world, "SPY", of) for of in (SIZE_UNIT, VOLUME_UNIT, DELAYED_VOLUME_UNIT)] == [0, 0, 0]
    world.until(world.all_live, within=20)
    assert unit(world, "QQQ", SIZE_UNIT) == 0
    world.sizes = {}
    world.kill()
    world.up = True
    world.until(world.all_live, within=20)
    assert unit(world, "QQQ", SIZE_UNIT) == 1  # another connection, where nothing speaks against it


def test_a_volume_that_is_not_that_of_the_days_bar_has_no_unit() -> None:
    world = stocks("SPY", "QQQ", "DIA", "IWM")
    world.sizes = {name: {VOLUME: 400_000.0} for name in world.symbols}  # in round lots: 40 million shares
    world.day_volume = dict.fromkeys(world.symbols, 400_000.0)
    world.run(1500)
    assert not day_bars(world)  # the market has not been open for long: delayed volume would be behind
    assert unit(world, "SPY", VOLUME_UNIT) == LOT
    world.run(700)
    assert sorted(ask.planned.symbol for ask in day_bars(world)) == ["DIA", "QQQ", "SPY"]
    assert unit(world, "IWM", VOLUME_UNIT) == 0 and unit(world, "IWM", SIZE_UNIT) == 1
    world.run(2000)
    assert len(day_bars(world)) == 3


def test_a_volume_that_the_days_bar_bears_out_keeps_its_unit_even_where_sizes_are_odd() -> None:
    world = stocks("SPY")
    world.sizes = {"SPY": {VOLUME: 400_000.0, BID_SIZE: 3, ASK_SIZE: 5}}
    world.day_volume["SPY"] = 31_000_000.0  # history leaves some trades out
    world.run(2400)
    assert unit(world, "SPY", SIZE_UNIT) == 0
    assert unit(world, "SPY", VOLUME_UNIT) == LOT


def test_the_days_bar_is_not_asked_for_while_a_connection_is_young() -> None:
    world = stocks("SPY", start=START + 7200 * SECOND)
    world.run(40)
    assert not day_bars(world)
    world.run(20)
    assert len(day_bars(world)) == 1
