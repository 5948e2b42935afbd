"""How long a plan takes once its rows are read: candidates by the thousand, cut to a hundred lines.

    python -m tests.benchmarks.bench_plan [--short]

Prints one JSON line a size: seconds for the first plan, and for a refresh with a hundred incumbents.
"""

import json
import random
import statistics
import sys
import time

from messages.codec import encode
from messages.control import Start
from messages.events import Plan
from services.planner.config import ProjectConfig
from services.planner.core import Limits, Project, Sources, derive, select
from services.planner.items import Item, parse_items

LIMITS = Limits(max_symbols=100, line_limit=100)


def csv(count: int, rng: random.Random) -> bytes:
    ranks = rng.sample(range(1, count + 1), count)
    rows = (f"S{n:06d},{rank},{rng.random():.6f}" for n, rank in enumerate(ranks))
    return "\n".join(["symbol,rank,weight", *rows, ""]).encode()


def measure(count: int, rounds: int) -> dict[str, float | int]:
    data = csv(count, random.Random(1))
    project = Project(1, "bench", ProjectConfig(benchmark=("SPY",), risk_off_symbols=("BIL", "TLT")))
    parsing, planning, refreshing = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        items: list[Item] = parse_items(data, "the CSV")
        parsed = time.perf_counter()
        first = select(derive(Start(), Sources(project, 1, items)), LIMITS)
        planned = time.perf_counter()
        incumbents = frozenset(s.symbol for s in first.symbols)
        again = select(derive(Start(), Sources(project, 1, items)), LIMITS, incumbents)
        refreshed = time.perf_counter()
        assert again == first and len(first.symbols) == LIMITS.count
        parsing.append(parsed - start)
        planning.append(planned - parsed)
        refreshing.append(refreshed - planned)
    size = len(encode(Plan(1, 1, 1, True, first.symbols, first.cut)))
    return {
        "candidates": count,
        "plan_seconds": round(statistics.median(planning), 5),
        "plan_seconds_worst": round(max(planning), 5),
        "refresh_seconds": round(statistics.median(refreshing), 5),
        "csv_seconds": round(statistics.median(parsing), 5),
        "message_bytes": size,
    }


def main(arguments: list[str]) -> None:
    short = "--short" in arguments
    for count in (100, 10_000) if short else (100, 1_000, 10_000, 100_000):
        print(json.dumps(measure(count, 3 if short else 9)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
