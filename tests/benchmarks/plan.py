"""A plan once its rows are read: candidates by the thousand, cut to a hundred market data lines, with reasons."""

import random
from functools import partial

from messages.control import Start
from services.planner.config import ProjectConfig
from services.planner.core import Limits, Project, Sources, derive, select
from services.planner.items import Item, parse_items
from tests.benchmarks.harness import Case, Sample, in_turn, median, report, timed

LIMITS = Limits(max_symbols=100, line_limit=100)
PROJECT = Project(1, "bench", ProjectConfig(benchmark=("SPY",), risk_off_symbols=("BIL", "TLT")))


def csv(count: int) -> bytes:
    """A decision snapshot of `count` symbols, their ranks in no order."""
    rng = random.Random(count)
    ranks = rng.sample(range(1, count + 1), count)
    rows = (f"S{number:06d},{rank},{rng.random():.6f}" for number, rank in enumerate(ranks))
    return "\n".join(["symbol,rank,weight", *rows, ""]).encode()


def plan(items: list[Item], incumbents: frozenset[str]) -> Sample:
    with timed(len(items)) as sample:
        selection = select(derive(Start(), Sources(PROJECT, 1, items)), LIMITS, incumbents)
    assert len(selection.symbols) == LIMITS.count
    return sample


def read(data: bytes, count: int) -> Sample:
    with timed(count) as sample:
        items = parse_items(data, "the CSV").rows
    assert len(items) == count
    return sample


def main(short: bool) -> None:
    sizes, rounds = ((100, 10_000), 3) if short else ((100, 1_000, 10_000, 100_000), 9)
    cases: dict[str, Case] = {}
    for count in sizes:
        data = csv(count)
        items = parse_items(data, "the CSV").rows
        first = select(derive(Start(), Sources(PROJECT, 1, items)), LIMITS)
        streaming = frozenset(planned.symbol for planned in first.symbols)
        cases[f"{count:,} candidates: the CSV read"] = partial(read, data, count)
        cases[f"{count:,} candidates: first plan"] = partial(plan, items, frozenset())
        cases[f"{count:,} candidates: refresh, 100 streaming"] = partial(plan, items, streaming)
    samples = in_turn(cases, rounds)
    rows = [
        [name, f"{median(taken, lambda s: s.wall * 1e3):.1f}", f"{max(s.wall for s in taken) * 1e3:.1f}"]
        for name, taken in samples.items()
    ]
    report("plan", "Plan from rows that are read", ["", "median ms", "worst ms"], rows, samples)
