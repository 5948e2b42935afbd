"""Blocks and journals for tests: a few readable lines instead of packed columns."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from messages.codec import encode
from messages.events import AnyEvent, Block, EventBlock, Plan, PlannedSymbol, TickBlock
from services.base.clock import SECOND
from services.journal import JournalWriter

NOW = 1_767_623_400 * SECOND  # 2026-01-05T14:30:00Z, a Monday in market hours
NAN = float("nan")

Tick = tuple[str, int, float] | tuple[str, int, float, float]
"""Symbol, field, value, and the size that came with a price."""


def ticks(rows: Sequence[Tick], *, epoch: int = 1, seq: int = 1, time: int = NOW, texts: list[str] | None = None):
    names = sorted({row[0] for row in rows})
    number = {name: index + 1 for index, name in enumerate(names)}
    count = len(rows)
    return TickBlock(
        epoch=epoch,
        first_seq=seq,
        count=count,
        time=time,
        ids=[number[name] for name in names],
        symbols=names,
        symbol=struct.pack(f"<{count}I", *(number[row[0]] for row in rows)),
        field=bytes(row[1] for row in rows),
        value=struct.pack(f"<{count}d", *(row[2] for row in rows)),
        size=struct.pack(f"<{count}d", *(row[3] if len(row) == 4 else NAN for row in rows)),
        texts=texts or [],
    )


def events(*listed: AnyEvent, epoch: int = 1, seq: int = 1, time: int = NOW) -> EventBlock:
    return EventBlock(epoch=epoch, first_seq=seq, time=time, events=list(listed))


def plan(*symbols: str, epoch: int = 1, seq: int = 1, time: int = NOW, started: bool = True, **more) -> Plan:
    planned = [PlannedSymbol(symbol=symbol, reason="test", priority=rank) for rank, symbol in enumerate(symbols)]
    return Plan(epoch=epoch, first_seq=seq, time=time, started=started, symbols=planned, **more)


class TestWriter:
    """Writes one stream of a journal as its service would: epoch and sequence numbers come by themselves."""

    __test__ = False

    def __init__(self, folder: Path, stream: str, now: int = NOW) -> None:
        self.stream = stream
        self.journal = JournalWriter(folder, stream, now=now, commit_seconds=0.05)
        self.blocks: list[Block] = []

    def ticks(self, rows: Sequence[Tick], time: int = NOW, texts: list[str] | None = None) -> bytes:
        return self._append(ticks(rows, epoch=self.journal.epoch, seq=self.journal.next_seq, time=time, texts=texts))

    def events(self, *listed: AnyEvent, time: int = NOW) -> bytes:
        return self._append(events(*listed, epoch=self.journal.epoch, seq=self.journal.next_seq, time=time))

    def plan(self, symbols: Iterable[str], time: int = NOW, *, started: bool = True) -> bytes:
        block = plan(*symbols, epoch=self.journal.epoch, seq=self.journal.next_seq, time=time, started=started)
        return self._append(block)

    def close(self) -> None:
        self.journal.close()

    def _append(self, block: Block) -> bytes:
        payload = encode(block)
        assert self.journal.append(payload, block.count, block.time)
        self.blocks.append(block)
        return payload
