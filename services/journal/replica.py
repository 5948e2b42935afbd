"""JournalReplica: the journal of a stream that is written on another machine, block by block as it was there.

Used by the relay. Epochs and sequence numbers are the writer's; what a reader finds is the same on both sides.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from messages.errors import IbStreamError
from messages.events import Block
from services.journal.dayfile import DayFile, empty_log, sync_path, unavailable
from services.journal.days import MARKER_SUFFIX, Marker, day_files
from services.journal.row import Row
from services.journal.writer import JournalWriter


class JournalReplica(JournalWriter):
    """`append_block` instead of `append`. `epoch` is that of the newest block, not one of this process."""

    def __init__(self, directory: Path, stream: str, *, now: int, first_seq: int = 1, commit_seconds: float) -> None:
        """`first_seq` and `now` (UTC nanoseconds) are those of the first block where there is no journal yet.

        Raises what JournalWriter raises.
        """
        self._first_seq = first_seq
        super().__init__(directory, stream, now=now, commit_seconds=commit_seconds)

    def append_block(self, block: Block, payload: bytes) -> bool:
        """Append the block that follows, as its writer wrote it. False: it was not taken; try again later."""
        assert block.first_seq == self.next_seq, (block.first_seq, self.next_seq)
        assert block.epoch >= self.epoch, (block.epoch, self.epoch)
        self.epoch = block.epoch
        return self.append(payload, block.count, block.time)

    def append_blocks(self, blocks: Sequence[tuple[Block, bytes]]) -> int:
        """Append blocks that follow each other, in one transaction where that can be. Returns how many were taken."""
        rows = [Row(block.first_seq, block.count, block.epoch, block.time, payload) for block, payload in blocks]
        assert rows[0].first_seq == self.next_seq, (rows[0].first_seq, self.next_seq)
        self._check_alive()
        if len(rows) > 1 and self._write_all(rows):
            self.epoch, self.seq = rows[-1].epoch, rows[-1].last_seq
            self.time = max(self.time, *(row.time for row in rows))
            return len(rows)
        for number, (block, payload) in enumerate(blocks):
            if not self.append_block(block, payload):
                return number
        return len(blocks)

    def _take_position(self, file: DayFile) -> None:
        super()._take_position(file)
        self.epoch -= 1  # no new run begins here


def rewind(directory: Path, stream: str, through: int) -> None:
    """Drop what follows sequence number `through`, which must end a block of the newest day: the writer lost it
    in a power failure and has written something else since. The replica must be closed.

    Raises IbStreamError `journal_unavailable`, and nothing was changed then.
    """
    path = day_files(directory / stream)[-1]
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            kept = db.execute(
                "SELECT max(first_seq + count - 1) FROM block WHERE first_seq <= ?", (through,)
            ).fetchone()
            if kept[0] != through:
                raise IbStreamError(
                    "journal_unavailable",
                    f"the writer of {stream} begins anew after {through}, which ends no block in {path}: move"
                    f" the folder {path.parent} away, and it is filled again",
                )
            marker = path.with_suffix(MARKER_SUFFIX)
            epoch = db.execute("SELECT max(epoch) FROM block").fetchone()[0]
            marker.write_bytes(Marker(through, through, epoch).encode())  # first: it must never claim too much
            sync_path(marker)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("DELETE FROM block WHERE first_seq > ?", (through,))
            empty_log(db)
    except (sqlite3.Error, OSError) as error:
        raise unavailable(stream, error) from None
