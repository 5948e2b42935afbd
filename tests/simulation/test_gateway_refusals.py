"""Codes and texts of every kind for requests that are open: what is ended by them, what is shown, what is cancelled."""

from itertools import groupby

import msgspec
import pytest

from messages.events import Bar, GapFilled, IbError, PlannedSymbol, SymbolChanged
from messages.fields import FIELDS_SINCE
from services.gateway.core.governor import Kind
from services.gateway.core.link import farm_lists, farm_name
from tests.simulation.ib_world import SECOND, BarsReceived, FarmChanged, LinkChanged, World, fx

MINUTE = 60.0


def live(*symbols: str, **settings: object) -> World:
    world = World(symbols or ("SPY", "QQQ"), **settings)  # type: ignore[arg-type]
    world.until(world.all_live, within=10)
    world.run(2)
    return world


def open_requests(world: World, kind: Kind) -> list[int]:
    return [req_id for req_id, request in world.core.requests.by_id.items() if request.kind is kind]


def asking_for_history(what: str = "SPY") -> tuple[World, int]:
    """A world in which bars are asked for and the test answers."""
    world = live(what, "QQQ")
    world.history_silent = True
    world.mute.add(what)
    world.until(lambda: open_requests(world, Kind.HISTORY), within=120)
    return world, open_requests(world, Kind.HISTORY)[0]


@pytest.mark.parametrize("code", [430, 99999, 10358, 10339])
def test_a_code_that_no_table_names_ends_what_waits_for_one_answer(code: int) -> None:
    world, req_id = asking_for_history()
    world.error(code, "something", req_id)
    world.run(1)
    assert req_id not in world.core.requests.by_id


@pytest.mark.parametrize("code", [2174, 2150, 165])
def test_a_notice_ends_nothing(code: int) -> None:
    world, req_id = asking_for_history()
    world.error(code, "by the way", req_id)
    world.run(1)
    assert req_id in world.core.requests.by_id


def test_details_and_snapshots_end_by_an_unknown_code_too() -> None:
    world = World(["SPY"])
    world.details_silent = True
    world.plan(["SPY", "QQQ"])
    world.until(lambda: open_requests(world, Kind.DETAILS), within=10)
    world.error(99999, "what?", open_requests(world, Kind.DETAILS)[0])
    world.run(1)
    assert len(open_requests(world, Kind.DETAILS)) <= 1
    world.mute.add("SPY")
    world.until(lambda: open_requests(world, Kind.SNAPSHOT), within=30)
    req_id = open_requests(world, Kind.SNAPSHOT)[0]
    world.error(99999, "what?", req_id)
    assert req_id not in world.core.requests.by_id
    assert fx.CancelMktData(req_id) in world.of(fx.CancelMktData) or world.run(1) is None
    assert fx.CancelMktData(req_id) in world.of(fx.CancelMktData)


def test_a_stream_that_never_ticked_shows_the_code_and_text_that_it_got() -> None:
    world = live()
    world.mute.add("ODD")
    world.plan(["SPY", "QQQ", "ODD"])
    world.run(2)
    world.error(77777, "Nobody knows this code", world.streams("ODD")[0])
    world.run(20)
    said = world.said["ODD"]
    assert (said.code, said.message) == (77777, "Nobody knows this code") and said.stale
    world.mute.clear()
    world.until(world.all_live, within=40)
    assert world.said["ODD"].code is None


def test_cryptocurrencies_are_asked_for_aggregated_trades() -> None:
    world = World(["SPY"])
    world.contracts["BTC"] = PlannedSymbol("BTC", "", 1, "CRYPTO", "PAXOS")
    world.mute.add("BTC")
    world.plan(["SPY", "BTC"])
    world.until(lambda: world.of(fx.History), within=120)
    assert world.of(fx.History)[0].what_to_show == "AGGTRADES"


def test_bars_of_another_kind_are_asked_for_when_ib_wants_them() -> None:
    world, req_id = asking_for_history()
    world.error(10299, "Erwartet wird AGGTRADES", req_id)
    world.until(lambda: len(world.of(fx.History)) > 1, within=3)
    assert world.of(fx.History)[-1].what_to_show == "AGGTRADES"


def test_bars_up_to_the_second_that_are_not_entitled_are_asked_for_of_a_quarter_of_an_hour_ago() -> None:
    world, req_id = asking_for_history()
    world.error(2188, "Up-to-the-second historical data requires additional subscription for the API.", req_id)
    world.until(lambda: len(world.of(fx.History)) > 1, within=10)
    asked = world.of(fx.History)[-1]
    assert 15 * MINUTE <= (world.now - asked.end) / SECOND <= 17 * MINUTE
    assert fx.CancelHistory(req_id) in world.of(fx.CancelHistory)


def test_bars_after_such_a_notice_are_used() -> None:
    world, req_id = asking_for_history()
    world.error(2188, "Up-to-the-second historical data requires additional subscription for the API.", req_id)
    world.tell(fx.BarsSeen(req_id, [Bar(world.now - 120 * SECOND, 1, 1, 1, 5.0, 1)]))
    world.tell(fx.BarsEnd(req_id))
    assert world.of(BarsReceived)


@pytest.mark.parametrize("text", ["HMDS-Abfrage ergab keine Daten: SPY@SMART", "Keine Berechtigung", "no data"])
def test_a_gap_that_history_refuses_is_not_asked_for_for_ever(text: str) -> None:
    world = live("SPY")
    world.history_refusal = text
    world.close()
    world.run(10 * MINUTE)
    world.rest(3 * 60 * MINUTE)
    filled = world.of(GapFilled)
    assert filled and filled[0].bars == 0
    assert len(world.of(fx.History)) <= 5


def bars_of_d_after_three_refusals(code: int, text: str) -> bool:
    """Whether bars of D are asked for within a minute and a half of its silence, those of A, B and C having been
    refused at once."""
    world = live("A", "B", "C", "D", "QQQ")
    world.history_silent = True
    world.mute |= {"A", "B", "C"}
    world.until(lambda: len(open_requests(world, Kind.HISTORY)) == 3, within=120)
    world.mute.add("D")
    for req_id in open_requests(world, Kind.HISTORY):
        world.error(code, text, req_id)
    world.run(90)
    return "D" in {asked.planned.symbol for asked in world.of(fx.History)}


@pytest.mark.parametrize("code", [162, 420])
def test_pacing_is_seen_in_any_language(code: int) -> None:
    assert not bars_of_d_after_three_refusals(code, "\u8bf7\u6c42\u8fc7\u4e8e\u9891\u7e41")


@pytest.mark.parametrize("code", [430, 10339, 10358, 99999])
def test_refusals_of_a_code_that_is_never_pacing_hold_up_no_others_bars(code: int) -> None:
    assert bars_of_d_after_three_refusals(code, "Setting an end is not allowed for this security type")


# --- entitlement ---


def delayed_world() -> tuple[World, int]:
    """SPY asked for delayed data, and not answered yet."""
    world = World(["QQQ"])
    world.until(world.all_live, within=10)
    world.mute.add("SPY")
    world.refused["SPY"] = 354
    world.plan(["QQQ", "SPY"])
    world.until(lambda: world.streams("SPY"), within=5)
    return world, world.streams("SPY")[0]


@pytest.mark.parametrize("code", [10089, 10091])
@pytest.mark.parametrize("order", ["before", "after"])
def test_an_advisory_beside_delayed_data_is_no_refusal(code: int, order: str) -> None:
    world, req_id = delayed_world()
    if order == "after":
        world.tell(fx.MarketDataTypeSeen(req_id, 3))
    world.error(code, "Requested market data requires additional subscription for API.", req_id)
    world.error(10167, "Requested market data is not subscribed. Displaying delayed market data.", req_id)
    world.mute.clear()
    world.until(lambda: world.state("SPY") == "delayed", within=3)
    world.run(60)
    assert world.state("SPY") == "delayed" and world.streams("SPY") == [req_id]


def test_an_advisory_that_nothing_follows_is_a_refusal_and_the_stream_is_cancelled() -> None:
    world, req_id = delayed_world()
    world.later = [each for each in world.later if not isinstance(each[1], fx.MarketDataTypeSeen)]
    world.error(10089, "Requested market data requires additional subscription for API.", req_id)
    world.until(lambda: world.state("SPY") == "rejected", within=15)
    assert world.said["SPY"].code == 10089
    world.run(1)
    assert fx.CancelMktData(req_id) in world.of(fx.CancelMktData) and world.streams("SPY") == []


def test_a_stream_that_ib_did_not_plainly_end_is_cancelled_when_delayed_data_is_asked_for_instead() -> None:
    world = live()
    req_id = world.streams("SPY")[0]
    world.error(10089, "Requested market data requires additional subscription for API.", req_id)
    world.run(1)
    assert fx.CancelMktData(req_id) in world.of(fx.CancelMktData)
    assert len(world.streams("SPY")) == 1


# --- farms ---


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Market data farm connection is broken:usfarm.nj", "usfarm.nj"),
        ("HMDS data farm connection is inactive but should be available upon demand.ushmds", "ushmds"),
        ("Market data farm connection is inactive but should be available upon demand.usfarm.nj", "usfarm.nj"),
        ("\u5e02\u573a\u6570\u636e\u8fde\u63a5\u4e2d\u65ad\uff1ausfarm", "usfarm"),
        ("\\u5e02\\u573a\\u6570\\u636e\\u8fde\\u63a5\\u4e2d\\u65ad\\uff1ausfarm", "usfarm"),
        ("\u884c\u60c5\u670d\u52a1\u5668\u672a\u6fc0\u6d3b\u3002hfarm", "hfarm"),
        ("Verbindung zur Marktdatenfarm unterbrochen: eufarmnj.", "eufarmnj"),
        ("nichts", "nichts"),
        ("", "unnamed"),
    ],
)
def test_the_name_of_a_farm_is_the_last_word_in_any_language(message: str, name: str) -> None:
    assert farm_name(message) == name


def test_the_lists_of_1102() -> None:
    said = "Connectivity between IBKR and Trader Workstation has been restored - data maintained."
    assert farm_lists(f"{said} All data farms are connected: eufarmnj; usfarm; ushmds; secdefnj.") == (
        ["eufarmnj", "usfarm", "ushmds", "secdefnj"],
        [],
    )
    both = f"{said} The following farms are connected: usfarm.nj; hfarm. The following are not connected: usfuture."
    assert farm_lists(both) == (["usfarm.nj", "hfarm"], ["usfuture"])
    assert farm_lists(f"{said} The following farms are not connected: usfuture; hfarm.") == ([], ["usfuture", "hfarm"])
    assert farm_lists(said) == ([], [])


def test_1102_heals_and_breaks_the_farms_that_it_lists() -> None:
    world = live()
    world.farm("usfarm", up=False, symbols=["SPY", "QQQ"])
    world.run(20)
    assert {said.reason for said in world.said.values()} == {"farm_down"}
    world.ib_link = False
    world.error(1100)
    world.run(2)
    world.ib_link = True
    world.farms_down.clear()
    world.error(1102, "Restored. The following farms are connected: usfarm; ushmds. Not connected: usfuture.")
    world.until(world.all_live, within=6)
    farms = {(event.kind, event.farm): event.state for event in world.of(FarmChanged)}
    assert farms[("market_data", "usfarm")] == "ok" and farms[("market_data", "usfuture")] == "broken"
    assert farms[("history", "ushmds")] == "ok"


# --- what is written down, and the greeting ---


def test_a_gateway_that_repeats_itself_fills_no_journal() -> None:
    world = live()
    since = world.now
    for _ in range(833):
        world.error(1100, "Connectivity between IBKR and Trader Workstation has been lost.")
    world.run(3)
    said = [event for event in world.of(IbError, since) if event.code == 1100]
    assert len(said) <= 2 and sum(event.repeats for event in said) == 833


def test_many_different_messages_are_bounded_too() -> None:
    world = live()
    since = world.now
    for number in range(1000):
        world.error(12345, f"message {number}")
    world.run(3)
    said = world.of(IbError, since)
    assert len(said) <= 53 and sum(event.repeats for event in said) == 1000


def test_half_a_greeting_is_waited_for_longer_and_named() -> None:
    world = World(ib_connect_timeout=3)
    world.answers = False
    world.close()
    world.until(lambda: world.link and world.link.phase == "handshake", within=40)
    world.tell(fx.GreetingSeen("managedAccounts"))
    world.run(8)
    assert world.link and world.link.phase == "handshake"
    world.tell(fx.Ready(176, ("DU1",)))
    assert world.link.phase == "ready"
    world.close()
    world.until(lambda: world.link and world.link.phase == "handshake", within=40)
    world.tell(fx.GreetingSeen("managedAccounts"))
    world.until(lambda: world.link and world.link.phase == "backoff", within=13)
    assert world.link.reason == "greeting_incomplete" and "managedAccounts" in (world.link.detail or "")


def test_a_gateway_of_ib_is_refused_where_the_simulator_is_expected() -> None:
    world = World(api_mode="mock")
    world.run(10)
    refused = [event for event in world.of(LinkChanged) if event.reason == "foreign_gateway"]
    detail = refused[0].detail or ""
    assert "with a paper account" in detail and "7497" in detail and "DU1" not in detail
    assert world.of(fx.Subscribe) == [] and world.of(fx.ContractDetails) == []


@pytest.mark.parametrize(("ahead", "told"), [(180, True), (-180, True), (0, False)])
def test_clocks_that_differ_are_told(ahead: int, told: bool) -> None:
    world = World(["SPY"])
    world.clock_ahead = ahead
    world.until(world.all_live, within=10)
    world.run(5)
    assert world.link is not None
    skew = world.link.clock_skew
    assert (skew is not None and abs(skew - ahead) < 1.5) if told else skew is None


# --- renewal and pictures ---


def test_a_picture_at_each_subscription_is_no_cure() -> None:
    """Its stream brings prices when it is subscribed, and then nothing; snapshots end empty."""
    world = live("SPY", "ILL")
    world.picture_only.add("ILL")
    since = world.now
    world.run(30 * MINUTE)
    assert len([each for each in world.of(fx.Subscribe, since) if each.planned.symbol == "ILL"]) <= 12
    world.picture_only.clear()
    world.until(world.all_live, within=310)


def test_a_symbol_without_a_price_is_called_stale_once() -> None:
    world = live("SPY")
    world.history_silent = True
    world.mute.add("DEAD")
    world.plan(["SPY", "DEAD"])
    world.run(20 * MINUTE)
    states = [event.state for event in world.of(SymbolChanged) if event.symbol == "DEAD"]
    assert [state for state, _ in groupby(states)] == ["pending", "stale"]


def test_a_bar_is_served_for_a_symbol_that_never_ticked() -> None:
    world = live("SPY")
    world.mute.add("ILL")
    world.plan(["SPY", "ILL"])
    world.history_behind = 7 * 60
    world.until(lambda: world.state("ILL") == "history", within=120)
    assert world.sources["ILL"] == "ib_history"
    assert [row for row in world.rows if row[1] == "ILL" and row[2] == FIELDS_SINCE]


LEGAL = "Error validating request.-'bQ' : cause - Incorrect generic tick list of {}.  Legal ones for (STK) are: {}"


def asked_for(world: World, symbol: str) -> list[str]:
    return [effect.generic_ticks for effect in world.of(fx.Subscribe) if effect.planned.symbol == symbol]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (LEGAL.format("104,221,233", "100(Option Volume),221/220(Mark Price),233(RTVolume)"), "221,233"),
        ("请求错误", ""),  # in another language, without a list
    ],
)
def test_a_generic_tick_that_ib_does_not_take_costs_no_price(text: str, left: str) -> None:
    world = World(["SPY", "QQQ"], ib_generic_ticks="104,221,233")
    world.until(lambda: world.streams("SPY"), within=10)
    world.error(321, text, world.streams("SPY")[0])
    world.until(world.all_live, within=10)
    assert asked_for(world, "SPY") == ["104,221,233", left]
    assert str(world.said["SPY"].message).startswith("IB does not take generic ticks 104")
    world.close()
    world.until(lambda: len(asked_for(world, "SPY")) == 3, within=60)
    assert asked_for(world, "SPY")[-1] == "104,221,233"  # another connection, perhaps to another version


def test_a_request_that_is_wrong_without_generic_ticks_is_refused() -> None:
    world = World(["SPY", "QQQ"], ib_generic_ticks="233")
    world.until(lambda: world.streams("SPY"), within=10)
    world.error(321, "wrong", world.streams("SPY")[0])
    world.run(1)
    world.error(321, "wrong", world.streams("SPY")[-1])
    world.run(1)
    assert world.state("SPY") == "rejected"


def test_other_generic_ticks_renew_the_subscription_and_nothing_else() -> None:
    world = live()
    plan = world.core.planned.plan
    assert plan is not None
    removed = len([said for said in world.of(fx.Emit) if getattr(said.event, "state", "") == "removed"])
    changed = [PlannedSymbol(one.symbol, one.reason, one.priority, generic_ticks="236") for one in plan.symbols]
    world.tell(fx.PlanChanged(msgspec.structs.replace(plan, symbols=changed)))
    world.run(2)
    assert asked_for(world, "SPY") == ["", "236"] and world.state("SPY") == "live"
    assert len([said for said in world.of(fx.Emit) if getattr(said.event, "state", "") == "removed"]) == removed


def fine_plan(world: World, **wishes: str) -> None:
    plan = world.core.planned.plan
    assert plan is not None
    changed = [
        PlannedSymbol(one.symbol, one.reason, one.priority, tick_by_tick=wishes.get(one.symbol, ""))
        for one in plan.symbols
    ]
    world.tell(fx.PlanChanged(msgspec.structs.replace(plan, symbols=changed)))
    world.run(2)


def test_tick_by_tick_within_ibs_limits_most_important_first() -> None:
    world = live("A", "B", "C", "D", "E")
    fine_plan(world, B="Last", C="Last", D="Last", E="BidAsk")
    assert [asked.planned.symbol for asked in world.of(fx.TickByTick)] == ["B", "C", "D"]
    asked = {one.planned.symbol: one.req_id for one in world.of(fx.TickByTick)}
    world.error(10190, "Max number of tick-by-tick requests has been reached", asked["D"])
    world.run(60)
    assert len(world.of(fx.TickByTick)) == 3 and world.said["D"].message == "tick by tick is refused (10190)"
    fine_plan(world, C="BidAsk")
    world.run(20)
    assert {one.req_id for one in world.of(fx.CancelTickByTick)} == {asked["B"], asked["C"]}
    assert [(one.planned.symbol, one.what) for one in world.of(fx.TickByTick)][3:] == [("C", "BidAsk")]
    assert world.all_live()


def test_tick_by_tick_that_is_not_entitled_costs_no_price_and_is_asked_for_on_the_next_connection() -> None:
    world = live("A", "B")
    fine_plan(world, A="AllLast")
    (asked,) = world.of(fx.TickByTick)
    world.error(10189, "Failed to request tick-by-tick data: no market data permissions", asked.req_id)
    world.run(60)
    assert len(world.of(fx.TickByTick)) == 1 and world.all_live()
    world.close()
    world.until(lambda: len(world.of(fx.TickByTick)) == 2, within=120)
