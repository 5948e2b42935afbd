"""Blocks as columns of Arrow: what the archive, exports and data frames share. Pure."""

from array import array

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from messages.codec import decode_ticks
from messages.events import TickBlock
from messages.ticks import symbol_ids, ticks
from services.journal.row import JournalDamaged, Row

SYMBOL = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("ns", tz="UTC")


def tick_block(row: Row) -> TickBlock:
    """The block of a row of `ticks`. Raises JournalDamaged for what is none, or contradicts itself."""
    try:
        block = decode_ticks(row.payload)
        known = set(symbol_ids(block)) <= set(block.ids)
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalDamaged(f"the block at sequence number {row.first_seq} is no tick block: {error}") from None
    if not known or block.count != row.events:
        raise JournalDamaged(f"the block at sequence number {row.first_seq} contradicts itself")
    return block


def tick_columns(rows: list[Row], blocks: list[TickBlock]) -> dict[str, pa.Array]:
    """The ticks of some blocks, one a row: `seq`, `epoch`, `time`, `block` (its first sequence number), `symbol`,
    `symbol_id`, `field`, `value`, `size` (null without one), `text` (of a text field)."""
    numbers = fixed(pa.uint32(), [block.symbol for block in blocks])
    sizes = fixed(pa.float64(), [block.size for block in blocks])
    texts: list[str | None] = []
    for block in blocks:
        if block.texts:
            texts += [tick.value if isinstance(tick.value, str) else None for tick in ticks(block)]
        else:
            texts += [None] * block.count
    return event_columns(rows) | {
        "symbol": _symbols(blocks, numbers),
        "symbol_id": numbers,
        "field": fixed(pa.uint8(), [block.field for block in blocks]),
        "value": fixed(pa.float64(), [block.value for block in blocks]),
        "size": pc.if_else(pc.is_nan(sizes), None, sizes),
        "text": pa.array(texts, pa.string()),
    }


def event_columns(rows: list[Row]) -> dict[str, pa.Array]:
    """`seq`, `epoch`, `time` and `block` of the events of some blocks, which follow each other without a hole."""
    first, last = rows[0].first_seq, rows[-1].last_seq
    epochs, times, blocks = array("q"), array("q"), array("q")
    for row in rows:
        epochs.extend(array("q", [row.epoch]) * row.events)
        times.extend(array("q", [row.time]) * row.events)
        blocks.extend(array("q", [row.first_seq]) * row.events)
    assert len(blocks) == last - first + 1
    return {
        "seq": _integers(array("q", range(first, last + 1))),
        "epoch": _integers(epochs),
        "time": _integers(times).cast(TIME),
        "block": _integers(blocks),
    }


def fixed(kind: pa.DataType, parts: list[bytes]) -> pa.Array:
    """Little-endian columns of several blocks, as one."""
    data = b"".join(parts)
    return pa.Array.from_buffers(kind, len(data) * 8 // kind.bit_width, [None, pa.py_buffer(data)])


def _symbols(blocks: list[TickBlock], numbers: pa.Array) -> pa.Array:
    """The column `symbol`. Most often an id stands for one symbol in all of the blocks; else block by block."""
    names: dict[int, str] = {}
    for block in blocks:
        names.update(zip(block.ids, block.symbols, strict=True))
    places = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
    if all(names[i] == name for block in blocks for i, name in zip(block.ids, block.symbols, strict=True)):
        found = pc.index_in(numbers, value_set=pa.array(list(names), pa.uint32()))
        place_of = pa.array([places[name] for name in names.values()], pa.int32())
        indices = place_of.take(found)
    else:
        places, listed = {}, list[int]()
        for block in blocks:
            own = {i: places.setdefault(n, len(places)) for i, n in zip(block.ids, block.symbols, strict=True)}
            listed += map(own.__getitem__, symbol_ids(block))
        indices = pa.array(listed, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def _integers(column: "array[int]") -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(column), [None, pa.py_buffer(column)])
