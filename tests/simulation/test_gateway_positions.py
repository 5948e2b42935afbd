"""What the accounts hold, played against the gateway's core: who holds it, what is known when, and what stays."""

import msgspec
import pytest

from messages.codec import encode
from messages.events import ContractQualified, EventBlock, HeldContract, PlannedSymbol, PositionsChanged
from services.gateway.core.positions import MOST_HELD
from tests.simulation.ib_world import SECOND, World, fx

AAPL = HeldContract(265598, "AAPL", "STK", "USD", "NASDAQ")
NVDA = HeldContract(4815747, "NVDA", "STK", "USD", "NASDAQ")
ES = HeldContract(42, "ES", "FUT", "USD", "", local_symbol="ESZ6", last_trade_date="20261218")


def world(*held: HeldContract, positions: str = "plan", **settings: object) -> World:
    made = World(["SPY"], positions=positions, **settings)
    made.positions = {("DU1", one): 100.0 for one in held}
    made.until(made.all_live, within=10)
    if positions != "off":
        made.until(lambda: told(made).reason is None, within=5)
    return made


def told(made: World) -> PositionsChanged:
    events = made.of(PositionsChanged)
    return events[-1] if events else PositionsChanged(held=[], as_of=0, reason="nothing told")


def held(made: World) -> list[int]:
    return [one.con_id for one in told(made).held]


def test_nothing_is_asked_unless_it_is_switched_on() -> None:
    made = world(AAPL, positions="off")
    made.run(10)
    assert made.of(PositionsChanged) == made.of(fx.AskPositions) == made.of(fx.CancelPositions) == []


def test_what_is_held_is_told_and_each_change() -> None:
    made = world(AAPL)
    assert held(made) == [265598]
    made.hold("DU1", NVDA, -3)
    made.until(lambda: held(made) == [265598, 4815747], within=2)
    made.hold("DU1", AAPL, 0)
    made.until(lambda: held(made) == [4815747], within=2)
    count = len(made.of(PositionsChanged))
    made.hold("DU1", NVDA, -7)
    made.run(10)
    assert len(made.of(PositionsChanged)) == count  # how many is nobody's affair


def test_it_is_held_as_long_as_one_account_holds_some() -> None:
    made = world(AAPL)
    made.hold("DU2", AAPL, -100)  # together they are zero, and both want the price
    made.hold("DU1", AAPL, 0)
    made.run(3)
    assert held(made) == [265598]
    made.hold("DU2", AAPL, 0)
    made.until(lambda: held(made) == [], within=2)
    assert b"DU" not in encode(EventBlock(1, 1, 0, made.of(PositionsChanged)))


def test_no_connection_leaves_what_was_known_and_says_until_when() -> None:
    made = world(AAPL)
    before = made.now
    made.run(10)
    made.kill()
    made.until(lambda: told(made).reason == "link_down", within=3)
    assert held(made) == [265598] and before < told(made).as_of <= made.now
    as_of = told(made).as_of
    made.run(60)
    assert told(made).as_of == as_of
    made.positions = {("DU1", NVDA): 1.0}
    made.up = True
    made.until(lambda: told(made).reason is None, within=60)
    assert held(made) == [4815747]


@pytest.mark.parametrize("back", [1101, 1102])
def test_it_is_asked_anew_when_ib_is_back(back: int) -> None:
    made = world(AAPL)
    made.ib_link = False
    made.error(1100)
    made.until(lambda: told(made).reason == "link_down", within=2)
    made.positions = {("DU1", NVDA): 1.0}
    made.run(20)
    made.ib_link = True
    made.error(back)
    made.until(lambda: told(made).reason is None and held(made) == [4815747], within=5)
    assert len(made.of(fx.CancelPositions)) == 1  # before asking again on one connection


@pytest.mark.parametrize(
    ("answer", "reason", "again"),
    [
        (fx.IbErrorSeen(-1, 321, "Error validating request: read-only"), "refused", 900),
        (fx.IbErrorSeen(-1, 10999, "The account may not do that"), "refused", 900),
        (None, "no_answer", 60),
    ],
)
def test_a_refusal_or_silence_keeps_what_was_known_and_asks_later(
    answer: fx.Event | None, reason: str, again: int
) -> None:
    made = world(AAPL)
    made.positions_answer, made.positions_silent = answer, answer is None
    made.close()
    made.until(lambda: told(made).reason == reason, within=60)
    assert held(made) == [265598] and told(made).as_of < made.now
    assert (told(made).message is None) == (answer is None)
    asked = len(made.of(fx.AskPositions))
    made.positions_answer, made.positions_silent = None, False
    made.until(lambda: told(made).reason is None, within=again + 5)
    assert len(made.of(fx.AskPositions)) == asked + 1
    assert made.all_live()  # prices have nothing to do with it


def test_other_errors_are_not_taken_for_its_refusal() -> None:
    made = world(AAPL)
    made.positions_silent = True
    made.close()
    made.until(lambda: len(made.of(fx.AskPositions)) == 2, within=30)
    made.error(2119, "Market data farm is connecting:usfarm")
    made.error(2199, "something new")
    made.error(321, "Error validating request", req_id=12345)
    made.run(5)
    assert told(made).reason == "link_down"


def test_what_cannot_be_read_ends_nothing() -> None:
    made = world(AAPL, NVDA)
    made.positions = {("DU1", NVDA): 1.0, ("DU1", ES): 1.0}
    made.close()
    made.until(lambda: len(made.of(fx.AskPositions)) == 2, within=30)
    made.tell(fx.PositionUnreadable())
    made.until(lambda: told(made).reason == "unreadable", within=3)
    assert held(made) == [42, 265598, 4815747]  # AAPL may be the one that could not be read
    made.until(lambda: told(made).reason is None, within=90)
    assert held(made) == [42, 4815747]


def test_while_an_answer_is_not_whole_one_account_does_not_speak_for_all() -> None:
    made = world(AAPL)
    made.hold("DU2", AAPL, 5)
    made.run(2)
    del made.positions["DU2", AAPL]
    made.close()
    made.until(lambda: len(made.of(fx.AskPositions)) == 2, within=30)
    made.tell(fx.PositionUnreadable())  # DU2's
    made.until(lambda: told(made).reason == "unreadable", within=3)
    made.tell(fx.PositionSeen("DU1", AAPL, False))
    made.run(3)
    assert held(made) == [265598]


def test_one_unreadable_change_has_all_asked_again() -> None:
    made = world(AAPL)
    made.tell(fx.PositionUnreadable())
    made.until(lambda: told(made).reason == "unreadable", within=2)
    made.until(lambda: told(made).reason is None, within=90)
    assert held(made) == [265598]


def test_a_lost_change_is_found_within_the_hour() -> None:
    made = world(AAPL)
    made.positions = {("DU1", NVDA): 1.0}
    made.until(lambda: held(made) == [4815747], within=3700)


def test_the_exchange_of_a_future_is_asked_for_once() -> None:
    made = World(["SPY"], positions="plan")
    made.listings[""] = [ContractQualified("", 42, "FUT", "CME", "USD")]
    made.positions = {("DU1", ES): 1.0}
    made.until(lambda: told(made).held and told(made).held[0].exchange == "CME", within=15)
    asked = [each for each in made.of(fx.ContractDetails) if each.planned.con_id == 42]
    assert len(asked) == 1 and asked[0].planned.exchange == ""
    made.restart_core()
    made.until(lambda: told(made).reason is None, within=15)
    assert told(made).held[0].exchange == "CME"
    assert len([each for each in made.of(fx.ContractDetails) if each.planned.con_id == 42]) == 1


def test_a_new_process_knows_what_the_old_one_knew_and_that_it_may_be_old() -> None:
    made = world(AAPL)
    as_of = told(made).as_of
    made.up = False
    made.restart_core()
    made.run(1)
    assert (held(made), told(made).reason, told(made).as_of) == ([265598], "link_down", as_of)


def test_switched_off_it_is_forgotten() -> None:
    made = world(AAPL)
    made.settings = msgspec.structs.replace(made.settings, positions="off")
    made.restart_core()
    made.until(made.all_live, within=20)
    assert (held(made), told(made).reason) == ([], "off")
    count = len(made.of(PositionsChanged))
    made.restart_core()
    made.until(made.all_live, within=20)
    assert len(made.of(PositionsChanged)) == count


def test_a_symbol_that_becomes_held_streams_on() -> None:
    made = world(AAPL)
    before = made.streams("SPY")
    made.contracts["SPY"] = PlannedSymbol("SPY", "held; test", 0, held=True)
    made.plan(["SPY"])
    made.run(5)
    assert made.streams("SPY") == before and made.all_live()


def test_a_thousand_positions_and_more_are_told_in_few_words() -> None:
    made = World(["SPY"], positions="plan")
    many = MOST_HELD + 7
    made.positions = {("DU1", msgspec.structs.replace(AAPL, con_id=n, symbol=f"S{n}")): 1.0 for n in range(1, many + 1)}
    made.until(lambda: told(made).held, within=15)
    assert (len(held(made)), told(made).reason) == (MOST_HELD, "too_many")
    before = len(made.of(PositionsChanged))
    start = made.now
    for account, contract in list(made.positions)[:100]:
        made.hold(account, contract, 0)
        made.step()
    assert len(made.of(PositionsChanged)) - before <= (made.now - start) // SECOND + 1
    made.run(3)
    assert len(held(made)) == many - 100 and told(made).reason is None


@pytest.mark.parametrize(("positions", "asks"), [("plan", True), ("mark", False)])
def test_a_plan_without_a_symbol_is_connected_where_what_is_held_makes_one(positions: str, asks: bool) -> None:
    made = World([], positions=positions)
    made.positions = {("DU1", AAPL): 1.0}
    made.plan([])
    made.run(20)
    assert held(made) == ([265598] if asks else [])
    made.plan([], started=False)
    made.run(5)
    assert made.link is None or made.link.phase == "idle"
