"""The gateway's pure core: what to ask of IB, when, and what to say about every symbol.

Called by the gateway's I/O loop alone. Guarantees: no I/O, no clock, no threads; the same inputs, times and
seed give the same effects. Every input writes down facts; then each symbol that it touched is reviewed once:
recovery, the ladder, and what to say follow from the facts (symbol_state.py).
"""

import random
from itertools import islice
from typing import Final, assert_never

from messages.events import IbError, SymbolChanged
from messages.fields import (
    FIELDS_SINCE,
    MARKET_DATA_TYPE,
    MARKET_DATA_TYPES,
    SOURCE_SNAPSHOT,
    SOURCE_STREAM,
    UNDELAYED,
)
from services.base.settings import Settings
from services.gateway.core import interface as fx
from services.gateway.core.answers import Answers
from services.gateway.core.chains import Chains
from services.gateway.core.competing_session import Competing
from services.gateway.core.context import Context
from services.gateway.core.contracts import Contracts
from services.gateway.core.deadlines import NEVER, SECOND, Part
from services.gateway.core.error_log import ErrorLog
from services.gateway.core.fallback import Ladder
from services.gateway.core.farms import Farms
from services.gateway.core.fine_data import FineData
from services.gateway.core.gap_ledger import Gaps
from services.gateway.core.governor import Kind, Request
from services.gateway.core.ib_errors import SEC_DEF_OK, look_up
from services.gateway.core.lines import Lines
from services.gateway.core.link import FarmChange, Link, LinkStep
from services.gateway.core.link_silence import Silence
from services.gateway.core.memory import Memory
from services.gateway.core.month_volumes import MonthVolumes
from services.gateway.core.planned import Planned
from services.gateway.core.positions import Positions
from services.gateway.core.recovery import Recovery
from services.gateway.core.requests import Requests
from services.gateway.core.symbol import Symbol
from services.gateway.core.symbol_state import derive, next_change
from services.gateway.core.timing import pace_of
from services.gateway.core.unit_check import UnitCheck

MOST_DUE: Final = 500  # deadlines a turn: what is more waits for the next one, and ticks go on in between
_CLOSING: Final = frozenset({(1, 2), (3, 4)})  # changes of the market data type when a market closes
_SETTLED: Final = frozenset({"live", "delayed", "halted"})  # states that one more tick does not change


class GatewayCore:
    """Fold inputs to effects. `memory` is the fold of the gateway's own link stream at the start; `name` is its own
    where there are several, each of which serves the symbols that the plan assigns to it.

    Raises IbStreamError `invalid_setting` for reset windows, a time zone or a backup that cannot be read.
    """

    def __init__(self, settings: Settings, rng: random.Random, memory: Memory | None = None, *, name: str = "") -> None:
        self.name = name
        self.context = context = Context(settings, rng, memory or Memory())
        self.symbols = context.symbols
        self.shared = context.shared
        self.link = Link(context)
        self.requests = Requests(context)
        self.contracts = Contracts(context, self.requests)
        self.lines = Lines(context, self.requests)
        self.chains = Chains(context, self.requests)
        self.fine_data = FineData(context, self.requests)
        pace = pace_of(settings)
        self.farms = Farms(context, pace)
        self.recovery = Recovery(context, pace, self.requests, self.link, self.farms)
        self.silence = Silence(context, pace, self.requests, self.link, self.recovery)
        self.competing = Competing(context, pace, self.recovery)
        self.ladder = Ladder(context, pace, self.requests, self.link, self.farms)
        self.gaps = Gaps(context, self.requests)
        self.unit_check = UnitCheck(context, self.requests)
        self.month_volumes = MonthVolumes(context, self.requests)
        self.answers = Answers(self)
        self.errors = ErrorLog(context)
        self.positions = Positions(context, self.requests)
        self.planned = Planned(self)

    def handle(self, event: fx.Event, now: int) -> list[fx.Effect]:
        """Take one input. `now` is UTC nanoseconds and never goes back."""
        context = self.context
        assert now >= context.now
        context.now = now
        effects: list[fx.Effect] = []
        context.effects = effects
        if type(event) not in _OURS:
            self.silence.heard_at = now
        self.link.announce()
        self._take(event)
        for part, name in islice(context.deadlines.due(now), MOST_DUE):
            self._due(part, name)
        self._settle()
        self._rest_when_stopped()
        return effects

    def _take(self, event: fx.Event) -> None:
        """Write down what the input says."""
        match event:
            case fx.TicksSeen():
                self._ticks_seen(event)
            case fx.Timer():
                pass
            case fx.PlanChanged():
                self._plan_changed(event)
            case fx.SocketOpened():
                self.link.opened()
            case fx.SocketFailed(reason, detail):
                self.link_stepped(self.link.failed(reason, detail))
            case fx.SocketClosed(reason, detail):
                self.link_stepped(self.link.closed(reason, detail))
            case fx.GreetingSeen(missing):
                self.link.greeted(missing)
            case fx.Ready(server_version, accounts):
                self.context.server_version = server_version
                self.link_stepped(self.link.ready(server_version, accounts))
            case fx.EndpointSeen(up):
                self.link_stepped(self.link.endpoint_seen(up))
            case fx.CurrentTimeSeen(seconds):
                self.silence.time_seen(seconds)
            case fx.IbErrorSeen():
                self._error_seen(event)
            case fx.PositionSeen():
                self.positions.seen(event)
            case fx.PositionUnreadable():
                self.positions.unreadable()
            case fx.PositionsEnd():
                self.positions.ended()
            case _:
                self._answer_seen(event)

    def _answer_seen(self, event: fx.Answer) -> None:
        """What IB sends in answer to one request."""
        match event:
            case fx.MarketDataTypeSeen():
                self._data_type_seen(event)
            case fx.HaltSeen():
                self._halt_seen(event)
            case fx.RerouteSeen():
                self.answers.rerouted(event)
            case fx.ContractSeen(req_id, details):
                self.contracts.seen(req_id, details)
                self.positions.details_seen(req_id, details)
            case fx.ContractEnd():
                self.answers.contract_end(event)
                self.positions.details_ended(event.req_id)
            case fx.SnapshotEnd():
                self.answers.snapshot_end(event)
            case fx.BarsSeen():
                self.answers.bars_seen(event)
            case fx.BarsEnd():
                self.answers.bars_end(event)
            case fx.StreamRead(req_id, values):
                if (request := self.requests.by_id.get(req_id)) is not None:
                    self.unit_check.stream_read(self.symbols[request.symbol], values)
                    self.chains.stream_read(self.symbols[request.symbol], values)
            case fx.OptionParamsSeen():
                self.chains.seen(event)
            case fx.OptionParamsEnd():
                self.answers.options_end(event)
            case _:
                assert_never(event)

    def _settle(self) -> None:
        """Review what was touched and send what may be sent, until nothing more follows from it."""
        for _ in range(4):
            if self.lines.unbalanced:
                self.lines.balance()
            touched = self.context.take_touched()
            if self.link.connected:
                for symbol in touched.values():
                    self._keep_subscribed(symbol)
                self.requests.pump()
                touched |= self.context.take_touched()
            if not touched:
                return
            for symbol in touched.values():
                self._review(symbol)

    def _due(self, part: Part, name: str) -> None:
        match part:
            case "symbol":
                self.context.touch(self.symbols[name])
            case "link":
                self.link_stepped(self.link.due(name))
            case "silence":
                self.link_stepped(self.silence.due(name))
            case "competing":
                self.competing.due(name)
            case "lines":
                self.lines.due(name)
            case "fill":
                self.gaps.fill(self.symbols[name], self.link.phase == "ready")
            case "units":
                self.unit_check.due()
            case "errors":
                self.errors.due()
            case "positions":
                self.positions.due(name)
            case "rejected":
                self.contracts.retry(self.symbols[name])
                self.lines.unbalanced = True
            case _:
                assert_never(part)

    # --- the plan ---

    def _plan_changed(self, event: fx.PlanChanged) -> None:
        self.planned.changed(event.plan)
        if self.planned.wants_link:
            self.link.want(True)
        self._set_outage()

    def _rest_when_stopped(self) -> None:
        """Nothing planned: the connection goes once the cancellations are out."""
        if self.planned.wants_link or not self.link.wanted:
            return
        if not (self.link.connected and self.requests.governor.waiting):
            self.link_stepped(self.link.want(False))

    # --- the link ---

    def link_stepped(self, step: LinkStep | None) -> None:
        """A step of the link: what it means for requests and trust."""
        if step is not None:
            if step is LinkStep.UP:
                self.context.mock = self.context.settings.api_mode == "mock" or self.link.account_kind == "simulator"
                self.requests.connected()
                self.unit_check.connected()
            elif step is LinkStep.DOWN:
                self.requests.connection_lost()
                self.contracts.connection_lost()
                self.chains.connection_lost()
                self.fine_data.connection_lost()
                self.answers.connection_lost()
                self.farms.connection_lost()
                self.competing.connection_lost()
                self.positions.connection_lost()
            elif step is LinkStep.IB_LOST:
                self.positions.interrupted()
            elif step is LinkStep.DATA_LOST:
                for symbol in self.symbols.values():
                    self.answers.forget_stream(symbol)
                self.fine_data.data_lost()
            self.recovery.link_stepped(step)
            self.silence.link_stepped(step)
            if step in (LinkStep.UP, LinkStep.DATA_LOST, LinkStep.DATA_KEPT):
                self.contracts.link_healed()
                self.lines.unbalanced = True
                self.positions.connected()
            if step is LinkStep.UP:
                for name in self.context.memory.unfilled.keys() & self.symbols.keys():
                    self.gaps.fill_soon(name)
        self._set_outage()

    def _set_outage(self) -> None:
        outage = None if self.link.phase == "ready" else self.link.reason or self.link.phase
        self.shared.outage = outage
        self.context.touch_all()

    # --- what IB sends ---

    def _ticks_seen(self, event: fx.TicksSeen) -> None:
        """The hot path: a symbol that is live already costs a few look-ups."""
        now, region_ticked = self.context.now, self.recovery.region_ticked
        by_id, symbols = self.requests.by_id, self.symbols
        streamed = False
        for req_id in event.req_ids:
            request = by_id.get(req_id)
            if request is None:
                self._last_ticks(req_id)
                continue
            symbol = symbols[request.symbol]
            undelayed, late = symbol.feed.data_type in UNDELAYED, req_id in event.delayed
            if late and undelayed and request.got:
                continue  # it is none of what is delivered
            request.got = True
            if request.kind is Kind.STREAM:
                streamed = True
                symbol.ticks.last = now
                symbol.ticks.count += 1
                region_ticked[symbol.region] = now
                if (
                    symbol.price.fields_since != symbol.trust.stream_since
                    or symbol.price.source != SOURCE_STREAM
                    or symbol.said is None
                    or symbol.said.state not in _SETTLED
                    or undelayed is late
                ):
                    self._stream_came(symbol, request, late)
            else:
                self.set_data_type(symbol, _type_of(request, late))
                self.context.priced_by(symbol, SOURCE_SNAPSHOT, now, request.sent_at)
        self.requests.cancelled.clear()  # what comes for these from now on is not decoded any more
        if streamed:
            self.shared.newest_tick = now
            self.silence.ticked()
            if self.link.phase == "no_ib":
                step = self.link.ticked()
                if step is not None:
                    self.link_stepped(step)

    def _last_ticks(self, req_id: int) -> None:
        """They came together with the message for which the stream was given up: a first price must say its source."""
        symbol = self.symbols.get(self.requests.cancelled.get(req_id, ""))
        if symbol is not None and symbol.price.mark is None:
            self.context.priced_by(symbol, SOURCE_STREAM, self.context.now, self.context.now)

    def _stream_came(self, symbol: Symbol, request: Request, late: bool) -> None:
        self.set_data_type(symbol, _type_of(request, late))
        self.context.priced_by(symbol, SOURCE_STREAM, self.context.now, symbol.trust.stream_since)
        symbol.refusal.ticked()
        self.unit_check.ticked(symbol)
        if symbol.trust.competing:
            self.competing.ticked(symbol)

    def _data_type_seen(self, event: fx.MarketDataTypeSeen) -> None:
        request = self.requests.by_id.get(event.req_id)
        if request is not None:
            self.delivers(request, event.data_type)

    def delivers(self, request: Request, data_type: int) -> None:
        """IB said of a request what it delivers. That is the symbol's type once its price is the request's."""
        request.delivered = data_type
        symbol = self.symbols[request.symbol]
        of_stream, is_stream = symbol.price.source == SOURCE_STREAM, request.kind is Kind.STREAM
        if of_stream is is_stream or symbol.price.source not in (SOURCE_STREAM, SOURCE_SNAPSHOT):
            self.set_data_type(symbol, data_type)

    def set_data_type(self, symbol: Symbol, data_type: int | None) -> None:
        """None: it is not known, and stays what it was. What came as another type is no part of what comes now, but for
        the prices of the close, which are the last ones before it."""
        before, now = symbol.feed.data_type, self.context.now
        if data_type is None or data_type == before:
            return
        symbol.feed.data_type = data_type
        rows: list[fx.Row] = [(MARKET_DATA_TYPE, float(data_type), fx.NAN, "")]
        if before is not None and (before, data_type) not in _CLOSING:
            symbol.trust.stream_since = symbol.price.fields_since = now
            rows.append((FIELDS_SINCE, now / SECOND, fx.NAN, ""))
            symbol.doubt(now - 1)
        self.context.ticks(symbol.name, rows)
        self.context.touch(symbol)

    def _halt_seen(self, event: fx.HaltSeen) -> None:
        request = self.requests.by_id.get(event.req_id)
        if request is not None and event.value >= 0:
            symbol = self.symbols[request.symbol]
            if event.delayed and symbol.feed.data_type in UNDELAYED:
                return  # it is none of what is delivered
            symbol.feed.halted = event.value > 0
            self.context.touch(symbol)

    def _error_seen(self, event: fx.IbErrorSeen) -> None:
        entry = look_up(event.code)
        request = self.requests.by_id.get(event.req_id)
        name = request.symbol if request is not None else None
        self.errors.said(IbError(code=event.code, name=entry.name, kind=entry.kind, message=event.message, symbol=name))
        if entry.reaction == "farm":
            self._farm_said(event.code, event.message)
        elif entry.reaction == "slow_down":
            self.requests.governor.strike(self.context.now)
        elif entry.kind in ("link", "fatal"):
            self.link_stepped(self.link.ib_said(entry, event.message))
            if entry.reaction in ("ib_restored_lost", "ib_restored_kept"):
                self._farms_changed(self.link.farms_listed(event.message))
        elif request is not None:
            self.answers.refused(request, self.symbols[request.symbol], entry, event.message)
        elif self.positions.refused(event, entry):
            pass
        elif entry.reaction == "competing":
            for other in self.symbols.values():
                if other.requests.stream is not None:
                    self.competing.said(other)

    def _farm_said(self, code: int, message: str) -> None:
        if code == SEC_DEF_OK:
            self.contracts.link_healed()
            self.lines.unbalanced = True
        self._farms_changed(self.link.farm_said(code, message))

    def _farms_changed(self, changes: list[FarmChange]) -> None:
        for change in changes:
            self.farms.changed(change, self.link.farms)

    # --- review ---

    def _review(self, symbol: Symbol) -> None:
        """Let every part do what the symbol's facts call for, say what changed, and set the next look."""
        now = self.context.now
        wake = NEVER
        if self.link.connected:
            wake = min(self._keep_subscribed(symbol), self.answers.check(symbol))
        if self.link.phase == "ready":
            wake = min(
                wake,
                self.contracts.check(symbol),
                self.chains.check(symbol),
                self.month_volumes.check(symbol),
                self.fine_data.check(symbol),
                self.recovery.check(symbol),
            )
        wake = min(wake, self.ladder.check(symbol))
        view = derive(symbol, self.shared, now)
        if view.message is None:
            view = view._replace(
                message=symbol.contract.listing or self.requests.wishes.note(symbol) or self.fine_data.note(symbol)
            )
        data_type = MARKET_DATA_TYPES.get(symbol.feed.data_type or 0)
        said = SymbolChanged(symbol.name, *view, market_data_type=data_type)  # type: ignore[arg-type]
        if said != symbol.said:
            symbol.said = said
            self.context.emit(said)
        self.gaps.note(symbol, view)
        self.context.deadlines.set(("symbol", symbol.name), min(wake, next_change(symbol, self.shared, now)))

    def _keep_subscribed(self, symbol: Symbol) -> int:
        """Every symbol that has a line has a stream, also while the gateway lacks IB: it ticks when IB is back."""
        if symbol.requests.stream is not None or symbol.cut is not None or symbol.refusal.rejection is not None:
            return NEVER
        held_until = max(symbol.cure.hold_until, self.contracts.awaited(symbol))
        if self.context.now < held_until:
            return held_until
        self.requests.stream(symbol)
        return NEVER


def _type_of(request: Request, late: bool) -> int | None:
    """The market data type of ticks: as IB said, unless they are delayed ones (`late`) and it did not say so. None
    where neither tells; IB says nothing at times when it is what was asked for."""
    if late and request.delivered in (0, *UNDELAYED):
        return 4 if request.data_type == 4 else 3
    return request.delivered or (1 if request.data_type == 1 else None)


_OURS: Final = frozenset({fx.PlanChanged, fx.Timer, fx.SocketFailed, fx.SocketClosed, fx.EndpointSeen})
