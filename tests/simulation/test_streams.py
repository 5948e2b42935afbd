"""Thousands of seeded worlds of writers, a bad bus and consumers; a failing seed replays exactly.

IBSTREAM_TEST_SEED=n runs that one alone and prints what happened; IBSTREAM_TEST_SEEDS=n runs so many.
"""

import os
from pathlib import Path

import pytest

from tests.simulation.streams import STREAMS, ModelStore, RealStore, Store, World
from tests.support import some

SEEDS = int(os.environ.get("IBSTREAM_TEST_SEEDS", "3000"))
ONLY = os.environ.get("IBSTREAM_TEST_SEED")
CHUNKS = 10
STEPS = 120


def model(seed: int) -> World:
    stores: dict[str, Store] = {stream: ModelStore() for stream in STREAMS}
    return World(seed, stores)


def live(seed: int, world: World, steps: int = STEPS) -> None:
    try:
        world.run(steps)
    except BaseException as error:
        told = "\n".join(world.history[-40:])
        raise AssertionError(f"seed {seed} (IBSTREAM_TEST_SEED={seed} runs it alone): {error}\n{told}") from error


@pytest.mark.parametrize("chunk", some(range(CHUNKS), 3))
def test_every_consumer_comes_to_the_fold_of_the_journal_whatever_happens(chunk: int) -> None:
    seeds = [int(ONLY)] if ONLY else range(chunk * SEEDS // CHUNKS, (chunk + 1) * SEEDS // CHUNKS)
    for seed in seeds:
        live(seed, model(seed))


@pytest.mark.parametrize("seed", [int(ONLY)] if ONLY else some(range(12), 4))
def test_the_real_journal_keeps_the_contract_that_the_model_has(tmp_path: Path, seed: int) -> None:
    stores: dict[str, Store] = {stream: RealStore(tmp_path / "journal", stream) for stream in STREAMS}
    world = World(seed, stores)
    try:
        live(seed, world, STEPS // 2)
    finally:
        world.close()


def test_a_seed_tells_the_same_story_each_time() -> None:
    stories = []
    for _ in range(2):
        world = model(7)
        world.run(STEPS)
        stories.append(world.history)
    assert stories[0] == stories[1]
    assert len(stories[0]) > STEPS / 4


def test_the_worlds_are_as_bad_as_they_should_be() -> None:
    """The faults do happen: consumers restart, writers die, gaps open, disks fill."""
    restarts = gaps = 0
    told = set()
    for seed in range(50):
        world = model(seed)
        world.run(STEPS)
        restarts += sum(consumer.restarts for consumer in world.consumers)
        gaps += sum(f.gaps for consumer in world.consumers for f in consumer.followers.values())
        told |= {line.split(" ", 1)[0] for line in world.history}
    assert restarts > 20
    assert gaps > 20
    assert told >= {"append", "deliver", "step", "writer", "power", "consumer"}
