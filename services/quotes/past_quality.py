"""Quality reports of a journal: of past days, which are kept once made, and of the hour or day that is under way.

Used by `ibstream quality`, by the web, and by the supervisor; files are read with the services running or not. Reports
of closed days are kept in `quality/` beside the streams, made once an hour by services/archive/compaction.py: they
outlive the ticks, tell what is usual, and may be deleted at any time. Raises JournalDamaged where the journal does.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from messages.codec import decode_block, encode_json, json_decoder
from messages.errors import IbStreamError
from messages.quality import QualityReport
from messages.topics import TICKS, kind
from services.base.clock import SECOND, utc_day
from services.base.files import replace_file
from services.journal import JournalReader, streams_in
from services.journal.cursor import Cursor
from services.journal.days import all_days
from services.quotes.quality import QualityFold, Usual
from services.quotes.quality_checks import HOUR

DAY: Final = 24 * HOUR
VERSION: Final = 1  # raise it when the fold changes: reports that were kept are made again, as long as there are ticks
USUAL_DAYS: Final = 5  # days with ticks of a symbol, before the one that is asked for
LOOK_BACK: Final = 14  # days in which those are looked for
KEPT_DAYS: Final = 400

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""


class _Kept(msgspec.Struct):
    version: int
    report: QualityReport


_decode_kept: Callable[[bytes], _Kept] = json_decoder(_Kept)


def day_start(day: str) -> int:
    """UTC nanoseconds. Raises IbStreamError `invalid_request` for what is no day."""
    try:
        return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * SECOND
    except ValueError:
        raise IbStreamError("invalid_request", f"{day!r} is no day; expected one such as 2026-01-05", "day") from None


class QualityReader:
    """The report of the span that is under way (an hour or a day, by UTC), which costs what was written since it was
    asked for last."""

    def __init__(self, journal_dir: Path, length: int) -> None:
        """`length` of the span, in nanoseconds."""
        self._journal_dir, self._length = journal_dir, length
        self._fold = QualityFold(0, length)
        self._cursors: dict[str, Cursor] = {}

    def report(self, now: int, progress: Progress | None = None) -> QualityReport:
        """Of the span that `now` lies in, up to what is written. Raises IbStreamError."""
        start = now - now % self._length
        if start < self._fold.start:  # the clock was set back: what is needed may be forgotten
            self._fold, self._cursors = QualityFold(0, self._length), {}
        if start != self._fold.start:
            self._fold = self._fold.over(start, start + self._length)
            self._cursors = {stream: at for stream, at in self._cursors.items() if kind(stream) != TICKS}
        for stream in streams_in(self._journal_dir):
            with JournalReader(self._journal_dir, stream) as reader:
                last = reader.last()
                if last is None:
                    continue
                known = self._cursors.get(stream)
                if known is not None and (last.last_seq, last.epoch) < (known.seq, known.epoch):
                    self._fold, self._cursors = QualityFold(0, self._length), {}
                    return self.report(now, progress)  # the journal was deleted and begun anew
                self._read(reader, stream, known, last.last_seq, progress)
        return self._fold.report(usual(self._journal_dir, self._fold.start, self._fold.end))

    def _read(
        self, reader: JournalReader, stream: str, known: Cursor | None, end: int, progress: Progress | None
    ) -> None:
        """Ticks of the span, and all of the other streams."""
        first = known.seq + 1 if known is not None else reader.seq_at(self._fold.start) if kind(stream) == TICKS else 1
        for row in reader.blocks(first, min(end, _last_before(reader, stream, self._fold.end))):
            with contextlib.suppress(ValueError):  # a block that contradicts itself says nothing; `verify` names it
                self._fold.apply(stream, decode_block(stream, row.payload))
            self._cursors[stream] = Cursor(row.epoch, row.last_seq)
            if progress is not None:
                progress(f"reading {stream}", row.last_seq - first, end - first)


def _last_before(reader: JournalReader, stream: str, end: int) -> int:
    """The last sequence number that a span which ends at `end` needs of a stream."""
    return reader.seq_at(end) - 1 if kind(stream) == TICKS else 1 << 62


def day_report(journal_dir: Path, day: str, now: int, *, kept: bool = True, progress: Progress | None = None) -> bytes:
    """The report of a day (UTC), as JSON. One that was kept, unless `kept` is False or the day is not over.

    Raises IbStreamError: `invalid_request` for what is no day yet, `past_deleted` for a day of which no ticks are left.
    """
    start = day_start(day)
    if start > now:
        raise IbStreamError("invalid_request", f"{day} has not begun", "day")
    if kept and start + DAY <= now:
        found = kept_report(journal_dir, day)
        if found is not None:
            return encode_json(found)
    days = _days(journal_dir)
    if days and day < min(days):
        raise IbStreamError("past_deleted", f"there are no ticks of {day} any more, and no report of it was kept")
    return encode_json(QualityReader(journal_dir, DAY).report(start, progress))


def kept_report(journal_dir: Path, day: str) -> QualityReport | None:
    try:
        found = _decode_kept(_path(journal_dir, day).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None
    return found.report if found.version == VERSION else None


def keep_reports(journal_dir: Path, now: int, progress: Progress | None = None) -> int:
    """Make those of closed days that are not there, oldest first, and remove very old ones. Returns how many were made.

    Raises JournalDamaged and OSError.
    """
    today = utc_day(now)
    made = 0
    for day in sorted(day for day in _days(journal_dir) if day < today):
        if kept_report(journal_dir, day) is None:
            report = QualityReader(journal_dir, DAY).report(day_start(day), progress)
            replace_file(_path(journal_dir, day), encode_json(_Kept(VERSION, report)))
            made += 1
    oldest = utc_day(max(0, now - KEPT_DAYS * DAY))
    for path in (journal_dir / "quality").glob("????-??-??.json"):
        if path.stem < oldest:
            path.unlink(missing_ok=True)
    return made


def usual(journal_dir: Path, start: int, end: int) -> dict[tuple[str, str], Usual]:
    """What is known of each gateway and symbol from the days before, by the reports that were kept of them."""
    counts: dict[tuple[str, str], list[list[int]]] = {}
    lasts: dict[tuple[str, str], float] = {}
    midnight = start - start % DAY
    for back in range(1, LOOK_BACK + 1):
        report = kept_report(journal_dir, utc_day(max(0, midnight - back * DAY)))
        for row in report.symbols if report is not None else ():
            key = (row.gateway or "", row.symbol)
            if row.ticks and len(counts.setdefault(key, [])) < USUAL_DAYS:
                counts[key].append(row.ticks_by_hour)
            if row.last is not None:
                lasts.setdefault(key, row.last)
    hours = slice((start - midnight) // HOUR, -(-(end - midnight) // HOUR))
    return {
        key: Usual([round(sum(hour) / len(days), 3) for hour in zip(*days, strict=True)][hours], lasts.get(key))
        for key, days in counts.items()
    }


def _days(journal_dir: Path) -> set[str]:
    """The days of which there are ticks."""
    streams = [stream for stream in streams_in(journal_dir) if kind(stream) == TICKS]
    return {path.stem for stream in streams for path in all_days(journal_dir / stream)}


def _path(journal_dir: Path, day: str) -> Path:
    return journal_dir / "quality" / f"{day}.json"
