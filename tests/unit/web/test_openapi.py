"""The OpenAPI document is the truth: whatever is asked, each answer is one that it names, and never a 5xx of ours."""

import itertools

import hypothesis
import pytest

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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Web:
    web = Web(tmp_path_factory.mktemp("openapi"))
    web.backend.control = MoodyControl()
    web.hear(
        status_frame(),
        quote_frame("SPY", bid=1.0, source="mock", timestamp="2026-01-05T14:30:00.000000Z"),
        heartbeat_frame("sink"),
        heartbeat_frame("gateway", 5),
        ("plan", encode(blocks.plan("SPY"))),
    )
    return web


SETTINGS = hypothesis.settings(
    max_examples=examples(30), deadline=None, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)


def test_every_answer_is_as_documented(running: Web, subtests: pytest.Subtests) -> None:
    """What is asked is worked out here, and not by each worker as it collects its tests: that takes seconds. For the
    same reason the library is imported here, and its plugin is left out (pyproject.toml)."""
    import schemathesis
    from schemathesis.checks import load_all_checks, positive_data_acceptance
    from schemathesis.pytest.lazy import get_all_tests

    def answers_as_documented(case: schemathesis.Case) -> None:
        # What a symbol or a project is, no schema can say: a well-formed request may be refused.
        case.call_and_validate(excluded_checks=[positive_data_acceptance], headers=HERE)

    described = schemathesis.openapi.from_asgi("/openapi.json", running.app, headers=HERE)
    # The event stream never ends: test_events.py and the process tests have it.
    finite = described.exclude(path_regex="/events$")
    load_all_checks()
    tried = 0
    for made in get_all_tests(schema=finite, test_func=answers_as_documented, settings=SETTINGS, given_kwargs=None):
        operation, ask = made.ok()
        with subtests.test(operation.label):
            ask()
        tried += 1
    assert tried == sum(len(methods) for methods in running.app.openapi()["paths"].values()) - 1


def test_everything_is_described_with_an_example(running: Web) -> None:
    document = running.get("/openapi.json").json()
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
