"""`ibstream rehearse` with real programs: one that keeps its prices, ones with a fault, ones that never connect, and
our own gateway."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import REPOSITORY, eventually, free_port

KEEPER = [sys.executable, "-m", "tests.process.clients.keeping", "{host}", "{port}"]


def rehearse(*arguments: str, program: list[str], within: float = 100, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ibstream", "rehearse", *arguments, "--", *program],
        cwd=REPOSITORY, env=os.environ | env, capture_output=True, text=True, timeout=within,
    )  # fmt: skip


def card(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_a_program_that_subscribes_anew_after_1101_and_one_that_does_not(tmp_path: Path) -> None:
    junit = tmp_path / "card.xml"
    arguments = ("--scenario", "link_lost", "--speed", "20", "--patience", "4", "--json", "--junit", str(junit))
    good = rehearse(*arguments, program=KEEPER)
    assert good.returncode == 0, good.stderr
    (outcome,) = card(good)["outcomes"]
    assert (outcome["verdict"], outcome["points"], outcome["lines"]) == ("pass", 12, 1)
    assert ET.parse(junit).getroot().get("failures") == "0"
    bad = rehearse(*arguments, program=[*KEEPER, "forgets"])
    assert bad.returncode == 1, bad.stderr
    (outcome,) = card(bad)["outcomes"]
    assert (outcome["verdict"], outcome["points"], outcome["blind_seconds"]) == ("fail", 0, None)
    assert outcome["why"] == "not whole again within 4 seconds: no prices of SPY"
    assert outcome["rule"].startswith("1101: data is lost")
    assert ET.parse(junit).getroot().get("failures") == "1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "scenario", "why"),
    [
        ("doubles", "link_kept", "2 lines of SPY (market data) are open where there were 1"),
        ("orders", "restart", "an order was placed again, under another id, after a new connection"),
    ],
)
def test_what_costs_lines_and_money(fault: str, scenario: str, why: str) -> None:
    done = rehearse("--scenario", scenario, "--speed", "20", program=[*KEEPER, fault])
    assert done.returncode == 1, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith(scenario)]
    assert "fail" in row and why in row
    assert done.stdout.splitlines()[-1].startswith("0 of ")


def test_a_program_that_never_connects_is_ended_with_its_children() -> None:
    marker = f"{time.time_ns()}"
    script = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(99)', sys.argv[1]])"
    )
    done = rehearse("--connect", "2", program=[sys.executable, "-c", script, marker])
    assert done.returncode == 18
    assert "the program did not connect within 2 seconds [program_unreachable]" in done.stderr
    assert [one.pid for one in psutil.process_iter(["cmdline"]) if marker in (one.info["cmdline"] or ())] == []


def test_a_signal_ends_the_program_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ibstream", "rehearse", "--scenario", "calm", "--log", str(tmp_path / "log"), "--",
               sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(99)"]  # fmt: skip
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        log = tmp_path / "log"
        pid = int(eventually(lambda: log.exists() and log.read_text().strip()))
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert not psutil.pid_exists(pid)


def test_a_program_that_is_started_by_hand() -> None:
    port = free_port()
    command = [sys.executable, "-m", "ibstream", "rehearse", "--port", str(port), "--scenario", "farm_down", "--json"]
    keeper = [one.format(host="127.0.0.1", port=port) for one in KEEPER]
    with (
        subprocess.Popen([*command, "--speed", "10"], cwd=REPOSITORY, stdout=subprocess.PIPE) as process,
        subprocess.Popen(keeper, cwd=REPOSITORY) as program,
    ):
        try:
            out, _ = process.communicate(timeout=90)
        finally:
            program.kill()
    assert process.returncode == 0
    assert json.loads(out)["outcomes"][0]["verdict"] == "pass"


def test_a_program_that_cannot_be_started_or_ends_at_once() -> None:
    done = rehearse(program=["no-such-program"])
    assert done.returncode == 18
    assert "'no-such-program' cannot be started: No such file or directory" in done.stderr
    done = rehearse("--jobs", "2", "--port", "1", program=["x"])
    assert done.returncode == 2 and "--jobs wants a port for each scenario" in done.stderr
    done = rehearse(program=[sys.executable, "-c", "raise SystemExit('no licence')"])
    assert done.returncode == 18
    expected = "the program ended with code 1 before it had a market data line; its last line: no licence"
    assert expected in done.stderr


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_the_program_without_a_fault_has_full_marks() -> None:
    done = rehearse("--speed", "4", "--jobs", "14", "--json", program=KEEPER, within=300)
    assert done.returncode == 0, done.stdout
    assert (card(done)["points"], card(done)["of"]) == (100, 100)


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_our_own_gateway_has_full_marks(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "services.cli.run", "deploy/Procfile.rehearse"]
    done = rehearse("--speed", "4", "--json", program=program, within=1400, IBSTREAM_DATA_ROOT=str(tmp_path / "data"))
    assert done.returncode == 0, done.stdout
    assert (card(done)["points"], card(done)["of"]) == (100, 100)
