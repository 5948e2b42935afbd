"""Jobs beside a loop: outcomes come back on it, once; one that hangs is given up, and never takes all the threads."""

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from messages.errors import IbStreamError
from services.runtime.background import MAX_WAITING, Background
from tests.support import eventually


class Loop:
    """A loop in the test's hands: calls from threads wait until `turn`."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.now = 100.0
        self.seen: list[object] = []
        self.jobs = Background("the database", "database_unavailable", self.calls.put, lambda: self.now, threads=2)

    def turn(self) -> None:
        while not self.calls.empty():
            self.calls.get()()
        self.jobs.expire()

    def until(self, count: int) -> list[object]:
        eventually(lambda: (self.turn(), len(self.seen) >= count)[1])
        return self.seen

    def submit(self, job: Callable[[], object], seconds: float = 5.0) -> None:
        self.jobs.submit(job, self.seen.append, seconds)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_an_outcome_is_handed_in_on_the_loop(loop: Loop) -> None:
    loop.jobs.submit(threading.get_ident, lambda ran: loop.seen.append((ran, threading.get_ident())), 5.0)
    ran, answered = loop.until(1)[0]  # type: ignore[misc]
    assert answered == threading.get_ident() != ran


def test_errors_are_outcomes_and_unexpected_ones_keep_their_words_to_themselves(loop: Loop) -> None:
    def coded() -> str:
        raise IbStreamError("project_not_found", "there is no project 9")

    def unexpected() -> str:
        raise RuntimeError("password=hunter2")

    for number, job in enumerate((coded, unexpected), 1):
        loop.submit(job)
        loop.until(number)
    assert [error.code for error in loop.seen] == ["project_not_found", "database_unavailable"]  # type: ignore[attr-defined]
    assert str(loop.seen[1]) == "the database failed unexpectedly (RuntimeError)"


def test_a_job_that_hangs_is_given_up_and_comes_too_late(loop: Loop, hanging: threading.Event) -> None:
    loop.submit(lambda: hanging.wait(30))
    loop.now = 104.9
    loop.turn()
    assert loop.seen == []
    loop.now = 105.1
    loop.turn()
    assert [str(error) for error in loop.seen] == ["the database gave no answer in 5 seconds"]
    hanging.set()
    loop.submit(lambda: "next")
    assert loop.until(2)[1] == "next" and len(loop.seen) == 2


def test_more_jobs_than_threads_wait_for_their_turn(loop: Loop, hanging: threading.Event) -> None:
    for _ in range(2):
        loop.submit(lambda: hanging.wait(30))
    for number in range(3):
        loop.submit(lambda number=number: number)  # type: ignore[misc]
    loop.turn()
    assert loop.seen == [], "both threads are taken"
    hanging.set()
    assert sorted(map(int, loop.until(5))) == [0, 1, 1, 1, 2]  # type: ignore[call-overload]


def test_threads_that_hang_are_bounded_and_what_waits_for_them_too(loop: Loop, hanging: threading.Event) -> None:
    threads = threading.active_count()
    for _ in range(2 + MAX_WAITING):
        loop.submit(lambda: hanging.wait(30))
    assert threading.active_count() == threads + 2
    loop.submit(lambda: "one too many")
    assert loop.seen == [], "an answer never comes from within submit"
    assert str(loop.until(1)[0]) == "the database has too many jobs waiting"
    loop.now = 105.1
    loop.turn()
    assert len(loop.seen) == 3 + MAX_WAITING
    assert str(loop.seen[-1]) == "the database gave no answer in 5 seconds: earlier ones still hang"
    hanging.set()
    loop.submit(lambda: "again")
    assert loop.until(4 + MAX_WAITING)[-1] == "again", "the threads are free once more"


def test_nothing_is_answered_after_close(loop: Loop, hanging: threading.Event) -> None:
    loop.submit(lambda: hanging.wait(30))
    loop.jobs.close()
    loop.now = 200.0
    hanging.set()
    eventually(lambda: not loop.calls.empty())
    loop.turn()
    assert loop.seen == []
