"""Candles as a fold of the streams: the same from ticks as they come and from the journal, to the last digit.

Used by the sink, which publishes them, and by past_candles.py, which reads the journal. Pure; times in UTC nanoseconds.
A candle is a function of what each stream holds, however their blocks are cut or interleaved:

    ticks     the trades, in cells of a minute (of a second for 1s and 5s): trades.py
    link      when the symbol was blind, the exchange's hours, and IB's bars: coverage.py, and here
    plan, control   when it was not wanted: coverage.py

A coarse candle is the merge of the fine ones in it. But for 1s and 5s, a minute in which the symbol was blind, and of
which there is a bar of IB in the journal, is that bar: what was seen of it is not added. What is learned later of an
interval that is over (a gap, a bar) changes its candle.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from messages.candles import SECONDS, Candle, Interval
from messages.events import (
    Bar,
    BarsReceived,
    Block,
    ContractQualified,
    ContractRolled,
    EventBlock,
    GapClosed,
    GapOpened,
    PriceSource,
    TickBlock,
)
from messages.fields import MARKET_DATA_TYPES
from messages.topics import LINK, TICKS, kind, shard
from services.base.clock import DAY, HOUR, MINUTE, SECOND, iso, utc_day
from services.base.trading_hours import TradingDay, trading_days
from services.quotes.coverage import Coverage, CoverageState, Span, reasons
from services.quotes.numbers import in_currency
from services.quotes.trades import (
    FROM_BARS,
    INVENTED,
    PARTS,
    PRICE_PARTS,
    STREAMED,
    Cell,
    Symbol,
    Trades,
    merged,
)

FINE: Final = frozenset({"1s", "5s"})
"""Intervals that are made of seconds; all others are made of minutes."""

LONGEST: Final = 25 * HOUR
"""No candle is longer: a session is of a day at most, and a day has an hour more when the clocks change."""

HOURS_KEPT: Final = 400  # texts of a symbol, one a trading day
_ROUND_THE_CLOCK: Final = frozenset({"FUT", "CONTFUT", "FOP", "CASH", "CRYPTO", "CMDTY"})
_DIGITS: Final = 9  # after the point of an average price
_SHARES: Final = 10**6  # a share of an interval is given in millionths, rounded down


class Frame(NamedTuple):
    """What a candle spans. A day has its date, and says by whose hours it is one."""

    start: int
    end: int
    day: str | None = None
    by_exchange: bool = False


class News(NamedTuple):
    """A symbol's candles that overlap [start, end) may have changed."""

    symbol: str
    start: int
    end: int


class Hours(msgspec.Struct, frozen=True, array_like=True):
    """A contract's hours as IB told them."""

    text: str
    zone: str


class Seam(msgspec.Struct, frozen=True, array_like=True):
    """Where a future that rolls became another month."""

    time: int
    months: str  # local symbols: `ESZ6 ESH7`


class BookState(msgspec.Struct):
    """To be saved, as JSON: it holds whole numbers of more than 64 bits."""

    coverage: CoverageState
    symbols: dict[str, dict[str, Symbol]]  # by gateway
    cells: dict[str, dict[int, dict[str, dict[int, Cell]]]]
    ends: dict[str, tuple[int, int]]  # sequence number and time of the last tick block
    rolled: dict[str, dict[str, dict[int, Cell]]]
    bars: dict[str, dict[int, Cell]]
    hours: dict[str, list[Hours]]
    magnifiers: dict[str, int]
    seams: dict[str, list[Seam]] = {}


class CandleBook:
    """All candles of some intervals, of all symbols or `only` some."""

    def __init__(self, intervals: Iterable[Interval], only: Iterable[str] = ()) -> None:
        self.intervals = tuple(intervals)
        self.coverage = Coverage(only)
        self._only = frozenset(only)
        self._widths = [SECOND] if FINE & set(self.intervals) else []
        if not FINE.issuperset(self.intervals):
            self._widths.append(MINUTE)
        self._trades: dict[str, Trades] = {}  # by gateway
        self._rolled: dict[str, dict[str, dict[int, Cell]]] = {}  # minutes that were forgotten: interval, symbol, start
        self._bars: dict[str, dict[int, Cell]] = {}  # of IB's history, by minute
        self._hours: dict[str, list[Hours]] = {}  # oldest first
        self._magnifiers: dict[str, int] = {}
        self._seams: dict[str, list[Seam]] = {}  # oldest first
        self._days: dict[str, Frame] = {}  # the day that was asked for last

    # --- what comes in ---

    def apply(self, stream: str, block: Block) -> list[News]:
        """Fold one block of `stream`; blocks of a stream come in order, streams in any. Returns what it changed.

        Raises ValueError where Trades.apply does.
        """
        if kind(stream) == TICKS:
            assert isinstance(block, TickBlock)
            return [News(symbol, block.time, block.time + 1) for symbol in self.trades(shard(stream)).apply(block)]
        self.coverage.apply(stream, block)
        if kind(stream) != LINK:
            return []
        assert isinstance(block, EventBlock)
        news = []
        for event in block.events:
            match event:
                case ContractQualified() if self._wants(event.symbol):
                    self._qualified(event)
                case ContractRolled() if self._wants(event.symbol):
                    seam = Seam(block.time, f"{event.old_local_symbol} {event.local_symbol}")
                    if seam not in (seams := self._seams.setdefault(event.symbol, [])):
                        seams.append(seam)
                    news.append(News(event.symbol, block.time, block.time + 1))
                case BarsReceived(purpose="gap_fill", bar_seconds=60) if event.bars and self._wants(event.symbol):
                    self._keep_bars(event)
                    news.append(News(event.symbol, event.bars[0].time, event.bars[-1].time + MINUTE))
                case GapOpened() | GapClosed() if self._wants(event.symbol):
                    news.append(News(event.symbol, event.start, max(block.time, event.start + 1)))
                case _:
                    pass
        return news

    def trades(self, gateway: str) -> Trades:
        found = self._trades.get(gateway)
        if found is None:
            found = self._trades[gateway] = Trades(self._widths, self._only)
        return found

    def reset(self, stream: str) -> None:
        """Forget all of one stream: it is going to be folded again."""
        if kind(stream) == TICKS:
            self._trades.pop(shard(stream), None)
        else:
            self.coverage.reset(stream)

    # --- what goes out ---

    def symbols(self) -> set[str]:
        """Symbols that traded, or have a gap, in what is kept."""
        return {
            symbol for cells in self._cells() for symbol, own in cells.items() if own
        } | self.coverage.symbols_with_gaps()

    def span(self, symbol: str, interval: Interval, time: int) -> Frame | None:
        """The candle that `time` lies in; None for a day when the exchange has none then."""
        if interval != "1d":
            width = SECONDS[interval] * SECOND
            return Frame(time - time % width, time - time % width + width)
        known = self._days.get(symbol)
        if known is not None and known.start <= time < known.end:
            return known
        found = self._day(symbol, time)
        if found is not None:
            self._days[symbol] = found
        return found

    def candle(self, symbol: str, interval: Interval, span: Frame, now: int) -> Candle | None:
        """The candle as known, `now` being the time up to which all is. None when there was nothing to see in it."""
        until = min(span.end, max(now, span.start + 1))
        blind = self.coverage.blind(symbol, span.start, until)
        bars = {} if interval in FINE else self._bars_instead(symbol, span, blind)
        whole = merged(self._parts(symbol, interval, span, bars))
        if whole is None and not self.coverage.gap_in(symbol, span.start, until):
            return None
        unseen = sum(one.end - one.start for one in blind)
        return Candle(
            symbol=symbol,
            interval=interval,
            start=iso(span.start),
            end=iso(span.end),
            session=span.day,
            hours=None if span.day is None else "exchange" if span.by_exchange else "utc",
            **_numbers(whole),
            coverage=(until - span.start - unseen) * _SHARES // (until - span.start) / _SHARES,
            blind=reasons(blind),
            filled=len(bars) * MINUTE * _SHARES // (span.end - span.start) / _SHARES,
            rolled=self._rolled_in(symbol, span.start, until),
            complete=span.end <= now,
        )

    def forget(self, before: int, seconds_before: int) -> None:
        """Minutes that were over before `before` go into the hours and days of which they are, and are asked for no
        more; seconds before `seconds_before` are gone. A minute in which the symbol was blind stays for as long as its
        day may: a bar may come for it."""
        oldest = before - LONGEST
        for _, trades in sorted(self._trades.items()):
            for symbol, cells in trades.cells.get(MINUTE, {}).items():
                for start in [start for start in cells if start + MINUTE <= before]:
                    if start < oldest:
                        del cells[start]
                    elif not self.coverage.blind(symbol, start, start + MINUTE):
                        self._roll(symbol, start, cells.pop(start))
            for cells in trades.cells.get(SECOND, {}).values():
                for start in [start for start in cells if start < seconds_before]:
                    del cells[start]
        kept: list[dict[str, dict[int, Cell]]] = [*self._rolled.values(), self._bars]
        for held in kept:
            for symbol, starts in list(held.items()):
                held[symbol] = {start: cell for start, cell in starts.items() if start >= oldest}
                if not held[symbol]:
                    del held[symbol]
        for symbol, seams in list(self._seams.items()):
            self._seams[symbol] = [seam for seam in seams if seam.time >= oldest]
        for told in self._hours.values():
            while len(told) > 1 and _tell_of(told[1], oldest):
                del told[0]
        self.coverage.forget(oldest)

    def first_traded(self, symbol: str) -> int | None:
        """The start of the first cell that is kept."""
        starts = [min(own) for cells in self._cells() if (own := cells.get(symbol))]
        return min(starts, default=None)

    def drop(self, symbol: str, before: int) -> None:
        """All of the symbol's trades before `before` are asked for no more."""
        for cells in self._cells():
            own = cells.get(symbol, {})
            for start in [start for start in own if start < before]:
                del own[start]

    # --- saving ---

    def state(self) -> BookState:
        return BookState(
            coverage=self.coverage.state,
            symbols={gateway: trades.symbols for gateway, trades in self._trades.items()},
            cells={gateway: trades.cells for gateway, trades in self._trades.items()},
            ends={gateway: (trades.seq, trades.time) for gateway, trades in self._trades.items()},
            rolled=self._rolled,
            bars=self._bars,
            hours=self._hours,
            magnifiers=self._magnifiers,
            seams=self._seams,
        )

    def restore(self, state: BookState) -> None:
        self.coverage.restore(state.coverage)
        for gateway, symbols in state.symbols.items():
            trades = self.trades(gateway)
            trades.symbols = symbols
            trades.cells = {width: state.cells[gateway].get(width, {}) for width in self._widths}
            trades.seq, trades.time = state.ends[gateway]
        self._rolled, self._bars = state.rolled, state.bars
        self._hours, self._magnifiers, self._seams = state.hours, state.magnifiers, state.seams

    # --- inside ---

    def _cells(self) -> Iterator[dict[str, dict[int, Cell]]]:
        for trades in self._trades.values():
            yield from trades.cells.values()

    def _wants(self, symbol: str) -> bool:
        return not self._only or symbol in self._only

    def _rolled_in(self, symbol: str, start: int, end: int) -> str | None:
        return next((seam.months for seam in reversed(self._seams.get(symbol, ())) if start <= seam.time < end), None)

    def _qualified(self, contract: ContractQualified) -> None:
        self._magnifiers[contract.symbol] = contract.price_magnifier
        texts = (contract.liquid_hours, contract.trading_hours)
        text = next(filter(None, reversed(texts) if contract.sec_type in _ROUND_THE_CLOCK else texts), "")
        told = self._hours.setdefault(contract.symbol, [])
        hours = Hours(text, contract.time_zone)
        if not told or told[-1] != hours:
            told.append(hours)
            del told[:-HOURS_KEPT]
            self._days.pop(contract.symbol, None)

    def _keep_bars(self, event: BarsReceived) -> None:
        kept = self._bars.setdefault(event.symbol, {})
        magnifier = self._magnifiers.get(event.symbol, 1)
        for bar in event.bars:
            if bar.volume >= 0:  # of a middle price IB counts -1: those are no trades
                kept[bar.time] = _cell(bar, magnifier, event)

    def _day(self, symbol: str, time: int) -> Frame | None:
        """By what was said last of that time."""
        for hours in reversed(self._hours.get(symbol, ())):
            days = trading_days(hours.text, hours.zone)
            if days is not None and days.covers(time):
                day: TradingDay | None = days.at(time)
                return None if day is None else Frame(day.start, day.end, day.date, by_exchange=True)
        start = time - time % DAY
        return Frame(start, start + DAY, utc_day(start))

    def _bars_instead(self, symbol: str, span: Frame, blind: list[Span]) -> dict[int, Cell]:
        """The bars that stand in the place of minutes in which the symbol was blind."""
        bars = self._bars.get(symbol)
        if not bars or not blind:
            return {}
        found = {}
        for one in blind:
            for start in range(one.start - one.start % MINUTE, one.end, MINUTE):
                if start in bars and span.start <= start < span.end:
                    found[start] = bars[start]
        return found

    def _parts(self, symbol: str, interval: Interval, span: Frame, bars: dict[int, Cell]) -> Iterator[Cell]:
        width = SECOND if interval in FINE else MINUTE
        rolled = self._rolled.get(interval, {}).get(symbol, {}).get(span.start)
        if rolled is not None:
            yield rolled
        for _, trades in sorted(self._trades.items()):
            for start, cell in trades.cells[width].get(symbol, {}).items():
                if span.start <= start < span.end and start not in bars:
                    yield cell
        yield from bars.values()

    def _roll(self, symbol: str, start: int, cell: Cell) -> None:
        for interval in self.intervals:
            if interval in ("1h", "1d"):
                span = self.span(symbol, interval, start)
                if span is not None:
                    starts = self._rolled.setdefault(interval, {}).setdefault(symbol, {})
                    known = starts.get(span.start)
                    if known is None:
                        starts[span.start] = msgspec.structs.replace(cell)
                    else:
                        known.absorb(cell)


def _tell_of(hours: Hours, time: int) -> bool:
    days = trading_days(hours.text, hours.zone)
    return days is not None and days.covers(time)


def _cell(bar: Bar, magnifier: int, event: BarsReceived) -> Cell:
    opened, high, low, close = (in_currency(price, magnifier) for price in (bar.open, bar.high, bar.low, bar.close))
    return Cell(
        opened,
        high,
        low,
        close,
        volume=round(bar.volume * event.volume_unit * PARTS),
        turnover=0,
        trades=0,
        origin=FROM_BARS | (INVENTED if event.mock else 0),
        data_type=0,
        first=bar.time,
        last=bar.time + MINUTE - 1,
        counted=event.volume_unit > 0,
        weighed=False,
    )


def _numbers(cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {}
    volume = cell.volume / PARTS if cell.counted else None
    return {
        "open": cell.open,
        "high": cell.high,
        "low": cell.low,
        "close": cell.close,
        "volume": volume,
        "vwap": round(cell.turnover / (cell.volume * PRICE_PARTS), _DIGITS) if volume and cell.weighed else None,
        "trades": cell.trades,
        "source": _source(cell.origin),
        "market_data_type": MARKET_DATA_TYPES.get(cell.data_type),
    }


def _source(origin: int) -> PriceSource:
    if origin & INVENTED:
        return "mock"
    return "ib_stream" if origin & STREAMED else "ib_history"
