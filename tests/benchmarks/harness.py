"""What every benchmark shares: rounds in turn, medians, the environment, a table on the terminal and JSON in a file.

A case is a function that does the work once and returns a Sample. Cases take turns (A B C, A B C, ...), so that
whatever else the machine does falls on all of them.
"""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import zmq
from rich.console import Console
from rich.table import Table

from tests.support import REPOSITORY

ARTIFACTS: Final = REPOSITORY / "artifacts" / "bench"


class Sample(msgspec.Struct, omit_defaults=True):
    """One round of one case: `count` things (frames, ticks) in `wall` seconds, with `cpu` seconds of CPU time."""

    count: int
    wall: float
    cpu: float
    finished: bool = True  # False: its time was up, and `count` is how far it came
    extra: dict[str, float] = {}

    @property
    def rate(self) -> float:
        return self.count / self.wall


Case = Callable[[], Sample]


@contextmanager
def timed(count: int) -> Iterator[Sample]:
    """Times its block, in this process alone (all threads)."""
    sample = Sample(count, 0.0, 0.0)
    cpu, wall = time.process_time(), time.perf_counter()
    yield sample
    sample.wall = time.perf_counter() - wall
    sample.cpu = time.process_time() - cpu


def in_turn(cases: Mapping[str, Case], rounds: int) -> dict[str, list[Sample]]:
    """Each case `rounds` times."""
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            samples[name].append(case())
            print(f"  round {number + 1} of {rounds}: {name}: {samples[name][-1].rate:,.0f}/s", file=sys.stderr)
    return samples


def median(samples: Sequence[Sample], of: Callable[[Sample], float] = lambda sample: sample.rate) -> float:
    return statistics.median(map(of, samples))


def cpu_ns(sample: Sample) -> float:
    """CPU nanoseconds for one of the things: what a busy machine changes least."""
    return sample.cpu / sample.count * 1e9


def spread(samples: Sequence[Sample]) -> str:
    """The lowest and the highest rate, in thousands."""
    rates = [sample.rate for sample in samples]
    return f"{min(rates) / 1e3:,.0f} to {max(rates) / 1e3:,.0f}"


def thousands(rate: float) -> str:
    return f"{rate / 1e3:,.0f}"


def environment() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    return {
        "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit.stdout.strip(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "msgspec": version("msgspec"),
        "pyzmq": f"{version('pyzmq')} (libzmq {zmq.zmq_version()})",
        "sqlite": sqlite3.sqlite_version,
        "load before": [round(load, 2) for load in os.getloadavg()],
    }


def report(
    name: str, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], data: Any, notes: Sequence[str] = ()
) -> None:
    """Print the table; write it, what it comes from and the environment to artifacts/bench/{name}.json."""
    where = environment()
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(width=max(120, Console().width))
    console.print(table)
    for note in notes:
        console.print(f"[dim]{note}[/dim]")
    console.print("[dim]" + ", ".join(f"{key} {value}" for key, value in where.items()) + "[/dim]\n")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "columns": columns, "rows": rows, "notes": notes, "environment": where}
    content["data"] = msgspec.to_builtins(data)
    (ARTIFACTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def ask_peer(python: Path, script: str, *arguments: object, timeout: float) -> Sample:
    """Run a script of this folder in a peer's environment; it answers with a Sample as JSON."""
    command = [str(python), str(Path(__file__).parent / script), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=timeout)
    return msgspec.json.decode(done.stdout, type=Sample)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
