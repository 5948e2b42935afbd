"""JournalReader: a stream's past from its files, journal and archive as one, in bounded memory.

Used by followers, the replay endpoint and every tool; it never holds a writer up and needs none.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from messages.errors import IbStreamError
from services.base.clock import utc_day
from services.journal.days import SUFFIX, Day, FileGone, SqliteDay, all_days, missing
from services.journal.row import Row

OPEN_DAYS = 3  # files held open at once
TRIES = 10  # to list and open the files, when one goes away in between

T = TypeVar("T")


class _Open(NamedTuple):
    inode: int
    day: Day


class JournalReader:
    """Reads one stream across days, epochs and formats.

    A method raises JournalDamaged where a row contradicts its checksum or an event is missing, naming the
    file and the place; and IbStreamError `journal_unavailable` where the files cannot be read.
    """

    def __init__(self, directory: Path, stream: str) -> None:
        self.stream = stream
        self._dir = directory / stream
        self._open: dict[Path, _Open] = {}

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for path in list(self._open):
            self._open.pop(path).day.close()

    def last(self) -> Row | None:
        """The newest block, or None when the stream is empty."""
        return self._retry(self._last)

    def first_seq(self) -> int | None:
        """The oldest sequence number that is kept, or None when the stream is empty."""
        rows = self.read(1, 1)
        return rows[0].first_seq if rows else None

    def read(self, from_seq: int, max_bytes: int = 4 << 20) -> list[Row]:
        """Blocks in order from the one that holds `from_seq`, about `max_bytes` of them and at least one.

        They begin later only when what is before was retired, or is known to be lost. Empty at the end.
        """
        return self._retry(lambda: self._read(from_seq, max_bytes))

    def blocks(self, from_seq: int = 1, to_seq: int | None = None, max_bytes: int = 4 << 20) -> Iterator[Row]:
        """Every block from the one that holds `from_seq` to the one that holds `to_seq`."""
        while (to_seq is None or from_seq <= to_seq) and (rows := self.read(from_seq, max_bytes)):
            for row in rows:
                if to_seq is not None and row.first_seq > to_seq:
                    return
                yield row
            from_seq = rows[-1].last_seq + 1

    def seq_at(self, time: int) -> int:
        """The first sequence number whose block is of `time` or later; one past the end when there is none.

        Where the writer's clock stepped back, it is one of those that may be meant.
        """
        return self._retry(lambda: self._seq_at(time))

    # --- inside ---

    def _last(self) -> Row | None:
        for path in reversed(self._paths()):
            row = self._day(path).last()
            if row is not None:
                return row
        return None

    def _read(self, from_seq: int, max_bytes: int) -> list[Row]:
        paths = self._paths()
        for index in range(self._first_candidate(paths, from_seq), len(paths)):
            rows = self._day(paths[index]).read(from_seq, max_bytes)
            if rows:
                if rows[0].first_seq > from_seq:
                    self._check_hole(paths, index, from_seq, rows[0].first_seq)
                return rows
        return []

    def _seq_at(self, time: int) -> int:
        paths = self._paths()
        first = max(0, sum(path.stem <= utc_day(time) for path in paths) - 1)
        for path in paths[first:]:
            found = self._day(path).seq_at(time)
            if found is not None:
                return found
        last = self._last()
        return 1 if last is None else last.last_seq + 1

    def _first_candidate(self, paths: list[Path], from_seq: int) -> int:
        """The index of the newest file that begins at or before `from_seq`."""
        for index in range(len(paths) - 1, 0, -1):
            if self._day(paths[index]).start_seq <= from_seq:
                return index
        return 0

    def _check_hole(self, paths: list[Path], index: int, expected: int, found: int) -> None:
        """Raise JournalDamaged unless there is a reason why the events from `expected` to `found` are not there."""
        day = self._day(paths[index])
        if found != day.start_seq:
            raise missing(day.path, max(expected, day.start_seq), found)
        retired = index == 0
        known = day.lost_from is not None and expected >= day.lost_from
        if not retired and not known:
            raise missing(paths[index - 1], expected, found)

    def _paths(self) -> list[Path]:
        paths = all_days(self._dir)
        for gone in self._open.keys() - set(paths):
            self._open.pop(gone).day.close()
        return paths

    def _day(self, path: Path) -> Day:
        """The open file. One that was moved away and begun anew under the same name is opened anew."""
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:
            raise FileGone(path) from None
        found = self._open.pop(path, None)
        if found is not None and found.inode != inode:
            found.day.close()
            found = None
        if found is None:
            found = _Open(inode, open_day(path, self.stream))
        self._open[path] = found
        while len(self._open) > OPEN_DAYS:
            self._open.pop(next(iter(self._open))).day.close()
        return found.day

    def _retry(self, action: Callable[[], T]) -> T:
        """An archive or a retirement takes files away while we look at them: then look again."""
        for _ in range(TRIES):
            try:
                return action()
            except FileGone:
                continue
        raise IbStreamError("journal_unavailable", f"the files in {self._dir} keep changing")


def open_day(path: Path, stream: str) -> Day:
    """Raises FileGone, JournalDamaged, and IbStreamError `journal_unavailable`."""
    if path.suffix == SUFFIX:
        return SqliteDay(path, stream)
    from services.journal.parquet import ParquetDay  # pyarrow costs start-up time and memory: only when needed

    return ParquetDay(path, stream)
