"""`_status.json` never says `connected` without a supervisor behind it."""

import pytest

from messages.views import ServiceStatus, Status
from services.base.liveness import Liveness
from services.quotes.status_fallback import StatusKeeper
from tests.blocks import NOW


def status(word="connected", reason=None, **more) -> Status:
    services = {"supervisor": ServiceStatus(state="up", pid=1), "sink": ServiceStatus(state="up", pid=2)}
    return Status(status=word, reason=reason, api_mode="mock", project_id=7, services=services, **more)


class Keeper(StatusKeeper):
    """One with a clock: time passes by tenths of a second, and what beats is heard in each."""

    def __init__(self, last: Status) -> None:
        self.alive = Liveness(2.0, 100.0, ["supervisor"], 2.0)
        self.at = 100.0
        super().__init__(last, self.alive)

    def passing(self, seconds: float, *beating: str) -> Status | None:
        """What is new to show at the end."""
        shown = None
        for _ in range(round(seconds * 10)):
            self.at += 0.1
            for name in beating:
                self.alive.hear(name, self.at)
            self.alive.check(self.at)
            shown = self.check(NOW) or shown
        return shown


def test_what_the_supervisor_says_is_written_as_it_is():
    assert Keeper(status("disconnected")).on_status(status("connected")) == status("connected")


def test_silence_of_the_supervisor_is_said_once_and_taken_back_by_its_return():
    it = Keeper(status())
    it.on_status(status())
    it.passing(1.5, "supervisor", "gateway")
    assert it.passing(1.9, "gateway") is None
    silent = it.passing(0.2, "gateway")
    assert (silent.status, silent.reason) == ("degraded", "service_down")
    assert silent.services["supervisor"].state == "down"
    assert silent.services["sink"].state == "up"
    assert silent.project_id == 7
    assert silent.degraded_since == "2026-01-05T14:30:00.000000Z"
    assert it.passing(0.5, "gateway") is None
    it.alive.hear("supervisor", it.at)
    assert it.on_status(status()).status == "connected"
    assert it.passing(1.0, "gateway") is None


def test_without_the_gateway_too_nothing_is_left():
    it = Keeper(status())
    it.passing(1.0, "gateway.b", "gateway.a")
    assert it.passing(1.5).status == "degraded", "one gateway or the other is heard"
    assert it.passing(1.0).status == "disconnected"
    assert it.passing(0.5) is None


def test_a_machine_that_slept_does_not_flash_that_the_supervisor_is_down():
    it = Keeper(status())
    it.passing(1.0, "supervisor", "gateway")
    it.at += 3600.0
    assert it.passing(1.8) is None
    assert it.passing(0.4).reason == "service_down", "now it has been silent while somebody listened"


@pytest.mark.parametrize(
    ("word", "reason", "expected"),
    [
        ("stopped", None, "stopped"),
        ("stopped", "shutdown", "disconnected"),
        ("starting", None, "disconnected"),
        ("disconnected", "gateway_unreachable", "disconnected"),
        ("degraded", "farm_down", "degraded"),
    ],
)
def test_what_is_said_in_silence_follows_from_what_was_known(word, reason, expected):
    assert Keeper(status(word, reason)).passing(3.0, "gateway").status == expected


def test_a_clean_stop_keeps_the_other_fields():
    it = Keeper(status())
    it.on_status(status(subscribed_symbols=["SPY"]))
    last = it.at_stop()
    assert (last.status, last.reason) == ("stopped", "shutdown")
    assert last.subscribed_symbols == ["SPY"]
    assert last.services["sink"].state == "down"
