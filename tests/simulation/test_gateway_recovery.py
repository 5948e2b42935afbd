"""Every trouble that the facts list, played against the gateway's core: what is said, when, and how it heals.

At each step the world checks that IB's rules are kept and that nothing is called clear which is not.
"""

import pytest

from messages.events import FarmChanged, GapClosed, GapFilled, GapOpened, LinkChanged
from tests.simulation.ib_world import SECOND, START, World, fx

FLAGGED = 16  # seconds: staleness limit and one second
ALL_FLAGGED = 11
HOUR = 3600


def live(*symbols: str, **settings: object) -> World:
    world = World(symbols or ("SPY", "QQQ", "IWM"), **settings)  # type: ignore[arg-type]
    world.until(world.all_live, within=10)
    world.run(30)
    return world


def phases(world: World, since: int = 0) -> list[str]:
    return [event.phase for event in world.of(LinkChanged, since)]


def test_from_plan_to_live_and_back() -> None:
    world = live()
    assert phases(world) == ["idle", "connecting", "handshake", "ready"]
    assert world.sources == dict.fromkeys(world.symbols, "ib_stream")
    world.plan((), started=False)
    world.run(1)
    assert phases(world)[-1] == "idle" and world.requests == {} and world.port is None
    assert world.said == {}


def test_plan_difference_only() -> None:
    world = live("SPY", "QQQ")
    kept = world.streams("QQQ")
    world.plan(["QQQ", "IWM"])
    world.until(world.all_live, within=5)
    assert world.streams("QQQ") == kept and world.streams("SPY") == []
    assert "SPY" not in world.said


def test_gateway_absent_at_start_then_there() -> None:
    world = World()
    world.up = False
    world.kill()
    world.run(120)
    assert {said.reason for said in world.said.values()} == {"gateway_unreachable"}
    waits = [event.retry_in for event in world.of(LinkChanged) if event.retry_in]
    assert max(waits) <= 30 and waits[0] < 1
    world.up = True
    assert world.until(world.all_live, within=40) < 32


def test_tcp_accepts_and_nothing_answers() -> None:
    world = World()
    world.answers = False
    world.close()
    world.run(30)
    assert {said.reason for said in world.said.values()} == {"gateway_silent"}
    world.answers = True
    world.until(world.all_live, within=60)


@pytest.mark.parametrize("away", [5, 60])
def test_killed_while_streaming(away: int) -> None:
    world = live()
    killed_at = world.now
    world.kill()
    assert {said.reason for said in world.said.values()} == {"connection_lost"}
    assert all(said.stale for said in world.said.values())
    world.run(away)
    world.up = True
    world.until(world.all_live, within=35)
    gaps = world.of(GapClosed, since=killed_at)
    assert [gap.symbol for gap in gaps] == world.symbols
    assert all(gap.start == killed_at and gap.end > killed_at + away * SECOND for gap in gaps)


def test_client_id_in_use_keeps_the_id_and_backs_off() -> None:
    world = World()
    world.client_id_taken = True
    world.close()
    world.run(20)
    assert {said.reason for said in world.said.values()} == {"client_id_in_use"}
    assert len(world.of(fx.Connect)) <= 7
    world.client_id_taken = False
    world.until(world.all_live, within=35)


def test_1100_then_1102_with_ticks_resubscribes_nothing() -> None:
    world = live()
    before = sorted(world.requests)
    world.ib_link = False
    world.error(1100)
    assert {said.reason for said in world.said.values()} == {"ib_connection_lost"}
    world.run(20)
    world.ib_link = True
    world.error(1102)
    assert {said.reason for said in world.said.values()} == {"verifying"}
    assert world.until(world.all_live, within=5) <= 0.5
    world.run(30)
    assert sorted(world.requests) == before


def lost_ib_for_a_while() -> tuple[World, int]:
    """A gateway whose link to IB is up again, which it has not said yet; and how often was connected to it."""
    world = live()
    connects = len(world.of(fx.Connect))
    world.ib_link = False
    world.error(1100)
    world.run(20)
    world.ib_link = True
    return world, connects


def test_1102_without_ticks_is_noticed_and_cured_by_resubscription() -> None:
    world, connects = lost_ib_for_a_while()
    world.starved_until_renewed.update(world.symbols)
    restored = world.now
    world.error(1102)
    world.until(world.all_live, within=6)
    assert len(world.of(fx.Connect)) == connects and world.of(fx.Snapshot, restored) == []


@pytest.mark.parametrize("others_tick", [True, False])
def test_1102_and_a_quiet_symbol_that_a_snapshot_verifies_is_not_asked_for_again_at_once(others_tick: bool) -> None:
    world = live("SPY", "QQQ")
    world.quiet.update(["QQQ"] if others_tick else world.symbols)
    world.run(40)
    world.ib_link = False
    world.error(1100)
    world.run(5)
    world.ib_link = True
    restored = world.now
    world.error(1102)
    world.run(30)
    assert world.state("QQQ") == "quiet"
    assert len([each for each in world.of(fx.Snapshot, restored) if each.planned.symbol == "QQQ"]) <= 3


def test_when_all_fall_silent_what_was_verified_before_proves_nothing() -> None:
    world = live("SPY", "IWM", "QQQ")
    world.quiet.add("QQQ")
    world.until(lambda: world.state("QQQ") == "quiet", within=30)
    world.run(10)
    world.mute.update(world.symbols)
    world.run(ALL_FLAGGED)
    assert world.said["QQQ"].stale
    assert (world.state("QQQ"), world.said["QQQ"].reason) == ("stale", "link_silent")
    world.mute.clear()
    world.until(lambda: world.state("QQQ") == "quiet", within=20)


def test_1101_resubscribes_all_with_fresh_ids() -> None:
    world = live()
    old = set(world.requests)
    world.ib_link = False
    world.error(1100)
    world.run(5)
    world.requests.clear()  # IB lost the subscriptions
    world.ib_link = True
    world.error(1101)
    world.until(world.all_live, within=5)
    assert len(world.requests) == 3 and not old & set(world.requests)


def test_2110_heals_without_a_word() -> None:
    world = live()
    world.ib_link = False
    world.error(2110)
    assert {said.reason for said in world.said.values()} == {"server_connection_broken"}
    world.run(10)
    world.ib_link = True
    world.until(world.all_live, within=5)


def test_a_farm_that_is_back_says_that_ib_is_where_its_word_is_lost() -> None:
    world, connects = lost_ib_for_a_while()
    world.starved_until_renewed.update(world.symbols)
    world.error(2104, "Market data farm connection is OK:usfarm")
    world.run(5)
    assert {said.reason for said in world.said.values()} == {"ib_connection_lost"}
    world.until(world.all_live, within=15)
    assert len(world.of(fx.Connect)) == connects


def test_a_farm_that_breaks_again_says_nothing_of_ib() -> None:
    world = live()
    world.ib_link = False
    world.error(1100)
    world.run(20)
    world.error(2104, "Market data farm connection is OK:usfarm")
    world.run(5)
    world.error(2103, "Market data farm connection is broken:usfarm")
    world.run(60)
    assert {said.reason for said in world.said.values()} == {"ib_connection_lost"}


def test_a_farm_that_is_being_connected_is_still_broken() -> None:
    world = live("SPY", "QQQ", "GLD")
    world.farm("usfarm", False, ["SPY", "QQQ"])
    world.until(lambda: world.said["SPY"].reason == "farm_down", within=5)
    start = world.now
    world.error(2119, "Market data farm is connecting:usfarm")
    world.run(60)
    assert world.said["SPY"].reason == "farm_down" and world.of(fx.Subscribe, start) == []
    world.farm("usfarm", True)
    world.until(world.all_live, within=5)


def test_farm_blip_keeps_the_socket_and_leaves_others_alone() -> None:
    world = live("SPY", "QQQ", "EURUSD")
    connects, requests, start = len(world.of(fx.Connect)), set(world.requests), world.now
    world.farm("usfarm", False, ["SPY", "QQQ"])
    world.run(3)
    world.farm("usfarm", True)
    world.until(world.all_live, within=5)
    world.run(30)
    assert len(world.of(fx.Connect)) == connects and set(world.requests) == requests
    assert [event.state for event in world.of(FarmChanged, start)] == ["broken", "ok"]


def test_farm_down_for_long_is_named_and_not_fought() -> None:
    world = live("SPY", "QQQ", "GLD")
    start = world.now
    world.farm("usfarm", False, ["SPY", "QQQ"])
    world.until(lambda: world.said["SPY"].reason == "farm_down", within=5)
    world.run(280)
    assert world.state("SPY") == "history" and world.said["SPY"].stale and world.sources["SPY"] == "ib_history"
    assert world.state("GLD") == "live"
    assert world.of(fx.Subscribe, start) == []
    world.run(600)  # its word may be lost: a symbol is renewed now and then, and the socket is kept
    assert len(world.of(fx.Subscribe, start)) <= 6 and world.of(fx.Connect, start) == []
    world.farm("usfarm", True)
    world.until(world.all_live, within=5)


def test_farm_back_without_ticks_is_renewed() -> None:
    world = live("SPY", "QQQ", "GLD")
    start = world.now
    world.farm("usfarm", False, ["SPY", "QQQ"])
    world.run(3)
    world.starved_until_renewed.update(("SPY", "QQQ"))
    world.farm("usfarm", True)
    world.until(world.all_live, within=8)
    assert world.of(fx.Connect, start) == []
    assert {effect.planned.symbol for effect in world.of(fx.Subscribe, start)} == {"SPY", "QQQ"}


def test_one_symbol_starves() -> None:
    world = live()
    start = world.now
    world.starved.add("QQQ")
    assert world.until(lambda: world.said["QQQ"].reason, within=FLAGGED)
    assert world.said["QQQ"].reason == "feed_dead"
    world.run(120)
    assert world.state("QQQ") == "snapshot" and world.sources["QQQ"] == "ib_snapshot"
    assert world.state("SPY") == world.state("IWM") == "live"
    assert world.of(fx.Connect, start) == []
    world.starved.clear()
    world.until(world.all_live, within=5)
    assert world.sources["QQQ"] == "ib_stream"


def test_one_symbol_of_which_nothing_is_known() -> None:
    world = live()
    world.mute.add("QQQ")
    assert world.until(lambda: world.said["QQQ"].stale, within=FLAGGED)
    world.run(300)
    assert (world.state("QQQ"), world.said["QQQ"].reason) == ("history", "no_answer")
    assert world.said["QQQ"].stale
    world.mute.clear()
    world.until(world.all_live, within=5)


def test_all_starve_until_renewed() -> None:
    world = live()
    start = world.now
    world.starved_until_renewed.update(world.symbols)
    assert world.until(lambda: all(said.reason for said in world.said.values()), within=ALL_FLAGGED)
    world.until(world.all_live, within=20)
    assert world.of(fx.Connect, start) == []


def test_all_starve_until_reconnected() -> None:
    world = live()
    start = world.now
    world.mute.update(world.symbols)
    assert world.until(lambda: all(said.stale for said in world.said.values()), within=ALL_FLAGGED)
    world.until(lambda: world.of(fx.Connect, start), within=60)
    world.mute.clear()
    world.until(world.all_live, within=10)
    assert len(world.of(fx.Connect, start)) == 1


def test_a_dead_link_is_not_reconnected_again_and_again() -> None:
    world = live()
    start = world.now
    world.mute.update(world.symbols)
    world.run(3600)
    assert 2 <= len(world.of(fx.Connect, start)) <= 12


def test_a_socket_that_is_gone_without_a_word() -> None:
    world = live()
    start = world.now
    world.gone = True
    world.until(lambda: world.of(fx.Disconnect, start), within=15)
    assert world.of(LinkChanged, start)[0].reason == "gateway_silent"


def test_a_quiet_symbol_is_verified_and_not_declared_dead() -> None:
    world = live()
    start = world.now
    world.quiet.add("IWM")
    world.until(lambda: world.state("IWM") == "quiet", within=FLAGGED)
    world.run(1800)
    assert world.state("IWM") == "quiet" and world.of(fx.Connect, start) == []
    assert [e.state for _, e in world.events if _ > start and getattr(e, "symbol", "") == "IWM"] == ["quiet"]
    assert len(world.of(fx.Snapshot, start)) < 80
    world.quiet.clear()
    world.until(world.all_live, within=1)


def test_a_busy_symbol_that_starves_is_stale_before_its_price_is_five_seconds_old() -> None:
    world = live()
    world.starved.add("SPY")
    world.until(lambda: world.state("SPY") != "live", within=4.5)


def test_a_dead_feed_is_not_excused_as_quiet() -> None:
    world = live()
    world.quiet.add("IWM")
    world.run(120)
    world.starved.add("IWM")
    world.quiet.clear()
    world.until(lambda: world.said["IWM"].reason == "feed_dead", within=61)


def test_competing_session_is_named_and_retried_gently() -> None:
    world = live(*[f"S{number}" for number in range(40)])
    start = world.now
    world.competing = True
    for req_id in list(world.requests):
        world.error(10197, req_id=req_id)
    assert {said.reason for said in world.said.values()} == {"competing_session"}
    world.run(60)
    assert len(world.of(fx.Subscribe, start)) <= 7
    world.requests.clear()  # the old subscriptions do not come back by themselves
    world.competing = False
    world.until(world.all_live, within=14)
    assert world.of(fx.Connect, start) == []


def test_competing_session_streams_that_come_back_are_left_alone() -> None:
    world = live()
    world.competing = True
    for req_id in list(world.requests):
        world.error(10197, req_id=req_id)
    world.run(3)
    before = set(world.requests)
    world.competing = False
    world.until(world.all_live, within=3)
    world.run(10)
    assert set(world.requests) == before


@pytest.mark.parametrize("code", [354, 10089, 10091])
def test_no_entitlement_becomes_delayed_and_says_so(code: int) -> None:
    world = World(("SPY", "XYZ"))
    world.refused["XYZ"] = code
    world.until(lambda: world.state("XYZ") == "delayed", within=10)
    said = world.said["XYZ"]
    assert (said.market_data_type, said.reason) == ("delayed", "no_entitlement")
    world.until(lambda: world.state("SPY") == "live", within=5)


def test_no_entitlement_is_rejected_where_delayed_is_not_allowed() -> None:
    world = World(("SPY", "XYZ"), allow_delayed=False)
    world.refused["XYZ"] = 354
    world.until(lambda: world.said["XYZ"].state == "rejected", within=10)
    said = world.said["XYZ"]
    assert (said.reason, said.code, said.stale) == ("no_entitlement", 354, True)


def test_no_delayed_data_either() -> None:
    world = World(("SPY", "XYZ"))
    world.refused["XYZ"] = 354
    world.delayed_refused.add("XYZ")
    world.until(lambda: world.said["XYZ"].state == "rejected", within=10)
    assert (world.said["XYZ"].reason, world.said["XYZ"].code) == ("no_entitlement", 10186)
    world.until(lambda: world.state("SPY") == "live", within=5)


def test_10090_breaks_nothing() -> None:
    world = live()
    world.error(10090, req_id=world.streams("SPY")[0])
    world.run(60)
    assert world.all_live()


def test_no_contract_is_rejected_and_tried_again_on_refresh() -> None:
    world = World(("SPY", "NOPE"))
    world.unknown.add("NOPE")
    world.until(lambda: world.said["NOPE"].state == "rejected", within=5)
    assert (world.said["NOPE"].code, world.said["NOPE"].reason) == (200, "no_contract")
    world.run(30)
    asked = len([effect for effect in world.of(fx.Subscribe) if effect.planned.symbol == "NOPE"])
    world.run(300)
    assert len([effect for effect in world.of(fx.Subscribe) if effect.planned.symbol == "NOPE"]) == asked
    world.unknown.clear()
    world.plan(world.symbols, refresh_token=1)
    world.until(world.all_live, within=5)


def test_a_symbol_that_was_refused_thousands_of_times_is_refused_once_more() -> None:
    """Half a year at the longest pause, or less on a link that is made well again and again."""
    world = World(("SPY", "NOPE"))
    world.unknown.add("NOPE")
    world.until(lambda: world.state("NOPE") == "rejected", within=10)
    world.core.symbols["NOPE"].refusal.count = 5000
    world.plan(world.symbols, refresh_token=1)
    world.run(1)
    assert world.core.symbols["NOPE"].refusal.count > 5000 and world.state("NOPE") == "rejected"


def test_an_ambiguous_contract_is_settled_by_its_id() -> None:
    world = World(("SPY", "TWO"))
    world.ambiguous.add("TWO")
    world.until(world.all_live, within=5)


def test_a_rejected_symbol_is_tried_again_by_itself() -> None:
    world = World(("SPY", "NOPE"))
    world.unknown.add("NOPE")
    world.run(600)
    world.unknown.clear()
    world.until(world.all_live, within=3600)


def test_bust_event_renews_the_subscription() -> None:
    world = live()
    old = world.streams("SPY")
    world.error(10225, req_id=old[0])
    world.run(3)
    assert world.streams("SPY") != old and world.all_live()


def test_halt() -> None:
    world = live()
    world.halted.add("IWM")
    world.tell(fx.HaltSeen(world.streams("IWM")[0], 1))
    assert (world.state("IWM"), world.said["IWM"].reason) == ("halted", "halted")
    world.run(300)
    assert world.state("IWM") == "halted"
    world.halted.clear()
    world.tell(fx.HaltSeen(world.streams("IWM")[0], 0))
    world.until(world.all_live, within=2)


@pytest.mark.hours
def test_market_closes_and_opens_without_a_false_alarm() -> None:
    world = live()
    day, close = 24 * HOUR, 6.5 * HOUR

    def passed() -> float:
        return (world.now - START) / SECOND

    world.market_open = lambda symbol: passed() % day < close
    world.rest(close - 60 - passed())
    world.run(120)
    assert {said.state for said in world.said.values()} == {"closed"}
    quiet = len(world.events)
    world.rest(day - 300 - passed())
    assert len(world.events) == quiet, world.events[quiet:]
    world.run(330)
    assert world.all_live()
    assert {e.state for e in world.of(type(world.said["SPY"]), START + 60 * SECOND)} <= {
        "live",
        "closed",
        "pending",
    } | {"stale"}


@pytest.mark.hours
def test_half_day_and_holiday() -> None:
    world = World(("SPY", "XMAS"))
    world.hours["SPY"] = "20260921:0930-20260921:1300;20260922:CLOSED"
    world.hours["XMAS"] = "20260921:CLOSED;20260922:0930-20260922:1600"
    closing = START + 7 * HOUR // 2 * SECOND
    world.market_open = lambda symbol: symbol == "SPY" and world.now < closing
    world.until(lambda: world.state("SPY") == "live", within=5)
    world.rest(3.5 * HOUR - 60)
    world.run(80)
    assert world.state("SPY") == "closed"
    assert world.state("XMAS") == "closed"
    assert world.of(fx.Disconnect) == []


def test_a_feed_that_is_dead_at_the_opening_is_noticed() -> None:
    world = World(("SPY", "QQQ"))
    world.hours = dict.fromkeys(("SPY", "QQQ"), "20260921:0945-20260921:1600")
    opening = START + 900 * SECOND
    world.market_open = lambda symbol: world.now >= opening
    world.run(890)
    assert {said.state for said in world.said.values()} == {"closed"}
    world.mute.add("QQQ")
    world.run(10 + FLAGGED)
    assert world.state("SPY") == "live" and world.said["QQQ"].stale and world.said["QQQ"].reason


def test_port_change() -> None:
    world = live()
    world.endpoints_up = {7497: False, 4002: True}
    start = world.now
    world.error(1300, "TWS socket port has been reset and this connection is being dropped. New port - 4002")
    world.until(world.all_live, within=5)
    assert [effect.port for effect in world.of(fx.Connect, start)] == [4002]


@pytest.mark.hours
def test_reset_window_is_expected() -> None:
    world = live()
    world.rest(14.25 * HOUR)  # Monday 23:45 in New York
    night = world.now
    world.kill()
    world.run(3600)  # until 00:45: inside the window
    down = [event for event in world.of(LinkChanged, night) if event.phase != "ready"]
    assert not down[0].expected and down[-1].expected
    world.run(3600)  # until 01:45, and beyond
    assert not [event for event in world.of(LinkChanged, night) if event.phase != "ready"][-1].expected


def test_backup_takes_over_and_hands_back() -> None:
    world = live(ib_backup="127.0.0.1:4002")
    world.endpoints_up = {7497: False, 4002: True}
    world.close("reset")
    world.until(world.all_live, within=10)
    assert world.link is not None and world.link.port == 4002
    world.run(120)
    world.endpoints_up[7497] = True
    world.until(lambda: world.link is not None and world.link.port == 7497, within=60)
    world.until(world.all_live, within=5)


def test_a_primary_that_only_pretends_to_be_back() -> None:
    world = live(ib_backup="127.0.0.1:4002")
    world.endpoints_up = {7497: False, 4002: True}
    world.close("reset")
    world.until(world.all_live, within=10)
    start = world.now
    for _ in range(60):  # it answers a probe and then refuses the connection
        world.endpoints_up[7497] = True
        world.until(lambda: not [a for a, e in world.later if isinstance(e, fx.EndpointSeen)], within=1)
        world.endpoints_up[7497] = world.link is None or world.link.port != 7497
        world.run(60)
    assert len([link for link in world.of(LinkChanged, start) if link.phase == "connecting"]) < 60


def test_gaps_are_filled_with_bars() -> None:
    world = live()
    world.kill()
    world.run(300)
    world.up = True
    world.until(world.all_live, within=40)
    world.run(120)
    filled = world.of(GapFilled)
    assert {gap.symbol for gap in filled} == set(world.symbols)
    assert all(gap.bars >= 5 for gap in filled)
    assert len(world.of(GapOpened)) == len(world.of(GapClosed)) == len(filled)


def test_a_restarted_gateway_knows_its_gap_and_its_contracts() -> None:
    world = live()
    gone = world.now
    world.restart_core()
    world.run(30)
    assert world.all_live()
    gaps = world.of(GapClosed, since=gone)
    assert {gap.reason for gap in gaps} == {"gateway_restarted"} and len(gaps) == 3
    assert world.of(fx.ContractDetails, since=gone) == []
