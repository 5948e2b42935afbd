"""Alerts: who is told what, how often, and what happens when telling fails."""

import threading

import pytest

from messages.errors import IbStreamError
from messages.events import LinkChanged
from services.supervisor.alerts import QUEUE, SETTLE_SECONDS, Alert, AlertPolicy, Installation, Messenger
from tests.support import eventually
from tests.unit.supervisor.world import World, state


class Story:
    """A policy asked once a second."""

    def __init__(self, min_interval: float = 300.0) -> None:
        self.policy = AlertPolicy(min_interval)
        self.now = 0.0
        self.told: list[str] = []

    def goes(self, word: str, seconds: float, expected: bool = False) -> "Story":
        for _ in range(int(seconds)):
            self.now += 1.0
            alert = self.policy.decide(word, "why", expected, self.now)
            if alert is not None:
                self.told.append(alert.kind)
        return self


def test_a_trouble_and_its_end_are_told_once() -> None:
    story = Story().goes("connected", 5).goes("degraded", 100).goes("connected", 100)
    assert story.told == ["degraded", "recovered"]


def test_a_short_trouble_is_told_to_nobody() -> None:
    story = Story()
    for _ in range(50):
        story.goes("degraded", SETTLE_SECONDS - 1).goes("connected", 3)
    assert story.told == []


def test_getting_worse_is_news() -> None:
    assert Story().goes("degraded", 20).goes("disconnected", 20).told == ["degraded", "disconnected"]


def test_flapping_is_told_at_most_once_in_the_interval() -> None:
    story = Story(min_interval=300)
    for _ in range(20):
        story.goes("disconnected", 15).goes("connected", 15)
    assert story.now == 600
    assert story.told.count("disconnected") == 2
    assert story.told.count("recovered") <= 3


def test_a_recovery_is_told_even_when_it_has_to_wait() -> None:
    story = Story(min_interval=50).goes("degraded", 10).goes("connected", 1).goes("disconnected", 10)
    assert story.goes("connected", 100).told == ["degraded", "recovered", "disconnected", "recovered"]


def test_an_expected_outage_is_silent_unless_it_lasts() -> None:
    story = Story().goes("disconnected", 600, expected=True).goes("connected", 10)
    assert story.told == []
    assert story.goes("disconnected", 600, expected=True).goes("disconnected", 1).told == ["disconnected"]


def test_a_start_in_between_is_neither_trouble_nor_recovery() -> None:
    assert Story().goes("disconnected", 10).goes("starting", 50).told == ["disconnected"]


def test_a_stop_by_hand_ends_it_silently() -> None:
    assert Story().goes("degraded", 10).goes("stopped", 10).goes("connected", 10).told == ["degraded"]


def test_an_alert_says_which_installation_it_is_of_how_many_symbols_are_touched_and_where_to_look() -> None:
    place = Installation("feed.example", "/srv/ibstream", "http://127.0.0.1:8080")
    alert = place.signed(Alert("degraded", "ibstream is degraded", "a farm is down"), "1 of 2 symbols touched (SPY)")
    assert (alert.kind, alert.title) == ("degraded", "ibstream is degraded")
    assert alert.text.splitlines() == [
        "a farm is down",
        "1 of 2 symbols touched (SPY)",
        "host feed.example, data root /srv/ibstream",
        "http://127.0.0.1:8080",
    ]


def test_the_touched_symbols_are_those_without_a_good_price_of_their_own_stream() -> None:
    world = World().started("SPY", "QQQ", "AAPL")
    assert world.core.touched(world.now) == "0 of 3 symbols touched"
    world.link(state("QQQ", "stale", "no_ticks", stale=True))
    assert world.passing(0.1).core.touched(world.now) == "1 of 3 symbols touched (QQQ)"
    world.running.discard("gateway")
    assert world.passing(10).core.touched(world.now) == "3 of 3 symbols touched (SPY, QQQ, AAPL)"


def test_no_link_touches_every_symbol_whatever_was_said_of_it_before() -> None:
    world = World().started("SPY", "QQQ")
    world.link(LinkChanged(phase="backoff", reason="gateway_unreachable"))
    assert world.passing(0.1).core.touched(world.now) == "2 of 2 symbols touched (SPY, QQQ)"


def test_without_a_plan_no_symbol_is_touched() -> None:
    assert World().core.touched(World().now) == "no symbol is planned"


ALERT = Alert("degraded", "title", "text")


def test_messages_arrive_in_order_and_failures_are_counted() -> None:
    seen: list[Alert] = []

    def notify(alert: Alert) -> bool:
        seen.append(alert)
        if alert.kind == "recovered":
            raise OSError("no network")
        return alert.kind == "degraded"

    messenger = Messenger("", notify)
    for kind in ("degraded", "disconnected", "recovered"):
        messenger.send(ALERT._replace(kind=kind))
    eventually(lambda: messenger.sent + messenger.failed == 3)
    messenger.close()
    assert [alert.kind for alert in seen] == ["degraded", "disconnected", "recovered"]
    assert (messenger.sent, messenger.failed) == (1, 2)


def test_a_slow_service_never_blocks_the_caller() -> None:
    gate = threading.Event()
    messenger = Messenger("", lambda _alert: gate.wait(30))
    for _ in range(QUEUE + 10):
        messenger.send(ALERT)
    messenger.close(wait=0.01)
    gate.set()
    eventually(lambda: messenger.sent >= QUEUE)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # apprise imports it
def test_urls_that_apprise_does_not_know_are_named_by_number_and_never_shown() -> None:
    with pytest.raises(IbStreamError) as caught:
        Messenger("json://localhost/ nonsense://user:secret@host")
    assert caught.value.code == "invalid_setting"
    assert "number 2" in caught.value.message
    assert "secret" not in caught.value.message
