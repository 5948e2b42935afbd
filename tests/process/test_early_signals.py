"""A signal in the first moments of a service, while it imports what it is made of, ends it all the same."""

import random
import signal
import time

import pytest

from tests.process.bench import Bench, end
from tests.process.pipeline import STOP_SECONDS

SERVICES = ("simulator", "gateway", "planner", "sink", "supervisor", "web")

# Python ignores what a callback raises, and its own import locks have such a callback.
IN_A_CALLBACK = """
import signal, weakref
class Gone: pass
gone = Gone()
seen = weakref.ref(gone, lambda _: signal.raise_signal(signal.SIGINT))
del gone
print("lost", flush=True)
"""


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("service", SERVICES)
def test_a_signal_in_a_callback_is_not_lost(bench, tmp_path, service):
    (tmp_path / "structlog.py").write_text(IN_A_CALLBACK)
    started = bench.spawn(service, PYTHONPATH=str(tmp_path))
    assert "lost" not in started.communicate(timeout=20)[0]
    assert started.returncode == -signal.SIGINT


@pytest.mark.parametrize("service", SERVICES)
def test_a_signal_at_any_moment_ends_it_in_time(bench, service):
    dice = random.Random(service)
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        started = bench.spawn(service)
        time.sleep(dice.random())  # the moment itself is what is tried
        end(started, number, timeout=STOP_SECONDS)
