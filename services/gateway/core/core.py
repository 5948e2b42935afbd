"""The gateway's pure core: what to ask of IB, when, and what to say about every symbol.

Called by the gateway's I/O loop alone. Guarantees: no I/O, no clock, no threads; the same inputs, times and
seed give the same effects. Every input writes down facts; then each symbol that it touched is reviewed once:
recovery, the ladder, and what to say follow from the facts (symbols.py).
"""

import random
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from messages.events import IbError, Plan, PlannedSymbol, SymbolChanged
from messages.fields import MARKET_DATA_TYPE, MARKET_DATA_TYPES, SOURCE_SNAPSHOT, SOURCE_STREAM
from services.base.settings import Settings
from services.gateway.core import interface as fx
from services.gateway.core.answers import Answers
from services.gateway.core.competing_session import Competing
from services.gateway.core.context import Desk
from services.gateway.core.contracts import Contracts, same_contract
from services.gateway.core.deadlines import NEVER
from services.gateway.core.fallback import Ladder
from services.gateway.core.farms import Farms
from services.gateway.core.gap_ledger import Gaps
from services.gateway.core.governor import Kind
from services.gateway.core.ib_errors import look_up
from services.gateway.core.lines import Lines
from services.gateway.core.link import Link, Turn
from services.gateway.core.link_silence import Silence
from services.gateway.core.memory import Memory
from services.gateway.core.recovery import Recovery
from services.gateway.core.requests import Requests
from services.gateway.core.symbol_state import Symbol, derive, next_change
from services.gateway.core.timing import pace_of

MOST_DUE: Final = 500  # deadlines a turn: what is more waits for the next one, and ticks go on in between
DATA_TYPE_NUMBER: Final = {name: number for number, name in MARKET_DATA_TYPES.items()}
_SETTLED: Final = frozenset({"live", "delayed", "halted"})  # states that one more tick does not change


class GatewayCore:
    """Fold inputs to effects. `memory` is the fold of the gateway's own link stream at the start; `name` is its own
    where there are several, each of which serves the symbols that the plan assigns to it.

    Raises IbStreamError `invalid_setting` for reset windows, a time zone or a backup that cannot be read.
    """

    def __init__(self, settings: Settings, rng: random.Random, memory: Memory | None = None, *, name: str = "") -> None:
        self.name = name
        self.desk = desk = Desk(settings, rng, memory or Memory())
        self.book = desk.book
        self.net = desk.net
        self.link = Link(desk)
        self.requests = Requests(desk)
        self.contracts = Contracts(desk, self.requests)
        self.lines = Lines(desk, self.requests)
        pace = pace_of(settings)
        self.farms = Farms(desk, pace)
        self.recovery = Recovery(desk, pace, self.requests, self.link, self.farms)
        self.silence = Silence(desk, pace, self.requests, self.link, self.recovery)
        self.competing = Competing(desk, pace, self.recovery)
        self.ladder = Ladder(desk, pace, self.requests, self.link, self.farms)
        self.gaps = Gaps(desk, self.requests)
        self.answers = Answers(self)
        self.plan: Plan | None = None
        self.next_wake = NEVER  # UTC ns: call with Timer at this time, or in 0.25 s if that is sooner
        self._handlers: dict[type, Callable[[Any], None]] = {
            fx.PlanChanged: self._plan_changed,
            fx.Timer: lambda event: None,
            fx.SocketOpened: lambda event: self.link.opened(),
            fx.SocketFailed: lambda event: self.turned(self.link.failed(event.reason, event.detail)),
            fx.SocketClosed: lambda event: self.turned(self.link.closed(event.reason, event.detail)),
            fx.Ready: lambda event: self.turned(self.link.ready(event.server_version, event.accounts)),
            fx.EndpointSeen: lambda event: self.turned(self.link.endpoint_seen(event.up)),
            fx.TicksSeen: self._ticks_seen,
            fx.MarketDataTypeSeen: self._data_type_seen,
            fx.HaltSeen: self._halt_seen,
            fx.IbErrorSeen: self._error_seen,
            fx.ContractSeen: lambda event: self.contracts.seen(event.req_id, event.details),
            fx.ContractEnd: self.answers.contract_end,
            fx.SnapshotEnd: self.answers.snapshot_end,
            fx.BarsSeen: self.answers.bars_seen,
            fx.BarsEnd: self.answers.bars_end,
            fx.CurrentTimeSeen: lambda event: self.silence.time_seen(),
        }

    def handle(self, event: fx.Event, now: int) -> list[fx.Effect]:
        """Take one input. `now` is UTC nanoseconds and never goes back."""
        desk = self.desk
        assert now >= desk.now
        desk.now = now
        effects: list[fx.Effect] = []
        desk.effects = effects
        if type(event) not in _OURS:
            self.silence.heard_at = now
        self.link.announce()
        self._handlers[type(event)](event)
        for key in islice(desk.deadlines.due(now), MOST_DUE):
            self._due(*key)  # type: ignore[misc]
        self._settle()
        self._rest_when_stopped()
        self.next_wake = min(desk.deadlines.next, self.requests.governor.next_room(now))
        return effects

    def _settle(self) -> None:
        """Review what was touched and send what may be sent, until nothing more follows from it."""
        for _ in range(4):
            if self.lines.unbalanced:
                self.lines.balance()
            touched = self.desk.take_touched()
            if self.link.connected:
                for symbol in touched.values():
                    self._keep_subscribed(symbol)
                self.requests.pump()
                touched |= self.desk.take_touched()
            if not touched:
                return
            for symbol in touched.values():
                self._review(symbol)

    def _due(self, part: str, name: str) -> None:
        match part:
            case "symbol":
                self.desk.touch(self.book[name])
            case "link":
                self.turned(self.link.due(name))
            case "silence":
                self.turned(self.silence.due(name))
            case "competing":
                self.competing.due(name)
            case "lines":
                self.lines.due(name)
            case "fill":
                self.gaps.fill(self.book[name], self.link.phase == "ready")
            case "rejected":
                self.contracts.retry(self.book[name])
                self.lines.unbalanced = True
            case _:
                raise AssertionError(part)

    # --- the plan ---

    def _plan_changed(self, event: fx.PlanChanged) -> None:
        before, plan = self.plan, event.plan
        self.plan = plan
        wanted, cut = _wanted(plan, self.name)
        if before is None and plan.started:
            elsewhere = {planned.symbol for planned in plan.symbols if planned.gateway != self.name}
            self.gaps.left_to_others(elsewhere, plan.time)
        for name in [name for name in self.book if name not in wanted]:
            self._remove(self.book[name])
        for name, planned in wanted.items():
            self._add(name, planned, cut.get(name))
        if before is not None:
            self._renew_for(before, plan)
        self.requests.data_type = DATA_TYPE_NUMBER[plan.market_data_type]
        self.lines.unbalanced = True
        if wanted or self._stands_by():
            self.link.want(True)
        self._set_outage()

    def _add(self, name: str, planned: PlannedSymbol, cut_message: str | None) -> None:
        symbol = self.book.get(name)
        if symbol is not None and not same_contract(symbol.planned, planned):
            self._remove(symbol)
            symbol = None
        if symbol is None:
            symbol = self.book[name] = Symbol(planned, self.desk.now)
            symbol.floor = self.desk.given.pop(name, 0)
            self.contracts.adopt(symbol)
            self.gaps.adopt(symbol)
        symbol.planned = planned
        if cut_message is not None and symbol.cut_reason != "plan_limit":
            self.requests.cancel(symbol.stream)
            symbol.stream = None
            symbol.cut_reason = "plan_limit"
        elif cut_message is None and symbol.cut_reason == "plan_limit":
            symbol.cut_reason = None
        symbol.cut_message = cut_message
        self.desk.touch(symbol)

    def _remove(self, symbol: Symbol) -> None:
        for request in (symbol.stream, symbol.snapshot, symbol.history, symbol.details):
            self.requests.cancel(request)
        self.gaps.removed(symbol)
        self.desk.given[symbol.name] = max(symbol.price_time, symbol.floor)
        del self.book[symbol.name]
        self.desk.untouch(symbol)
        for part in ("symbol", "rejected"):
            self.desk.deadlines.clear((part, symbol.name))
        self.desk.emit(SymbolChanged(symbol=symbol.name, state="removed", stale=True, reason="not_planned"))

    def _renew_for(self, before: Plan, plan: Plan) -> None:
        """Changes of the plan that bear on symbols which stay."""
        refresh = plan.refresh_token > before.refresh_token
        retype = before.market_data_type != plan.market_data_type
        for symbol in self.book.values():
            if symbol.rejection is not None and (refresh or plan.allow_delayed != before.allow_delayed):
                self.contracts.retry(symbol)
            # Delayed data may be live data by now: type 3 brings the better one of the two.
            if retype or (symbol.delayed and (refresh or not plan.allow_delayed)):
                symbol.delayed = symbol.delayed and plan.allow_delayed
                self.requests.cancel(symbol.stream)
                symbol.stream = None

    def _rest_when_stopped(self) -> None:
        """Nothing planned: the connection goes once the cancellations are out."""
        if self.book or not self.link.wanted or self._stands_by():
            return
        if not (self.link.connected and self.requests.governor.waiting):
            self.turned(self.link.want(False))

    def _stands_by(self) -> bool:
        """One of several keeps its connection without a symbol too: only so is it known to be of use again."""
        return bool(self.name) and self.plan is not None and self.plan.started and bool(self.plan.symbols)

    # --- the link ---

    def turned(self, turn: Turn | None) -> None:
        """A step of the link: what it means for requests and trust."""
        if turn is not None:
            if turn is Turn.UP:
                self.desk.mock = self.desk.settings.api_mode == "mock" or self.link.account_kind == "simulator"
                self.requests.connected()
            elif turn is Turn.DOWN:
                self.requests.connection_lost()
                self.contracts.connection_lost()
                self.answers.connection_lost()
                self.farms.connection_lost()
                self.competing.connection_lost()
                for symbol in self.book.values():
                    symbol.snapshot = symbol.history = symbol.details = None
            elif turn is Turn.DATA_LOST:
                for symbol in self.book.values():
                    self.answers.forget_stream(symbol)
            self.recovery.turned(turn)
            self.silence.turned(turn)
            if turn is Turn.UP:
                for name in self.desk.memory.unfilled.keys() & self.book.keys():
                    self.gaps.fill_soon(name)
        self._set_outage()

    def _set_outage(self) -> None:
        outage = None if self.link.phase == "ready" else self.link.reason or self.link.phase
        self.net.outage = outage
        self.desk.touch_all()

    # --- what IB sends ---

    def _ticks_seen(self, event: fx.TicksSeen) -> None:
        """The hot path: a symbol that is live already costs a few look-ups."""
        now, region_ticked = self.desk.now, self.recovery.region_ticked
        by_id, book = self.requests.by_id, self.book
        streamed = False
        for req_id in event.req_ids:
            request = by_id.get(req_id)
            if request is None:
                self._last_ticks(req_id)
                continue
            symbol = book[request.symbol]
            request.got = True
            if request.kind is Kind.STREAM:
                streamed = True
                symbol.last_tick = symbol.price_time = now
                symbol.ticks += 1
                region_ticked[symbol.region] = now
                if symbol.source != SOURCE_STREAM or symbol.said is None or symbol.said.state not in _SETTLED:
                    self._stream_came(symbol)
            else:
                self.desk.priced_by(symbol, SOURCE_SNAPSHOT, now)
        self.requests.cancelled.clear()  # what comes for these from now on is not decoded any more
        if streamed:
            self.net.newest_tick = now
            self.silence.ticked()
            if self.link.phase == "no_ib":
                turn = self.link.ticked()
                if turn is not None:
                    self.turned(turn)

    def _last_ticks(self, req_id: int) -> None:
        """They came together with the message for which the stream was given up: a first price must say its source."""
        symbol = self.book.get(self.requests.cancelled.get(req_id, ""))
        if symbol is not None and symbol.mark is None:
            self.desk.priced_by(symbol, SOURCE_STREAM, self.desk.now)

    def _stream_came(self, symbol: Symbol) -> None:
        self.desk.priced_by(symbol, SOURCE_STREAM, self.desk.now)
        if symbol.data_type is None and self.requests.data_type == 1 and not symbol.delayed:
            self._set_data_type(symbol, 1)  # IB says nothing when it is what was asked for
        if symbol.competing:
            self.competing.ticked(symbol)

    def _data_type_seen(self, event: fx.MarketDataTypeSeen) -> None:
        symbol = self._symbol_of(event.req_id)
        if symbol is not None:
            self._set_data_type(symbol, event.data_type)

    def _set_data_type(self, symbol: Symbol, data_type: int) -> None:
        if symbol.data_type != data_type:
            symbol.data_type = data_type
            self.desk.ticks(symbol.name, [(MARKET_DATA_TYPE, float(data_type), fx.NAN, "")])
            self.desk.touch(symbol)

    def _halt_seen(self, event: fx.HaltSeen) -> None:
        symbol = self._symbol_of(event.req_id)
        if symbol is not None and event.value >= 0 and symbol.halted != (event.value > 0):
            symbol.halted = event.value > 0
            self.desk.touch(symbol)

    def _symbol_of(self, req_id: int) -> Symbol | None:
        request = self.requests.by_id.get(req_id)
        return self.book.get(request.symbol) if request is not None else None

    def _error_seen(self, event: fx.IbErrorSeen) -> None:
        entry = look_up(event.code)
        request = self.requests.by_id.get(event.req_id)
        symbol = self.book.get(request.symbol) if request is not None else None
        name = symbol.name if symbol is not None else None
        self.desk.emit(IbError(code=event.code, name=entry.name, kind=entry.kind, message=event.message, symbol=name))
        if entry.reaction == "farm":
            self._farm_said(event.code, event.message)
        elif entry.reaction == "slow_down":
            self.requests.governor.strike(self.desk.now)
        elif entry.kind in ("link", "fatal"):
            self.turned(self.link.ib_said(entry, event.message))
        elif request is not None and symbol is not None:
            self.answers.refused(request, symbol, entry, event.message)
        elif entry.reaction == "competing":
            for other in self.book.values():
                if other.stream is not None:
                    self.competing.said(other)

    def _farm_said(self, code: int, message: str) -> None:
        changed = self.link.farm_said(code, message)
        if changed is not None:
            self.farms.changed(*changed, self.link.farms)

    # --- review ---

    def _review(self, symbol: Symbol) -> None:
        """Let every part do what the symbol's facts call for, say what changed, and set the next look."""
        now = self.desk.now
        wake = NEVER
        if self.link.connected:
            wake = min(self._keep_subscribed(symbol), self.answers.check(symbol))
        if self.link.phase == "ready":
            wake = min(wake, self.contracts.check(symbol), self.recovery.check(symbol))
        wake = min(wake, self.ladder.check(symbol))
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
        self.gaps.note(symbol, view)
        self.desk.deadlines.set(("symbol", symbol.name), min(wake, next_change(symbol, self.net, now)))

    def _keep_subscribed(self, symbol: Symbol) -> int:
        """Every symbol that has a line has a stream, also while the gateway lacks IB: it ticks when IB is back."""
        if symbol.stream is not None or symbol.cut_reason is not None or symbol.rejection is not None:
            return NEVER
        if self.desk.now < symbol.hold_until:
            return symbol.hold_until
        self.requests.stream(symbol)
        return NEVER


_OURS: Final = frozenset({fx.PlanChanged, fx.Timer, fx.SocketFailed, fx.SocketClosed, fx.EndpointSeen})


def _wanted(plan: Plan, gateway: str) -> tuple[dict[str, PlannedSymbol], dict[str, str]]:
    """All symbols that need prices from this gateway, and the reason for those that the plan does not stream."""
    wanted = {planned.symbol: planned for planned in plan.symbols if planned.gateway == gateway}
    cut: dict[str, str] = {}
    for each in plan.cut:
        if each.symbol not in wanted:
            contract = each.contract or PlannedSymbol(symbol=each.symbol, reason=each.reason, priority=each.priority)
            if each.gateway == gateway:
                wanted[each.symbol] = contract
                cut[each.symbol] = each.reason
    return (wanted, cut) if plan.started else ({}, {})
