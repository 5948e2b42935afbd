"""What is seen of a program from the gateway's side, and the card that is made of it; the official client plays it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ibapi.order import Order

from messages.errors import IbStreamError
from services.base.clock import SECOND
from services.simulator import rehearsal
from services.simulator.rehearsal.card import Outcome, card, junit
from services.simulator.rehearsal.trials import TRIALS, choose, steps
from services.simulator.rehearsal.watch import Stream, Watch
from services.simulator.trouble import scenario
from services.simulator.trouble.scenario import Director
from tests.unit.simulator.conversation import Conversation, contract

VERSIONS = (140, 176, 203, 226)


def watched(version: int = 226) -> tuple[Conversation, Watch]:
    talk = Conversation(version)
    return talk, Watch(talk.core)


def look(talk: Conversation, watch: Watch) -> None:
    watch.look(talk.clock.now())


def seen(watch: Watch) -> list[str]:
    return [fault.seen for fault in watch.faults()]


def stream(talk: Conversation, request: int, symbol: str = "SPY") -> None:
    talk.client.reqMktData(request, contract(symbol), "", False, False, [])


def order() -> Order:
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.orderRef = "BUY", 1, "MKT", "mine"
    if hasattr(made, "eTradeOnly"):
        made.eTradeOnly = made.firmQuoteOnly = False
    return made


def test_trials_add_up_and_their_steps_are_those_of_scenarios() -> None:
    assert sum(trial.weight for trial in TRIALS) == 100
    assert all(trial.rule and trial.source and trial.within > 0 for trial in TRIALS)
    for trial in TRIALS:
        for entry in [*steps(trial, {"usfarm", "usfarm.nj"}), *trial.before]:
            Director(Conversation().core).check(scenario.parse_step(entry))
    (down,) = choose(["farm_down"])
    assert [one["farm"] for one in steps(down, {"usfarm.nj", "usfarm"})] == ["usfarm", "usfarm.nj"]


def test_the_table_of_the_documentation_is_that_of_the_trials() -> None:
    readme = (Path(rehearsal.__file__).parents[1] / "README.md").read_text("utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| `") and line.count("|") == 5]
    for trial in TRIALS:
        found = [row for row in rows if row.startswith(f"| `{trial.name}` | {trial.weight} | ")]
        assert len(found) == 1 and found[0].endswith(f" | {trial.within:g} |"), trial.name


def test_a_scenario_that_there_is_not() -> None:
    with pytest.raises(IbStreamError, match="there is no scenario 'storm'; there are calm, restart") as caught:
        choose(["calm", "storm"])
    assert caught.value.code == "invalid_request"


def test_a_program_is_blind_until_every_line_flows_again() -> None:
    talk, watch = watched()
    stream(talk, 1, "SPY")
    stream(talk, 2, "AAPL")
    talk.turn()
    look(talk, watch)
    watch.want()
    assert watch.wanted == {Stream("market data", "SPY"): 1, Stream("market data", "AAPL"): 1}
    assert watch.farms() == {"usfarm", "usfarm.nj"}
    assert watch.whole_since
    Director(talk.core).do(scenario.parse_step({"do": "ib_down", "data": "lost", "for": 1}))
    look(talk, watch)
    assert not watch.whole_since
    talk.turn(2)
    stream(talk, 3, "SPY")
    look(talk, watch)
    assert not watch.whole_since
    assert [one.symbol for one in watch.missing()] == ["AAPL"]
    stream(talk, 4, "AAPL")
    look(talk, watch)
    assert watch.whole_since == talk.clock.now()
    assert watch.missing() == [] and watch.faults() == []


def test_a_line_that_is_open_and_dead_is_no_price() -> None:
    talk, watch = watched()
    stream(talk, 1)
    watch.want()
    Director(talk.core).do(scenario.parse_step({"do": "kill_line", "symbol": "SPY"}))
    look(talk, watch)
    assert not watch.whole_since and watch.missing() == [Stream("market data", "SPY")]
    stream(talk, 2)
    look(talk, watch)
    assert watch.whole_since
    assert seen(watch) == ["2 lines of SPY (market data) are open where there were 1"]


def test_the_same_contract_twice_on_one_connection() -> None:
    talk, watch = watched()
    stream(talk, 1)
    stream(talk, 2)
    watch.want()
    assert seen(watch) == ["SPY is asked for 2 times on one connection"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_again_after_a_new_connection(version: int) -> None:
    first, watch = watched(version)
    for number, one in enumerate((order(), order())):
        one.orderRef = f"grid {number}"
        first.client.placeOrder(1 + number, contract("SPY"), one)
    first.client.placeOrder(3, contract("SPY"), order())
    first.client.placeOrder(3, contract("SPY"), order())
    assert seen(watch) == []
    again = Conversation(version, core=first.core, client_id=2)
    other = order()
    other.totalQuantity = 2
    again.client.placeOrder(8, contract("SPY"), other)
    assert seen(watch) == []
    again.client.placeOrder(3, contract("SPY"), order())  # the same id: a change of the same order
    assert seen(watch) == []
    again.client.placeOrder(9, contract("SPY"), order())
    assert seen(watch) == ["an order was placed again, under another id, after a new connection"]


def test_pacing_ids_and_loops() -> None:
    talk, watch = watched()
    for request in range(1, 13):
        stream(talk, request)
        talk.client.cancelMktData(request)
    assert seen(watch) == ["SPY was asked for more than 10 times in a minute"]
    assert watch.peak == 24
    talk, watch = watched()
    for _ in range(2):
        talk.client.reqHistoricalData(1, contract("SPY"), "", "1800 S", "5 secs", "TRADES", 1, 2, False, [])
    stream(talk, 2)
    stream(talk, 2, "AAPL")
    for _ in range(60):
        talk.client.reqCurrentTime()
    look(talk, watch)
    assert sorted(seen(watch)) == [
        "an id was used for two requests",
        "an identical request within 15 seconds",
        "more than 50 messages in a second",
    ]


def test_a_storm_of_connections() -> None:
    talk, watch = watched()
    for number in range(25):
        Conversation(core=talk.core, client_id=number + 2, clock=talk.clock)
    look(talk, watch)
    assert seen(watch) == ["26 connections in ten seconds"]
    talk.turn(11)
    assert talk.clock.now() > 11 * SECOND


def outcome(name: str, points: int, of: int) -> Outcome:
    return Outcome(
        name=name,
        title="t",
        verdict="pass" if points else "fail",
        why=f"why of {name} <&>",
        rule="r",
        source="s",
        points=points,
        of=of,
        blind_seconds=None,
        seconds=1.5,
        lines=1,
        connections=1,
        peak_messages_per_second=3,
        remarks=["one"],
    )


def test_the_card_as_junit() -> None:
    made = card("a program", [outcome("calm", 8, 8), outcome("restart", 0, 12)])
    assert (made.points, made.of, made.full) == (8, 20, False)
    (suite,) = ET.fromstring(junit(made))
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("2", "1", "3.000")
    calm, restart = suite
    assert calm.find("failure") is None
    failure = restart.find("failure")
    assert failure is not None and failure.get("message") == "why of restart <&>" and failure.text == "r (s)"
