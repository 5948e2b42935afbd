"""`ibstream doctor` against the simulator, against nobody, and against a port that accepts and says nothing."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from services.cli import doctor
from tests.process.pipeline import Pipeline
from tests.support import eventually


def findings(pipeline: Pipeline, *arguments: str, code: int) -> dict[str, dict[str, str]]:
    done = pipeline.cli("doctor", "--json", *arguments, timeout=60.0)
    assert done.returncode == code, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(item["mend"] for item in found if item["level"] in ("warning", "failed"))
    return {item["stage"]: item for item in found}


@pytest.fixture
def simulator(pipeline: Callable[..., Pipeline]) -> Pipeline:
    running = pipeline(["simulator"])
    eventually(lambda: _accepts(running.ib_port))
    return running


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_all_is_well_with_the_simulator(simulator: Pipeline) -> None:
    found = findings(simulator, code=0)
    assert {item["level"] for item in found.values()} == {"ok"}
    assert "SPY: bid" in found["entitlement"]["seen"]
    assert found["data type"]["seen"] == "realtime"
    assert "simulator" in found["ready"]["seen"]
    assert len(found) == 14


def test_an_unknown_contract_is_named_with_its_code(simulator: Pipeline) -> None:
    found = findings(simulator, "--symbol", "NOSUCH", code=2)
    assert found["entitlement"]["level"] == "failed"
    assert "200" in found["entitlement"]["seen"]
    assert found["clock"]["level"] == "ok"


def test_nobody_there_fails_at_tcp_and_skips_what_hangs_on_it(pipeline: Callable[..., Pipeline]) -> None:
    found = findings(pipeline([]), code=2)
    assert found["tcp"]["level"] == "failed"
    assert "IBSTREAM_IB_PORT" in found["tcp"]["mend"]
    assert found["handshake"]["level"] == found["sizes"]["level"] == "skipped"
    assert found["disk"]["level"] in ("ok", "warning")


def test_a_port_that_accepts_and_says_nothing_fails_at_the_handshake(pipeline: Callable[..., Pipeline]) -> None:
    quiet = pipeline([], ib_connect_timeout=1)
    with socket.create_server(("127.0.0.1", quiet.ib_port)):
        found = findings(quiet, code=2)
    assert found["tcp"]["level"] == "ok"
    assert found["handshake"]["level"] == "failed"


def test_a_wrong_symbol_is_one_sentence(pipeline: Callable[..., Pipeline]) -> None:
    done = pipeline([]).cli("doctor", "--symbol", "../../etc/passwd")
    assert done.returncode == 7
    assert "invalid_symbol" in done.stderr and "Traceback" not in done.stderr


def test_a_checker_that_hangs_or_talks_nonsense_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECK_SECONDS", 3.0)
    began = time.monotonic()
    first, last = doctor._ask("tests.process.hanging_check")
    assert (first.level, first.seen) == ("ok", "it resolves")
    assert (last.stage, last.level, last.seen) == ("process", "failed", "the check did not end within 3 seconds")
    assert time.monotonic() - began < 10
    [noise] = doctor._ask("tests.process.hanging_check", "noise")
    assert (noise.level, noise.seen) == ("failed", "the check said what is no finding: a library's warning")
