"""The OpenAPI document is the truth: whatever is asked, each answer is one that it names, and never a 5xx of ours."""

import itertools
import tempfile
from pathlib import Path

import hypothesis
import schemathesis
from schemathesis.checks import positive_data_acceptance

from messages.codec import encode
from messages.control import Accepted, AddAlert, AlertsReply, ListAlerts
from messages.errors import IbStreamError
from services.quotes.alert_rules import parse
from tests import blocks
from tests.support import examples
from tests.unit.web.support import API, Web, heartbeat_frame, quote_frame, status_frame

HERE = {"Host": "127.0.0.1:8765"}
REFUSALS = ("ib_stream_lock_busy", "project_not_found", "symbols_empty")


class MoodyControl:
    """Accepts, and refuses in one of the ways that a client has to know."""

    def __init__(self) -> None:
        self._moods = itertools.cycle((None, *REFUSALS))

    async def __call__(self, command):
        code = next(self._moods)
        if code is not None and type(command).__name__ == "Start":
            raise IbStreamError(code, "no")
        if isinstance(command, AddAlert):
            parse(command.rule)
        return AlertsReply(alerts=[]) if isinstance(command, ListAlerts) else Accepted(seq=1)


def build(root: Path) -> Web:
    web = Web(root)
    web.backend.control = MoodyControl()
    web.hear(
        status_frame(),
        quote_frame("SPY", bid=1.0, source="mock", timestamp="2026-01-05T14:30:00.000000Z"),
        heartbeat_frame("sink"),
        heartbeat_frame("gateway", 5),
        ("plan", encode(blocks.plan("SPY"))),
    )
    return web


_folder = tempfile.TemporaryDirectory()
RUNNING = build(Path(_folder.name))
DESCRIBED = schemathesis.openapi.from_asgi("/openapi.json", RUNNING.app, headers=HERE)


# The event stream never ends: test_events.py and the process tests have it.
@DESCRIBED.exclude(path_regex="/events$").parametrize()
@hypothesis.settings(
    max_examples=examples(30), deadline=None, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)
def test_every_answer_is_as_documented(case):
    # What a symbol or a project is, no schema can say: a well-formed request may be refused.
    case.call_and_validate(excluded_checks=[positive_data_acceptance], headers=HERE)


def test_everything_is_described_with_an_example():
    document = RUNNING.get("/openapi.json").json()
    for path in ("start", "stop", "status", "snapshot", "quotes", "plan", "projects", "gaps", "history", "events"):
        assert f"{API}/{path}" in document["paths"]
    assert {"/healthz", "/readyz", "/metrics"} <= document["paths"].keys()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            for status, response in operation["responses"].items():
                for kind, content in response.get("content", {}).items():
                    documented = "example" in content or path in (f"{API}/plan", "/metrics")
                    assert documented, (path, status, kind)
    start = document["paths"][f"{API}/start"]["post"]["responses"]
    assert {"200", "400", "401", "403", "404", "409", "413", "422", "503"} <= start.keys()
    assert "ib_stream_lock_busy" in start["409"]["description"]
