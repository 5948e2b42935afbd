"""The projection at any moment of the past, and the symbol files that it gives.

Used by `ibstream at` and `ibstream replay --into`. A book at a time is the fold of every block up to then, so
it is what the sink's files said at that moment. Raises JournalDamaged where the journal does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from messages.codec import decode_block
from services.files import replace_file
from services.journal import JournalReader
from services.projection import STREAMS, Projection, file_bytes
from services.replay import rows
from services.symbols import file_name

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how many events of how many are folded."""


def book_at(journal_dir: Path, moment: int, progress: Progress | None = None) -> Projection:
    """The projection of all that was written up to and at `moment` (UTC nanoseconds)."""
    return fold(journal_dir, moment + 1, progress)


def fold(journal_dir: Path, until: int | None, progress: Progress | None = None) -> Projection:
    """The projection of all blocks before `until` (UTC nanoseconds), or of all of them."""
    projection = Projection()
    for stream in STREAMS:
        with JournalReader(journal_dir, stream) as reader:
            first = reader.first_seq() or 1
            last = reader.last()
            end = reader.seq_at(until) - 1 if until is not None else last.last_seq if last is not None else 0
            for row in reader.blocks(first, end):
                projection.apply(stream, decode_block(stream, row.payload))
                if progress is not None:
                    progress(f"folding {stream}", row.last_seq - first, end - first)
    return projection


class Rebuild:
    """Symbol files from the journal alone, byte for byte as the sink writes them."""

    def __init__(self, journal_dir: Path, folder: Path, until: int | None) -> None:
        self._journal_dir = journal_dir
        self._folder = folder
        self._until = until
        self._since = 0
        self._projection = Projection()

    def fold(self, until: int | None, progress: Progress | None = None) -> None:
        """All up to `until`, or to the end."""
        self._projection = fold(self._journal_dir, until, progress)
        self._since = until or 0

    def live(self) -> Iterator[int]:
        """What follows, block by block: yields the time of each (UTC nanoseconds), and writes its files when it
        is asked for the next one."""
        self.write()
        for stream, row in rows(self._journal_dir, STREAMS, self._since, self._until):
            yield row.time
            self._projection.apply(stream, decode_block(stream, row.payload))
            self._write(sorted(self._projection.changed))

    def write(self) -> int:
        """Every file. Returns how many there are. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._write(self._projection.symbols())

    def _write(self, symbols: list[str]) -> int:
        written = 0
        for symbol in symbols:
            quote = self._projection.quote(symbol)
            if quote is not None:
                replace_file(self._folder / file_name(symbol), file_bytes(quote))
                written += 1
        self._projection.changed.clear()
        return written
