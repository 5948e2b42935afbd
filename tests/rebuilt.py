"""The symbol files that a journal gives, folded block by block: what the sink and the fold in batches
(services/quotes/checkpoints.py) are held against."""

from collections.abc import Callable
from pathlib import Path

from messages.codec import decode_block
from services.base.files import replace_file
from services.base.symbols import file_name
from services.journal import JournalReader, streams_in
from services.quotes.projection import Projection, file_bytes


def fold(
    journal_dir: Path,
    until: int | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Projection:
    """The projection of the journal, of blocks before `until` (UTC nanoseconds) when it is given.

    `progress` is called with the stream and the number of its events folded so far. Raises JournalDamaged.
    """
    projection = Projection()
    for stream in streams_in(journal_dir):
        done = 0
        with JournalReader(journal_dir, stream) as reader:
            last = None if until is None else reader.seq_at(until) - 1
            for row in reader.blocks(to_seq=last):
                projection.apply(stream, decode_block(stream, row.payload))
                done += row.events
                if progress is not None:
                    progress(stream, done)
    return projection


def rebuild(journal_dir: Path, into: Path, until: int | None = None) -> list[str]:
    """Write the symbol files that the journal gives into the folder `into`. Returns the symbols."""
    projection = fold(journal_dir, until)
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for symbol in projection.symbols():
        quote = projection.quote(symbol)
        if quote is not None:
            replace_file(into / file_name(symbol), file_bytes(quote))
            written.append(symbol)
    return written
