"""Verifies the journal and its archive: every file, every block, every border between two files.

Used by `ibstream verify`, by the kill test and by whoever wants to know. It only reads, never repairs, and
works beside running services. What it says: clean, damaged (what and where), or that it cannot tell and why.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from messages.codec import decode_block
from messages.errors import IbStreamError
from messages.events import TickBlock
from messages.ticks import symbol_ids
from services.journal import JournalDamaged, Row, streams_in
from services.journal.days import (
    SUFFIX,
    Day,
    FileGone,
    Progress,
    SqliteDay,
    SqliteError,
    all_days,
    checked_row,
    connect_read_only,
    explain,
    missing,
    newest_marker,
    read_marker,
)
from services.journal.reader import open_day

if TYPE_CHECKING:
    from services.journal.parquet import ParquetDay

TRIES = 5  # for a stream whose files are archived or retired meanwhile
MOST_FINDINGS = 100  # of one stream: a file that is all noise needs no more

FIRST_ROW = -1 << 63  # the least that SQLite can number: a damaged row may have any
_SLICE = "SELECT first_seq, count, epoch, time, payload, crc FROM block WHERE first_seq > ? ORDER BY 1 LIMIT 200"


Kind = Literal["damaged", "unknown", "note"]


class Finding(msgspec.Struct, frozen=True):
    """`damaged`: the journal contradicts itself. `unknown`: it cannot be told. `note`: worth knowing, no damage."""

    kind: Kind
    stream: str
    file: str
    message: str
    seq: int | None = None


class StreamReport(msgspec.Struct):
    """What was found in one stream."""

    stream: str
    files: int = 0
    blocks: int = 0
    events: int = 0
    bytes: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    epochs: int = 0
    findings: list[Finding] = []


class Report(msgspec.Struct):
    verdict: Literal["clean", "damaged", "unknown"]
    journal: str
    streams: list[StreamReport]

    @property
    def exit_code(self) -> int:
        return {"clean": 0, "damaged": 1, "unknown": 2}[self.verdict]

    @property
    def findings(self) -> list[Finding]:
        return [finding for stream in self.streams for finding in stream.findings]


def verify(journal_dir: Path, streams: list[str] | None = None, progress: Progress | None = None) -> Report:
    """Read everything and say what is wrong. Raises nothing for any content of the files."""
    reports = [_verify_stream(journal_dir, stream, progress) for stream in streams or streams_in(journal_dir)]
    kinds = {finding.kind for report in reports for finding in report.findings}
    if not any(report.files for report in reports) and "damaged" not in kinds:
        nothing = Finding("unknown", "", str(journal_dir), f"there is no journal in {journal_dir}")
        reports[0].findings.append(nothing)
        kinds.add("unknown")
    verdict: Literal["clean", "damaged", "unknown"] = "clean"
    if kinds & {"damaged", "unknown"}:
        verdict = "damaged" if "damaged" in kinds else "unknown"
    return Report(verdict, str(journal_dir), reports)


def _verify_stream(journal_dir: Path, stream: str, progress: Progress | None) -> StreamReport:
    for _ in range(TRIES):
        examiner = _Examiner(journal_dir / stream, stream, progress)
        try:
            examiner.run()
        except FileGone:
            continue
        return examiner.report
    report = StreamReport(stream)
    report.findings.append(Finding("unknown", stream, str(journal_dir / stream), "the files keep changing"))
    return report


class _Examiner:
    """One pass over one stream."""

    def __init__(self, directory: Path, stream: str, progress: Progress | None) -> None:
        self.report = StreamReport(stream, findings=[])
        self._dir = directory
        self._stream = stream
        self._progress = progress
        self._expected: int | None = None  # the next sequence number; None where that is not known
        self._epoch = 0

    def run(self) -> None:
        """Raises FileGone when a file went away meanwhile."""
        try:
            paths = all_days(self._dir)
            marked = newest_marker(self._dir)
        except (OSError, IbStreamError) as error:
            self._say("unknown", self._dir, f"{self._dir}: {error}")
            return
        for path in paths:
            self.report.files += 1
            self._examine(path, newest=path == paths[-1])
        for wal in self._dir.glob(f"*{SUFFIX}-wal"):
            if wal.stat().st_size and not wal.with_name(wal.name[:-4]).exists():
                self._say("damaged", wal, f"{wal}: this log's database is missing")
        if marked is not None and (not paths or marked[0] > paths[-1].stem):
            self._say("damaged", self._dir, f"{self._dir / marked[0]}{SUFFIX} is missing; its marker is there")

    def _examine(self, path: Path, *, newest: bool) -> None:
        marker = read_marker(path) if path.suffix == SUFFIX and newest else None
        try:
            if path.suffix != SUFFIX:
                _check_sum(path)
            with contextlib.closing(open_day(path, self._stream)) as day:
                self._border(path, day)
                self._rows(path, day)
        except JournalDamaged as error:
            self._say("damaged", path, error.message)
            self._expected = None
            return
        except (OSError, IbStreamError) as error:
            if isinstance(error, FileNotFoundError):
                raise FileGone(path) from None
            self._say("unknown", path, str(error))
            self._expected = None
            return
        if newest and path.suffix == SUFFIX and marker is None:
            self._say("note", path, f"{path}: its marker is not to be read, so a lost end would not show")
        if marker is not None and self._expected is not None:
            end = self._expected - 1
            if end < marker.durable:
                self._say("damaged", path, f"{path}: events {end + 1} to {marker.durable} were durable and are missing")
            elif end < marker.written:
                self._say("note", path, f"{path}: an unsynced tail of {marker.written - end} events was lost", end)

    def _border(self, path: Path, day: Day) -> None:
        """The first number of a file is the one after the last of the file before."""
        expected, self._expected = self._expected, day.start_seq
        if expected is None or expected == day.start_seq:
            return
        if day.lost_from == expected:
            lost = f"{path}: events {expected} to {day.start_seq - 1} were lost, and the operator went on"
            self._say("note", path, lost, expected)
        else:
            self._say("damaged", path, missing(path, expected, day.start_seq).message, expected)

    def _rows(self, path: Path, day: Day) -> None:
        size = max(1, path.stat().st_size)
        done = 0
        for row in self._sqlite_rows(path) if isinstance(day, SqliteDay) else self._parquet_rows(day):
            if self._expected is not None and row.first_seq != self._expected:
                message = missing(path, self._expected, row.first_seq).message
                self._say("damaged", path, message, min(self._expected, row.first_seq))
            problem = self._problem(row)
            if problem is not None:
                self._say(
                    "damaged", path, f"{path}: the block at sequence number {row.first_seq} {problem}", row.first_seq
                )
            self._count(row)
            done += len(row.payload)
            if self._progress is not None:
                self._progress(f"{self._stream} {path.name}", min(done, size), size)
        if not isinstance(day, SqliteDay):
            end = cast("ParquetDay", day).footer.end_seq
            if self._expected != end + 1:
                raise missing(path, self._expected or 0, end + 1)

    def _count(self, row: Row) -> None:
        report = self.report
        report.blocks += 1
        report.events += row.events
        report.bytes += len(row.payload)
        report.epochs += row.epoch != self._epoch
        if report.first_seq is None:
            report.first_seq = row.first_seq
        report.last_seq = row.last_seq
        self._expected, self._epoch = row.last_seq + 1, row.epoch

    def _sqlite_rows(self, path: Path) -> Iterator[Row]:
        """Every block that can be read; those that fail their checksum are named and stepped over."""
        with contextlib.closing(connect_read_only(path)) as db:
            try:
                for (problem,) in db.execute("PRAGMA integrity_check(10)"):
                    if problem != "ok":
                        self._say("damaged", path, f"{path}: {' '.join(str(problem).split())}")
                yield from self._rows_in_slices(path, db)
            except SqliteError as error:
                raise explain(path, error) from None

    def _rows_in_slices(self, path: Path, db: sqlite3.Connection) -> Iterator[Row]:
        """In short reads: within a long one the writer could never begin its log anew."""
        after = FIRST_ROW
        while found := db.execute(_SLICE, (after,)).fetchall():
            for columns in found:
                if columns[0] <= after:
                    raise JournalDamaged(f"{path}: the block at sequence number {columns[0]} is not in its place")
                after = columns[0]
                try:
                    yield checked_row(path, columns)
                except JournalDamaged as error:
                    self._say("damaged", path, error.message, columns[0])
                    self._expected = self._after(columns)

    @staticmethod
    def _after(columns: tuple[Any, ...]) -> int | None:
        """Where the block after a bad one should begin, if the bad one can be trusted to say."""
        first, count = columns[:2]
        return first + count if isinstance(count, int) and 0 < count < 1 << 40 else None

    def _parquet_rows(self, day: Day) -> Iterator[Row]:
        archived = cast("ParquetDay", day)
        for number in range(archived.groups):
            yield from archived.group(number)

    def _problem(self, row: Row) -> str | None:
        """What is wrong with a block whose checksum is right: it was written wrong, or by somebody else."""
        try:
            block = decode_block(self._stream, row.payload)
            if isinstance(block, TickBlock) and not set(symbol_ids(block)) <= set(block.ids):
                return "has symbol ids that it does not name"
        except (msgspec.MsgspecError, ValueError) as error:
            return f"is none of the stream {self._stream}: {error}"
        if (block.first_seq, block.count, block.epoch) != (row.first_seq, row.events, row.epoch):
            return f"says of itself that it is {block.first_seq}, {block.count} events, epoch {block.epoch}"
        if row.epoch < self._epoch:
            return f"is of epoch {row.epoch}, after epoch {self._epoch}"
        return None

    def _say(
        self, kind: Literal["damaged", "unknown", "note"], path: Path, message: str, seq: int | None = None
    ) -> None:
        if len(self.report.findings) < MOST_FINDINGS:
            self.report.findings.append(Finding(kind, self._stream, str(path), message, seq))


def _check_sum(path: Path) -> None:
    from services.journal.parquet import check_sum  # pyarrow costs start-up time: only when there is an archive

    check_sum(path)
