"""Scale: what a tick costs with more symbols and more subscribers, and how long a start takes."""

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from messages.topics import TICKS
from messages.views import Quote
from tests.benchmarks.harness import report
from tests.benchmarks.latency import percentiles, to_subscriber
from tests.benchmarks.system import System
from tests.support import REPOSITORY, free_port

RATE = 20_000  # ticks a second


def symbols(counts: list[int], seconds: float, rounds: int) -> None:
    """CPU of gateway and sink for each tick, at the same rate over more and more symbols."""
    rows, data, base = [], {}, 0.0
    for count in counts:
        spent: dict[str, list[float]] = {"gateway": [], "sink": []}
        with System(count) as system:
            for _ in range(rounds):
                before = system.cpu()
                system.exchange.stream(RATE, seconds)
                ticks = 2 * len(system.exchange.stream_sent())
                time.sleep(1.0)
                after = system.cpu()
                for name, many in spent.items():
                    many.append((after[name] - before[name]) / ticks * 1e6)
        middle = [statistics.median(many) for many in spent.values()]
        base = base or middle[0]
        rows.append([f"{count:,} symbols", *(f"{value:.2f}" for value in middle), f"{middle[0] / base:.2f}"])
        data[str(count)] = spent
    report(
        "scale-symbols",
        f"CPU µs a tick at {RATE:,} ticks/s, medians of {rounds} rounds of {seconds:.0f} s",
        ["", "gateway", "sink", "gateway, times the first"],
        rows,
        data,
        ["The sink's files are bounded in number a second, so its cost follows the changed symbols."],
    )


def subscribers(counts: list[int], seconds: float) -> None:
    """Latency and the gateway's CPU with more and more subscribers that read nothing but the socket's buffer."""
    rows, data, held = [], {}, 0
    with System(100) as system:
        measuring = system.subscribe(["gateway"], [TICKS])
        for count in counts:
            while held < count - 1:  # the one that measures comes on top
                system.subscribe(["gateway"], [TICKS])
                held += 1
            time.sleep(0.5)
            measuring.drain()
            before, start = system.cpu()["gateway"], time.monotonic()
            latencies, _ = to_subscriber(system.exchange, measuring, 2_000, seconds)
            used = (system.cpu()["gateway"] - before) / (time.monotonic() - start) * 100
            middle = percentiles(latencies)
            rows.append([f"{count} subscribers", *(f"{value:.3f}" for value in middle), f"{used:.1f}"])
            data[str(count)] = {"percentiles": middle, "cpu": used}
    title = "Subscribers at 2,000 ticks/s: latency in milliseconds, and the gateway's share of a core"
    report("scale-subscribers", title, ["", "p50", "p99", "p99.9", "CPU %"], rows, data)


def starts(rounds: int) -> None:
    """`make run` on an empty data root, installed, to the first live quote of the demo project."""
    subprocess.run(["make", "setup"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    taken = [_start() for _ in range(rounds)]
    rows = [["to the first live quote", f"{statistics.median(taken):.2f}", f"{min(taken):.2f} to {max(taken):.2f}"]]
    title = f"`make run` on an empty data root, seconds, medians of {rounds} rounds"
    report("start", title, ["", "median", "low to high"], rows, taken)


def _start() -> float:
    folder = Path(tempfile.mkdtemp(prefix="ibs-start-"))
    port = str(free_port())
    env = {name: value for name, value in os.environ.items() if not name.startswith("IBSTREAM_")} | {
        "IBSTREAM_DATA_ROOT": str(folder),
        "IBSTREAM_IB_PORT": port,
        "IBSTREAM_SIM_PORT": port,
        "IBSTREAM_WEB_PORT": str(free_port()),
    }
    start = time.monotonic()
    silent = subprocess.DEVNULL
    made = subprocess.Popen(
        ["make", "run"], cwd=REPOSITORY, env=env, stdout=silent, stderr=silent, start_new_session=True
    )
    try:
        while not _live(folder / "ib" / "stream"):
            assert time.monotonic() - start < 60, "no live quote within a minute"
            assert made.poll() is None, "make run has ended"
            time.sleep(0.01)
        return time.monotonic() - start
    finally:
        os.killpg(made.pid, signal.SIGINT)
        made.wait(15)
        shutil.rmtree(folder, ignore_errors=True)


def _live(folder: Path) -> bool:
    quotes = (msgspec.json.decode(path.read_bytes(), type=Quote) for path in folder.glob("[A-Z]*.json"))
    return any(not quote.stale for quote in quotes)


def main(short: bool) -> None:
    if short:
        symbols([10, 100], seconds=2.0, rounds=2)
        subscribers([1, 10], seconds=2.0)
        starts(1)
    else:
        symbols([10, 100, 1_000, 10_000], seconds=10.0, rounds=5)
        subscribers([1, 10, 100], seconds=10.0)
        starts(5)
