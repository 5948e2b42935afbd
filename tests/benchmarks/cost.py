"""Cost: CPU and memory of every process at the rate of a full IB account, and when nothing happens."""

import statistics
import time

from tests.benchmarks.harness import report
from tests.benchmarks.system import SERVICES, System

SYMBOLS = 100
PAIRS = 3  # bid, ask and last with their sizes come together, about every quarter of a second for each symbol
ALL = (*SERVICES, "web")


def cpu_over(system: System, seconds: float) -> dict[str, float]:
    """Percent of one core, by service."""
    before, start = system.cpu(), time.monotonic()
    time.sleep(seconds)
    wall = time.monotonic() - start
    return {name: (used - before[name]) / wall * 100 for name, used in system.cpu().items()}


def main(short: bool) -> None:
    rounds, seconds, soak = (2, 3.0, 6.0) if short else (5, 20.0, 600.0)
    idle, busy = [], []
    with System(SYMBOLS, ALL) as system:
        for _ in range(rounds):
            idle.append(cpu_over(system, seconds))
            system.exchange.stream(2_000, seconds + 2.0, PAIRS)
            time.sleep(1.0)
            busy.append(cpu_over(system, seconds))
            system.exchange.stream_sent()
        before = system.memory()
        system.exchange.stream(2_000, soak, PAIRS)
        memory = [before]
        until = time.monotonic() + soak
        while time.monotonic() < until:
            time.sleep(min(30.0, soak / 4))
            memory.append(system.memory())
        system.exchange.stream_sent()
    rows = []
    for name in ALL:
        middle = [statistics.median(one[name] for one in many) for many in (idle, busy)]
        sizes = [one[name] for one in memory]
        grown = f"{sizes[-1] - sizes[len(sizes) // 4]:+.1f}"
        rows.append([name, *(f"{value:.2f}" for value in middle), f"{sizes[-1]:.0f}", grown])
    total = [statistics.median(sum(one.values()) for one in many) for many in (idle, busy)]
    rows.append(["all together", *(f"{value:.2f}" for value in total), f"{sum(memory[-1].values()):.0f}", ""])
    report(
        "cost",
        f"Cost of {SYMBOLS} symbols: percent of one core, medians of {rounds} rounds of {seconds:.0f} s",
        ["", "idle %", "2,000 ticks/s %", "memory MB", "MB grown in the soak"],
        rows,
        {"idle": idle, "busy": busy, "memory": memory},
        [
            "The ticks of one symbol come together, six at a time, as IB sends them: 333 writes a second.",
            f"The soak: {soak:.0f} s at 2,000 ticks/s; growth is counted from its first quarter on.",
        ],
    )
