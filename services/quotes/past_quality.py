"""Quality reports of a journal: of past days, which are kept once made, and of the hour or day that is under way.

Used by `ibstream quality`, by the web, and by the supervisor; files are read with the services running or not. Reports
of closed days are kept in `quality/` beside the streams, made once an hour by services/archive/compaction.py: they
outlive the ticks, tell what is usual, and may be deleted at any time; so may `now.state` there, what the supervisor's
reader saves of the day under way, with which all others begin. Raises JournalDamaged where the journal does.
"""

import contextlib
import time
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from messages.codec import decode_block, encode_json, json_decoder
from messages.errors import IbStreamError
from messages.quality import QualityReport
from messages.topics import TICKS, kind
from services.base.clock import DAY, HOUR, SECOND, utc_day
from services.base.files import replace_file
from services.journal import JournalReader, saved_state, streams_in
from services.journal.cursor import Cursor
from services.journal.days import Progress, tick_days
from services.quotes.quality import FoldState, QualityFold, Usual

VERSION: Final = 2  # raise it when the fold changes: reports that were kept are made again, as long as there are ticks
STATE_VERSION: Final = 1  # the same for what is saved of a fold under way
USUAL_DAYS: Final = 5  # days with ticks of a symbol, before the one that is asked for
LOOK_BACK: Final = 14  # days in which those are looked for
KEPT_DAYS: Final = 400


class _Saved(msgspec.Struct, kw_only=True):
    """What a reader knows, in `quality/now.state`: a shortcut, and never the truth."""

    version: int = STATE_VERSION
    cursors: dict[str, Cursor]
    times: dict[str, int]  # of the block that each cursor stands on
    length: int
    fold: FoldState


_encode_state = msgspec.msgpack.Encoder(enc_hook=array.tobytes).encode
_decode_state = msgspec.msgpack.Decoder(_Saved, dec_hook=lambda _, content: array("d", content)).decode


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
    asked for last, or since a reader of the same journal `save`d what it knew."""

    def __init__(self, journal_dir: Path, length: int, *, fresh: bool = False) -> None:
        """`length` of the span, in nanoseconds. `fresh`: what was saved is not looked at."""
        self._journal_dir, self._length, self._fresh = journal_dir, length, fresh
        self._saved_at = 0  # of the saved state that was looked at last: when it was written
        self._forget()

    def _forget(self) -> None:
        self._fold = QualityFold(0, self._length)
        self._cursors: dict[str, Cursor] = {}
        self._times: dict[str, int] = {}

    def report(self, now: int, progress: Progress | None = None) -> QualityReport:
        """Of the span that `now` lies in, up to what is written. Raises IbStreamError."""
        self.advance(now, progress=progress)
        return self._fold.report(usual(self._journal_dir, self._fold.start, self._fold.end))

    def advance(self, now: int, seconds: float = inf, progress: Progress | None = None) -> bool:
        """Read what is written of the span that `now` lies in, for about so many `seconds`. True when that was all of
        it: a report is of all, so ask for none before. Raises IbStreamError."""
        until = time.monotonic() + seconds
        start = now - now % self._length
        if start < self._fold.start:  # the clock was set back: what is needed may be forgotten
            self._forget()
        if not self._fresh:
            self._take_saved(start)
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
                    self._forget()  # the journal was deleted and begun anew
                    return self.advance(now, until - time.monotonic(), progress)
                if not self._read(reader, stream, known, last.last_seq, until, progress):
                    return False
        return True

    def save(self) -> bool:
        """For other readers, and for the next start. False, with a log line, when the disk refuses it."""
        state = _Saved(cursors=self._cursors, times=self._times, length=self._length, fold=self._fold.state())
        path = _state_path(self._journal_dir)
        if not saved_state.put(path, _encode_state(state)):
            return False
        with contextlib.suppress(OSError):
            self._saved_at = path.stat().st_mtime_ns  # nothing in it is news here
        return True

    def _take_saved(self, start: int) -> None:
        """Go on from what was saved, if it is of this journal, and further than what is known here."""
        path = _state_path(self._journal_dir)
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return
        if written == self._saved_at:
            return
        self._saved_at = written
        saved = saved_state.read(path, lambda data: _decode_state(saved_state.opened(data, STATE_VERSION)))
        if saved is None or saved.length != self._length or not self._fold.start <= saved.fold.start <= start:
            return
        here = saved.cursors.keys() >= self._cursors.keys() and all(
            saved.cursors[stream].seq >= cursor.seq for stream, cursor in self._cursors.items()
        )
        if here and all(
            saved_state.is_past_of(self._journal_dir, stream, cursor, saved.times[stream])
            for stream, cursor in saved.cursors.items()
        ):
            self._fold, self._cursors, self._times = QualityFold.of(saved.fold), saved.cursors, saved.times

    def _read(
        self,
        reader: JournalReader,
        stream: str,
        known: Cursor | None,
        end: int,
        until: float,
        progress: Progress | None,
    ) -> bool:
        """Ticks of the span, and all of the other streams. False when `until` is over before."""
        first = known.seq + 1 if known is not None else reader.seq_at(self._fold.start) if kind(stream) == TICKS else 1
        for row in reader.blocks(first, min(end, _last_before(reader, stream, self._fold.end))):
            block = decode_block(stream, row.payload)
            with contextlib.suppress(ValueError):  # a block that contradicts itself says nothing; `verify` names it
                self._fold.apply(stream, block)
            self._cursors[stream], self._times[stream] = Cursor(row.epoch, row.last_seq), block.time
            if progress is not None:
                progress(f"reading {stream}", row.last_seq - first, end - first)
            if time.monotonic() > until:
                return False
        return True


def _last_before(reader: JournalReader, stream: str, end: int) -> int:
    """The last sequence number that a span which ends at `end` needs of a stream."""
    return reader.seq_at(end) - 1 if kind(stream) == TICKS else 1 << 62


def day_report(journal_dir: Path, day: str, now: int, *, kept: bool = True, progress: Progress | None = None) -> bytes:
    """The report of a day (UTC), as JSON. One that was kept, or what was saved of a day that is not over, unless `kept`
    is False.

    Raises IbStreamError: `invalid_request` for what is no day yet, `past_deleted` for a day of which no ticks are left.
    """
    start = day_start(day)
    if start > now:
        raise IbStreamError("invalid_request", f"{day} has not begun", "day")
    if kept and start + DAY <= now:
        found = kept_report(journal_dir, day)
        if found is not None:
            return encode_json(found)
    days = tick_days(journal_dir)
    if days and day < min(days):
        raise IbStreamError("past_deleted", f"there are no ticks of {day} any more, and no report of it was kept")
    return encode_json(QualityReader(journal_dir, DAY, fresh=not kept).report(start, progress))


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
    for day in sorted(day for day in tick_days(journal_dir) if day < today):
        if kept_report(journal_dir, day) is None:
            report = QualityReader(journal_dir, DAY, fresh=True).report(day_start(day), progress)
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


def _state_path(journal_dir: Path) -> Path:
    return journal_dir / "quality" / "now.state"


def _path(journal_dir: Path, day: str) -> Path:
    return journal_dir / "quality" / f"{day}.json"
