"""The keeper: a service that dies is there again; one that cannot run is left alone; nothing outlives it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.process.pipeline import STOP_SECONDS, Pipeline
from tests.support import REPOSITORY, eventually

Keep = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def keep(pipeline: Callable[..., Pipeline]) -> Iterator[Keep]:
    """Start `services.runtime.respawn SUPERVISOR` on the test's pipeline; ended after the test."""
    with ExitStack() as stack:

        def start(p: Pipeline, name: str = "supervisor", **env: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-m", "services.runtime.respawn", name],
                env=p.environment() | env,
                cwd=REPOSITORY,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(_end, process)
            return process

        yield start


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=STOP_SECONDS)


def child_of(process: "subprocess.Popen[str]") -> psutil.Process | None:
    return next(iter(psutil.Process(process.pid).children()), None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_ends_is_started_again(pipeline: Callable[..., Pipeline], keep: Keep, number: int) -> None:
    p = pipeline([])
    keeper = keep(p)
    assert eventually(lambda: p.status())
    first = child_of(keeper)
    assert first is not None
    first.send_signal(number)
    eventually(lambda: (child := child_of(keeper)) is not None and child.pid != first.pid)
    assert eventually(lambda: p.status())


def test_a_signal_ends_both(pipeline: Callable[..., Pipeline], keep: Keep) -> None:
    p = pipeline([])
    keeper = keep(p)
    assert eventually(lambda: p.status())
    child = child_of(keeper)
    assert child is not None
    keeper.terminate()
    assert keeper.wait(STOP_SECONDS) == 0
    assert not child.is_running()


def test_a_killed_keeper_takes_its_service_along(pipeline: Callable[..., Pipeline], keep: Keep) -> None:
    p = pipeline([])
    keeper = keep(p)
    assert eventually(lambda: p.status())
    child = child_of(keeper)
    assert child is not None
    keeper.kill()
    child.wait(STOP_SECONDS)


def test_a_signal_while_the_service_is_being_started_ends_both(pipeline: Callable[..., Pipeline], keep: Keep) -> None:
    p = pipeline([])
    for _ in range(5):
        keeper = keep(p)
        child = eventually(lambda: child_of(keeper))  # noqa: B023 - called before the next turn
        keeper.terminate()
        keeper.wait(STOP_SECONDS)
        assert child is not None
        assert not child.is_running()


def test_a_service_that_does_not_end_is_killed(pipeline: Callable[..., Pipeline], keep: Keep) -> None:
    p = pipeline([])
    keeper = keep(p)
    child = eventually(lambda: child_of(keeper))
    assert child is not None
    child.suspend()
    keeper.terminate()
    keeper.wait(STOP_SECONDS)
    assert not child.is_running()


def test_a_keeper_whose_parent_is_gone_ends(pipeline: Callable[..., Pipeline]) -> None:
    p = pipeline([])
    code = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'services.runtime.respawn', 'supervisor'])"
    parent = subprocess.Popen([sys.executable, "-c", code], env=p.environment(), cwd=REPOSITORY)
    try:
        assert eventually(lambda: p.status())
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2
    finally:
        parent.kill()
        parent.wait()
    _, left = psutil.wait_procs(family, STOP_SECONDS)
    assert left == []


def test_what_a_restart_cannot_mend_is_left_alone(pipeline: Callable[..., Pipeline], keep: Keep) -> None:
    p = pipeline(["supervisor"])
    assert eventually(lambda: p.status())
    second = keep(p)
    assert second.wait(20) == 3
    wrong = keep(p, IBSTREAM_IB_PORT="x")
    assert wrong.wait(20) == 2
    assert wrong.stderr is not None
    assert len(wrong.stderr.read().splitlines()) == 1
