"""What IB says of contracts, played against the gateway's core: listings, units, refusals and their end."""

import pytest

from messages.events import ContractQualified, PlannedSymbol
from messages.fields import EXCHANGE, MULTIPLIER, PRICE_MAGNIFIER
from tests.simulation.ib_world import SECOND, START, World, fx

MINUTE = 60.0


def listing(con_id: int, primary: str) -> ContractQualified:
    return ContractQualified("", con_id, "STK", "SMART", "USD", primary, "KWEB")


def ambiguous(*listings: ContractQualified, primary: str = "") -> World:
    world = World(["SPY"])
    world.run(5)
    world.contracts["KWEB"] = PlannedSymbol("KWEB", "test", 1, primary_exchange=primary)
    world.listings["KWEB"] = list(listings)
    world.ambiguous.add("KWEB")
    world.plan(["SPY", "KWEB"])
    world.run(5)
    return world


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_listings_the_one_at_home_is_subscribed_and_the_rule_is_told(turned: bool) -> None:
    offered = [listing(111, "EBS"), listing(222, "NASDAQ")]
    world = ambiguous(*(reversed(offered) if turned else offered))
    assert world.state("KWEB") == "live"
    assert world.of(fx.Subscribe)[-1].con_id == 222
    assert "EBS" in (world.said["KWEB"].message or "")


def test_a_listing_that_is_not_on_offer_is_refused_with_those_that_are() -> None:
    world = ambiguous(listing(111, "EBS"), listing(222, "NASDAQ"), primary="LSE")
    said = world.said["KWEB"]
    assert (said.state, said.reason) == ("rejected", "listing_not_offered")
    assert "EBS" in (said.message or "") and "NASDAQ" in (said.message or "")
    world.run(20 * MINUTE)
    assert world.said["KWEB"].state == "rejected" and world.streams("KWEB") == []
    world.listings["KWEB"].append(listing(333, "LSE"))
    world.plan(["SPY", "KWEB"], refresh_token=9)
    world.until(world.all_live, within=5)


def test_two_listings_at_home_are_named() -> None:
    world = ambiguous(listing(111, "NYSE"), listing(222, "NASDAQ"))
    said = world.said["KWEB"]
    assert (said.state, said.reason) == ("rejected", "ambiguous_contract")
    assert "NYSE" in (said.message or "") and "NASDAQ" in (said.message or "")


def test_the_unit_of_a_future_is_known_before_its_first_price() -> None:
    world = World(["SPY"])
    world.contracts["ZC"] = PlannedSymbol("ZC", "", 1, "FUT", "CBOT", last_trade_date="202612")
    world.listings["ZC"] = [
        ContractQualified("", 7, "FUT", "CBOT", "USD", local_symbol="ZCZ6", price_magnifier=100, multiplier=5000.0)
    ]
    world.plan(["SPY", "ZC"])
    world.until(world.all_live, within=5)
    rows = [(number, value) for _, symbol, number, value in world.rows if symbol == "ZC"]
    assert (PRICE_MAGNIFIER, 100.0) in rows and (MULTIPLIER, 5000.0) in rows
    assert (PRICE_MAGNIFIER, 1.0) not in rows


def test_a_future_whose_details_never_come_is_subscribed_all_the_same() -> None:
    world = World(["SPY"])
    world.contracts["ZC"] = PlannedSymbol("ZC", "", 1, "FUT", "CBOT", last_trade_date="202612")
    world.details_silent = True
    world.plan(["SPY", "ZC"])
    world.until(world.all_live, within=15)


def test_a_cfd_is_asked_for_under_the_contract_that_ib_names() -> None:
    world = World(["SPY"])
    world.contracts["IBM_SMART_USD_CFD"] = PlannedSymbol("IBM_SMART_USD_CFD", "", 1, "CFD", ib_symbol="IBM")
    world.listings["IBM_SMART_USD_CFD"] = [ContractQualified("", 77, "CFD", "SMART", "USD")]
    world.reroutes["IBM_SMART_USD_CFD"] = 8314
    world.plan(["SPY", "IBM_SMART_USD_CFD"])
    world.until(world.all_live, within=5)
    asked = [effect for effect in world.of(fx.Subscribe) if effect.con_id == 8314]
    assert len(asked) == 1 and (asked[0].planned.exchange, asked[0].planned.sec_type) == ("SMART", "")
    world.close()
    world.until(world.all_live, within=30)


def refused_in_a_reset(world: World) -> None:
    world.sec_def_down = True
    world.close()
    world.until(lambda: world.ready, within=30)
    world.error(2157, "Sec-def data farm connection is broken:secdefnj")
    world.until(lambda: all(said.state == "rejected" for said in world.said.values()), within=5)
    world.run(5 * MINUTE)


@pytest.mark.parametrize("healing", ["farm", "1101", "connection"])
def test_what_a_link_refused_in_its_reset_is_asked_again_when_it_is_well(healing: str) -> None:
    world = World()
    world.until(world.all_live, within=10)
    refused_in_a_reset(world)
    world.sec_def_down = False
    if healing == "farm":
        world.error(2158, "Sec-def data farm connection is OK:secdefnj")
    elif healing == "1101":
        world.error(1101)
    else:
        world.close()
    assert world.until(world.all_live, within=40) < (8 if healing != "connection" else 40)


def test_night_after_night_of_refusals_costs_no_more_than_the_first() -> None:
    world = World()
    world.until(world.all_live, within=10)
    for _ in range(6):
        refused_in_a_reset(world)
        world.sec_def_down = False
        world.until(world.all_live, within=8 * MINUTE)  # without a word of any healing
        world.rest(20 * MINUTE)


def test_a_symbol_that_nobody_knows_is_not_asked_for_at_each_word_of_health() -> None:
    world = World(["SPY", "NOPE"])
    world.unknown.add("NOPE")
    world.run(10)
    since = world.now
    for _ in range(60):
        world.error(2158, "Sec-def data farm connection is OK:secdefnj")
        world.run(1)
    asked = [effect for effect in world.of(fx.Subscribe, since) if effect.planned.symbol == "NOPE"]
    assert len(asked) <= 13


def test_an_expired_future_says_so_and_is_left_alone() -> None:
    world = World(["SPY"])
    world.contracts["ES"] = PlannedSymbol("ES", "", 1, "FUT", "CME", last_trade_date="202606")
    world.unknown.add("ES")
    world.plan(["SPY", "ES"])
    world.run(30)
    assert (world.said["ES"].state, world.said["ES"].reason, world.said["ES"].code) == ("rejected", "expired", 200)
    since = world.now
    world.rest(5 * 60 * MINUTE)
    assert [each for each in world.of(fx.Subscribe, since) if each.planned.symbol == "ES"] == []


def test_a_hyphen_in_a_us_share_class_gets_a_hint() -> None:
    world = World(["SPY", "BRK-B"])
    world.unknown.add("BRK-B")
    world.run(5)
    said = world.said["BRK-B"].message or ""
    assert "BRK.B" in said and ". IB writes" in said  # IB's own text ends without a full stop


def test_what_was_verified_before_a_farm_broke_proves_nothing_after_it() -> None:
    world = World(["SPY", "BIL"])
    world.until(world.all_live, within=10)
    world.quiet.add("BIL")
    world.until(lambda: world.state("BIL") == "quiet", within=30)
    world.until(lambda: world.core.symbols["BIL"].trust.verified_at > world.now - SECOND, within=200)
    world.farm("usfarm", up=False, symbols=["BIL"])
    world.until(lambda: world.said["BIL"].stale, within=16)
    assert world.said["BIL"].reason == "farm_down"


def test_details_without_hours_are_not_asked_for_all_day() -> None:
    world = World(["SPY"])
    world.listings["SPY"] = [ContractQualified("", 7, "STK", "SMART", "USD", "ARCA")]
    world.plan(["SPY"], refresh_token=1)
    world.rest(6 * 60 * MINUTE)
    assert len(world.of(fx.ContractDetails)) <= 2
    assert world.now > START


def test_prices_of_the_night_are_marked_as_such() -> None:
    name = "AAPL_OVERNIGHT_USD"
    world = World([])
    world.contracts[name] = PlannedSymbol(name, "test", 0, exchange="OVERNIGHT", ib_symbol="AAPL")
    world.plan([name])
    world.until(lambda: name in world.core.context.memory.contracts, within=20)
    rows = world.core.context.contract_rows(world.core.symbols[name])
    assert [row[3] for row in rows if row[0] == EXCHANGE] == ["OVERNIGHT"]
    assert world.core.context.memory.contracts[name].primary_exchange not in ("", "OVERNIGHT")
