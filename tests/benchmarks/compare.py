"""Before and after: two checkouts in turn, in one run on one machine.

    git worktree add ../before COMMIT && ln -s $PWD/.venv ../before/.venv
    python -m tests.benchmarks.compare --before ../before [--rounds 5] [--seconds 6] [cost throughput relay start]

Each measurement is a process of its own in the checkout's folder, with its services and the benchmarks' parts of it;
what is measured is this file's, so it is the same for both. The bare program, and the bare PUB and SUB, are measured in
the same rounds. About a minute and a half a round.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]  # with an older checkout, `tests` is that one's
MEASURE = "--measure"
BURST = 200_000  # frames
BLOCKS = 20_000

Figures = dict[str, float]


# --- what is measured: runs in either checkout, with that checkout's modules -------------------------------------


def cost(seconds: float) -> Figures:
    """Percent of a core, idle and busy; milliseconds to a subscriber; all in one system."""
    from messages.topics import TICKS
    from tests.benchmarks import cost as parts
    from tests.benchmarks.floor import floor
    from tests.benchmarks.latency import bare, percentiles, to_subscriber
    from tests.benchmarks.system import System

    found: Figures = {}
    with System(parts.SYMBOLS, parts.ALL) as system:
        pids = {name: process.pid for name, process in system.pipeline.processes.items()}
        system.cpu = lambda: {name: _cpu_seconds(pid) for name, pid in pids.items()}  # type: ignore[method-assign]
        for state, used in (("idle", parts.cpu_over(system, seconds)), ("busy", parts.busy_over(system, seconds))):
            found |= {f"{state} {name} %": value for name, value in used.items()}
            found[f"{state} all five %"] = sum(used.values())
        least = floor(parts.RATE / 2 / parts.PAIRS, parts.WRITE_BYTES, seconds)
        found["busy, the bare program %"] = sum(least.values())
        found["busy, times the bare program"] = found["busy all five %"] / found["busy, the bare program %"]
        subscriber = system.subscribe(["gateway"], [TICKS])
        time.sleep(0.5)
        for rate in (2_000, 20_000):
            while subscriber.drain():
                pass
            latencies, size = to_subscriber(system.exchange, subscriber, rate, seconds)
            ours, theirs = percentiles(latencies), percentiles(bare(seconds / 2, int(size)))
            found |= {
                f"{rate:,}/s to a subscriber p50 ms": ours[0],
                f"{rate:,}/s to a subscriber p99 ms": ours[1],
                f"{rate:,}/s p50, times bare": ours[0] / theirs[0],
            }
        memory = system.memory()
        found |= {f"memory {name} MB": size for name, size in memory.items()}
    return found


def _cpu_seconds(pid: int) -> float:
    """Of all threads so far, to the nanosecond: the usual counts are in hundredths of a second."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def throughput(_seconds: float) -> Figures:
    """A burst through the gateway, socket to journalled and published."""
    from tests.benchmarks.gateway import GatewayUnderTest

    with GatewayUnderTest() as gateway:
        gateway.burst(BURST)
        samples = [gateway.burst(BURST) for _ in range(3)]
    return {
        "burst, thousand frames a second": statistics.median(one.count / one.wall for one in samples) / 1e3,
        "burst, CPU ns a frame": statistics.median(one.cpu / one.count for one in samples) * 1e9,
    }


def start(_seconds: float) -> Figures:
    """What `make run` runs, installed, on an empty data root: to the first live quote."""
    folder = Path(tempfile.mkdtemp(prefix="ibs-start-"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")}
    port = str(_free_port())
    env |= {
        "IBSTREAM_DATA_ROOT": str(folder),
        "IBSTREAM_IB_PORT": port,
        "IBSTREAM_SIM_PORT": port,
        "IBSTREAM_WEB_PORT": str(_free_port()),
    }
    began, silent = time.monotonic(), subprocess.DEVNULL
    command = [sys.executable, "-m", "services.cli.run", "Procfile"]
    made = subprocess.Popen(command, env=env, stdout=silent, stderr=silent, start_new_session=True)
    try:
        while not _live(folder / "ib" / "stream"):
            assert time.monotonic() - began < 60 and made.poll() is None, "no live quote"
            time.sleep(0.01)
        return {"start to the first live quote s": time.monotonic() - began}
    finally:
        os.killpg(made.pid, signal.SIGINT)
        made.wait(15)
        shutil.rmtree(folder, ignore_errors=True)


def _live(folder: Path) -> bool:
    return any(not json.loads(path.read_bytes())["stale"] for path in folder.glob("[A-Z]*.json"))


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def relay(_seconds: float) -> Figures:
    """Blocks a second to JetStream and from there."""
    import runpy

    module = runpy.run_path(str(REPOSITORY / "tests" / "benchmarks" / "relay.py"))  # the older one has none
    found: Figures = module["relayed"](BLOCKS)
    return {f"relay, {name}": value for name, value in found.items()}


MEASURES: dict[str, Callable[[float], Figures]] = {
    "cost": cost,
    "throughput": throughput,
    "relay": relay,
    "start": start,
}


# --- both in turn ------------------------------------------------------------------------------------------------


def measured(checkout: Path, name: str, seconds: float) -> Figures:
    env = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", __file__, MEASURE, name, "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=checkout, env=env, stdout=subprocess.PIPE, timeout=300, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(before: Path, names: list[str], rounds: int, seconds: float) -> None:
    from tests.benchmarks.harness import report

    taken: dict[str, dict[str, list[float]]] = {}
    for number in range(rounds):
        for name in names:
            turns = (("before", before), ("after", REPOSITORY))
            for when, checkout in turns if number % 2 == 0 else turns[::-1]:
                for figure, value in measured(checkout, name, seconds).items():
                    taken.setdefault(figure, {"before": [], "after": []})[when].append(value)
                print(f"  round {number + 1} of {rounds}: {name} {when}", file=sys.stderr)
    rows: list[list[str]] = []
    for figure, values in taken.items():
        middles: dict[str, Any] = {when: statistics.median(many) if many else None for when, many in values.items()}
        ratio = middles["after"] / middles["before"] if middles["before"] and middles["after"] is not None else None
        spread = f"{min(values['after']):,.4g} to {max(values['after']):,.4g}" if values["after"] else ""
        cells = [f"{value:,.4g}" if value is not None else "" for value in middles.values()]
        rows.append([figure, *cells, f"{ratio:.2f}" if ratio is not None else "", spread])
    title = f"Before ({_commit(before)}) and after, in turn, medians of {rounds} rounds"
    report("compare", title, ["", "before", "after", "ratio", "after, low to high"], rows, taken)


def _commit(checkout: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=checkout, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)} (default: all)")
    parser.add_argument("--before", type=Path, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each state that is measured")
    parser.add_argument(MEASURE, metavar="NAME", choices=MEASURES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASURES[arguments.measure](arguments.seconds)))
        return
    unknown = set(arguments.names) - MEASURES.keys()
    if unknown or arguments.before is None:
        parser.error(f"nothing of the name {', '.join(unknown)}" if unknown else "--before DIR is needed")
    compare(arguments.before.resolve(), arguments.names or list(MEASURES), arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
