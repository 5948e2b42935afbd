"""Quotes as a fold of the stream `ticks`: used by the projection (sink, replay, `at`) and by whoever needs prices.

`QuoteBook` keeps the last row of each symbol and tick field, and nothing else; what the rows mean together is
worked out when a quote is asked for. So a block costs by the fields that it changes, and the result depends
on the rows and their order alone, not on how they were cut into blocks (but for the times: a row has its
block's). What the rows mean (TWS API documentation, "Available Tick Types"):

- A price of -1 or 0 with size 0 is "no data": the field is absent until a price comes. Spreads may trade there, but
  are not planned; of an index that passes through -1 or 0 exactly that one value is missing.
- An unset size is absent, and so are one below 0, and one of 0 beside an absent price.
- The size that came with a price and the size tick after it are one field, and so are a live field and its
  delayed twin: the newer row counts. What comes delayed beside a type that is not (realtime, frozen) is no part of
  the quote.
- exchange_time 0 means nothing; halted is unknown below 0, else true or false.
- What IB sent before the FIELDS_SINCE row's time was brought by another source than the one that is named: it is
  no part of the quote. (A snapshot may lack fields, and so may a subscription that was renewed.)
- What generic ticks and option computations bring stands in `generic` and `greeks` (generic.py), by the same rules.
- Prices are divided by the PRICE_MAGNIFIER. Sizes and volume are multiplied by their unit (SIZE_UNIT, VOLUME_UNIT,
  DELAYED_VOLUME_UNIT) and absent where it is not known; sizes of journals that tell no unit are in shares.
- A volume below 0 in single shares is one that did not fit IB's 32 bits: 2^32 more. In another unit it is none.
- `timestamp` is there once the symbol had any price. It is when the newest bid, ask or last of the quote, or one of
  their sizes, was received; in a quote without these, any other price. That a price was withdrawn moves no time,
  unless none is left. A PRICE_TIME row puts an older time in its place.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from operator import itemgetter
from typing import Any, Final

import msgspec

from messages.codec import decoder, encode
from messages.events import TickBlock
from messages.fields import (
    DELAYED_FIELDS,
    DELAYED_VOLUME,
    DELAYED_VOLUME_UNIT,
    FIELDS_SINCE,
    MARKET_DATA_TYPE,
    MARKET_DATA_TYPES,
    PRICE_MAGNIFIER,
    PRICE_TIME,
    QUOTE_FIELD,
    SIZE_FIELD,
    SIZE_UNIT,
    SOURCE,
    SOURCES,
    TEXT_FIELDS,
    UNDELAYED,
    VOLUME,
    VOLUME_UNIT,
)
from messages.generic import GENERIC_FIELDS, GENERIC_TEXTS
from messages.ticks import column
from messages.views import Quote
from services.base.clock import iso
from services.quotes.generic import Scale, generic_of, greeks_of
from services.quotes.numbers import in_currency, number_of, price_of, since_of, size_of, time_of, volume_of

Cell = tuple[int, float | str, float, int]
"""The last row of a field: sequence number, value (or its text), size, time of its block (UTC nanoseconds)."""

_TEXTS: Final = TEXT_FIELDS | GENERIC_TEXTS
_PRICES: Final = frozenset({"bid", "ask", "last", "close", "open", "high", "low"})
_SIZES: Final = frozenset({"bid_size", "ask_size", "last_size", "volume"})
_SIZE_OF: Final = {"bid": "bid_size", "ask": "ask_size", "last": "last_size"}
_TRADED: Final = frozenset(_SIZE_OF) | frozenset(_SIZE_OF.values())  # what `timestamp` goes by
_VOLUME_UNIT: Final = {VOLUME: VOLUME_UNIT, DELAYED_VOLUME: DELAYED_VOLUME_UNIT}
_KEPT: Final = frozenset(QUOTE_FIELD) | GENERIC_FIELDS | {PRICE_TIME, SIZE_UNIT, VOLUME_UNIT, DELAYED_VOLUME_UNIT}
_OWN: Final = 200  # fields from here on are ours


class QuoteBook:
    """All quotes, after the blocks applied so far."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}

    def apply(self, block: TickBlock) -> set[str]:
        """Fold one block; blocks come in order. Returns the symbols that it touched.

        Raises ValueError, and changes nothing, when the block's columns don't fit together.
        """
        keys, values, sizes = _columns(block)
        last = dict(zip(keys, range(block.count), strict=True))
        rows: Iterable[tuple[int, int]] = last.items()
        names = dict(zip(block.ids, block.symbols, strict=True))
        if not {key >> 8 for key in last} <= names.keys():
            raise ValueError("a tick block with a symbol id that it does not name")
        if len(set(block.symbols)) < len(names):  # one symbol under two ids: the order of their rows counts
            rows = sorted(rows, key=itemgetter(1))
        cells = {symbol_id: self._symbol(symbol).cells for symbol_id, symbol in names.items()}
        touched = set()
        first_seq, time = block.first_seq, block.time
        for key, row in rows:
            field = key & 255
            if field in _KEPT:
                value = _text(block, values[row]) if field in _TEXTS else values[row]
                cells[key >> 8][field] = (first_seq + row, value, sizes[row], time)
                touched.add(key >> 8)
        changed = {names[symbol_id] for symbol_id in touched}
        for symbol in changed:
            self._symbols[symbol].epoch = block.epoch
        unpriced = {symbol_id for symbol_id in touched if not self._symbols[names[symbol_id]].priced}
        if unpriced:  # a price that a later row of the same block withdrew counts, as it would in its own block
            for key, value, size in zip(keys, values, sizes, strict=True):
                if key >> 8 in unpriced and _is_price(key & 255, value, size):
                    self._symbols[names[key >> 8]].priced = True
        return changed

    def apply_all(self, blocks: Sequence[TickBlock]) -> set[str]:
        """Fold blocks as `apply` does one after the other, at the cost of their rows and not of their number.

        Raises ValueError where `apply` does; the blocks before are folded then.
        """
        changed: set[str] = set()
        for names, batch in _batches(blocks):
            joined = _join(batch)
            if joined is not None:
                changed |= self._apply_joined(joined, names, batch)
            else:
                for block in batch:
                    changed |= self.apply(block)
        return changed

    def _apply_joined(self, joined: TickBlock, names: dict[int, str], batch: list[TickBlock]) -> set[str]:
        keys, values, sizes = _columns(joined)
        starts = [0, *accumulate(block.count for block in batch)]
        states = {symbol_id: self._symbol(symbol) for symbol_id, symbol in names.items()}
        last = dict(zip(keys, range(joined.count), strict=True))
        touched = set()
        for key, row in sorted(last.items(), key=itemgetter(1)):
            field, symbol_id = key & 255, key >> 8
            if field not in _KEPT:
                continue
            number = bisect_right(starts, row) - 1
            block = batch[number]
            value = _text(block, values[row]) if field in _TEXTS else values[row]
            state = states[symbol_id]
            state.cells[field] = (block.first_seq + row - starts[number], value, sizes[row], block.time)
            state.epoch = block.epoch
            touched.add(symbol_id)
        unpriced = {symbol_id for symbol_id in touched if not states[symbol_id].priced}
        if unpriced:
            for key, value, size in zip(keys, values, sizes, strict=True):
                if key >> 8 in unpriced and _is_price(key & 255, value, size):
                    states[key >> 8].priced = True
        return {names[symbol_id] for symbol_id in touched}

    def symbols(self) -> list[str]:
        """Symbols that ever had a tick, in the order of their first one."""
        return list(self._symbols)

    def quote(self, symbol: str, *, stale: bool = False, reason: str | None = None) -> Quote | None:
        """The symbol's quote, None when it never had a tick. Its `timestamp` is None until it has had a price.

        `stale` and `reason` are the caller's knowledge.
        """
        state = self._symbols.get(symbol)
        if state is None or not state.cells:
            return None
        current = _current(state.cells)
        fields = _fields(current)
        if state.priced:
            fields["timestamp"] = iso(_price_time(state.cells, current))
        if not state.cells.keys().isdisjoint(GENERIC_FIELDS):
            scale = _scale(state.cells)
            fields["generic"], fields["greeks"] = generic_of(state.cells, scale), greeks_of(state.cells, scale)
        seq = max(map(itemgetter(0), state.cells.values()))
        return Quote(symbol=symbol, stale=stale, reason=reason, epoch=state.epoch, seq=seq, **fields)

    def rows(self, symbol: str) -> Mapping[int, Cell]:
        """The last row of each of its fields."""
        state = self._symbols.get(symbol)
        return state.cells if state is not None else {}

    def is_priced(self, symbol: str) -> bool:
        """Whether it has had a price."""
        state = self._symbols.get(symbol)
        return state is not None and state.priced

    def price_time(self, symbol: str) -> int:
        """UTC nanoseconds of `timestamp`; 0 when there was no price yet."""
        state = self._symbols.get(symbol)
        return _price_time(state.cells, _current(state.cells)) if state and state.priced else 0

    def price_rank(self, symbol: str) -> tuple[bool, int]:
        """What makes one book's price count more than another's: that its source is known, as it is from the first
        bid, ask or last on, then its time."""
        time = self.price_time(symbol)
        return bool(time) and SOURCE in self._symbols[symbol].cells, time

    def dump(self) -> bytes:
        """The state, to be saved."""
        return encode(self._symbols)

    @classmethod
    def load(cls, data: bytes) -> "QuoteBook":
        """What `dump` gave. Raises msgspec.MsgspecError for anything else."""
        book = cls()
        book._symbols = _decode_saved(data)
        return book

    def _symbol(self, name: str) -> "_Symbol":
        state = self._symbols.get(name)
        if state is None:
            state = self._symbols[name] = _Symbol(0, False, {})
        return state


class _Symbol(msgspec.Struct, array_like=True):
    epoch: int  # of the last block that touched it
    priced: bool  # it has had a price
    cells: dict[int, Cell]


_decode_saved: Callable[[bytes], dict[str, _Symbol]] = decoder(dict[str, _Symbol])


def _batches(blocks: Sequence[TickBlock]) -> Iterator[tuple[dict[int, str], list[TickBlock]]]:
    """Runs of blocks in which every id stands for one symbol."""
    names: dict[int, str] = {}
    batch: list[TickBlock] = []
    for block in blocks:
        own = dict(zip(block.ids, block.symbols, strict=False))
        if not own.items() <= names.items():
            known = names | own
            if known != own | names:
                yield names, batch
                known, batch = own, []
            names = known
        batch.append(block)
    if batch:
        yield names, batch


def _join(blocks: list[TickBlock]) -> TickBlock | None:
    """The rows of all blocks as if they were one, but for their texts. None when they do not fit together."""
    for block in blocks:
        count = block.count
        if (len(block.symbol), len(block.field), len(block.value), len(block.size), len(block.ids)) != (
            (4 * count, count, 8 * count, 8 * count, len(block.symbols))
        ) or not set(column("I", block.symbol)) <= set(block.ids):
            return None
    return TickBlock(
        epoch=0,
        first_seq=0,
        count=sum(block.count for block in blocks),
        time=0,
        ids=[],
        symbols=[],
        symbol=b"".join([block.symbol for block in blocks]),
        field=b"".join([block.field for block in blocks]),
        value=b"".join([block.value for block in blocks]),
        size=b"".join([block.size for block in blocks]),
    )


def _columns(block: TickBlock) -> tuple["array[int]", "array[float]", "array[float]"]:
    """Keys (symbol id, then field in the lowest byte), values and sizes. Raises ValueError for uneven columns."""
    count, symbol = block.count, block.symbol
    if not (
        len(symbol) == 4 * count and len(block.field) == count and len(block.value) == len(block.size) == 8 * count
    ):
        raise ValueError("a tick block whose columns are not as long as it says")
    if len(block.ids) != len(block.symbols):
        raise ValueError("a tick block that does not name its symbols")
    keys = bytearray(8 * count)
    keys[0::8] = block.field
    for byte in range(4):
        keys[byte + 1 :: 8] = symbol[byte::4]
    return column("Q", keys), column("d", block.value), column("d", block.size)


def _current(cells: dict[int, Cell]) -> dict[str, tuple[Any, Cell]]:
    """Of each field of the quote that its source brought: the value, None where IB withdrew it, and the row. Later rows
    are taken later, so that the newest one stays."""
    since = _since(cells)
    size_unit = _unit(cells, SIZE_UNIT, unsaid=1.0)
    undelayed = _is_undelayed(cells)
    current: dict[str, tuple[Any, Cell]] = {}
    for field, cell in sorted(cells.items(), key=itemgetter(1)):
        name = QUOTE_FIELD.get(field)
        if name is None or (field < _OWN and cell[3] < since) or (undelayed and field in DELAYED_FIELDS):
            continue
        if field in _VOLUME_UNIT:
            unit = _unit(cells, _VOLUME_UNIT[field], unsaid=0.0)
            current[name] = (_counted(volume_of(float(cell[1]), unit), unit), cell)
            current["volume_raw"] = (None if unit else number_of(float(cell[1])), cell)
            continue
        value = _meaning(name, cell[1], cell[2])
        current[name] = (_counted(value, size_unit) if name in _SIZES else value, cell)
        if field in SIZE_FIELD:
            current[SIZE_FIELD[field]] = (_counted(size_of(cell[2]), size_unit), cell)
    for price, its_size in _SIZE_OF.items():
        if current.get(price, (None,))[0] is None and current.get(its_size, (None,))[0] == 0:
            del current[its_size]
    return current


def _text(block: TickBlock, index: float) -> str:
    """Empty where a number came in place of a text."""
    return block.texts[int(index)] if 0 <= index < len(block.texts) else ""


def _scale(cells: dict[int, Cell]) -> Scale:
    magnifier = cells.get(PRICE_MAGNIFIER)
    return Scale(
        since=_since(cells),
        size=_unit(cells, SIZE_UNIT, unsaid=1.0),
        volume=_unit(cells, VOLUME_UNIT, unsaid=0.0),
        magnifier=float(magnifier[1]) if magnifier is not None and float(magnifier[1]) > 1 else 1.0,
    )


def _unit(cells: dict[int, Cell], field: int, unsaid: float) -> float:
    """Shares or contracts for each one; 0 where that is not known."""
    cell = cells.get(field)
    return unsaid if cell is None else float(cell[1])


def _counted(number: float | None, unit: float) -> float | None:
    return number * unit if number is not None and unit else None


def _is_undelayed(cells: dict[int, Cell]) -> bool:
    """Whether IB said that what it delivers is not delayed."""
    cell = cells.get(MARKET_DATA_TYPE)
    return cell is not None and cell[1] in UNDELAYED


def _since(cells: dict[int, Cell]) -> int:
    """UTC nanoseconds from which on IB's rows count; 0 in what was written before there was such a row."""
    cell = cells.get(FIELDS_SINCE)
    return 0 if cell is None else since_of(float(cell[1]))


def _fields(current: dict[str, tuple[Any, Cell]]) -> dict[str, Any]:
    """The quote's fields that have a value."""
    fields = {name: value for name, (value, _) in current.items() if value is not None}
    magnifier = fields.get("price_magnifier")
    if magnifier is not None:
        for name in _PRICES & fields.keys():
            fields[name] = in_currency(fields[name], magnifier)
    return fields


def _meaning(name: str, value: float | str, size: float) -> Any:
    """What a row says of a field; None: nothing, or that there is no value."""
    if isinstance(value, str):
        return value or None
    if not isfinite(value):
        return None
    if name in _PRICES:
        return price_of(value, size)
    if name in _SIZES:
        return size_of(value)
    if name in ("exchange_time", "since"):
        return iso(time) if (time := time_of(value)) else None
    if name == "price_magnifier":
        return int(value) if value > 1 else None
    if name == "multiplier":
        return value if value > 0 and value != 1 else None
    if name == "halted":
        return value > 0 if value >= 0 else None
    return (SOURCES if name == "source" else MARKET_DATA_TYPES).get(int(value))


def _is_price(field: int, value: float, size: float) -> bool:
    return QUOTE_FIELD.get(field) in _PRICES and price_of(value, size) is not None


def _price_time(cells: dict[int, Cell], current: dict[str, tuple[Any, Cell]]) -> int:
    """When the price was received, UTC nanoseconds. There is one, or was."""
    said = [cell for name, (value, cell) in current.items() if name in _TRADED and value is not None]
    said = said or [cell for name, (value, cell) in current.items() if name in _PRICES and value is not None]
    said = said or [cell for field, cell in cells.items() if QUOTE_FIELD.get(field) in _TRADED]
    said = said or [cell for field, cell in cells.items() if QUOTE_FIELD.get(field) in _PRICES]
    newest = max(said)
    older = cells.get(PRICE_TIME)
    said_to_be = time_of(float(older[1])) if older is not None and older[0] > newest[0] else 0
    return said_to_be or newest[3]
