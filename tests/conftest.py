"""What holds for every test: how much Hypothesis tries, and that no ZeroMQ socket is left behind.

TEST_EXAMPLES=quick, as `make check` sets it, tries a tenth of the examples and the same ones each time.
"""

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from hypothesis import settings

from tests.support import QUICK

TERM_SECONDS = 10.0

settings.register_profile("whole", deadline=None)  # a busy machine is no failure
settings.register_profile("quick", max_examples=15, derandomize=True, deadline=None)
settings.load_profile("quick" if QUICK else "whole")


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


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
