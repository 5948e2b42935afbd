"""Reads on threads: outcomes come back in the loop, once, and a read that hangs is given up."""

import select
import threading
from collections.abc import Iterator

import pytest

from messages.errors import IbStreamError
from services.planner.reader import MAX_THREADS, Reader
from tests.support import eventually


@pytest.fixture
def reader() -> Iterator[Reader[str]]:
    made: Reader[str] = Reader(5.0)
    yield made
    made.close()


def awake(reader: Reader[str]) -> None:
    eventually(lambda: select.select([reader.wakeup], [], [], 0.1)[0])
    reader.drain()


def test_an_outcome_wakes_the_loop_and_is_handed_in_there(reader: Reader[str]) -> None:
    seen: list[tuple[object, int]] = []
    reader.submit(lambda: "done", lambda outcome: seen.append((outcome, threading.get_ident())), 0.0)
    awake(reader)
    assert seen == [("done", threading.get_ident())]


def test_errors_are_outcomes_and_unexpected_ones_keep_their_words_to_themselves(reader: Reader[str]) -> None:
    seen: list[object] = []

    def coded() -> str:
        raise IbStreamError("project_not_found", "there is no project 9")

    def unexpected() -> str:
        raise RuntimeError("password=hunter2")

    for job in (coded, unexpected):
        before = len(seen)
        reader.submit(job, seen.append, 0.0)
        eventually(lambda n=before: (reader.drain(), len(seen) > n)[1])
    assert [error.code for error in seen] == ["project_not_found", "database_unavailable"]  # type: ignore[attr-defined]
    assert "hunter2" not in str(seen[1]) and "RuntimeError" in str(seen[1])


def test_a_read_that_hangs_is_given_up_and_comes_too_late(reader: Reader[str]) -> None:
    seen: list[object] = []
    release = threading.Event()
    reader.submit(lambda: str(release.wait(30)), seen.append, 100.0)
    reader.expire(104.9)
    assert seen == []
    reader.expire(105.1)
    assert len(seen) == 1 and "no answer in 5 seconds" in str(seen[0])
    release.set()
    awake(reader)
    assert len(seen) == 1


def test_threads_that_hang_are_bounded(reader: Reader[str]) -> None:
    seen: list[object] = []
    release = threading.Event()
    for _ in range(MAX_THREADS):
        reader.submit(lambda: str(release.wait(30)), seen.append, 0.0)
    reader.submit(lambda: "one more", seen.append, 0.0)
    awake(reader)
    assert len(seen) == 1 and "still hang" in str(seen[0])
    release.set()
    eventually(lambda: (reader.drain(), len(seen) == MAX_THREADS + 1)[1])
    eventually(lambda: (reader.submit(lambda: "again", seen.append, 0.0), reader.drain(), "again" in seen)[2])
