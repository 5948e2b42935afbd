"""`make run` begins or says why not, and whatever ends it leaves nothing behind within five seconds.

Processes are found by a mark in their environment, so that one that lost its parent is found as well.
IBSTREAM_TEST_LAUNCHES sets how many times a signal is sent at a random moment of the first two seconds.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from tests.process.pipeline import STOP_SECONDS, Pipeline
from tests.support import REPOSITORY, eventually, free_port

Make = Callable[..., Pipeline]
LAUNCHES = int(os.environ.get("IBSTREAM_TEST_LAUNCHES", "6"))
SERVED = 6
MARK = "LAUNCH_MARK"
CLOSED = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")  # as some who run it in the background start it


class Launch:
    """`make run` less make, on a pipeline's settings; `family` is all that came of it and lives."""

    def __init__(self, p: Pipeline, *, output: int = subprocess.PIPE, closed: bool = False, **env: str) -> None:
        self.mark = f"{os.getpid()}-{random.getrandbits(64):x}"
        self.began = time.time()
        self.process = subprocess.Popen(
            [*(CLOSED if closed else ()), sys.executable, "-m", "services.cli.run", "Procfile"],
            env=p.environment()
            | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", MARK: self.mark}
            | env,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
        )

    def family(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def services(self) -> int:
        """How many services run, their keepers apart."""
        return sum("services.runtime.respawn" not in " ".join(_words(p)) for p in self.family()) - 1

    def ended(self) -> bool:
        return self.process.poll() is not None and not self.family()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (
                process.create_time() > self.began - 1
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(MARK) == self.mark
            )
        except psutil.Error:
            return False


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def launch(pipeline: Make) -> Iterator[Callable[..., Launch]]:
    p = pipeline([], start=False)
    with ExitStack() as stack:

        def start(*, output: int = subprocess.PIPE, closed: bool = False, **env: str) -> Launch:
            made = Launch(p, output=output, closed=closed, **env)
            stack.callback(_clear, made)
            return made

        yield start


def _clear(made: Launch) -> None:
    for process in made.family():
        with suppress(psutil.NoSuchProcess):  # it may be on its way out
            process.kill()
    made.process.kill()
    made.process.wait()
    if made.process.stdout is not None:
        made.process.stdout.close()


@pytest.mark.parametrize("turn", range(LAUNCHES))
def test_a_signal_at_any_moment_of_the_start_ends_all_of_it(launch: Callable[..., Launch], turn: int) -> None:
    dice = random.Random(turn)
    number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[turn % 3]
    made = launch(output=subprocess.DEVNULL)
    time.sleep(2.0 * (turn % LAUNCHES + dice.random()) / LAUNCHES)  # the moment itself is what is tried
    os.killpg(made.process.pid, number)
    eventually(made.ended, STOP_SECONDS, f"left after signal {number}: {[_words(p) for p in made.family()]}")


def test_closed_output_ends_all_of_it(launch: Callable[..., Launch]) -> None:
    made = launch()
    assert made.process.stdout is not None
    assert made.process.stdout.readline()
    eventually(lambda: made.services() >= SERVED)
    made.process.stdout.close()
    eventually(made.ended, STOP_SECONDS)


def test_without_any_output_it_runs_all_the_same(launch: Callable[..., Launch]) -> None:
    made = launch(closed=True)
    eventually(lambda: made.services() >= SERVED)
    made.process.send_signal(signal.SIGINT)
    eventually(made.ended, STOP_SECONDS)
    assert made.process.returncode == 0


def test_output_that_nobody_takes_does_not_keep_it_from_ending(launch: Callable[..., Launch]) -> None:
    made = launch(IBSTREAM_LOG_LEVEL="debug")
    eventually(lambda: made.services() >= SERVED)
    assert made.process.stdout is not None
    os.set_blocking(made.process.stdout.fileno(), True)
    made.process.send_signal(signal.SIGINT)
    eventually(made.ended, STOP_SECONDS)


def launcher(procfile: dict[str, str]) -> subprocess.Popen[str]:
    program = (
        f"import os, sys; from services.cli.launcher import Launcher; sys.exit(Launcher({procfile}, os.environ).run())"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def commands(*names: str) -> subprocess.Popen[str]:
    """The launcher with commands that say when they begin, and when they end: half a second after they are asked."""
    script = "trap 'sleep 0.5; echo ended; exit 0' TERM; echo began; while :; do sleep 0.05; done"
    made = launcher(dict.fromkeys(names, script))
    assert made.stdout is not None
    for _ in names:
        while "began" not in made.stdout.readline():
            pass
    return made


def test_the_simulator_ends_after_those_that_are_connected_to_it() -> None:
    made = commands("simulator", "gateway", "sink")
    made.send_signal(signal.SIGINT)
    said, _ = made.communicate(timeout=STOP_SECONDS)
    ended = [line.split()[1] for line in said.splitlines() if line.endswith("ended")]
    assert sorted(ended[:2]) == ["gateway", "sink"]
    assert ended[2:] == ["simulator"]
    assert made.returncode == 0


@pytest.mark.parametrize("others", ["sleep 0.3; echo began; sleep 60", "sleep 60"], ids=["speaking", "silent"])
def test_the_page_waits_for_those_that_bring_prices_but_not_for_ever(others: str) -> None:
    made = launcher({"web": "echo began; sleep 60", "gateway": others, "sink": others})
    assert made.stdout is not None
    said = []
    while "web" not in said:
        line = made.stdout.readline()
        assert line, "it ended"
        if line.endswith("began\n"):
            said.append(line.split()[1])
    assert sorted(said[:-1]) == (["gateway", "sink"] if "echo" in others else [])
    made.send_signal(signal.SIGINT)
    made.communicate(timeout=STOP_SECONDS)
    assert made.returncode == 0


def test_one_ctrl_c_that_arrives_twice_is_one() -> None:
    made = commands("gateway")
    made.send_signal(signal.SIGINT)
    time.sleep(0.05)  # as a wrapper passes it on that its child had from the terminal too
    made.send_signal(signal.SIGINT)
    said, _ = made.communicate(timeout=STOP_SECONDS)
    assert said.rstrip().endswith("ended")
    assert made.returncode == 0


@pytest.mark.parametrize("moment", [0.4, 0.8, 1.6, None])
def test_a_killed_launcher_takes_all_of_it_along(launch: Callable[..., Launch], moment: float | None) -> None:
    made = launch(output=subprocess.DEVNULL)
    if moment is None:
        eventually(lambda: made.services() >= SERVED)
    else:
        time.sleep(moment)  # the moment itself is what is tried
    made.process.kill()
    eventually(made.ended, STOP_SECONDS)


def refused(launch: Callable[..., Launch], **env: str) -> tuple[int, str]:
    """Exit code and the one sentence of a launch that starts nothing."""
    made = launch(**env)
    out, _ = made.process.communicate(timeout=20)
    lines = out.decode().splitlines()
    assert len(lines) == 1, out.decode()
    assert made.family() == []
    return made.process.returncode, lines[0]


def test_a_data_root_that_cannot_be_written_is_said_before_anything_starts(launch: Callable[..., Launch]) -> None:
    code, sentence = refused(launch, IBSTREAM_DATA_ROOT="/proc/nope", IBSTREAM_RUN_DIR="")
    assert code == 2
    assert "/proc/nope" in sentence
    assert "IBSTREAM_DATA_ROOT" in sentence


def test_a_data_root_below_a_file_is_said_before_anything_starts(launch: Callable[..., Launch], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, sentence = refused(launch, IBSTREAM_DATA_ROOT=str(tmp_path / "file" / "data"))
    assert code == 2
    assert "IBSTREAM_DATA_ROOT" in sentence


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make what is somebody else's")
@pytest.mark.parametrize(
    ("setting", "other"), [("IBSTREAM_DATA_ROOT", "IBSTREAM_RUN_DIR"), ("IBSTREAM_RUN_DIR", "IBSTREAM_DATA_ROOT")]
)
def test_a_folder_of_another_user_is_said_before_anything_starts(setting: str, other: str) -> None:
    from services.base.settings import load
    from services.cli.preflight import check_folders

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        theirs, ours = Path(folder, "theirs"), Path(folder, "ours")
        theirs.mkdir(mode=0o700)
        ours.mkdir()
        os.chown(ours, 65534, 65534)
        assert _as_nobody(lambda: check_folders(load({setting: str(theirs), other: str(ours)})), setting) == 2


def _as_nobody(check: Callable[[], object], named: str) -> int:
    """The exit code of the error that `check` raises as another user; 1 when it does not name the setting."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setgid(65534)
            os.setuid(65534)
            check()
        except Exception as error:
            code = getattr(error, "exit_code", 1) if named in str(error) else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("setting", ["IBSTREAM_WEB_PORT", "IBSTREAM_SIM_PORT"])
def test_a_taken_port_is_said_before_anything_starts(launch: Callable[..., Launch], setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, sentence = refused(launch, **{setting: str(port)})
    assert code == 2
    assert f"port {port}" in sentence
    assert setting in sentence


def test_a_second_run_is_told_of_the_first(launch: Callable[..., Launch]) -> None:
    port = str(free_port())
    first = launch(output=subprocess.DEVNULL, IBSTREAM_WEB_PORT=port)
    eventually(lambda: first.services() >= SERVED)
    code, sentence = refused(launch)
    assert code == 3
    assert "runs here already" in sentence
    assert str(first.process.pid) in sentence
    assert f"http://127.0.0.1:{port}" in sentence
    assert "ib_stream_lock_busy" in sentence
    assert first.process.poll() is None


def test_services_that_others_started_are_told_of_too(launch: Callable[..., Launch], pipeline: Make) -> None:
    p = pipeline([], start=False)
    p.start("planner")
    eventually(lambda: (p.settings.run_path / "planner.owner").exists())
    code, sentence = refused(launch, IBSTREAM_DATA_ROOT=str(p.data))
    assert code == 3
    assert "planner" in sentence
    assert str(p.processes["planner"].pid) in sentence
