"""What the gateway puts into one block of ticks, and when it sends it."""

import itertools
import signal
import statistics
from collections.abc import Callable

from messages.codec import decode_ticks
from messages.topics import TICKS
from services.base.clock import SECOND
from services.journal import JournalReader, Row
from services.quotes.book import QuoteBook
from tests.process.pipeline import Pipeline
from tests.support import eventually

GATHER_MS = 400


def blocks(pipeline: Pipeline) -> list[Row]:
    with JournalReader(pipeline.settings.journal_dir, TICKS) as reader:
        return list(reader.blocks())


def test_no_price_is_ever_without_its_source(pipeline: Callable[..., Pipeline]) -> None:
    """Not for one block: an invented price whose mark comes a moment later would pass as a real one."""
    running = pipeline()
    running.await_status("connected", timeout=60)
    running.kill("simulator", signal.SIGKILL)
    running.await_status("disconnected", timeout=60)
    running.start("simulator")
    running.await_status("connected", timeout=60)
    book, seen = QuoteBook(), 0
    for row in blocks(running):
        for symbol in book.apply(decode_ticks(row.payload)):
            quote = book.quote(symbol)
            if quote is not None and quote.timestamp is not None:
                assert quote.source == "mock", (row.first_seq, quote)
                seen += 1
    assert seen > 100


def test_ticks_are_gathered(pipeline: Callable[..., Pipeline]) -> None:
    """IBSTREAM_GATHER_MS makes blocks fewer and larger."""
    running = pipeline(gather_ms=GATHER_MS)
    running.await_status("connected", timeout=60)
    begun = len(blocks(running))
    eventually(lambda: len(blocks(running)) >= begun + 10, 60)
    times = [row.time for row in blocks(running)[begun:]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert statistics.median(gaps) >= 0.9 * GATHER_MS / 1000 * SECOND
