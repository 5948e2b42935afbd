"""Journals for tests: blocks made by the number, and what a crash leaves of a stream's files."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from messages.codec import encode
from messages.events import EventBlock, IbError, TickBlock
from messages.fields import BID
from services.base.clock import SECOND
from services.gateway.wire.columns import Columns
from services.journal import JournalReader, JournalWriter

NOON = 1_767_614_400 * SECOND  # 2026-01-05T12:00:00Z
DAY = 86_400 * SECOND
STREAM = "link"


def open_writer(root: Path, now: int = NOON, stream: str = STREAM, commit_seconds: float = 0.01) -> JournalWriter:
    return JournalWriter(root, stream, now=now, commit_seconds=commit_seconds)


def events_block(epoch: int, first_seq: int, count: int, time: int = NOON, word: str = "") -> EventBlock:
    """A block of `count` events that tell their own sequence numbers."""
    events = [
        IbError(code=first_seq + n, name="unknown", kind="info", message=f"{epoch}:{first_seq + n}{word}")
        for n in range(count)
    ]
    return EventBlock(epoch, first_seq, time, list(events))


def tick_block(epoch: int, first_seq: int, prices: Iterable[float], time: int = NOON, symbol: str = "SPY") -> TickBlock:
    """A block of bid prices of one symbol, one lot each."""
    columns = Columns()
    for price in prices:
        columns.add(1, BID, price, 100.0)
    return columns.to_block(epoch, first_seq, time, {1: symbol})


def append(writer: JournalWriter, count: int = 1, time: int = NOON, word: str = "") -> bool:
    block = events_block(writer.epoch, writer.next_seq, count, time, word)
    return writer.append(encode(block), count, time)


def fill(root: Path, counts: Iterable[int], time: int = NOON, stream: str = STREAM) -> None:
    """One epoch with a block for each count, closed cleanly."""
    writer = open_writer(root, time, stream)
    for count in counts:
        assert append(writer, count, time)
    writer.close()


def numbers(root: Path, stream: str = STREAM, from_seq: int = 1) -> list[int]:
    """Every sequence number from `from_seq` on that a reader finds."""
    with JournalReader(root, stream) as reader:
        return [seq for row in reader.blocks(from_seq) for seq in range(max(from_seq, row.first_seq), row.last_seq + 1)]


def killed(root: Path, into: Path) -> Path:
    """A copy of the journal as it is when its writer is killed in this moment."""
    return Path(shutil.copytree(root, into, ignore=shutil.ignore_patterns("*-shm", ".writer.lock")))
