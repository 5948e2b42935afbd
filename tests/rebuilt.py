"""The symbol files that a journal gives, folded block by block: what the sink and the fold in batches
(services/quotes/checkpoints.py) are held against."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from messages.codec import decode_block
from messages.views import Quote
from services.base.files import replace_file
from services.base.symbols import file_name
from services.journal import JournalReader, streams_in
from services.quotes.projection import Projection, file_bytes

VOUCHING = frozenset({"service_down", "reader_behind", "link_down", "link_silent", "shutdown"})
"""Why the sink withholds a price that the fold calls current."""


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


def folded_files(folder: Path) -> dict[str, bytes]:
    """The symbol files of a folder, without what a sink adds to the fold: until when a price may be used, or why it may
    not for want of anybody who vouches for it."""
    return {path.name: _unvouched(path.read_bytes()) for path in folder.glob("[!._]*.json")}


def _unvouched(data: bytes) -> bytes:
    quote = msgspec.json.decode(data, type=Quote)
    assert file_bytes(quote) == data
    assert not (quote.stale and quote.good_until)
    if quote.reason in VOUCHING:
        quote = msgspec.structs.replace(quote, stale=False, reason=None)
    return file_bytes(msgspec.structs.replace(quote, good_until=None))
