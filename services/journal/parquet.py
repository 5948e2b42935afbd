"""A closed day of a stream, compacted into Parquet (zstd): the same events, one a row, for any tool to read.

Written by services/archive/compaction.py, read back through JournalReader, which gives the very bytes that the journal
held: every block carries the checksum of its journal row, and what cannot be rebuilt from the columns is
kept as it was. Beside the file stands its BLAKE2b sum, in the format of `b2sum`, and that of its footer.
"""

import hashlib
import os
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from messages.codec import decoder, encode, json_decoder
from messages.events import TickBlock
from messages.topics import TICKS, kind
from services.journal.columns import SYMBOL, TIME, event_columns, tick_block, tick_columns
from services.journal.dayfile import sync_path
from services.journal.days import FileGone, missing
from services.journal.row import JournalDamaged, Row, batches, checksum

SUM_SUFFIX = ".b2sum"
GROUP_EVENTS = 1 << 17  # about as many events in a row group: what a reader holds in memory
ZSTD_LEVEL = 6
_KEY = b"ibstream"
_decode_plain = decoder(Any)

_BLOCK = [  # of the whole block, on its first row only
    pa.field("block_events", pa.int32()),
    pa.field("block_crc", pa.int64()),
    pa.field("block_names", pa.binary()),  # msgpack: ids, symbols, texts of a TickBlock
    pa.field("block_raw", pa.binary()),  # the block as it was, where the columns do not tell all of it
]
_EVENT = [
    pa.field("seq", pa.int64(), nullable=False),
    pa.field("epoch", pa.int64(), nullable=False),
    pa.field("time", TIME, nullable=False),
    pa.field("block", pa.int64(), nullable=False),  # first sequence number of the block
]
TICK_SCHEMA = pa.schema(
    [
        *_EVENT,
        pa.field("symbol", SYMBOL, nullable=False),
        pa.field("symbol_id", pa.uint32(), nullable=False),
        pa.field("field", pa.uint8(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("size", pa.float64()),
        pa.field("text", pa.string()),
        *_BLOCK,
    ]
)
EVENT_SCHEMA = pa.schema([*_EVENT, pa.field("type", pa.string()), pa.field("event", pa.string()), *_BLOCK])
_DELTA = dict.fromkeys(("seq", "epoch", "time", "block"), "DELTA_BINARY_PACKED")


class Footer(msgspec.Struct):
    """What the file says of itself. `groups`: first sequence number and time of each row group."""

    stream: str
    schema: int
    start_seq: int
    end_seq: int
    epoch: int
    groups: list[tuple[int, int]]
    lost_from: int | None = None


_decode_footer: Callable[[bytes], Footer] = json_decoder(Footer)


# --- writing -----------------------------------------------------------------------------------------------


def write_day(path: Path, stream: str, rows: Iterable[Row], start_seq: int, lost_from: int | None) -> None:
    """Write a day to `path`, durably. Raises OSError, and JournalDamaged for a block that is not of the stream."""
    schema = TICK_SCHEMA if kind(stream) == TICKS else EVENT_SCHEMA
    footer = Footer(stream, 1, start_seq, start_seq - 1, 0, [], lost_from)
    writer = pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[f.name for f in schema if f.name not in _DELTA],
        column_encoding=_DELTA,
        write_page_checksum=True,
    )
    with writer:
        for group in batches(rows, GROUP_EVENTS):
            table = tick_table(group) if kind(stream) == TICKS else event_table(group)
            writer.write_table(table, row_group_size=table.num_rows)
            footer.groups.append((group[0].first_seq, group[0].time))
            footer.end_seq, footer.epoch = group[-1].last_seq, group[-1].epoch
        writer.add_key_value_metadata({_KEY: msgspec.json.encode(footer)})
    whole, tail = _sums(path)
    sums = Path(f"{path}{SUM_SUFFIX}")
    sums.write_text(f"{whole}  {path.name}\n# footer {tail}\n")
    for written in (path, sums):
        sync_path(written)


def tick_table(rows: list[Row]) -> pa.Table:
    """The ticks of some blocks, one a row."""
    blocks = [tick_block(row) for row in rows]
    columns = tick_columns(rows, blocks) | _block_columns(
        rows,
        [encode((b.ids, b.symbols, b.texts)) for b in blocks],
        [None if _is_plain(b, row.payload) else row.payload for b, row in zip(blocks, rows, strict=True)],
    )
    return pa.table([columns[name] for name in TICK_SCHEMA.names], schema=TICK_SCHEMA)


def event_table(rows: list[Row]) -> pa.Table:
    """The events of some blocks of `link`, `plan` or `control`, one a row, each as JSON."""
    kinds: list[str | None] = []
    texts: list[str] = []
    for row in rows:
        events = plain_events(row)
        kinds += [event.get("type") for event in events]
        texts += [msgspec.json.encode(event).decode() for event in events]
    columns = event_columns(rows) | _block_columns(rows, [None] * len(rows), [row.payload for row in rows])
    columns |= {"type": pa.array(kinds, pa.string()), "event": pa.array(texts, pa.string())}
    return pa.table([columns[name] for name in EVENT_SCHEMA.names], schema=EVENT_SCHEMA)


def plain_events(row: Row) -> list[dict[str, Any]]:
    """A block's events as maps, of whatever version they are. Raises JournalDamaged."""
    try:
        plain = _decode_plain(row.payload)
        events = plain.get("events", [plain])
        if len(events) == row.events and all(isinstance(event, dict) for event in events):
            return list(events)
    except (msgspec.MsgspecError, AttributeError, TypeError, ValueError):
        pass
    raise JournalDamaged(f"the block at sequence number {row.first_seq} does not hold {row.events} events")


def _is_plain(block: TickBlock, payload: bytes) -> bool:
    """Whether the block, with the sizes' NaN as null, gives the same bytes again."""
    sizes = array("d", block.size)
    if sys.byteorder == "big":
        sizes.byteswap()
    nan = array("d", [float("nan")]).tobytes()
    normal = all(size == size or block.size[8 * n : 8 * n + 8] == nan for n, size in enumerate(sizes))
    return normal and encode(block) == payload


def _block_columns(rows: list[Row], names: list[bytes | None], raw: list[bytes | None]) -> dict[str, pa.Array]:
    """What only the journal needs, of each block."""
    return {
        "block_events": _sparse(rows, [row.events for row in rows], pa.int32()),
        "block_crc": _sparse(rows, [checksum(*row) for row in rows], pa.int64()),
        "block_names": _sparse(rows, names, pa.binary()),
        "block_raw": _sparse(rows, raw, pa.binary()),
    }


def _sparse(rows: list[Row], values: list[Any], kind: pa.DataType) -> pa.Array:
    """A column with a value on the first row of each block."""
    column: list[Any] = []
    for row, value in zip(rows, values, strict=True):
        column.append(value)
        column += [None] * (row.events - 1)
    return pa.array(column, kind)


# --- reading -----------------------------------------------------------------------------------------------


class ParquetDay:
    """An archived day, as a reader sees it. Holds one row group in memory."""

    def __init__(self, path: Path, stream: str) -> None:
        """Raises FileGone and JournalDamaged."""
        self.path = path
        try:
            self._check_footer()
            self._file = pq.ParquetFile(path, page_checksum_verification=True, memory_map=False)
            self.footer = _decode_footer(self._file.metadata.metadata[_KEY])
        except FileNotFoundError:
            raise self._gone() from None
        except (pa.ArrowException, OSError, KeyError, TypeError, msgspec.MsgspecError) as error:
            raise JournalDamaged(f"{path}: {error}") from None
        if self.footer.stream != stream or self.footer.schema != 1:
            raise JournalDamaged(f"{path}: this is no journal of the stream {stream}: it says {self.footer.stream}")
        self.start_seq = self.footer.start_seq
        self.lost_from = self.footer.lost_from
        self._starts = [first for first, _ in self.footer.groups]
        self._held: tuple[int, list[Row]] = (-1, [])

    def read(self, from_seq: int, max_bytes: int) -> list[Row]:
        rows: list[Row] = []
        size = 0
        for number in range(max(0, bisect_right(self._starts, from_seq) - 1), len(self._starts)):
            for row in self.group(number):
                if row.last_seq >= from_seq:
                    rows.append(row)
                    size += len(row.payload)
                    if size >= max_bytes:
                        return rows
            if number == len(self._starts) - 1 and rows and rows[-1].last_seq != self.footer.end_seq:
                raise missing(self.path, rows[-1].last_seq + 1, self.footer.end_seq + 1)
        return rows

    def last(self) -> Row | None:
        return self.group(len(self._starts) - 1)[-1] if self._starts else None

    def seq_at(self, time: int) -> int | None:
        number = sum(at < time for _, at in self.footer.groups) - 1
        for rows in map(self.group, range(max(0, number), len(self._starts))):
            found = next((row.first_seq for row in rows if row.time >= time), None)
            if found is not None:
                return found
        return None

    def close(self) -> None:
        self._file.close()

    @property
    def groups(self) -> int:
        return len(self._starts)

    def table(self, number: int, columns: list[str] | None = None) -> pa.Table:
        """One row group as it is, or some of its columns. Raises ArrowException and OSError."""
        return self._file.read_row_group(number, columns)

    def group(self, number: int) -> list[Row]:
        """The blocks of one row group, each checked against the checksum that its journal row had."""
        if self._held[0] != number:
            try:
                table = self.table(number)
                rows = _tick_rows(table) if kind(self.footer.stream) == TICKS else _event_rows(table)
            except (pa.ArrowException, OSError, ValueError, TypeError, IndexError, msgspec.MsgspecError) as error:
                raise JournalDamaged(f"{self.path}: the events from {self._starts[number]} on: {error}") from None
            self._check(rows, number)
            self._held = (number, [row for row, _ in rows])
        return self._held[1]

    def _check(self, rows: list[tuple[Row, int]], number: int) -> None:
        expected = self._starts[number]
        for row, crc in rows:
            if row.first_seq != expected:
                raise missing(self.path, expected, row.first_seq)
            if checksum(*row) != crc:
                raise JournalDamaged(f"{self.path}: the block at sequence number {row.first_seq} fails its checksum")
            expected = row.last_seq + 1
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self.footer.end_seq + 1
        if expected != end:
            raise missing(self.path, expected, end)

    def _check_footer(self) -> None:
        lines = Path(f"{self.path}{SUM_SUFFIX}").read_text(errors="replace").splitlines()
        if len(lines) != 2 or lines[1] != f"# footer {_footer_sum(self.path)}":
            raise JournalDamaged(f"{self.path}: its footer is not the one that {SUM_SUFFIX[1:]} was made of")

    def _gone(self) -> Exception:
        if self.path.exists():
            return JournalDamaged(f"{self.path}: its checksum file {self.path.name}{SUM_SUFFIX} is missing")
        return FileGone(self.path)


def check_table(day: ParquetDay, number: int) -> None:
    """Compare the columns that are there for other programs with the blocks. Raises JournalDamaged."""
    table, rows = day.table(number), day.group(number)
    again = tick_table(rows) if kind(day.footer.stream) == TICKS else event_table(rows)
    for name in table.column_names:
        mine, read = again[name], table[name]
        if pa.types.is_dictionary(mine.type):
            mine, read = mine.cast(pa.string()), read.cast(pa.string())
        if pa.types.is_floating(mine.type):  # NaN is a value here like any other
            mine, read = (column.combine_chunks().view(pa.int64()) for column in (mine, read))
        if not mine.equals(read):
            raise JournalDamaged(f"{day.path}: the column {name} from sequence number {rows[0].first_seq} on is wrong")


def check_sum(path: Path) -> None:
    """Read the whole file. Raises JournalDamaged when it is not the one that its checksum was made of, OSError."""
    expected = Path(f"{path}{SUM_SUFFIX}").read_text(errors="replace").split(" ", 1)[0]
    if _sums(path)[0] != expected:
        raise JournalDamaged(f"{path}: its BLAKE2b sum is not the one in {path.name}{SUM_SUFFIX}")


def _tick_rows(table: pa.Table) -> list[tuple[Row, int]]:
    size = pa.compute.fill_null(table["size"], float("nan"))
    ids, field, value, size = (_bytes(c) for c in (table["symbol_id"], table["field"], table["value"], size))
    rows = []
    for at, row, crc, names, raw in _block_rows(table):
        payload = raw
        if raw is None:
            end = at + row.events
            symbol_list, name_list, texts = _decode_plain(names)
            payload = encode(
                TickBlock(
                    epoch=row.epoch,
                    first_seq=row.first_seq,
                    count=row.events,
                    time=row.time,
                    ids=symbol_list,
                    symbols=name_list,
                    symbol=ids[4 * at : 4 * end],
                    field=field[at:end],
                    value=value[8 * at : 8 * end],
                    size=size[8 * at : 8 * end],
                    texts=texts,
                )
            )
        rows.append((row._replace(payload=payload), crc))
    return rows


def _event_rows(table: pa.Table) -> list[tuple[Row, int]]:
    return [(row._replace(payload=raw), crc) for _, row, crc, _, raw in _block_rows(table)]


def _block_rows(table: pa.Table) -> Iterator[tuple[int, Row, int, Any, Any]]:
    """For each block: its first row's number, the Row without payload, crc, names, raw."""
    events = table["block_events"].drop_null().to_pylist()
    starts = [0]
    for count in events:
        starts.append(starts[-1] + count)
    if starts.pop() != table.num_rows or min(events, default=0) <= 0:
        raise ValueError("the blocks do not add up")
    heads = table.select(["block", "epoch", "time", "block_crc", "block_names", "block_raw"]).take(starts)
    heads = heads.set_column(2, "time", heads["time"].cast(pa.int64()))
    columns = [column.to_pylist() for column in heads.columns]
    for at, count, (first, epoch, time, crc, names, raw) in zip(
        starts, events, zip(*columns, strict=True), strict=True
    ):
        yield at, Row(first, count, epoch, time, b""), crc, names, raw


def _bytes(column: pa.ChunkedArray) -> bytes:
    """The values of a fixed-width column without nulls, little-endian."""
    array = column.combine_chunks()
    width = array.type.bit_width // 8
    data: bytes = array.buffers()[1].to_pybytes()
    return data[width * array.offset : width * (array.offset + len(array))]


# --- checksums ---------------------------------------------------------------------------------------------


def _sums(path: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest(), _footer_sum(path)


def _footer_sum(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(0, size - 8 - length))
        return hashlib.blake2b(file.read(), digest_size=32).hexdigest()
