"""Start, stop, status, and who may: the supervisor and the CLI on real processes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

import psutil
import pytest
import zmq

from messages.codec import decode_status
from messages.control import Accepted, ComputePlan, GetStatus, Start, Stop
from messages.errors import CODES, IbStreamError
from messages.events import EventBlock, StatusChanged, StreamStarted, StreamStopped
from messages.topics import CONTROL, LINK, PLANNER_CONTROL, STATUS, TICKS, events_endpoint
from messages.views import Status
from services.base.clock import SECOND, parse_time
from services.journal import JournalReader
from services.runtime.bus import Subscriber
from tests.process.pipeline import ALL, STOP_SECONDS, Pipeline
from tests.support import REPOSITORY, eventually

Make = Callable[..., Pipeline]


def refused(result: "subprocess.CompletedProcess[str]", code: str) -> str:
    """The sentence of a command that failed as it should: one line with its code, its exit code, no traceback."""
    assert result.returncode == CODES[code].exit, (result.returncode, result.stdout, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ibstream: ")
    assert lines[0].endswith(f"[{code}]")
    assert "Traceback" not in result.stdout + result.stderr
    return lines[0]


def done(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, (result.stdout, result.stderr)
    return result.stdout


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with Pipeline(tmp_path_factory.mktemp("control")) as running:
        yield running


@pytest.fixture
def running(shared: Pipeline) -> Pipeline:
    """A connected pipeline, for tests that leave it so."""
    shared.await_status("connected")
    return shared


# --- start and stop ---


def test_a_fresh_root_streams_and_ends_clean(pipeline: Make) -> None:
    p = pipeline(ALL)
    p.await_status("connected")
    status = eventually(lambda: _with_page(p))
    assert status is not None
    assert (status.status, status.reason) == ("connected", None)
    assert {name: service.state for name, service in status.services.items() if service.state != "up"} == {}
    assert {"gateway", "planner", "sink", "supervisor", "web"} <= set(status.services)
    fields = {"bid", "ask", "last", "close", "volume"}
    quote = eventually(lambda: (found := p.quote("SPY")) and fields <= set(found) and found)
    first = quote["seq"]
    assert quote["source"] == "mock"
    eventually(lambda: (p.quote("SPY") or {}).get("seq", 0) > first)
    assert eventually(lambda: (p.status_file() or {}).get("status") == "connected")
    assert set(p.stop().values()) == {0}


def _with_page(p: Pipeline) -> Status | None:
    status = p.status()
    return status if status is not None and "web" in status.services else None


def test_stop_lasts_and_start_takes_exactly_what_is_named(pipeline: Make) -> None:
    p = pipeline()
    p.await_status("connected")
    assert "stopped" in done(p.cli("stop"))
    status = p.await_status("stopped")
    assert status.subscribed_symbols == []
    assert "already" in done(p.cli("stop"))
    eventually(lambda: (p.status_file() or {}).get("status") == "stopped")
    eventually(lambda: _idle(p), message="nothing is subscribed, so there is no connection")

    p.stop()
    for name in p.services:
        p.start(name)
    assert p.await_status("stopped").subscribed_symbols == []

    done(p.cli("start", "--symbols", "SPY,GEV,BF.B"))  # the simulator lists neither of the last two: it invents them
    assert p.await_status("connected").subscribed_symbols == ["BF.B", "GEV", "SPY"]
    assert "SPY, GEV" in refused(p.cli("start"), "ib_stream_lock_busy")
    assert p.await_status("connected").subscribed_symbols == ["BF.B", "GEV", "SPY"]
    assert (p.quote("GEV") or {})["source"] == "mock" and (p.quote("BF.B") or {})["bid"] > 0


def _idle(p: Pipeline) -> bool:
    status = p.status()
    return status is not None and status.link is not None and status.link.phase == "idle"


def test_what_cannot_be_planned_is_refused_by_name_and_changes_nothing(pipeline: Make) -> None:
    p = pipeline(["planner", "supervisor"])
    eventually(lambda: p.status())
    done(p.cli("stop"))
    assert "99" in refused(p.cli("start", "--project", "99"), "project_not_found")
    assert "77" in refused(p.cli("start", "--project", "1", "--decision-snapshot", "77"), "decision_snapshot_not_found")
    for symbols in ("../../etc/passwd", "A" * 300, "SPY,$$$", "a\nb"):
        refused(p.cli("start", "--symbols", symbols), "invalid_symbol")
    for symbols in ("", " , "):
        refused(p.cli("start", "--symbols", symbols), "symbols_empty")
    refused(p.cli("start", "--max-symbols", "0"), "invalid_request")
    refused(p.cli("start", "--refresh-interval", "1"), "invalid_request")
    assert p.await_status("stopped")
    assert list(p.data.parent.rglob("passwd*")) == []


def test_an_odd_but_real_symbol_gets_a_name_that_can_be_predicted(pipeline: Make) -> None:
    p = pipeline()
    eventually(lambda: p.status())
    stopped = json.loads(done(p.cli("stop", "--json")))
    assert (stopped["accepted"], stopped["changed"]) == (True, True)
    assert json.loads(done(p.cli("stop", "--json")))["changed"] is False
    started = json.loads(done(p.cli("start", "--symbols", "BRK B", "--json")))
    assert started["changed"] and started["seq"] > stopped["seq"]
    assert p.cli("start", "--json").stdout == ""
    assert p.await_status("connected").subscribed_symbols == ["BRK.B"]
    assert eventually(lambda: p.quote("BRK.B"))["symbol"] == "BRK.B"


def test_without_services_every_command_says_so(pipeline: Make) -> None:
    p = pipeline([])
    for command in (["start"], ["stop"], ["status"], ["status", "--watch"], ["plan"]):
        assert str(p.data) in refused(p.cli(*command), "supervisor_unreachable")
    refused(p.cli("plan", "--dry-run"), "planner_unreachable")


def test_without_the_planner_nothing_is_started(pipeline: Make) -> None:
    p = pipeline(["supervisor"], database_timeout=0.5)
    eventually(lambda: p.status())
    done(p.cli("stop"))
    refused(p.cli("start"), "planner_unreachable")
    assert p.await_status("stopped")


def test_a_planner_that_hangs_does_not_hold_up_the_supervisor(pipeline: Make) -> None:
    p = pipeline(["planner", "supervisor"], database_timeout=0.5)
    eventually(lambda: p.status())
    done(p.cli("stop"))
    p.processes["planner"].send_signal(signal.SIGSTOP)
    try:
        start = subprocess.Popen(
            [sys.executable, "-m", "services.cli.app", "start"],
            env=p.environment(),
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        worst, answers = 0.0, 0
        while start.poll() is None:
            asked = time.monotonic()
            p.ask(GetStatus(), timeout=5.0)
            worst, answers = max(worst, time.monotonic() - asked), answers + 1
        assert answers > 10
        assert worst < 2.0, "the loop was held up while the planner did not answer"
        assert "planner_unreachable" in start.communicate()[1]
    finally:
        p.processes["planner"].send_signal(signal.SIGCONT)
    told = eventually(lambda: _lag(p, "planner") > 1000.0, message="the stall is told as lag")
    assert told


def _lag(p: Pipeline, service: str) -> float:
    status = p.status()
    return (status.services[service].loop_lag_ms or 0.0) if status is not None else 0.0


def test_plan_shows_what_and_why_and_a_dry_run_changes_nothing(running: Pipeline) -> None:
    p = running
    before = len(p.blocks("plan"))
    table = done(p.cli("plan"))
    assert "benchmark" in table
    assert "decision_snapshot 1, rank 1" in table
    assert "live" in table
    plan = json.loads(done(p.cli("plan", "--json")))
    assert {"symbol", "reason", "priority"} <= set(plan["symbols"][1])
    dry = json.loads(done(p.cli("plan", "--dry-run", "--project", "1", "--max-symbols", "3", "--json")))
    assert len(dry["symbols"]) == 3
    assert len(dry["cut"]) > 0
    refused(p.cli("plan", "--dry-run", "--project", "99"), "project_not_found")
    refused(p.cli("plan", "--project", "1"), "invalid_request")
    assert len(p.blocks("plan")) == before
    token = plan.get("refresh_token", 0)
    assert json.loads(done(p.cli("plan", "--refresh", "--json")))["refresh_token"] > token


# --- one supervisor, and durable wishes ---


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="ibs-") as folder:
        yield folder


def test_a_second_supervisor_is_told_who_was_first(pipeline: Make, elsewhere: str) -> None:
    p = pipeline(["supervisor"])
    status = eventually(lambda: p.status())
    assert status is not None
    assert status.lock is not None
    first = p.processes["supervisor"]
    assert status.lock.owner.startswith(f"{first.pid}@")
    for env in ({}, {"IBSTREAM_RUN_DIR": elsewhere}):
        second = subprocess.run(
            [sys.executable, "-m", "services.supervisor"],
            env=p.environment() | env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert second.returncode == 3
        assert "ib_stream_lock_busy" in second.stderr
        assert f"held by {first.pid}@" in second.stderr
    assert first.poll() is None
    p.kill("supervisor")
    p.start("supervisor")
    assert eventually(lambda: p.status())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_acknowledged_command_survives_the_end_of_the_supervisor(pipeline: Make, number: int) -> None:
    p = pipeline(["supervisor"])
    assert eventually(lambda: p.status())
    reply = p.ask(Stop())
    p.kill("supervisor", number)
    assert isinstance(reply, Accepted)
    assert reply.changed
    events = [e for b in p.blocks(CONTROL) if isinstance(b, EventBlock) for e in b.events]
    assert events[(reply.seq or 0) - 1] == StreamStopped()
    p.start("supervisor")
    assert p.await_status("stopped")


def test_a_command_that_the_disk_refuses_is_refused_and_forgotten(pipeline: Make) -> None:
    p = pipeline(["supervisor", "planner"])
    p.await_status("starting", timeout=20)
    supervisor = psutil.Process(p.processes["supervisor"].pid)
    biggest = max(path.stat().st_size for path in p.settings.journal_dir.rglob("control/*"))
    seq = _last_seq(p)
    supervisor.rlimit(resource.RLIMIT_FSIZE, (biggest, resource.RLIM_INFINITY))
    with pytest.raises(IbStreamError) as caught:
        for _ in range(50):  # the write-ahead log may have some room left over from before
            p.ask(Stop())
            p.ask(Start())
    assert caught.value.code == "journal_unavailable"
    status = p.status()
    assert status is not None, "it must go on without its disk"
    wanted = status.status
    at_failure = _last_seq(p)
    assert at_failure >= seq
    supervisor.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eventually(lambda: _accepted(p))
    events = [b for b in p.blocks(CONTROL) if isinstance(b, EventBlock)]
    numbers = [b.first_seq + i for b in events for i in range(b.count)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert wanted in ("starting", "stopped", "disconnected")


def _last_seq(p: Pipeline) -> int:
    with JournalReader(p.settings.journal_dir, CONTROL) as reader:
        row = reader.last()
    return row.last_seq if row is not None else 0


def _accepted(p: Pipeline) -> bool:
    try:
        return isinstance(p.ask(Stop()), Accepted)
    except IbStreamError:
        return False


def test_a_journal_deleted_under_its_writer_takes_no_command(pipeline: Make) -> None:
    p = pipeline(["supervisor"])
    assert eventually(lambda: p.status())
    for path in (p.settings.journal_dir / CONTROL).glob("*.sqlite*"):
        path.unlink()
    with pytest.raises(IbStreamError) as refusal:
        p.ask(Stop())
    assert refusal.value.code in ("journal_unavailable", "supervisor_unreachable"), "acknowledged is kept"
    assert p.processes["supervisor"].wait(10) == CODES["journal_unavailable"].exit
    assert "was deleted or moved away under its writer" in p.log_path("supervisor").read_text()
    p.start("supervisor")
    assert eventually(lambda: p.status()).status != "stopped"


def test_after_the_journal_was_deleted_prices_are_current_again_once_its_writers_are_back(pipeline: Make) -> None:
    """Those that only read it live on, and must not take the new one for late news of the old one."""
    p = pipeline()
    p.await_status("connected")
    writers = ("gateway", "planner", "supervisor")
    for name in writers:
        p.restart(name)  # so that the epochs of the next journal are lower ones
    p.await_status("connected")
    shutil.rmtree(p.settings.journal_dir)
    eventually(lambda: all(p.processes[name].poll() is not None for name in writers), message="a writer did not end")
    assert {p.processes[name].returncode for name in writers} == {CODES["journal_unavailable"].exit}
    for name in writers:
        p.start(name)
    p.await_status("connected", timeout=40)
    began = time.time_ns()

    def current() -> bool:
        quote = json.loads((p.settings.stream_dir / "SPY.json").read_text())
        return not quote["stale"] and parse_time(quote["timestamp"], began) > began

    eventually(current, message="the file of SPY stands still")


def test_the_journal_counts_and_not_what_was_saved_beside_it(pipeline: Make) -> None:
    """A data root whose journal was deleted is a fresh one, whatever state files say."""
    p = pipeline(["supervisor"])
    assert eventually(lambda: p.status())
    done(p.cli("stop"))
    p.await_status("stopped")
    p.stop()
    assert list(p.settings.state_dir.glob("supervisor.state"))
    shutil.rmtree(p.settings.journal_dir)
    p.start("supervisor")
    assert eventually(lambda: (status := p.status()) is not None and status.status != "stopped")
    events = [e for b in p.blocks(CONTROL) if isinstance(b, EventBlock) for e in b.events]
    assert isinstance(events[0], StreamStarted)


@pytest.mark.parametrize("damage", [b"flipped", b"garbage", None])
def test_without_its_saved_state_a_supervisor_folds_the_journal(pipeline: Make, damage: bytes | None) -> None:
    p = pipeline(["supervisor"])
    assert eventually(lambda: p.status())
    done(p.cli("stop"))
    p.await_status("stopped")
    p.stop()
    state = p.settings.state_dir / "supervisor.state"
    if damage is None:
        state.unlink()
    elif damage == b"flipped":
        whole = state.read_bytes()
        text = whole.index(b"control")  # the name of its stream, which is no text any more
        state.write_bytes(whole[:text] + b"\xff" + whole[text + 1 :])
    else:
        state.write_bytes(damage)
    p.start("supervisor")
    assert p.await_status("stopped")


# --- status ---


def test_a_status_is_renewed_in_time_however_short_its_span_is(pipeline: Make) -> None:
    """One that says nothing new, of a supervisor that nothing stirs."""
    short = {"good_for_seconds": 1, "heartbeat_interval": 0.25}
    p = pipeline(["supervisor"], **short)
    eventually(p.status)
    done(p.cli("stop"))
    p.await_status("stopped")
    seen: list[int] = []
    with zmq.Context() as context, ExitStack() as stack:
        subscriber = Subscriber(context, p.settings, [events_endpoint("supervisor")], [STATUS])
        stack.callback(subscriber.close)
        begun = len(p.settings.services)  # the last words on who is not there come first

        def enough() -> bool:
            untils = (decode_status(payload).good_until for _, payload in subscriber.drain())
            seen.extend(parse_time(until, 0) for until in untils if until is not None)
            return len(seen) > begun + 6

        eventually(enough)
    gaps = [later - until for until, later in pairwise(seen[begun:])]
    assert median(gaps) < 0.9 * SECOND, gaps


@pytest.mark.parametrize(
    ("service", "word"), [("gateway", "disconnected"), ("planner", "degraded"), ("sink", "degraded")]
)
def test_a_dead_service_shows_and_heals(running: Pipeline, service: str, word: str) -> None:
    p = running
    before = _last_seq(p)
    p.kill(service)
    status = p.await_status(word, "service_down", timeout=10)
    assert status.services[service].state == "down"
    assert status.degraded_since is not None
    p.start(service)
    status = p.await_status("connected")
    assert status.degraded_since is None
    assert status.services[service].pid == p.processes[service].pid
    words = [(e.status, e.reason) for b in p.blocks(CONTROL) if isinstance(b, EventBlock) and b.first_seq > before
             for e in b.events if isinstance(e, StatusChanged)]  # fmt: skip
    assert (word, "service_down") in words
    assert words[-1] == ("connected", None)


def test_a_killed_supervisor_comes_back_with_the_same_view(running: Pipeline) -> None:
    p = running
    before = p.await_status("connected")
    p.restart("supervisor")
    after = p.await_status("connected")
    assert after.subscribed_symbols == before.subscribed_symbols
    assert after.project_id == before.project_id
    assert (after.lock and after.lock.owner) != (before.lock and before.lock.owner)


def test_status_reads_well_and_as_json(running: Pipeline) -> None:
    p = running
    text = done(p.cli("status"))
    assert "connected" in text.splitlines()[0]
    assert "gateway up" in text
    status = json.loads(done(p.cli("status", "--json")))
    written = eventually(lambda: p.status_file())
    assert set(status) == set(written)
    assert status["symbols"]["SPY"]["source"] == "mock"


def test_watch_follows_until_interrupted(running: Pipeline) -> None:
    p = running
    watch = subprocess.Popen(
        [sys.executable, "-m", "services.cli.app", "status", "--watch", "--json"],
        env=p.environment(),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watch.stdout is not None
    lines = [json.loads(watch.stdout.readline()) for _ in range(3)]
    assert [line["status"] for line in lines] == ["connected"] * 3
    assert lines[0]["last_heartbeat"] < lines[2]["last_heartbeat"]
    watch.send_signal(signal.SIGINT)
    try:
        _, errors = watch.communicate(timeout=20)
    finally:
        watch.kill()
        watch.communicate()
    assert (watch.returncode, errors) == (0, b"")


def test_watch_never_repeats_what_a_silent_supervisor_said(pipeline: Make) -> None:
    p = pipeline()
    p.await_status("connected")
    watch = subprocess.Popen(
        [sys.executable, "-m", "services.cli.app", "status", "--watch", "--json"],
        env=p.environment(),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    assert watch.stdout is not None
    try:
        assert json.loads(watch.stdout.readline())["status"] == "connected"
        p.processes["supervisor"].send_signal(signal.SIGSTOP)
        lines = map(json.loads, islice(watch.stdout, 60))  # one a second
        told = next(line for line in lines if line["reason"] == "service_down")
        assert (told["status"], told.get("good_until")) == ("degraded", None)
        p.processes["supervisor"].send_signal(signal.SIGCONT)
        assert any(line["status"] == "connected" for line in lines)
    finally:
        p.processes["supervisor"].send_signal(signal.SIGCONT)
        watch.kill()
        watch.communicate()


def test_gaps_are_told_from_the_journal(pipeline: Make) -> None:
    p = pipeline(ib_backoff_max=1)
    p.await_status("connected")
    p.kill("simulator")
    p.await_status("disconnected")
    p.start("simulator")
    p.await_status("connected")
    found = eventually(lambda: json.loads(done(p.cli("gaps", "--json", "--symbol", "SPY"))))
    assert {gap["symbol"] for gap in found} == {"SPY"}
    assert "SPY" in done(p.cli("gaps", "--since", "-1h"))
    p.stop()
    assert json.loads(done(p.cli("gaps", "--json", "--symbol", "SPY")))
    refused(p.cli("gaps", "--since", "yesterday"), "invalid_request")
    refused(p.cli("gaps", "--symbol", "../x"), "invalid_symbol")


# --- usage ---


def test_wrong_usage_is_one_sentence(pipeline: Make) -> None:
    p = pipeline([])
    assert "'status'" in refused(p.cli("statsu"), "invalid_request")
    assert "--projekt" in refused(p.cli("start", "--projekt", "1"), "invalid_request")
    assert "--max-symbols" in refused(p.cli("start", "--max-symbols", "many"), "invalid_request")
    refused(p.cli("start", "--market-data-type", "live"), "invalid_request")
    refused(p.cli("start", "SPY"), "invalid_request")
    assert "IBSTREAM_IB_PORT" in refused(p.cli("status", ib_port="x"), "invalid_setting")


def test_help_teaches(pipeline: Make) -> None:
    p = pipeline([])
    assert "ibstream start --symbols SPY,QQQ" in done(p.cli("--help"))
    for command in ("start", "stop", "status", "plan", "gaps", "settings"):
        text = done(p.cli(command, "--help"))
        assert "Example" in text, command
        assert f"ibstream {command}" in text


# --- all of it, as `make run` does ---


def test_make_run_starts_everything_and_leaves_nothing(pipeline: Make, tmp_path: Path) -> None:
    p = pipeline([], start=False)
    seqs: list[dict[str, int]] = []
    for _ in range(2):
        run = subprocess.Popen(
            [sys.executable, "-m", "services.cli.run", "Procfile"],
            env=p.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            p.await_status("connected")
            eventually(lambda: p.quote("SPY"))
            status = eventually(lambda: p.status())
            assert status is not None
            seqs.append({stream: status.services["gateway"].heads[stream].seq for stream in (TICKS, LINK)})
            family = psutil.Process(run.pid).children(recursive=True)
            assert len(family) >= 12
            started = time.monotonic()
            os.killpg(run.pid, signal.SIGINT)
            output, _ = run.communicate(timeout=STOP_SECONDS + 10)
            assert time.monotonic() - started < STOP_SECONDS
            assert run.returncode == 0, output
            assert str(p.settings.web_port) in output
            _gone, left = psutil.wait_procs(family, timeout=1)
            assert left == []
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
    assert seqs[1][TICKS] > seqs[0][TICKS]
    assert seqs[1][LINK] > seqs[0][LINK]


def test_make_run_checks_the_settings_before_anything_starts(pipeline: Make) -> None:
    p = pipeline([], start=False, refresh_interval=1)
    run = subprocess.run(
        [sys.executable, "-m", "services.cli.run", "Procfile"],
        env=p.environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "IBSTREAM_REFRESH_INTERVAL is '1'; expected a number of at least 5" in run.stderr
    assert not p.data.exists()


def test_a_dry_run_needs_only_the_planner(pipeline: Make) -> None:
    p = pipeline(["planner"])
    eventually((p.settings.run_path / PLANNER_CONTROL).exists)
    eventually(lambda: p.cli("plan", "--dry-run", "--project", "1").returncode == 0)
    listed = json.loads(done(p.cli("projects", "--json")))["projects"]
    assert [(project["id"], project["snapshot"]["id"]) for project in listed] == [(1, 1)]
    assert listed[0]["name"] in done(p.cli("projects"))
    assert json.loads(done(p.cli("projects", "1", "--json")))["snapshots"] == [listed[0]["snapshot"]]
    refused(p.cli("projects", "7"), "project_not_found")
    reply = p.ask(ComputePlan(request=Start(symbols=["SPY"])), "planner.control")
    assert type(reply).__name__ == "PlanReply"
