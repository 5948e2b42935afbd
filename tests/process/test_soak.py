"""The short form of the soak (`make soak` is the long one), and that it tells a leak from none.

`IBSTREAM_SOAK_SECONDS` makes it longer here too.
"""

import os
import subprocess
import sys

import pytest

from tests.process.pipeline import ALL
from tests.soak.gauge import BOUNDS, Gauge
from tests.support import REPOSITORY

SECONDS = float(os.environ.get("IBSTREAM_SOAK_SECONDS") or 20)
QUIET = {"memory": 40.0, "handles": 20.0, "threads": 4.0}


@pytest.mark.timeout(SECONDS + 600)
def test_in_a_storm_nothing_grows_nothing_is_lost_and_all_heals() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", str(SECONDS)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("flat, nothing lost, all healed\n")
    assert all(f"\n| {name} |" in done.stdout for name in ALL)


# --- the judge ---


def lived(gauge: Gauge, seconds: int, pid: int = 1, **growth: float) -> Gauge:
    """A process that was looked at every second; what grows does so by so much a second."""
    for at in range(seconds):
        gauge.note("sink", pid, at, {name: value + growth.get(name, 0.0) * at for name, value in QUIET.items()})
    return gauge


def test_what_stays_as_it_is_does_not_leak() -> None:
    assert lived(Gauge(), 600).leaks() == []


@pytest.mark.parametrize(("figure", "by"), [("memory", 0.02), ("handles", 0.02), ("threads", 0.01)])
def test_what_grows_leaks_and_is_told_in_a_sentence(figure: str, by: float) -> None:
    (told,) = lived(Gauge(), 600, **{figure: by}).leaks()
    assert told.startswith(f"sink: {figure} grew from ")
    assert "in 539 s" in told
    assert "allowed" in told


def test_a_start_is_no_leak_but_a_life_after_it_is_judged() -> None:
    gauge = lived(Gauge(), 50, pid=1, memory=1.0)  # short: it is not the life that is judged
    assert lived(gauge, 600, pid=2).leaks() == []
    assert lived(gauge, 900, pid=3, memory=0.1).leaks() != []


def test_a_life_too_short_to_judge_is_no_good_answer() -> None:
    assert lived(Gauge(), 5).leaks() == ["sink: no life long enough to judge"]


def test_what_may_come_and_go_is_bounded() -> None:
    gauge = lived(Gauge(), 600)
    for what, most in BOUNDS.items():
        gauge.bound(what, most)
    assert gauge.leaks() == []
    gauge.bound("write-ahead logs", 200.0)
    assert gauge.leaks() == ["the write-ahead logs grew to 200 MB; 128 are allowed"]
