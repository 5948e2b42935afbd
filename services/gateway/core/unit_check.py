"""Are the sizes and volumes of US stocks what units.py takes them for? Called by the core.

IB's setting "Send market data in lots for US stocks" divides them without a word on the wire, and no capture tells how
the live volume of newer versions is counted. Two facts do: round lots but for a single share are multiples of ten
shares, and so are bid and ask sizes that are in shares; and bars are in shares from server version 175 on, so that the
day's bar and the day's volume must agree. What does not agree has no unit on this connection: no size or volume is
given then, but IB's number. Asked for are the day's bars of three symbols a connection, last in the queue.
"""

import heapq
from typing import Final

from messages.events import Bar
from messages.fields import ASK_SIZE, BID_SIZE, DELAYED_ASK_SIZE, DELAYED_BID_SIZE, DELAYED_VOLUME, VOLUME
from services.base.clock import DAY
from services.gateway.core.context import Context
from services.gateway.core.deadlines import ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.interface import ReadStream
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.units import BARS_IN_SHARES, NO_DOUBT, SIZES_IN_SHARES, Doubt, is_us_stock, units

SYMBOLS: Final = 3
FIRST_LOOK: Final = ns(60)  # after the connection: subscriptions come first
LOOK_AGAIN: Final = ns(300)
OPEN_FOR: Final = ns(1800)  # delayed volume is a quarter of an hour behind the bars
ENOUGH: Final = 10_000  # shares: of less, a few trades that history leaves out are too large a part
TOLERANCE: Final = 3.0  # history leaves out some trades; shares taken for lots are ten times off at least
ROUND: Final = 10  # shares
SIZES: Final = 60  # as many are judged
UNSET: Final = 1e12
LAST_IN_LINE: Final = 2_000_000_000  # after the bars of every gap
QUOTE_SIZES: Final = (BID_SIZE, ASK_SIZE, DELAYED_BID_SIZE, DELAYED_ASK_SIZE)


class UnitCheck:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self._odd: dict[tuple[str, int], bool] = {}  # by symbol and kind of size: is it no multiple of a round lot?
        self._differs: dict[tuple[str, int], bool] = {}  # by symbol and kind of volume
        self._asked: dict[str, float] = {}  # shares in the day's bar, 0 while there is none

    def connected(self) -> None:
        """Another gateway, or another setting of it: all is open again."""
        for known in (self._odd, self._differs, self._asked):
            known.clear()
        self.context.doubt = NO_DOUBT
        self.context.due_in("units", "look", FIRST_LOOK)

    def ticked(self, symbol: Symbol) -> None:
        """Its stream came: look at its sizes, as long as there are few."""
        if len(self._odd) < SIZES and is_us_stock(self.context.memory.contracts.get(symbol.name)):
            self.read(symbol)

    def read(self, symbol: Symbol) -> None:
        """Look at what its stream brought so far."""
        stream = symbol.requests.stream
        if stream is not None and stream.req_id and self.context.server_version >= SIZES_IN_SHARES:
            self.context.out(ReadStream(stream.req_id))

    def _note_sizes(self, symbol: Symbol, values: dict[int, float]) -> None:
        contract = self.context.memory.contracts.get(symbol.name)
        if not is_us_stock(contract) or contract.suggested_size_increment < ROUND:
            return
        for field in QUOTE_SIZES:
            key = symbol.name, field
            if 0 < values.get(field, 0) < UNSET and (key in self._odd or len(self._odd) < SIZES):
                self._odd[key] = values[field] % ROUND != 0

    # --- the day's bars ---

    def due(self) -> None:
        """Ask for the bars of the most important symbols that tell something."""
        telling = [symbol for symbol in self.context.symbols.values() if self._tells(symbol)]
        for symbol in heapq.nsmallest(SYMBOLS, telling, key=lambda symbol: symbol.priority):
            self.read(symbol)
            if symbol.name in self._asked or len(self._asked) >= SYMBOLS or symbol.requests.history is not None:
                continue
            self._asked[symbol.name] = 0.0
            request = Request(Kind.HISTORY, symbol.name, LAST_IN_LINE + symbol.priority)
            request.purpose, request.duration, request.bar_size = "volume", "1 D", "1 day"
            self.requests.submit_history(symbol, request)
        self.context.due_in("units", "look", LOOK_AGAIN)

    def _tells(self, symbol: Symbol) -> bool:
        hours, now = symbol.contract.hours, self.context.now
        if not is_us_stock(self.context.memory.contracts.get(symbol.name)):
            return False
        opened = hours.opened_at(now) if hours is not None and hours.is_open(now) else None
        return opened is not None and now - opened >= OPEN_FOR and symbol.fresh(self.context.shared, now)

    def bars_came(self, symbol: Symbol, bars: list[Bar]) -> None:
        """The day's bar, in shares; none where history refuses."""
        today = [bar.volume for bar in bars if bar.time > self.context.now - DAY]
        if today and self.context.server_version >= BARS_IN_SHARES:
            self._asked[symbol.name] = today[-1]
            self.read(symbol)

    def stream_read(self, symbol: Symbol, values: dict[int, float]) -> None:
        """The newest that its stream brought of each field."""
        self._note_sizes(symbol, values)
        told = units(self.context.memory.contracts.get(symbol.name), self.context.server_version)
        bar = self._asked.get(symbol.name, 0.0)
        for field, unit in ((VOLUME, told.volume), (DELAYED_VOLUME, told.delayed_volume)):
            shares = values.get(field, 0.0) * unit
            if min(bar, shares) > 0 and max(bar, shares) >= ENOUGH:
                self._differs[symbol.name, field] = not bar / TOLERANCE <= shares <= bar * TOLERANCE
        self._judge()

    # --- what follows ---

    def _judge(self) -> None:
        odd = sum(self._odd.values())
        lots = odd > 1 and 2 * odd > len(self._odd)
        doubt = Doubt(lots, self._doubtful(VOLUME, lots), self._doubtful(DELAYED_VOLUME, lots))
        if doubt != self.context.doubt:
            self.context.doubt = doubt
            for symbol in self.context.symbols.values():
                if symbol.price.contract_told and is_us_stock(self.context.memory.contracts.get(symbol.name)):
                    self.context.ticks(symbol.name, self.context.unit_rows(symbol))

    def _doubtful(self, field: int, lots: bool) -> bool:
        """Bars that agree settle it, also where sizes are in lots."""
        differs = [differs for (_, of), differs in self._differs.items() if of == field]
        return 2 * sum(differs) >= len(differs) if differs else lots
