"""Services under an init system: its start commands, its words of readiness and life, reloads, health checks."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from messages.topics import CONTROL, LINK, PLAN, TICKS
from services.runtime.respawn import FINAL_CODES
from tests.process.nats_server import NatsServer
from tests.process.pipeline import ALL, CORE, Pipeline
from tests.support import REPOSITORY, eventually, program

Make = Callable[..., Pipeline]

UNIT = REPOSITORY / "deploy" / "systemd" / "ibstream@.service"
DOCKERFILE = REPOSITORY / "deploy" / "container" / "Dockerfile"
SERVED = ("gateway", "planner", "sink", "supervisor", "web")


def unit_command(name: str) -> list[str]:
    """ExecStart of a service's unit, the program being where it is here."""
    found = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    python, *arguments = shlex.split(found[1].replace("%i", name))
    assert python == "/opt/ibstream/.venv/bin/python"
    return [sys.executable, *arguments]


def docker_words(instruction: str) -> list[str]:
    """The arguments of the Dockerfile's last `instruction`, which is in its JSON form."""
    words: list[str] = json.loads(re.findall(rf"\b{instruction} (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)[-1])
    return words


def container_command(name: str) -> list[str]:
    """The entry point with the service's name, as compose gives it."""
    return [*docker_words("ENTRYPOINT"), name]


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


class Started(Pipeline):
    """A pipeline started by other commands than its own."""

    def __init__(self, folder: Path, services: Iterable[str], by: Callable[[str], list[str]], **env: object) -> None:
        super().__init__(
            folder, services, env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        )
        self._by = by

    def command(self, name: str) -> list[str]:
        return self._by(name)


# --- the start commands of systemd and of the containers start the pipeline ---


@pytest.mark.parametrize("by", [unit_command, container_command])
def test_the_start_commands_of_a_deployment_start_it_and_sigterm_ends_it(
    tmp_path: Path, by: Callable[[str], list[str]]
) -> None:
    with Started(tmp_path, ALL, by) as p:
        p.await_status("connected")
        eventually(lambda: p.quote("SPY"))
        # The stream does not wait for the page, and a process that has not got to its handlers dies of a signal.
        eventually(lambda: all("started" in p.log(name) for name in SERVED))
        family = [child for process in p.processes.values() for child in psutil.Process(process.pid).children()]
        assert set(p.stop().values()) == {0}, p.logs()
        assert psutil.wait_procs(family, timeout=1)[1] == []


@pytest.mark.parametrize("by", [unit_command, container_command])
def test_the_relay_starts_and_ends_as_the_others_do(tmp_path: Path, by: Callable[[str], list[str]]) -> None:
    server = NatsServer(tmp_path)
    server.start()
    needed = ("gateway", "planner", "relay")  # the sink is on the other machine
    env = {
        "nats_url": server.url,
        "relay_send": "ticks link plan control",
        "IBSTREAM_EXPECTED_SERVICES": " ".join(needed),
    }
    try:
        with Started(tmp_path, ["simulator", "supervisor", *needed], by, **env) as p:
            status = p.await_status("connected")
            assert {status.services[name].state for name in needed} == {"up"}
            assert set(p.stop().values()) == {0}, p.logs()
    finally:
        server.stop()


def syscalls(group: str) -> set[str]:
    """The system calls of one of systemd's groups, or the one of that name."""
    if not group.startswith("@"):
        return {group}
    analyze = program("systemd-analyze", "apt-get install systemd")
    shown = subprocess.run([analyze, "syscall-filter", group], capture_output=True, text=True, check=True, timeout=20)
    names = [line.strip() for line in shown.stdout.splitlines()[1:]]
    return {call for name in names if name and not name.startswith("#") for call in syscalls(name)}


def test_the_unit_allows_every_system_call_of_the_services(tmp_path: Path) -> None:
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        named = {call for group in line.removeprefix("~").split() for call in syscalls(group)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    if os.geteuid() == 0:
        allowed.add("fchown")  # SQLite's, for root alone: its files get the owner of the database
    strace = program("strace", "apt-get install strace")

    def traced(name: str) -> list[str]:
        watch = [] if name == "simulator" else [strace, "-f", "-qq", "-o", str(tmp_path / f"{name}.calls")]
        return [*watch, sys.executable, "-m", f"services.{name}"]

    server = NatsServer(tmp_path)
    server.start()
    env = {
        "nats_url": server.url,
        "relay_send": "ticks link plan control",
        "IBSTREAM_EXPECTED_SERVICES": "gateway planner sink relay",
    }
    try:
        with Started(tmp_path, [*ALL, "relay"], traced, **env) as p:
            p.await_status("connected", timeout=90)
            eventually(lambda: p.quote("SPY"))
            archive = subprocess.run(traced("archive"), env=p.environment(), cwd=REPOSITORY, timeout=60)
            assert archive.returncode == 0
            # The services themselves: one whose strace is ended lives on.
            for service in [child for watched in p.processes.values() for child in children(watched.pid)]:
                service.terminate()
            eventually(lambda: p.alive() in ([], ["simulator"]))
    finally:
        server.stop()
    for name in (*SERVED, "relay", "archive"):
        used = set(re.findall(r"^\d+ +(\w+)\(", (tmp_path / f"{name}.calls").read_text(errors="replace"), re.MULTILINE))
        assert len(used) > 30
        assert used - allowed == set(), name


def test_the_health_check_of_the_containers(tmp_path: Path) -> None:
    check = docker_words("HEALTHCHECK .* CMD")
    assert check[0] == "ibstream"

    def health() -> "subprocess.CompletedProcess[str]":
        return p.cli(*check[1:])

    with Started(tmp_path, CORE, container_command) as p:
        p.await_status("connected")
        eventually(lambda: health().returncode == 0)
        assert health().stdout + health().stderr == ""
        p.kill("sink", signal.SIGTERM)
        p.await_status("degraded", "service_down")
        sick = eventually(lambda: found if (found := health()).returncode else None)
        assert (sick.returncode, sick.stderr) == (1, "ibstream: not running: sink\n")
        p.stop()
        gone = health()
        assert gone.returncode == 1
        assert "supervisor_unreachable" in gone.stderr


def test_wrong_settings_end_with_a_code_that_is_not_tried_again(pipeline: Make) -> None:
    p = pipeline([], start=False, refresh_interval=1)
    for by in (unit_command, container_command):
        ended = subprocess.run(
            by("sink"), cwd=REPOSITORY, env=p.environment() | {"PATH": f"{Path(sys.executable).parent}:/bin"},
            capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert ended.returncode in FINAL_CODES
        assert "IBSTREAM_REFRESH_INTERVAL" in ended.stderr
        assert "starting it again" not in ended.stderr


# --- sd_notify(3) ---


class Init:
    """The end of the notification socket that systemd holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))

    def told(self, timeout: float = 20.0) -> str | None:
        """The next message, or None when none comes within `timeout` seconds."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def until(self, message: str) -> list[str]:
        """All messages up to the first `message`."""
        told: list[str] = []
        while not told or told[-1] != message:
            word = self.told()
            assert word is not None, f"no {message} after {told}"
            told.append(word)
        return told

    def drain(self) -> None:
        while self.told(0.05) is not None:
            pass


@pytest.fixture
def init(tmp_path: Path) -> Iterator[Init]:
    made = Init(tmp_path / "notify")
    yield made
    made.socket.close()


@pytest.mark.parametrize("service", SERVED)
def test_systemd_is_told_of_readiness_of_life_and_of_the_end(tmp_path: Path, init: Init, service: str) -> None:
    with Started(tmp_path, [service], unit_command, NOTIFY_SOCKET=init.path, heartbeat_interval=0.1) as p:
        assert set(init.until("READY=1")) <= {"READY=1", "WATCHDOG=1"}
        assert p.processes[service].poll() is None
        assert [init.told() for _ in range(5)] == ["WATCHDOG=1"] * 5

        p.processes[service].send_signal(signal.SIGSTOP)
        try:
            init.drain()
            assert init.told(1.0) is None, "ten heartbeats long nothing is said for a loop that stands still"
        finally:
            p.processes[service].send_signal(signal.SIGCONT)
        init.until("WATCHDOG=1")

        p.processes[service].send_signal(signal.SIGTERM)
        assert set(init.until("STOPPING=1")[:-1]) <= {"WATCHDOG=1"}
        assert p.processes[service].wait(5) == 0


# --- settings are read again on SIGHUP ---


def test_a_reload_takes_new_settings_under_the_same_pid(tmp_path: Path, init: Init) -> None:
    settings = tmp_path / "ibstream.env"
    settings.write_text("IBSTREAM_LOG_FORMAT=human\n")
    env = {"env_file": settings, "NOTIFY_SOCKET": init.path, "heartbeat_interval": 0.1}
    with Started(tmp_path, ["sink"], unit_command, **env) as p:
        init.until("READY=1")
        settings.write_text("IBSTREAM_LOG_FORMAT=json\n")
        p.processes["sink"].send_signal(signal.SIGHUP)
        init.until("RELOADING=1")
        init.until("READY=1")
        assert p.processes["sink"].poll() is None
        started = json.loads(eventually(lambda: [line for line in p.log("sink").splitlines() if line[0] == "{"])[0])
        assert (started["event"], started["pid"]) == ("started", p.processes["sink"].pid)


def test_reloading_every_service_loses_no_sequence_number(pipeline: Make, tmp_path: Path) -> None:
    settings = tmp_path / "ibstream.env"
    settings.write_text("")
    p = pipeline(ALL, env_file=settings)
    p.await_status("connected")
    settings.write_text("IBSTREAM_LOG_FORMAT=json\n")
    pids = {name: process.pid for name, process in p.processes.items()}
    for name in SERVED:
        p.processes[name].send_signal(signal.SIGHUP)
        eventually(lambda name=name: f'"pid": {pids[name]}' in p.log(name), message=f"{name} starts again")
        p.await_status("connected")
    assert sorted(p.alive()) == sorted(ALL)
    assert {name: process.pid for name, process in p.processes.items()} == pids
    seen = (p.quote("SPY") or {})["seq"]
    eventually(lambda: (p.quote("SPY") or {})["seq"] > seen)
    p.stop()
    for stream in (TICKS, LINK, PLAN, CONTROL):
        expected = 1
        for block in p.blocks(stream):
            assert block.first_seq == expected, stream
            expected += block.count
    assert p.cli("verify").returncode == 0


def test_a_malformed_settings_file_is_refused_and_the_service_goes_on(pipeline: Make, tmp_path: Path) -> None:
    settings = tmp_path / "ibstream.env"
    settings.write_text("")
    p = pipeline(CORE, env_file=settings)
    p.await_status("connected")
    for wrong in ("IBSTREAM_LOG_FORMAT=yaml\n", "no setting at all\n", "IBSTREAM_LOG_FORMATS=json\n"):
        refusals = p.log("gateway").count("reload_refused")
        settings.write_text(wrong)
        p.processes["gateway"].send_signal(signal.SIGHUP)
        eventually(lambda n=refusals: p.log("gateway").count("reload_refused") > n)
    assert "one of human, json" in p.log("gateway")
    assert f"{settings}, line 1" in p.log("gateway")
    assert p.log("gateway").count("started") == 1
    seen = (eventually(lambda: p.quote("SPY")) or {})["seq"]
    eventually(lambda: (p.quote("SPY") or {})["seq"] > seen)
    settings.unlink()
    p.processes["gateway"].send_signal(signal.SIGHUP)
    eventually(lambda: p.log("gateway").count("reload_refused") == 4)
    settings.write_text("")  # this test reads it too
    assert p.await_status("connected").services["gateway"].pid == p.processes["gateway"].pid


@pytest.mark.parametrize("service", ["gateway", "planner", "sink", "supervisor", "web"])
def test_a_service_loads_nothing_that_only_the_command_line_shows(service: str) -> None:
    """Six of them start at once, and what they import is most of the time until the first price."""
    program = f"import sys, services.{service}.__main__; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, timeout=60).returncode == 0
