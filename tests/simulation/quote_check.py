"""The quotes that follow from what the simulated IB sends and the core says of it, held against who brought each field.

Used by ib_world.World. The fold is the product's own; what it is held against is the world's book-keeping.
"""

from dataclasses import dataclass, field
from math import nan

from messages.fields import ASK, BID, LAST, TEXT_FIELDS, VOLUME
from services.base.clock import parse_time
from services.gateway.core.interface import Row
from services.gateway.wire.columns import Columns
from services.quotes.book import QuoteBook

OWN_IDS = 1 << 31
NAMES = {BID: "bid", ASK: "ask", LAST: "last", VOLUME: "volume"}
MICROSECOND = 1000


@dataclass
class Brought:
    value: float
    at: int


@dataclass
class QuoteCheck:
    """Feed it turns; `check` then compares."""

    book: QuoteBook = field(default_factory=QuoteBook)
    columns: Columns = field(default_factory=Columns)
    symbols: dict[int, str] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    asked: dict[tuple[str, str], set[int]] = field(default_factory=dict)  # symbol and source -> when
    brought: dict[tuple[str, str], Brought] = field(default_factory=dict)
    seq: int = 1

    def ask(self, req_id: int, symbol: str, source: str, now: int) -> None:
        self.symbols[req_id] = symbol
        self.asked.setdefault((symbol, source), set()).add(now)

    def bring(self, req_id: int, values: dict[int, float], now: int) -> None:
        for number, value in values.items():
            self.columns.add(req_id, number, value, nan)
            self.brought[self.symbols[req_id], NAMES[number]] = Brought(value, now)

    def say(self, symbol: str, rows: list[Row], now: int) -> None:
        own = self.own.setdefault(symbol, OWN_IDS + len(self.own))
        self.symbols[own] = symbol
        for number, value, size, text in rows:
            if number in TEXT_FIELDS:
                self.columns.add_text(own, number, text)
            else:
                self.columns.add(own, number, value, size)
            if number in NAMES:
                self.brought[symbol, NAMES[number]] = Brought(value, now)
                self.asked.setdefault((symbol, "ib_history"), set()).add(now)

    def turn(self, now: int) -> None:
        """The turn is over: its rows are one block."""
        if len(self.columns):
            block = self.columns.to_block(1, self.seq, now, self.symbols)
            self.seq += block.count
            self.columns = Columns()
            self.book.apply(block)

    def check(self, symbol: str) -> None:
        """Of a quote that is not stale: every field was brought by its source, no longer ago than it says."""
        quote = self.book.quote(symbol)
        assert quote is not None and quote.source is not None and quote.since is not None, quote
        since = parse_time(quote.since, 0)
        asked = self.asked[symbol, quote.source]
        assert min(asked) <= since + MICROSECOND, f"{quote} is of no request"
        for name in NAMES.values():
            value = getattr(quote, name)
            if value is not None:
                brought = self.brought[symbol, name]
                assert brought.value == value, f"{name} of {quote} was never brought"
                assert brought.at >= since - MICROSECOND, f"{name} of {quote} is older than its source"
