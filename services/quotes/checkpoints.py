"""The projection at any moment of the past, and the symbol files that it gives.

Used by `ibstream at` and `ibstream replay --into`. A book at a time is the fold of every block up to then, so
it is what the sink's files said at that moment. So that a question about today does not cost the fold of a
month, `checkpoints/` beside the streams holds the fold at every midnight and at the last hours. They are made
by services/archive/compaction.py from the journal alone, may be deleted at any time, and are believed only while the
journal still holds the very block that each of them ends with. Raises JournalDamaged where the journal does.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from messages.codec import decode_block
from services.base.clock import DAY, HOUR, SECOND
from services.base.files import replace_file
from services.base.symbols import file_name
from services.journal import JournalReader, batches, streams_in
from services.journal.cursor import Cursor
from services.journal.days import Progress, tick_days
from services.journal.saved_state import is_past_of
from services.quotes.projection import Projection, file_bytes
from services.quotes.replay import files, merged

BATCH_EVENTS = 50_000  # folded at once
HOURLY_DAYS = 3  # how long the checkpoints of every hour are kept; those of midnight stay as long as they are of use


class _State(NamedTuple):
    projection: Projection
    cursors: dict[str, Cursor]


def book_at(journal_dir: Path, moment: int, progress: Progress | None = None) -> Projection:
    """The projection of all that was written up to and at `moment` (UTC nanoseconds)."""
    return fold(journal_dir, moment + 1, progress, near=True)


def state_before(journal_dir: Path, moment: int) -> tuple[Projection, dict[str, Cursor]]:
    """The projection of all that was written before `moment` (UTC nanoseconds), and how far each stream is in it."""
    return _fold(journal_dir, moment, None, near=True)


def checkpoint_before(journal_dir: Path, moment: int) -> tuple[Projection, dict[str, Cursor]]:
    """The newest checkpoint that is no later than `moment`: an empty projection without one. Nothing is folded."""
    return _start(journal_dir, _ends(journal_dir, moment), near=True)


def fold(
    journal_dir: Path, until: int | None = None, progress: Progress | None = None, *, near: bool = False
) -> Projection:
    """The projection of all blocks before `until` (UTC nanoseconds), or of all of them.

    With `near` from the nearest checkpoint on; without, from the first block that there is, and what was
    retired before it comes from a checkpoint.
    """
    return _fold(journal_dir, until, progress, near=near).projection


def _fold(journal_dir: Path, until: int | None, progress: Progress | None, *, near: bool) -> _State:
    ends = _ends(journal_dir, until)
    state = _start(journal_dir, ends, near=near)
    for stream in ends:
        first, end = state.cursors.get(stream, Cursor()).seq + 1, ends[stream].seq
        with JournalReader(journal_dir, stream) as reader:
            for batch in batches(reader.blocks(first, end), BATCH_EVENTS) if first <= end else ():
                state.projection.apply_all(stream, [decode_block(stream, row.payload) for row in batch])
                state.cursors[stream] = Cursor(batch[-1].epoch, batch[-1].last_seq)
                if progress is not None:
                    progress(f"folding {stream}", batch[-1].last_seq - first, end - first)
    return state


class _End(NamedTuple):
    first: int  # oldest sequence number that is kept
    seq: int  # last one before the moment that is asked for


def _ends(journal_dir: Path, until: int | None) -> dict[str, _End]:
    ends = {}
    for stream in streams_in(journal_dir):
        with JournalReader(journal_dir, stream) as reader:
            last = reader.last()
            head = last.last_seq if last is not None else 0
            ends[stream] = _End(reader.first_seq() or 1, head if until is None else reader.seq_at(until) - 1)
    return ends


# --- checkpoints -------------------------------------------------------------------------------------------


def update_checkpoints(journal_dir: Path, now: int, progress: Progress | None = None) -> int:
    """Make those that are due at `now` (UTC nanoseconds) and remove those that are of no more use.

    Returns how many were made. Raises JournalDamaged and OSError.
    """
    days = tick_days(journal_dir)
    midnights = {_midnight(day) + DAY for day in days if _midnight(day) + DAY <= now}
    wanted = sorted(midnights | ({now - now % HOUR} if days else set()))
    ends = _ends(journal_dir, None)
    made = 0
    for time in wanted:
        if _load(journal_dir, _path(journal_dir, time), ends) is None:
            state = _fold(journal_dir, time, progress, near=True)
            replace_file(_path(journal_dir, time), state.projection.dump(state.cursors))
            made += 1
    for path in _checkpoints(journal_dir):
        old = _time(path) < now - HOURLY_DAYS * DAY and _time(path) % DAY
        if old or _load(journal_dir, path, ends) is None:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    return made


def newest_checkpoint(journal_dir: Path) -> tuple[Projection, dict[str, Cursor]]:
    """What a consumer without a state of its own may begin with: an empty projection when there is no checkpoint.

    Raises JournalDamaged.
    """
    return _start(journal_dir, _ends(journal_dir, None), near=True)


def _start(journal_dir: Path, ends: dict[str, _End], *, near: bool) -> _State:
    """What a fold up to `ends` may begin with."""
    fresh = _State(Projection(), {})
    if not near and all(end.first == 1 for end in ends.values()):
        return fresh
    paths = _checkpoints(journal_dir)
    for path in reversed(paths) if near else paths:
        state = _load(journal_dir, path, ends)
        if state is not None and all(state.cursors.get(s, Cursor()).seq <= ends[s].seq for s in ends):
            return state
    return fresh


def _load(journal_dir: Path, path: Path, ends: dict[str, _End]) -> _State | None:
    """A checkpoint, if there is one that belongs to this journal and joins what it still holds."""
    try:
        projection, cursors = Projection.load(path.read_bytes())
    except (OSError, ValueError):
        return None
    for stream in ends:
        cursor = cursors.get(stream, Cursor())
        if cursor.seq + 1 < ends[stream].first:
            return None
        time = projection.times.get(stream, 0)
        if cursor.seq >= ends[stream].first and not is_past_of(journal_dir, stream, cursor, time):
            return None
    return _State(projection, cursors)


def _checkpoints(journal_dir: Path) -> list[Path]:
    """Oldest first."""
    return sorted((journal_dir / "checkpoints").glob("????-??-??T??????Z.state"))


def _path(journal_dir: Path, time: int) -> Path:
    name = f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%dT%H%M%SZ}.state"
    return journal_dir / "checkpoints" / name


def _time(path: Path) -> int:
    return int(datetime.strptime(path.stem, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * SECOND


def _midnight(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * SECOND


# --- files -------------------------------------------------------------------------------------------------


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
        for stream, row in merged(files(self._journal_dir, streams_in(self._journal_dir)), self._since, self._until):
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
