"""IBSTREAM_GATHER_MS: under load the gateway publishes fewer, larger blocks, and the first tick waits for nobody."""

import itertools
import statistics
from collections.abc import Callable

from messages.topics import TICKS
from services.clock import SECOND
from services.journal import JournalReader, Row
from tests.process.pipeline import Pipeline
from tests.support import eventually

GATHER_MS = 400


def blocks(pipeline: Pipeline) -> list[Row]:
    with JournalReader(pipeline.settings.journal_dir, TICKS) as reader:
        return list(reader.blocks())


def test_ticks_are_gathered(pipeline: Callable[..., Pipeline]) -> None:
    running = pipeline(gather_ms=GATHER_MS)
    running.await_status("connected", timeout=60)
    begun = len(blocks(running))
    eventually(lambda: len(blocks(running)) >= begun + 10, 60)
    times = [row.time for row in blocks(running)[begun:]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert statistics.median(gaps) >= 0.9 * GATHER_MS / 1000 * SECOND
