"""CSV files: a decision snapshot's items, and the universe of theme members.

Reading is bounded and never waits on what is not a plain file. Parsing takes any bytes: it gives rows, or
one sentence that says what is wrong. A file that looks half written is an error, not a shorter list: the
last good plan stays in force until the file is whole.
"""

import csv
import io
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from messages.errors import IbStreamError
from services.base.identity import COLUMNS

MAX_BYTES: Final = 64 << 20
MAX_ROWS: Final = 1_000_000
NAMED_LINES: Final = 5  # of those left out
_DELIMITERS: Final = ",;\t|"
_NUMBERS: Final = ("rank", "weight", "score")
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe that nobody writes would wait for ever
_FOLDER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class Item(msgspec.Struct, frozen=True, gc=False):
    """One row of a decision snapshot. `symbol` is as written; numbers that were not given are None."""

    symbol: str
    line: int
    rank: float | None = None  # 1 is the most important
    weight: float | None = None
    score: float | None = None
    identity: tuple[tuple[str, str], ...] = ()  # by the names of identity.COLUMNS, as written; the surest first


class Member(msgspec.Struct, frozen=True, gc=False):
    """One row of the universe. `category` and `asset_class` are in lower case."""

    symbol: str
    category: str
    asset_class: str


def find_items(items_path: str, items_root: str, data_root: Path, what: str) -> Path:
    """The file that `items_path` names. A relative path starts at `items_root` when that is set, else at
    `data_root`. Links are followed before the check. Raises IbStreamError `snapshot_unreadable`."""
    if not items_path.strip() or not items_path.isprintable():
        raise _unreadable(what, "names no file")
    root = Path(items_root).expanduser().absolute() if items_root else None
    try:
        path = ((root or data_root) / Path(items_path.strip())).resolve()
        inside = root is None or path.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):
        raise _unreadable(what, f"names {items_path[:200]!r}, which is not a path") from None
    if not inside:
        raise _unreadable(what, f"names {items_path[:200]!r}, which is outside IBSTREAM_ITEMS_ROOT ({items_root})")
    return path


def read_file(path: Path, what: str, beneath: str = "") -> bytes:
    """The whole file, at most MAX_BYTES. With `beneath`, a folder, `path` has no links in it (`find_items` has
    followed them) and is opened from there, step by step: a link put in its way meanwhile leads nowhere.

    Raises IbStreamError `snapshot_unreadable`.
    """
    try:
        handle = _open_beneath(Path(beneath).expanduser().resolve(), path) if beneath else os.open(path, _FLAGS)
        with open(handle, "rb") as file:  # noqa: PTH123 - by descriptor
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise _unreadable(what, f"is {path}, which is not a plain file")
            if before.st_size > MAX_BYTES:
                raise _unreadable(what, f"is {path}, which is larger than {MAX_BYTES >> 20} MB")
            data = file.read(MAX_BYTES + 1)
            after = os.fstat(handle)
    except FileNotFoundError:
        raise _unreadable(what, f"is missing: {path}") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a path"
        raise _unreadable(what, f"cannot be read: {path} ({why})") from None
    if len(data) > MAX_BYTES or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _unreadable(what, f"is being written right now: {path}")
    return data


def _open_beneath(root: Path, path: Path) -> int:
    """Raises OSError, also for a link on the way, and ValueError for what is not beneath."""
    *folders, name = path.relative_to(root).parts
    place = os.open(root, _FOLDER)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = inner
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=place)
    finally:
        os.close(place)


class Items(NamedTuple):
    """The rows with a symbol, in the file's order, and sentences about what was left out of the file."""

    rows: list[Item]
    warnings: tuple[str, ...]


def parse_items(data: bytes, what: str) -> Items:
    """Raises IbStreamError `snapshot_unreadable`."""
    rows, empty = [], _Lines()
    no_number = {name: _Lines() for name in _NUMBERS}
    for line, (symbol, *cells) in _rows(data, ("symbol",), (*_NUMBERS, *COLUMNS), what):
        numbers, known = cells[: len(_NUMBERS)], cells[len(_NUMBERS) :]
        values = [_number(text) for text in numbers]
        for name, text, value in zip(_NUMBERS, numbers, values, strict=True):
            if text and value is None:
                no_number[name].add(line, text)
        if symbol:
            rank, weight, score = values
            rows.append(Item(symbol, line, rank, weight, score, _named(known)))
        elif any(numbers):
            empty.add(line)
    warnings = [f"{empty.count()} left out, without a symbol: {empty}"] if empty else []
    for name, lines in no_number.items():
        if lines:
            warnings.append(f"{lines.count()} with a {name} that is no number, taken as not given: {lines}")
    return Items(rows, tuple(f"{what}: {warning}" for warning in warnings))


def _named(known: list[str]) -> tuple[tuple[str, str], ...]:
    """What identifies a row's contract; an empty cell, or a 0 that stands for none, says nothing."""
    if not any(known):
        return ()
    return tuple((name, text) for name, text in zip(COLUMNS, known, strict=True) if text.strip("0. "))


class _Lines:
    """Line numbers, with what stands there: all are counted, the first few are named."""

    def __init__(self) -> None:
        self._total = 0
        self._named: list[str] = []

    def add(self, line: int, text: str = "") -> None:
        self._total += 1
        if len(self._named) < NAMED_LINES:
            self._named.append(f"line {line}" + (f" ({text[:20]!r})" if text else ""))

    def count(self) -> str:
        return f"{self._total} line{'s' if self._total > 1 else ''}"

    def __bool__(self) -> bool:
        return self._total > 0

    def __str__(self) -> str:
        return ", ".join(self._named) + (", ..." if self._total > len(self._named) else "")


def parse_universe(data: bytes, what: str) -> list[Member]:
    """The rows with a symbol and a category. Raises IbStreamError `snapshot_unreadable`."""
    rows = _rows(data, ("symbol", "category"), ("asset_class",), what)
    return [
        Member(symbol, category.lower(), asset_class.lower())
        for _, (symbol, category, asset_class) in rows
        if symbol and category
    ]


def _rows(
    data: bytes, required: tuple[str, ...], optional: tuple[str, ...], what: str
) -> Iterator[tuple[int, list[str]]]:
    """Line number and the wanted cells of each row that is not blank, in the order asked for."""
    text = _decode(data, what)
    delimiter, skip = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[int] | None = None
    width = 0
    row: list[str] = []
    try:
        for row in reader:
            if reader.line_num <= skip or not any(map(str.strip, row)):
                continue
            if columns is None:
                columns, width = _columns(row, required, optional, what), len(row)
                continue
            if reader.line_num > MAX_ROWS:
                raise _unreadable(what, f"has more than {MAX_ROWS:,} lines")
            yield reader.line_num, [row[c].strip() if 0 <= c < len(row) else "" for c in columns]
    except csv.Error as error:
        raise _unreadable(what, f"is not a whole CSV file: line {reader.line_num}, {error}") from None
    if columns is None:
        raise _unreadable(what, "is empty: expected a header with " + " and ".join(f"`{name}`" for name in required))
    if len(row) < width and any(map(str.strip, row)) and not text.endswith(("\n", "\r")):
        raise _unreadable(what, f"looks half written: its last line has {len(row)} of {width} columns and no end")


def _columns(header: list[str], required: tuple[str, ...], optional: tuple[str, ...], what: str) -> list[int]:
    names = [cell.strip().lower() for cell in header]
    for name in required:
        if name not in names:
            shown = ", ".join(repr(cell[:30]) for cell in header[:8])
            raise _unreadable(what, f"has no column `{name}`; its header is {shown}")
    return [names.index(name) if name in names else -1 for name in (*required, *optional)]


def _decode(data: bytes, what: str) -> str:
    """Text of any of the encodings that spreadsheets write; symbols are ASCII in all of them."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise _unreadable(what, "is not text: damaged UTF-16") from None
    return data.decode("utf-8-sig", "replace")


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter, and how many lines to skip: the header says it, or Excel's `sep=;` before it."""
    start = len(text) - len(text.lstrip("\r\n"))
    line = text[start : start + 65_536].splitlines()[0] if text[start:] else ""
    if line.lower().startswith("sep=") and line[4:] in tuple(_DELIMITERS):
        return line[4], text[:start].count("\n") + 1
    return max(_DELIMITERS, key=line.count), 0


def _number(text: str) -> float | None:
    """The number in a cell: also `5%` and a decimal comma; None for a blank or anything else."""
    if not text:
        return None
    percent = text.endswith("%")
    plain = text.rstrip("% ")
    if "," in plain:
        plain = plain.replace(",", "" if "." in plain else ".")
    try:
        number = float(plain)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return number / 100 if percent else number


def _unreadable(what: str, why: str) -> IbStreamError:
    return IbStreamError("snapshot_unreadable", f"{what} {why}")
