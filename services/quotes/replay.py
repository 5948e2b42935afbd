"""Replays the journal: its events in the order of time, the book as it was, and tables of either.

Used by `ibstream replay` and services/quotes/checkpoints.py. In bounded memory; files are read with the services
running or not. Raises JournalDamaged where the journal does.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from messages.codec import decode_block
from messages.control import ReplayRequest
from messages.events import EventBlock, Plan, TickBlock
from messages.fields import QUOTE_FIELD
from messages.ticks import Tick, ticks
from messages.topics import replay_endpoint, writer_of
from services.base.clock import SECOND, iso
from services.base.settings import Settings
from services.journal import JournalReader, Row
from services.runtime.bus import request


class Entry(NamedTuple):
    """One event of any stream. `data` is what it holds by name; of a tick: symbol, field, id, value, size."""

    stream: str
    epoch: int
    seq: int
    time: int  # UTC nanoseconds: when the bytes came, or the event was written
    type: str
    symbol: str | None
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        head = {"stream": self.stream, "epoch": self.epoch, "seq": self.seq, "ts": iso(self.time), "type": self.type}
        return head | self.data


class Past(Protocol):
    """Where the blocks of one stream are read: files here, or the writer's endpoint on another machine."""

    def rows(self, begin: int, end: int | None) -> Iterator[Row]:
        """Blocks with `begin` <= time < `end`, in order. Raises IbStreamError."""


def merged(pasts: Mapping[str, Past], begin: int = 0, end: int | None = None) -> Iterator[tuple[str, Row]]:
    """Blocks with `begin` <= time < `end` (UTC nanoseconds) of some streams, merged by time.

    Within a stream the order is always that of the sequence numbers.
    """
    return by_time({stream: past.rows(begin, end) for stream, past in pasts.items()})


def by_time(rows: Mapping[str, Iterator[Row]]) -> Iterator[tuple[str, Row]]:
    """The rows of some streams, merged by time."""
    return heapq.merge(*starmap(_named, rows.items()), key=lambda found: found[1].time)


def _named(stream: str, found: Iterator[Row]) -> Iterator[tuple[str, Row]]:
    for row in found:
        yield stream, row


def files(journal_dir: Path, streams: Iterable[str]) -> dict[str, Past]:
    """The past of some streams in the files of this machine."""
    return {stream: FilePast(journal_dir, stream) for stream in streams}


def entries(
    pasts: Mapping[str, Past], begin: int = 0, end: int | None = None, symbols: Iterable[str] = ()
) -> Iterator[Entry]:
    """Events with `begin` <= time < `end`, of `symbols` only when some are given, merged by time."""
    wanted = frozenset(symbols)
    for stream, row in merged(pasts, begin, end):
        for entry in block_entries(stream, row):
            if not wanted or entry.symbol in wanted:
                yield entry


def block_entries(stream: str, row: Row) -> Iterator[Entry]:
    """The events of one block."""
    block = decode_block(stream, row.payload)
    if isinstance(block, TickBlock):
        for tick in ticks(block):
            yield Entry(stream, row.epoch, tick.seq, row.time, "tick", tick.symbol, _tick_data(tick))
    elif isinstance(block, EventBlock):
        for number, event in enumerate(block.events):
            data = msgspec.to_builtins(event)
            kind = data.pop("type")
            yield Entry(stream, row.epoch, row.first_seq + number, row.time, kind, data.get("symbol"), data)
    else:
        assert isinstance(block, Plan)
        data = msgspec.to_builtins(block)
        for name in ("type", "epoch", "first_seq", "time"):
            del data[name]
        yield Entry(stream, row.epoch, row.first_seq, row.time, "plan", None, data)


def _tick_data(tick: Tick) -> dict[str, Any]:
    data = {"symbol": tick.symbol, "field": tick.name, "id": tick.field, "value": tick.value}
    return data | {"size": tick.size} if tick.size is not None else data


class FilePast:
    """A stream in its files."""

    def __init__(self, journal_dir: Path, stream: str) -> None:
        self._journal_dir, self._stream = journal_dir, stream

    def rows(self, begin: int, end: int | None) -> Iterator[Row]:
        with JournalReader(self._journal_dir, self._stream) as reader:
            first = reader.seq_at(begin) if begin else 1
            yield from reader.blocks(first, reader.seq_at(end) - 1 if end is not None else None)


class RemotePast:
    """A stream at its writer's replay endpoint. Only blocks that hold something of `symbols` travel, when given."""

    def __init__(self, settings: Settings, stream: str, symbols: Iterable[str] = ()) -> None:
        self._settings, self._stream, self._symbols = settings, stream, list(symbols)

    def rows(self, begin: int, end: int | None) -> Iterator[Row]:
        endpoint = replay_endpoint(writer_of(self._stream))
        from_seq, head = 0, 0
        while from_seq <= head:
            wanted = ReplayRequest(stream=self._stream, from_seq=from_seq, from_time=begin, symbols=self._symbols)
            reply = request(self._settings, endpoint, wanted, timeout=20.0)
            for payload in reply.blocks:
                block = decode_block(self._stream, payload)
                if end is not None and block.time >= end:
                    return
                yield Row(block.first_seq, block.count, block.epoch, block.time, payload)
            if reply.next_seq <= from_seq:
                return
            from_seq, head, begin = reply.next_seq, reply.head_seq, 0


class Pace:
    """When to show what: `speed` 1 is as it was, 10 ten times as fast, None at once."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._start: tuple[float, int] | None = None

    def wait(self, time: int, monotonic: float) -> float:
        """Seconds to wait before what happened at `time` (UTC nanoseconds) is due; the first is due at once."""
        if self._speed is None:
            return 0.0
        if self._start is None:
            self._start = (monotonic, time)
        due = self._start[0] + (time - self._start[1]) / SECOND / self._speed
        return max(0.0, due - monotonic)


def parse_speed(text: str) -> float | None:
    """`1`, `10`, `0.5` or `max`. Raises ValueError with a sentence."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"{text!r} is no speed; expected a number above 0, or max")
    return speed


def describe(entry: Entry) -> str:
    """What an event says, in one line for people."""
    if entry.type == "tick":
        value, size = entry.data["value"], entry.data.get("size")
        known = entry.data["id"] in QUOTE_FIELD
        shown = f"{value:g}" if isinstance(value, float) and not known else f"{value}"
        return f"{entry.data['field']} {shown}" + (f" × {size:g}" if size is not None else "")
    if entry.type == "plan":
        names = [planned["symbol"] for planned in entry.data["symbols"]]
        return f"{len(names)} symbols: {', '.join(names[:8])}" + (", …" if len(names) > 8 else "")
    return ", ".join(f"{name} {_short(value)}" for name, value in entry.data.items() if name != "symbol")


def _short(value: object) -> str:
    text = f"{len(value)} items" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
