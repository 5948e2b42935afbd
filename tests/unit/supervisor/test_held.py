"""What is held, as the supervisor sees it: marked in the status, as of when it is known, and an alert of its own."""

import msgspec
import pytest

from messages.events import HeldContract, LinkChanged, PositionsChanged, StreamStopped, SymbolChanged
from services.supervisor.alerts import MOST_NAMED, SETTLE_SECONDS, Alert, HeldAlerts
from tests.unit.supervisor.world import START, World, live, state

AAPL = HeldContract(265598, "AAPL", "STK", "USD", "NASDAQ")


def holding(*held: str) -> World:
    """SPY and AAPL stream; of these some are held."""
    world = World().started("SPY", "AAPL")
    plan = world.facts.plan
    assert plan is not None
    symbols = [msgspec.structs.replace(one, held=one.symbol in held) for one in plan.symbols]
    world.seq["plan"] += 1
    world.facts.apply_plan(msgspec.structs.replace(plan, symbols=symbols, first_seq=world.seq["plan"]))
    return world.passing(0.1)


def bad(world: World) -> dict[str, str]:
    return world.core.held_without_price(world.now)


def test_the_status_marks_what_is_held_and_nothing_else() -> None:
    symbols = holding("AAPL").status.symbols
    assert symbols["AAPL"].held is True
    assert symbols["SPY"].held is msgspec.UNSET


@pytest.mark.parametrize("reason", ["link_down", "refused", "no_answer", "unreadable", "too_many"])
def test_the_status_says_as_of_when_positions_are_known(reason: str) -> None:
    world = holding("AAPL")
    known = PositionsChanged(held=[AAPL], as_of=START)
    world.link(known)
    assert world.status.warnings == []
    world.link(msgspec.structs.replace(known, reason=reason, message="321: read-only"))
    (warning,) = world.status.warnings
    assert warning.startswith("positions are as of 2023-11-14T22:13:20") and warning.endswith("(321: read-only)")
    world.gateway_epoch += 1  # another process knows no better before it has asked
    world.link(LinkChanged(phase="connecting", reason="connecting"))
    assert warning in world.status.warnings
    world.link(known)
    assert warning not in world.status.warnings


def test_positions_that_were_never_known_and_those_nobody_wants() -> None:
    world = holding()
    world.link(PositionsChanged(held=[], as_of=0, reason="refused", message="10999: no"))
    assert world.status.warnings == [
        "positions are not known: IB refuses to tell what the accounts hold (10999: no)",
    ]
    world.link(PositionsChanged(held=[], as_of=0, reason="off"))
    assert world.status.warnings == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (state("AAPL", "stale", "farm_down"), "farm_down"),
        (state("AAPL", "rejected", "no_contract"), "no_contract"),
        (state("AAPL", "over_limit", "line_limit"), "line_limit"),
        (state("AAPL", "history", "no_ticks"), "no_ticks"),
        (state("AAPL", "snapshot", "competing_session", stale=False), None),
        (state("AAPL", "halted", "halted", stale=False), None),
        (state("AAPL", "closed", "no_price"), None),
        (live("AAPL"), None),
    ],
)
def test_without_a_price_is_what_nobody_may_use_in_an_open_market(said: SymbolChanged, why: str | None) -> None:
    world = holding("AAPL")
    world.link(said, state("SPY", "stale", "farm_down"))
    assert bad(world) == ({} if why is None else {"AAPL": why})


def test_a_first_price_has_a_moment_to_come() -> None:
    world = holding("AAPL")
    world.link(state("AAPL", "pending", "awaiting_tick"))
    assert bad(world) == {}
    world.passing(3 * world.settings.stale_after + 1)
    assert bad(world) == {"AAPL": "awaiting_tick"}


def test_a_gateway_that_is_gone_and_a_stream_that_is_stopped() -> None:
    world = holding("AAPL")
    world.running.discard("gateway")
    world.passing(3)
    assert bad(world) == {"AAPL": "service_down"}
    world.control(StreamStopped())
    assert bad(world) == {}


def test_a_price_that_is_called_live_and_does_not_come() -> None:
    world = holding("AAPL", "SPY")
    world.told.pop("AAPL")
    for _ in range(60):
        world.prices("SPY")
        world.passing(1)
    assert bad(world) == {"AAPL": "no_ticks"}


# --- alerts ---


class Story:
    """The policy, asked once a second."""

    def __init__(self, pause: float = 60.0) -> None:
        self.policy = HeldAlerts(pause)
        self.now = 0.0
        self.told: list[Alert] = []

    def goes(self, seconds: float, *bad: str, expected: bool = False) -> "Story":
        for _ in range(int(seconds)):
            self.now += 1.0
            alert = self.policy.decide(dict.fromkeys(bad, "a farm is down"), expected, self.now)
            if alert is not None:
                self.told.append(alert)
        return self

    @property
    def kinds(self) -> list[str]:
        return [alert.kind for alert in self.told]


def test_one_that_lasts_is_told_once_and_so_is_its_end() -> None:
    story = Story().goes(5).goes(200, "AAPL").goes(200)
    assert story.kinds == ["held", "held_again"]
    assert story.told[0].title == "ibstream: AAPL is held and has no current price"
    assert story.told[0].text == "AAPL: a farm is down" and "AAPL" in story.told[1].text


def test_a_short_one_is_told_to_nobody() -> None:
    story = Story()
    for _ in range(50):
        story.goes(SETTLE_SECONDS - 1, "AAPL").goes(3)
    assert story.told == []


def test_what_comes_within_the_pause_is_told_after_it() -> None:
    story = Story(pause=60).goes(10, "AAPL").goes(30, "AAPL", "NVDA")
    assert len(story.told) == 1
    story.goes(40, "AAPL", "NVDA")
    assert len(story.told) == 2 and story.told[1].title.startswith("ibstream: NVDA is held")


def test_ibs_own_reset_is_told_to_nobody_unless_it_outlasts_its_window() -> None:
    story = Story().goes(600, "AAPL", expected=True)
    assert story.told == []
    assert story.goes(2, "AAPL").kinds == ["held"]


def test_hundreds_are_one_alert_of_few_lines() -> None:
    story = Story().goes(30, *(f"S{n}" for n in range(500)))
    (alert,) = story.told
    assert alert.title == "ibstream: 500 symbols are held and have no current price"
    assert len(alert.text.splitlines()) == MOST_NAMED + 1
