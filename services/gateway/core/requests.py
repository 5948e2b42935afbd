"""The requests that are queued or open, by id: made for a symbol, sent when the governor lets them.

Called by the core and its parts. Guarantees: an id is used once, also across connections and restarts, since
IB answers a reused one with 322, then 300, then 10197; what came in answer to an unknown id is nobody's.
"""

from typing import Final

from messages.events import PlannedSymbol
from services.base import generic_ticks
from services.gateway.core.context import Context
from services.gateway.core.deadlines import SECOND
from services.gateway.core.generic_wishes import GenericWishes
from services.gateway.core.governor import Governor, Kind, Request
from services.gateway.core.interface import (
    AskPositions,
    AskTime,
    CancelHistory,
    CancelMktData,
    CancelPositions,
    CancelRealTimeBars,
    CancelTickByTick,
    ContractDetails,
    Forget,
    History,
    OptionParams,
    RealTimeBars,
    SetMarketDataType,
    Snapshot,
    Subscribe,
    TickByTick,
)
from services.gateway.core.symbol import OpenRequests, Symbol

LEAST_LINES: Final = 100  # every user has as many, whoever uses them; the message limit is half of all
_CANCEL: Final = {
    Kind.HISTORY: Kind.CANCEL_HISTORY,
    Kind.TICK_BY_TICK: Kind.CANCEL_TICK_BY_TICK,
    Kind.BARS: Kind.CANCEL_BARS,
}
_BARE: Final[dict[Kind, AskTime | AskPositions | CancelPositions]] = {
    Kind.TIME: AskTime(),
    Kind.POSITIONS: AskPositions(),
    Kind.CANCEL_POSITIONS: CancelPositions(),
}
"""Of no symbol, and without an id."""

FIRST_IDS: Final = 1_000_000_000  # ids start at 1000 times the seconds, modulo this: above any of an earlier run


class Requests:
    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        limit = min(settings.ib_line_limit, context.memory.line_limit or settings.ib_line_limit)
        rate = min(settings.ib_message_rate, max(LEAST_LINES, settings.ib_line_limit) // 2)
        self.governor = Governor(rate, limit)
        self.by_id: dict[int, Request] = {}  # each of a symbol that is planned, which holds it
        self.held: dict[int, int] = {}  # details of what is held, by their id: the contract's
        self.data_type = 1  # what the plan asks for
        self.wishes = GenericWishes(settings.ib_generic_ticks)
        self.cancelled: dict[int, str] = {}  # streams given up since the last ticks, and their symbols
        self._next_id = 0

    # --- asking ---

    def stream(self, symbol: Symbol) -> None:
        assert symbol.requests.stream is None
        symbol.requests.stream = self._make(Kind.STREAM, symbol)

    def snapshot(self, symbol: Symbol, purpose: str, priority: int | None = None) -> None:
        assert symbol.requests.snapshot is None
        symbol.requests.snapshot = self._make(Kind.SNAPSHOT, symbol, purpose, priority)
        symbol.snapshots.asked_at = self.context.now

    def details(self, symbol: Symbol) -> None:
        if symbol.requests.details is None:
            symbol.requests.details = self._make(Kind.DETAILS, symbol)

    def options(self, symbol: Symbol) -> None:
        if symbol.requests.options is None:
            symbol.requests.options = self._make(Kind.OPTIONS, symbol)

    def fine(self, symbol: Symbol, kind: Kind, what: str) -> None:
        """Tick by tick, or five-second bars."""
        assert symbol.requests.fine(kind) is None
        request = self._make(kind, symbol, what)
        if kind is Kind.TICK_BY_TICK:
            symbol.requests.tick_by_tick = request
        else:
            symbol.requests.bars = request

    def bare(self, kind: Kind) -> Request:
        """One that is of no symbol and has no id: the time, or positions."""
        request = Request(kind)
        self.governor.submit(request)
        return request

    def held_details(self, con_id: int) -> None:
        """Details of a contract that is held: it is no symbol of ours, or not yet."""
        self.governor.submit(Request(Kind.HELD_DETAILS, con_id=con_id))

    def _make(self, kind: Kind, symbol: Symbol, purpose: str = "", priority: int | None = None) -> Request:
        data_type = max(3, self.data_type) if symbol.feed.delayed else self.data_type
        request = Request(kind, symbol.name, symbol.priority if priority is None else priority)
        request.purpose = purpose
        if kind in (Kind.STREAM, Kind.SNAPSHOT):
            request.data_type = data_type
        self.governor.submit(request)
        return request

    def submit_history(self, symbol: Symbol, request: Request) -> None:
        """Asks for bars; `request` says which."""
        symbol.requests.history = request
        self.governor.submit(request)

    def submit_month_bars(self, symbol: Symbol, request: Request) -> None:
        """Asks for bars of a month of a future that rolls, be it the symbol's or not."""
        symbol.requests.month_bars = request
        self.governor.submit(request)

    # --- ending ---

    def cancel(self, request: Request | None) -> None:
        """It is not wanted any more. Costs a message when it was sent already."""
        if request is None:
            return
        self.context.symbols[request.symbol].requests.release(request)
        if request.waiting:
            self.governor.withdraw(request)
        elif self.by_id.pop(request.req_id, None) is not None:
            if request.kind is Kind.STREAM:
                self.cancelled[request.req_id] = request.symbol
            kind = _CANCEL.get(request.kind, Kind.CANCEL)
            if request.kind not in (Kind.DETAILS, Kind.OPTIONS):
                self.governor.submit(Request(kind, request.symbol, request.priority, req_id=request.req_id))
            if request.kind is Kind.HISTORY:
                self.governor.finished(request)

    def abandon(self, symbol: Symbol) -> None:
        """Nothing that was asked for the symbol is wanted any more, nor what still comes in answer."""
        held = symbol.requests
        for request in (
            held.stream,
            held.snapshot,
            held.history,
            held.details,
            held.options,
            held.tick_by_tick,
            held.bars,
            held.month_bars,
        ):
            self.cancel(request)
        self.cancelled = {req_id: name for req_id, name in self.cancelled.items() if name != symbol.name}

    def finish(self, request: Request) -> None:
        """It was answered, or refused: IB has let go of it."""
        self.context.symbols[request.symbol].requests.release(request)
        if self.by_id.pop(request.req_id, None) is not None and request.kind is Kind.STREAM:
            self.cancelled[request.req_id] = request.symbol
            self.context.out(Forget(request.req_id))
        self.governor.finished(request)

    def give_up_snapshot(self, symbol: Symbol) -> None:
        """It brings nothing."""
        self.cancel(symbol.requests.snapshot)
        symbol.snapshots.in_vain += 1

    def connection_lost(self) -> None:
        self.by_id.clear()
        self.held.clear()
        self.governor.connection_lost()
        for symbol in self.context.symbols.values():
            symbol.requests = OpenRequests()

    def connected(self) -> None:
        """A fresh connection: fresh ids."""
        self.wishes.connected()
        self._next_id = max(self._next_id, self.context.now // SECOND * 1000 % FIRST_IDS + 1)

    # --- sending ---

    def pump(self) -> None:
        """Send what the governor lets through."""
        for request in self.governor.take(self.context.now):
            self._send(request)

    def _send(self, request: Request) -> None:
        out = self.context.out
        if request.data_type and request.data_type != self.governor.data_type:
            out(SetMarketDataType(request.data_type))
            self.governor.data_type = request.data_type
        request.sent_at = self.context.now
        if request.kind in _BARE:
            out(_BARE[request.kind])
            return
        if request.kind is Kind.HELD_DETAILS:
            self._next_id += 1
            self.held[self._next_id] = request.con_id
            out(
                ContractDetails(
                    self._next_id, PlannedSymbol("", "", 0, sec_type="", exchange="", con_id=request.con_id)
                )
            )
            return
        if request.kind is Kind.CANCEL:
            out(CancelMktData(request.req_id))
        elif request.kind is Kind.CANCEL_HISTORY:
            out(CancelHistory(request.req_id))
        elif request.kind is Kind.CANCEL_TICK_BY_TICK:
            out(CancelTickByTick(request.req_id))
        elif request.kind is Kind.CANCEL_BARS:
            out(CancelRealTimeBars(request.req_id))
        else:
            self._send_for(request, self.context.symbols[request.symbol])
        self.governor.sent(request, self.context.now)

    def _send_for(self, request: Request, symbol: Symbol) -> None:
        self._next_id += 1
        request.req_id = self._next_id
        self.by_id[request.req_id] = request
        self.context.touch(symbol)
        request.con_id = request.month or symbol.contract.con_id
        planned = symbol.planned
        out = self.context.out
        if request.kind is Kind.STREAM:
            symbol.trust.subscribed(self.context.now)
            request.generic_ticks = self.wishes.of(symbol)
            out(Subscribe(request.req_id, *_market_data_of(symbol), generic_ticks.written(request.generic_ticks)))
        elif request.kind is Kind.SNAPSHOT:
            stream = symbol.requests.stream
            stream_id = stream.req_id if stream is not None and stream.req_id else -1
            out(Snapshot(request.req_id, *_market_data_of(symbol), stream_id))
        elif request.kind is Kind.DETAILS:
            out(ContractDetails(request.req_id, planned))
        elif request.kind is Kind.TICK_BY_TICK:
            out(TickByTick(request.req_id, *_market_data_of(symbol), request.purpose))
        elif request.kind is Kind.BARS:
            out(RealTimeBars(request.req_id, *_market_data_of(symbol), request.purpose))
        elif request.kind is Kind.OPTIONS:
            out(OptionParams(request.req_id, planned, symbol.contract.con_id))
        else:
            out(
                History(
                    request.req_id,
                    planned,
                    request.end,
                    request.duration,
                    request.bar_size,
                    request.what_to_show,
                    request.con_id,
                )
            )


def _market_data_of(symbol: Symbol) -> tuple[PlannedSymbol, int]:
    """The contract to ask market data of, and its id: its own, or the one that IB named instead."""
    route = symbol.contract.route
    if route is None:
        return symbol.planned, symbol.contract.con_id
    rerouted = PlannedSymbol(
        symbol.name, symbol.planned.reason, symbol.priority, sec_type="", exchange=route.exchange, currency=""
    )
    return rerouted, route.con_id
