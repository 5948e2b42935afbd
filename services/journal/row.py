"""A block as it stands in the journal, its checksum, and what it is called when it contradicts itself."""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from messages.errors import IbStreamError


class Row(NamedTuple):
    """One block. `time` is the writer's wall clock, UTC nanoseconds: order is by sequence number alone."""

    first_seq: int
    events: int  # how many: the block's sequence numbers run from first_seq to last_seq
    epoch: int
    time: int
    payload: bytes

    @property
    def last_seq(self) -> int:
        return self.first_seq + self.events - 1


def batches(rows: Iterable[Row], events: int) -> Iterator[list[Row]]:
    """The rows in order, as many at a time as have at least so many events together."""
    batch: list[Row] = []
    count = 0
    for row in rows:
        batch.append(row)
        count += row.events
        if count >= events:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


class JournalDamaged(IbStreamError):
    """The journal contradicts itself; the message says which file, where, and what is good."""

    def __init__(self, message: str) -> None:
        super().__init__("journal_damaged", message)


def checksum(first_seq: int, events: int, epoch: int, time: int, payload: bytes) -> int:
    """CRC-32 over the payload and the row's own columns, so that a swapped or edited row shows."""
    return zlib.crc32(payload, zlib.crc32(b"%d,%d,%d,%d" % (first_seq, events, epoch, time)))
