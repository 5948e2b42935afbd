"""Wake-ups: how often each thread of each service wakes, idle and busy, what that costs, and for what it was.

The threads are counted by the kernel (voluntary context switches and CPU time in /proc), what a loop woke for by the
loop itself (the metric `loop_wakeups_total` of its heartbeat), system calls by strace where that is installed. Linux.
"""

import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.cost import ALL, PAIRS, RATE, SYMBOLS
from tests.benchmarks.harness import report
from tests.benchmarks.system import System

SHOWN = 6  # system calls and causes of each service
LEAST = 0.2  # wake-ups a second of a thread that is worth a row
_CAUSE = re.compile(r'loop_wakeups_total\{by="(.*)"\}')


class Thread(NamedTuple):
    wakes: int
    cpu: float  # seconds


def threads(pid: int) -> dict[str, Thread]:
    """By name; threads of one name together."""
    found: dict[str, Thread] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            status = (task / "status").read_text()
            used = int((task / "schedstat").read_text().split()[0]) / 1e9
        except (OSError, IndexError):
            continue  # it has ended
        wakes = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        name = "loop" if task.name == str(pid) else name
        before = found.get(name, Thread(0, 0.0))
        found[name] = Thread(before.wakes + wakes, before.cpu + used)
    return found


class Counted(NamedTuple):
    """Of one service, a second."""

    threads: dict[str, Thread]
    causes: dict[str, float]


def counted(system: System, seconds: float) -> dict[str, Counted]:
    """Wake-ups and CPU seconds a second, by service."""
    pids = {name: process.pid for name, process in system.pipeline.processes.items()}
    causes, before, began = _causes(system), {name: threads(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(seconds)
    after, wall = {name: threads(pid) for name, pid in pids.items()}, time.monotonic() - began
    heard, told = _causes(system), time.monotonic() - began
    found = {}
    for name in pids:
        rates = {}
        for thread, now in after[name].items():
            was = before[name].get(thread, Thread(0, 0.0))
            rates[thread] = Thread(round((now.wakes - was.wakes) / wall, 2), (now.cpu - was.cpu) / wall)  # type: ignore[arg-type]
        since = causes.get(name, {})
        found[name] = Counted(
            rates, {cause: (count - since.get(cause, 0.0)) / told for cause, count in heard.get(name, {}).items()}
        )
    return found


def _causes(system: System) -> dict[str, dict[str, float]]:
    """What the loops woke for so far."""
    return {
        name: {
            match[1]: value for series, value in beat.metrics.items() if (match := _CAUSE.fullmatch(series)) is not None
        }
        for name, beat in system.heartbeats(0.8).items()
    }


def system_calls(pid: int, seconds: float) -> dict[str, float]:
    """Calls a second of a process and its threads, by name; empty without strace."""
    strace = shutil.which("strace")
    if strace is None:
        return {}
    with tempfile.NamedTemporaryFile("r") as summary:
        command = [strace, "-f", "-c", "-q", "-p", str(pid), "-o", summary.name]
        tracing = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        tracing.send_signal(signal.SIGINT)
        tracing.wait(10)
        rows = [line.split() for line in summary.read().splitlines()]
    return {
        row[-1]: int(row[3]) / seconds for row in rows if len(row) in (5, 6) and row[3].isdigit() and row[-1] != "total"
    }


def _rows(counts: dict[str, list[dict[str, Counted]]]) -> list[list[str]]:
    """A row for each thread: wake-ups a second, µs each and percent of a core, idle and then busy."""
    rows = []
    for service in ALL:
        names = {name for rounds in counts.values() for one in rounds for name in one[service].threads}
        for thread in sorted(names, key=lambda name: (name != "loop", name)):
            cells: list[str] = []
            most = 0.0
            for rounds in counts.values():
                seen = [one[service].threads.get(thread, Thread(0, 0.0)) for one in rounds]
                wakes, cpu = statistics.median(t.wakes for t in seen), statistics.median(t.cpu for t in seen)
                most = max(most, wakes)
                each = f"{cpu / wakes * 1e6:.0f}" if wakes else ""
                cells += [f"{wakes:,.1f}", each, f"{cpu * 100:.2f}"]
            if most >= LEAST:
                rows.append([service, thread, *cells])
        totals = []
        for rounds in counts.values():
            wakes = statistics.median(sum(t.wakes for t in one[service].threads.values()) for one in rounds)
            cpu = statistics.median(sum(t.cpu for t in one[service].threads.values()) for one in rounds)
            totals += [f"{wakes:,.1f}", f"{cpu / wakes * 1e6:.0f}" if wakes else "", f"{cpu * 100:.2f}"]
        rows.append([service, "all threads", *totals])
    return rows


def _why(taken: dict[str, dict[str, float]]) -> list[list[str]]:
    """For each service the most frequent, a second, of each column."""
    rows = []
    for service in ALL:
        row = [service]
        for column in taken.values():
            found = sorted(column.get(service, {}).items(), key=lambda item: -item[1])[:SHOWN]
            row.append(", ".join(f"{name} {rate:,.1f}" for name, rate in found if rate >= LEAST))
        rows.append(row)
    return rows


def main(short: bool) -> None:
    rounds, seconds, traced = (1, 3.0, 2.0) if short else (3, 10.0, 4.0)
    counts: dict[str, list[dict[str, Counted]]] = {"idle": [], "busy": []}
    calls: dict[str, dict[str, dict[str, float]]] = {"idle": {}, "busy": {}}
    with System(SYMBOLS, ALL) as system:

        def streaming(work: Callable[[], None], for_seconds: float) -> None:
            system.exchange.stream(RATE, for_seconds, PAIRS)
            time.sleep(0.5)
            work()
            system.exchange.stream_sent()

        for _ in range(rounds):
            counts["idle"].append(counted(system, seconds))
            streaming(lambda: counts["busy"].append(counted(system, seconds)), seconds + 4.0)
        for name, process in system.pipeline.processes.items():
            calls["idle"][name] = system_calls(process.pid, traced)
            streaming(lambda name=name, pid=process.pid: _trace(calls["busy"], name, pid, traced), traced + 3.0)  # type: ignore[misc]
    report(
        "wakeups",
        f"Wake-ups, {SYMBOLS} symbols, idle and at {RATE:,} ticks/s, medians of {rounds} rounds of {seconds:.0f} s",
        ["service", "thread", "idle, a second", "µs each", "% of a core", "busy, a second", "µs each", "% of a core"],
        _rows(counts),
        {
            state: [{name: one._asdict() for name, one in many.items()} for many in all_]
            for state, all_ in counts.items()
        },
        ["A wake-up is a voluntary context switch. `loop` is the service's own thread, ZMQbg/IO the bus's."],
    )
    causes = {state: {name: one.causes for name, one in many[-1].items()} for state, many in counts.items()}
    report(
        "wakeups-why",
        "What the loops woke for, a second, by the handler that was called first",
        ["service", "idle", "busy"],
        _why(causes),
        causes,
    )
    report("wakeups-calls", "System calls a second", ["service", "idle", "busy"], _why(calls), calls)


def _trace(into: dict[str, dict[str, float]], name: str, pid: int, seconds: float) -> None:
    into[name] = system_calls(pid, seconds)
