"""`_status.json` never says `connected` without a supervisor behind it."""

import pytest

from messages.views import ServiceStatus, Status
from services.quotes.status_fallback import StatusKeeper
from tests.blocks import NOW


def status(word="connected", reason=None, **more) -> Status:
    services = {"supervisor": ServiceStatus(state="up", pid=1), "sink": ServiceStatus(state="up", pid=2)}
    return Status(status=word, reason=reason, api_mode="mock", project_id=7, services=services, **more)


def keeper(last: Status) -> StatusKeeper:
    return StatusKeeper(last, 2.0, 100.0)


def test_what_the_supervisor_says_is_written_as_it_is():
    assert keeper(status("disconnected")).on_status(status("connected"), 101.0) == status("connected")


def test_silence_of_the_supervisor_is_said_once_and_taken_back_by_its_return():
    it = keeper(status())
    it.on_status(status(), 101.0)
    it.on_heartbeat("supervisor", 101.5)
    it.on_heartbeat("gateway", 103.0)
    assert it.check(103.4, NOW) is None
    silent = it.check(103.6, NOW)
    assert (silent.status, silent.reason) == ("degraded", "service_down")
    assert silent.services["supervisor"].state == "down"
    assert silent.services["sink"].state == "up"
    assert silent.project_id == 7
    assert silent.degraded_since == "2026-01-05T14:30:00.000000Z"
    assert it.check(104.0, NOW) is None
    assert it.on_status(status(), 105.0).status == "connected"
    assert it.check(106.0, NOW) is None


def test_without_the_gateway_too_nothing_is_left():
    it = keeper(status())
    it.on_heartbeat("gateway", 102.0)
    assert it.check(102.5, NOW).status == "degraded"
    assert it.check(104.5, NOW).status == "disconnected"
    assert it.check(105.0, NOW) is None


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
    it = keeper(status(word, reason))
    it.on_heartbeat("gateway", 103.0)
    assert it.check(103.0, NOW).status == expected


def test_a_clean_stop_keeps_the_other_fields():
    it = keeper(status())
    it.on_status(status(subscribed_symbols=["SPY"]), 101.0)
    last = it.at_stop()
    assert (last.status, last.reason) == ("stopped", "shutdown")
    assert last.subscribed_symbols == ["SPY"]
    assert last.services["sink"].state == "down"
