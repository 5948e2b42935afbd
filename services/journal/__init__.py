"""The journal: blocks of one stream, one file a UTC day, written by one process and read by many.

Written by the stream's owner through `JournalWriter`; read by anybody on the machine through `JournalReader`,
while it is written or not. Guarantees: sequence numbers rise by one from block to block, across days and
epochs; after the writer is killed every appended block is there; after a power failure at most the commit
interval, and the time of one fsync, is missing from the end, and what is there is whole. Nothing is repaired
in silence: a torn tail is cut with a log line, other damage raises `JournalDamaged`.

    row.py       a block as it stands in the journal, and its checksum
    days.py      the files of a stream: an open day in SQLite, a closed one in SQLite or Parquet
    dayfile.py   an open day, for its writer
    writer.py    JournalWriter: order, group commit, what happens when the disk says no
    replica.py   JournalReplica: another machine's stream, kept as it was written there
    reader.py    JournalReader: journal and archive as one
    parquet.py   a closed day, compacted
"""

from typing import TYPE_CHECKING, Any

from services.journal.days import day_files, streams_in
from services.journal.reader import JournalReader
from services.journal.row import JournalDamaged, Row, batches, checksum

if TYPE_CHECKING:
    from services.journal.replica import JournalReplica
    from services.journal.writer import JournalWriter

__all__ = [
    "JournalDamaged",
    "JournalReader",
    "JournalReplica",
    "JournalWriter",
    "Row",
    "batches",
    "checksum",
    "day_files",
    "streams_in",
]


def __getattr__(name: str) -> Any:
    """The writers come when they are asked for: who only reads, such as a client, needs none of their libraries."""
    if name == "JournalWriter":
        from services.journal.writer import JournalWriter

        return JournalWriter
    if name == "JournalReplica":
        from services.journal.replica import JournalReplica

        return JournalReplica
    raise AttributeError(name)
