"""Cost: CPU and memory of every process at the rate of a full IB account, and when nothing happens.

Beside the pipeline, in the same rounds, stands the least that one of this shape can cost (floor.py).
"""

import statistics
import time

from tests.benchmarks.floor import floor
from tests.benchmarks.harness import report
from tests.benchmarks.system import SERVICES, System

SYMBOLS = 100
RATE = 2_000  # ticks a second
WRITE_BYTES = 200  # of six ticks
PAIRS = 3  # bid, ask and last with their sizes come together, about every quarter of a second for each symbol
ALL = (*SERVICES, "web")
THRIFTY = {"gather_ms": 50, "file_interval_ms": 500}  # for a small server: what a person sees, at half the cost


def cpu_over(system: System, seconds: float) -> dict[str, float]:
    """Percent of one core, by service."""
    before, start = system.cpu(), time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - start
    return {name: (used - before[name]) / wall * 100 for name, used in system.cpu().items()}


def busy_over(system: System, seconds: float) -> dict[str, float]:
    """Percent of one core, by service, while ticks come at RATE."""
    system.exchange.stream(RATE, seconds + 2.0, PAIRS)
    time.sleep(1.0)
    used = cpu_over(system, seconds)
    system.exchange.stream_sent()
    return used


def soaked(system: System, seconds: float) -> list[dict[str, float]]:
    """Megabytes of each service, in the beginning and as time goes by at RATE."""
    memory, until = [system.memory()], time.monotonic() + seconds
    system.exchange.stream(RATE, seconds, PAIRS)
    while time.monotonic() < until:
        time.sleep(min(30.0, seconds / 4))
        memory.append(system.memory())
    system.exchange.stream_sent()
    return memory


def total(rounds: list[dict[str, float]]) -> float:
    return statistics.median(sum(one.values()) for one in rounds)


def main(short: bool) -> None:
    rounds, seconds, soak = (2, 3.0, 6.0) if short else (5, 20.0, 600.0)
    idle, busy, least = [], [], []
    with System(SYMBOLS, ALL) as system:
        for _ in range(rounds):
            idle.append(cpu_over(system, seconds))
            busy.append(busy_over(system, seconds))
            least.append(floor(RATE / 2 / PAIRS, WRITE_BYTES, seconds))
        memory = soaked(system, soak)
    with System(SYMBOLS, ALL, **THRIFTY) as system:
        thrifty = [busy_over(system, seconds) for _ in range(rounds)]
    rows = []
    for name in ALL:
        middle = [statistics.median(one[name] for one in many) for many in (idle, busy, thrifty)]
        sizes = [one[name] for one in memory]
        grown = f"{sizes[-1] - sizes[len(sizes) // 4]:+.1f}"
        rows.append([name, *(f"{value:.2f}" for value in middle), f"{sizes[-1]:.0f}", grown])
    totals = [f"{total(many):.2f}" for many in (idle, busy, thrifty)]
    rows.append(["all together", *totals, f"{sum(memory[-1].values()):.0f}", ""])
    rows.append(["the least for this shape", "", f"{total(least):.2f}", "", "", ""])
    named = " ".join(f"IBSTREAM_{name.upper()}={value}" for name, value in THRIFTY.items())
    report(
        "cost",
        f"Cost of {SYMBOLS} symbols: percent of one core, medians of {rounds} rounds of {seconds:.0f} s",
        ["", "idle %", "2,000 ticks/s %", "the same, thrifty %", "memory MB", "MB grown in the soak"],
        rows,
        {"idle": idle, "busy": busy, "thrifty": thrifty, "least": least, "memory": memory},
        [
            "The ticks of one symbol come together, six at a time, as IB sends them: 333 writes a second.",
            f"Thrifty: with {named}.",
            "The least: the same writes read from a socket, passed on by PUB to three SUBs, a file replaced for each,"
            " and nothing decoded, journalled or folded.",
            f"The soak: {soak:.0f} s at 2,000 ticks/s; growth is counted from its first quarter on.",
            "The gateway's memory has the flight recorder's ring in it, a mapped file of 32 MB, which fills once.",
        ],
    )
