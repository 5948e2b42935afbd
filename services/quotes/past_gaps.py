"""The gap ledger of a journal: every gateway's gaps, from its files. For `ibstream gaps` and data frames."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from messages.codec import decode_block
from messages.events import EventBlock
from messages.topics import LINK, kind, shard
from services.journal import JournalReader, streams_in
from services.quotes.gaps import Gap, GapFold


class PastGap(NamedTuple):
    """A gap, and the gateway that had it: empty where there is one alone."""

    gap: Gap
    gateway: str


def gaps_in(journal_dir: Path, begin: int = 0, end: int | None = None, symbols: Collection[str] = ()) -> list[PastGap]:
    """The gaps that lasted at some time from `begin` on and before `end` (UTC nanoseconds), of `symbols` only when some
    are given, in the order of their start. Raises JournalDamaged, and IbStreamError `journal_unavailable`."""
    found: list[PastGap] = []
    for stream in streams_in(journal_dir):
        if kind(stream) != LINK:
            continue
        fold = GapFold()
        with JournalReader(journal_dir, stream) as reader:
            for row in reader.blocks():
                block = decode_block(stream, row.payload)
                assert isinstance(block, EventBlock)
                for event in block.events:
                    fold.apply(event)
        found += [PastGap(gap, shard(stream)) for gap in fold.gaps() if not symbols or gap.symbol in symbols]
    found.sort(key=lambda one: (one.gap.start, one.gap.symbol))
    return [one for one in found if _lasted(one.gap, begin, end)]


def _lasted(gap: Gap, begin: int, end: int | None) -> bool:
    return (gap.end is None or gap.end >= begin) and (end is None or gap.start < end)
