"""What holds for every test: their order, how much Hypothesis tries, and that no ZeroMQ socket is left behind.

TEST_EXAMPLES=quick, as `make check` sets it, tries a tenth of the examples and the same ones each time.
"""

import gc
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from hypothesis import settings

from tests.support import QUICK

TERM_SECONDS = 10.0
WAITING = {"process", "browser"}

settings.register_profile("whole", deadline=None)  # a busy machine is no failure
settings.register_profile("quick", max_examples=15, derandomize=True, deadline=None)
settings.load_profile("quick" if QUICK else "whole")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of tests that wait for processes stand evenly among those that compute, so that the cores have work until
    the end, whoever takes which part of the list. A file stays in one piece, as its shared fixtures want it."""
    files = [list(tests) for _, tests in itertools.groupby(items, key=lambda item: item.path)]
    waiting = [tests for tests in files if WAITING & set(tests[0].path.parts)]
    computing = [tests for tests in files if tests not in waiting]
    placed = [(number / len(kind), tests) for kind in (waiting, computing) for number, tests in enumerate(kind)]
    placed.sort(key=lambda place: place[0])
    items[:] = [item for _, tests in placed for item in tests]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def contexts_terminate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every context that a test made must terminate in time: one that does not has an open socket."""
    made: list[zmq.Context[Any]] = []
    construct = zmq.Context.__init__

    def constructed(self: zmq.Context[Any], *arguments: Any, **options: Any) -> None:
        construct(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(zmq.Context, "__init__", constructed)
    yield
    for context in made:
        ending = threading.Thread(target=context.term, daemon=True)
        ending.start()
        ending.join(TERM_SECONDS)
        assert not ending.is_alive(), "a ZeroMQ context does not terminate: one of its sockets was not closed"
