"""The gateway's pure core: what to ask of IB, when, and what to say about every symbol.

Called by the gateway's I/O loop alone. Guarantees: no I/O, no clock, no threads; the same inputs, times and
seed give the same effects. Every input writes down facts; then each symbol that it touched is reviewed once:
recovery, the ladder, and what to say follow from the facts (symbols.py).
"""

import random
from collections.abc import Callable
from typing import Any

from messages.events import IbError, Plan, PlannedSymbol, SymbolChanged
from messages.fields import (
    CURRENCY,
    EXCHANGE,
    MARKET_DATA_TYPE,
    MARKET_DATA_TYPES,
    SOURCE,
    SOURCE_MOCK,
    SOURCE_SNAPSHOT,
    SOURCE_STREAM,
)
from services.gateway import effects as fx
from services.gateway.deadlines import NEVER, ns
from services.gateway.desk import Desk
from services.gateway.ib_errors import look_up
from services.gateway.link import Link, Turn
from services.gateway.memory import Memory
from services.gateway.pacing import Kind
from services.gateway.requests import Requests
from services.gateway.symbols import Net, Symbol, derive, next_change
from services.settings import Settings

DATA_TYPE_NUMBER = {name: number for number, name in MARKET_DATA_TYPES.items()}


class GatewayCore:
    """Fold inputs to effects. `memory` is the fold of the gateway's own link stream at the start.

    Raises IbStreamError `invalid_setting` for reset windows, a time zone or a backup that cannot be read.
    """

    def __init__(self, settings: Settings, rng: random.Random, memory: Memory | None = None) -> None:
        self.desk = Desk(settings, rng, memory or Memory())
        self.book: dict[str, Symbol] = {}
        self.link = Link(self.desk)
        self.net = Net(ns(settings.stale_after), ns(settings.link_stale_after))
        self.requests = Requests(self.desk, self.book)
        self.next_wake = NEVER  # UTC ns: call with Timer at this time, or in 0.25 s if that is sooner
        self.plan: Plan | None = None
        self._touched: dict[str, Symbol] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            fx.PlanChanged: self._plan_changed,
            fx.Timer: lambda event: None,
            fx.SocketOpened: lambda event: self.link.opened(),
            fx.SocketFailed: lambda event: self._turned(self.link.failed(event.reason, event.detail)),
            fx.SocketClosed: lambda event: self._turned(self.link.closed(event.reason, event.detail)),
            fx.Ready: self._ready,
            fx.EndpointSeen: lambda event: self._turned(self.link.endpoint_seen(event.up)),
            fx.TicksSeen: self._ticks_seen,
            fx.MarketDataTypeSeen: self._data_type_seen,
            fx.IbErrorSeen: self._error_seen,
            fx.ContractSeen: lambda event: None,
            fx.ContractEnd: lambda event: None,
            fx.SnapshotEnd: lambda event: None,
            fx.BarsSeen: lambda event: None,
            fx.BarsEnd: lambda event: None,
            fx.CurrentTimeSeen: lambda event: None,
            fx.HaltSeen: self._halt_seen,
        }

    def handle(self, event: fx.Event, now: int) -> list[fx.Effect]:
        """Take one input. `now` is UTC nanoseconds and never goes back."""
        desk = self.desk
        assert now >= desk.now
        desk.now = now
        effects: list[fx.Effect] = []
        desk.effects = effects
        self._handlers[type(event)](event)
        for key in desk.deadlines.due(now):
            self._due(key)  # type: ignore[arg-type]
        if self.link.connected:
            self.requests.pump()
        if self._touched:
            self._review_touched()
            if self.link.connected:
                self.requests.pump()
        self._rest_when_stopped()
        self.next_wake = min(desk.deadlines.next, self.requests.governor.next_room(now))
        return effects

    def _due(self, key: tuple[str, str]) -> None:
        part, name = key
        if part == "link":
            self._turned(self.link.due(name))
        elif part == "symbol":
            self._touch(self.book[name])

    def _touch(self, symbol: Symbol) -> None:
        self._touched[symbol.name] = symbol

    # --- the plan ---

    def _plan_changed(self, event: fx.PlanChanged) -> None:
        plan = event.plan
        self.plan = plan
        self.requests.data_type = DATA_TYPE_NUMBER[plan.market_data_type]
        wanted = {planned.symbol: planned for planned in plan.symbols} if plan.started else {}
        for name in [name for name in self.book if name not in wanted]:
            self._remove(self.book[name])
        for name, planned in wanted.items():
            self._add(name, planned)
        if wanted:
            self.link.want(True)
        self._net_changed()

    def _add(self, name: str, planned: PlannedSymbol) -> None:
        symbol = self.book.get(name)
        if symbol is None:
            symbol = self.book[name] = Symbol(planned, self.desk.now)
        symbol.planned = planned
        self._touch(symbol)

    def _remove(self, symbol: Symbol) -> None:
        for request in (symbol.stream, symbol.snapshot, symbol.history, symbol.details):
            self.requests.cancel(request)
        del self.book[symbol.name]
        self._touched.pop(symbol.name, None)
        self.desk.deadlines.clear(("symbol", symbol.name))
        self.desk.emit(SymbolChanged(symbol=symbol.name, state="removed", stale=True, reason="not_planned"))

    def _rest_when_stopped(self) -> None:
        """Nothing planned: the connection goes once the cancellations are out."""
        if self.link.wanted and not self.book and (not self.link.connected or self.requests.governor.idle()):
            self._turned(self.link.want(False))

    # --- the link ---

    def _ready(self, event: fx.Ready) -> None:
        self._turned(self.link.ready(event.server_version, event.accounts))

    def _turned(self, turn: Turn | None) -> None:
        if turn is None:
            return
        match turn:
            case Turn.UP:
                self.desk.mock = self.desk.settings.api_mode == "mock" or self.link.account_kind == "simulator"
                self.requests.connected()
                for symbol in self.book.values():
                    self.requests.stream(symbol)
            case Turn.DOWN:
                self.requests.connection_lost()
                for symbol in self.book.values():
                    symbol.stream = symbol.snapshot = symbol.history = symbol.details = None
                    symbol.suspect_since = self.desk.now
            case _:
                for symbol in self.book.values():
                    symbol.suspect_since = self.desk.now
        self._net_changed()

    def _net_changed(self) -> None:
        """Something that bears on every symbol."""
        self.net.outage = None if self.link.phase == "ready" else self.link.reason or self.link.phase
        for symbol in self.book.values():
            self._touch(symbol)

    # --- what IB sends ---

    def _ticks_seen(self, event: fx.TicksSeen) -> None:
        """The hot path: a symbol that is live already costs a few look-ups."""
        now = self.desk.now
        by_id, book = self.requests.by_id, self.book
        for req_id in event.req_ids:
            request = by_id.get(req_id)
            if request is None:
                continue
            symbol = book[request.symbol]
            symbol.price_time = now
            if request.kind is Kind.STREAM:
                self.net.newest_tick = symbol.last_tick = now
                if symbol.source != SOURCE_STREAM or symbol.said is None or symbol.said.state != "live":
                    self._priced(symbol, SOURCE_STREAM)
            else:
                self._priced(symbol, SOURCE_SNAPSHOT)
        self._turned(self.link.ticked())

    def _priced(self, symbol: Symbol, source: int) -> None:
        """The price in its file now comes from this source."""
        symbol.source = source
        mark = source + SOURCE_MOCK if self.desk.mock else source
        if symbol.mark != mark:
            symbol.mark = mark
            rows: list[fx.Row] = [(SOURCE, float(mark), fx.NAN, "")]
            if not symbol.told_contract:
                symbol.told_contract = True
                contract = self.desk.memory.contracts.get(symbol.name)
                exchange = (contract and (contract.primary_exchange or contract.exchange)) or symbol.planned.exchange
                rows.append((CURRENCY, 0.0, fx.NAN, symbol.planned.currency))
                rows.append((EXCHANGE, 0.0, fx.NAN, exchange))
            self.desk.ticks(symbol.name, rows)
        self._touch(symbol)

    def _data_type_seen(self, event: fx.MarketDataTypeSeen) -> None:
        symbol = self._symbol_of(event.req_id)
        if symbol is not None and symbol.data_type != event.data_type:
            symbol.data_type = event.data_type
            self.desk.ticks(symbol.name, [(MARKET_DATA_TYPE, float(event.data_type), fx.NAN, "")])
            self._touch(symbol)

    def _halt_seen(self, event: fx.HaltSeen) -> None:
        symbol = self._symbol_of(event.req_id)
        if symbol is not None and event.value >= 0:
            symbol.halted = event.value > 0
            self._touch(symbol)

    def _symbol_of(self, req_id: int) -> Symbol | None:
        request = self.requests.by_id.get(req_id)
        return self.book.get(request.symbol) if request is not None else None

    def _error_seen(self, event: fx.IbErrorSeen) -> None:
        entry = look_up(event.code)
        request = self.requests.by_id.get(event.req_id)
        self.desk.emit(
            IbError(
                code=event.code,
                name=entry.name,
                kind=entry.kind,
                message=event.message,
                symbol=request.symbol if request is not None else None,
            )
        )
        if entry.reaction == "farm":
            self.link.farm_said(event.code, event.message)
        else:
            self._turned(self.link.ib_said(entry, event.message))

    # --- review ---

    def _review_touched(self) -> None:
        touched, self._touched = self._touched, {}
        for symbol in touched.values():
            self._review(symbol)

    def _review(self, symbol: Symbol) -> None:
        now = self.desk.now
        if self.link.phase == "ready" and symbol.stream is None:
            self.requests.stream(symbol)
        view = derive(symbol, self.net, now)
        if view != symbol.said or symbol.data_type != symbol.said_type:
            symbol.said, symbol.said_type = view, symbol.data_type
            self.desk.emit(
                SymbolChanged(
                    symbol=symbol.name,
                    state=view.state,
                    stale=view.stale,
                    reason=view.reason,
                    code=view.code,
                    message=view.message,
                    market_data_type=MARKET_DATA_TYPES.get(symbol.data_type or 0),  # type: ignore[arg-type]
                )
            )
        self.desk.deadlines.set(("symbol", symbol.name), next_change(symbol, self.net, now))
