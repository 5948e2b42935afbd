"""Trades as a fold of one gateway's stream `ticks`, gathered in cells of time: the base of all candles.

L1 tells no single trade. What counts as one, from the rows alone, and what that misses, is in README.md; in short:

- A LAST row is a report of a trade at its price. A VOLUME row that is higher than the one before says how much was
  traded since, at the last price; without a LAST row in between it is a report of its own.
- The first row of either after FIELDS_SINCE, or of another kind (live, delayed), is what a subscription begins with:
  it says where the count stands, and is no trade. Rows of another source than the stream count nothing.
- A delayed row beside a market data type that is not (realtime, frozen) is no report, as it is no part of a quote.
- A volume that falls to less than half has begun anew; a smaller fall is a correction, and counts nothing.

Amounts are whole numbers, so that the order in which cells are merged cannot show. FIELDS_SINCE and SOURCE speak of the
rows of their own block too: the gateway writes them behind the rows that they are about.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from messages.events import TickBlock
from messages.fields import (
    DELAYED_LAST,
    DELAYED_VOLUME,
    DELAYED_VOLUME_UNIT,
    FIELDS_SINCE,
    LAST,
    MARKET_DATA_TYPE,
    PRICE_MAGNIFIER,
    SOURCE,
    SOURCE_MOCK,
    SOURCE_STREAM,
    UNDELAYED,
    VOLUME,
    VOLUME_UNIT,
)
from messages.ticks import column, symbol_ids
from services.base.clock import MINUTE
from services.quotes.numbers import price_of, since_of, volume_of

PARTS: Final = 10**8  # of a share or contract: what `Cell.volume` counts
PRICE_PARTS: Final = 10**9  # of a currency's unit: what `Cell.turnover` counts, times PARTS

STREAMED: Final = 1
INVENTED: Final = 2
FROM_BARS: Final = 4
"""Where the numbers of a cell come from: bits of `Cell.origin`."""

_OWN: Final = (SOURCE, FIELDS_SINCE, MARKET_DATA_TYPE, PRICE_MAGNIFIER, VOLUME_UNIT, DELAYED_VOLUME_UNIT)
_PRICES: Final = (LAST, DELAYED_LAST)
_VOLUMES: Final = (VOLUME, DELAYED_VOLUME)
_DELAYED: Final = (DELAYED_LAST, DELAYED_VOLUME)

_own_rows: Final = re.compile(b"[" + re.escape(bytes(_OWN)) + b"]").finditer
_traded_rows: Final = re.compile(b"[" + re.escape(bytes((*_PRICES, *_VOLUMES))) + b"]").finditer


class Cell(msgspec.Struct):
    """The trades of a span of time. Prices in the contract's currency."""

    open: float
    high: float
    low: float
    close: float
    volume: int  # PARTS of shares or contracts
    turnover: int  # price times volume, in PRICE_PARTS times PARTS
    trades: int
    origin: int
    data_type: int  # of the newest trade, as MARKET_DATA_TYPE
    first: int  # time of its first trade, UTC nanoseconds
    last: int
    counted: bool = True  # the unit of every volume in it is known
    weighed: bool = True  # and of every share in it the price

    def absorb(self, other: "Cell") -> None:
        """Take in the trades of another cell. Where both have a trade of the same moment, this one's come first."""
        if other.first < self.first:
            self.open, self.first = other.open, other.first
        if other.last >= self.last:
            self.close, self.last, self.data_type = other.close, other.last, other.data_type
        self.high, self.low = max(self.high, other.high), min(self.low, other.low)
        self.volume += other.volume
        self.turnover += other.turnover
        self.trades += other.trades
        self.origin |= other.origin
        self.counted &= other.counted
        self.weighed &= other.weighed


def merged(cells: Iterable[Cell]) -> Cell | None:
    """One cell with the trades of all; None of none."""
    whole: Cell | None = None
    for cell in cells:
        if whole is None:
            whole = msgspec.structs.replace(cell)
        else:
            whole.absorb(cell)
    return whole


class Row(msgspec.Struct):
    """The last row of a price or of a volume."""

    field: int = -1
    value: float | None = None  # a price in the contract's currency, a volume as IB counts; None: IB has none
    time: int = 0


class Symbol(msgspec.Struct):
    """What is known of one symbol."""

    price: Row
    volume: Row
    unit: float = 0.0
    delayed_unit: float = 0.0
    magnifier: float = 1.0
    origin: int = 0  # 0: what comes is no stream
    data_type: int = 0
    since: int = 0  # rows received before it are of another subscription
    reported: bool = False  # the last price row is newer than the last volume row


class Trades:
    """The cells of one gateway's symbols: `cells[width][symbol][start]`, oldest first; times in UTC nanoseconds."""

    def __init__(self, widths: Iterable[int] = (MINUTE,), only: Iterable[str] = ()) -> None:
        """`widths` of cells, in nanoseconds; `only` these symbols, when given."""
        self.seq = 0  # up to which the stream is folded
        self.time = 0  # of its last block
        self.symbols: dict[str, Symbol] = {}
        self.cells: dict[int, dict[str, dict[int, Cell]]] = {width: {} for width in widths}
        self._only = frozenset(only)

    def apply(self, block: TickBlock) -> set[str]:
        """Fold one block; blocks come in order, and what came before counts once. Returns who traded.

        Raises ValueError, and changes nothing, when the block's columns don't fit together.
        """
        skipped = self.seq + 1 - block.first_seq  # rows that are folded already
        if skipped >= block.count or (self._only and self._only.isdisjoint(block.symbols)):
            self._passed(block)
            return set()
        ids = symbol_ids(block)
        if not set(ids) <= set(block.ids):
            raise ValueError("a tick block with a symbol id that it does not name")
        names = dict(zip(block.ids, block.symbols, strict=True))
        states = {number: self._symbol(name) for number, name in names.items() if not self._only or name in self._only}
        values: Any = None
        for match in _own_rows(block.field):
            row = match.start()
            values = column("d", block.value) if values is None else values
            if row >= skipped and ids[row] in states:
                _tell(states[ids[row]], block.field[row], values[row])
        traded: set[int] = set()
        sizes: Any = None
        time = block.time
        for match in _traded_rows(block.field):
            row = match.start()
            number = ids[row]
            state = states.get(number)
            if state is None or row < skipped:
                continue
            if sizes is None:
                values, sizes = column("d", block.value), column("d", block.size)
            field = block.field[row]
            if field in _DELAYED and state.data_type in UNDELAYED:
                continue
            if field in _PRICES:
                price = price_of(values[row], sizes[row], state.magnifier)
                if _take(state, state.price, field, price, time) and price is not None:
                    self._add(names[number], state, time, price, 1, 0)
                    traded.add(number)
                state.reported = True
                continue
            before = state.volume.value
            volume = volume_of(values[row], state.unit if field == VOLUME else state.delayed_unit)
            again, state.reported = not state.reported, False
            if _take(state, state.volume, field, volume, time) and volume is not None and before is not None:
                count = _exact(volume) - _exact(before)
                if count < 0 < volume and 2 * volume < before:
                    count = _exact(volume)
                if count > 0 and state.price.value is not None:
                    self._add(names[number], state, time, state.price.value, int(again), count)
                    traded.add(number)
        self._passed(block)
        return {names[number] for number in traded}

    def begin(self, symbol: str, rows: Mapping[int, tuple[int, float | str, float, int]]) -> None:
        """Go on where a book stands: `rows` are the last ones of each field, as QuoteBook keeps them; most say
        nothing here."""
        state = self._symbol(symbol)
        for field, (_, value, size, time) in sorted(rows.items(), key=lambda item: (item[0] not in _OWN, item[1][0])):
            if field in _OWN:
                _tell(state, field, float(value))
            elif field in _DELAYED and state.data_type in UNDELAYED:
                continue
            elif field in _PRICES:
                state.price = Row(field, price_of(float(value), size, state.magnifier), time)
                state.reported = True
            elif field in _VOLUMES:
                unit = state.unit if field == VOLUME else state.delayed_unit
                state.volume = Row(field, volume_of(float(value), unit), time)
                state.reported = False

    def _passed(self, block: TickBlock) -> None:
        last = block.first_seq + block.count - 1
        if last > self.seq:
            self.seq, self.time = last, block.time

    def _symbol(self, name: str) -> Symbol:
        state = self.symbols.get(name)
        if state is None:
            state = self.symbols[name] = Symbol(Row(), Row())
        return state

    def _add(self, symbol: str, state: Symbol, time: int, price: float, trades: int, count: int) -> None:
        """A report: `trades` is 0 where it goes on with the one before; `count` is in PARTS as IB counts."""
        unit = state.unit if state.volume.field == VOLUME else state.delayed_unit
        volume = round(count * unit)
        for width, symbols in self.cells.items():
            start = time - time % width
            cells = symbols.get(symbol)
            if cells is None:
                cells = symbols[symbol] = {}
            cell = cells.get(start)
            if cell is None:
                cell = cells[start] = Cell(price, price, price, price, 0, 0, 0, 0, 0, time, time)
            if time < cell.first:  # the writer's clock was set back
                cell.open, cell.first = price, time
            if time >= cell.last:
                cell.close, cell.last, cell.data_type = price, time, state.data_type
            if price > cell.high:
                cell.high = price
            if price < cell.low:
                cell.low = price
            cell.trades += trades
            cell.origin |= state.origin
            if count:
                cell.volume += volume
                cell.turnover += volume * round(price * PRICE_PARTS)
                if not unit:
                    cell.counted = False


def _tell(state: Symbol, field: int, value: float) -> None:
    """A row of the gateway's own."""
    if field == SOURCE:
        state.origin = {SOURCE_STREAM: STREAMED, SOURCE_MOCK + SOURCE_STREAM: INVENTED}.get(int(value), 0)
    elif field == FIELDS_SINCE:
        state.since = since_of(value)
    elif field == MARKET_DATA_TYPE:
        state.data_type = int(value)
    elif field == PRICE_MAGNIFIER:
        state.magnifier = value if value > 1 else 1.0
    elif field == VOLUME_UNIT:
        state.unit = value
    elif field == DELAYED_VOLUME_UNIT:
        state.delayed_unit = value


def _take(state: Symbol, row: Row, field: int, value: float | None, time: int) -> bool:
    """Keep the new row in the place of the last one. True when it goes on with that one, in a stream."""
    goes_on = row.field == field and row.time >= state.since and state.origin != 0
    row.field, row.value, row.time = field, value, time
    return goes_on


def _exact(count: float) -> int:
    return int(count) * PARTS if count.is_integer() else round(count * PARTS)
