"""What becomes of a request: its answer, IB's refusal, or silence. Called by the core.

Each end of a request frees what it held, and hands the result to the part that asked.
"""

from typing import TYPE_CHECKING, Final

from messages.events import Bar
from services.gateway.core import interface as fx
from services.gateway.core.deadlines import NEVER, ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.symbol_state import Route, Symbol

if TYPE_CHECKING:
    from services.gateway.core.core import GatewayCore

NO_ANSWER: Final = ns(60)  # after which a request for details or bars is given up
PARTLY: Final = 10091  # the stream goes on without the part that is not entitled


class Answers:
    def __init__(self, core: "GatewayCore") -> None:
        self.core = core
        self._bars: dict[int, list[Bar]] = {}

    def connection_lost(self) -> None:
        self._bars.clear()

    # --- answers ---

    def snapshot_end(self, event: fx.SnapshotEnd) -> None:
        request, symbol = self._open(event.req_id, Kind.SNAPSHOT)
        if request is None or symbol is None:
            return
        self.core.requests.finish(request)
        symbol.snapshot = None
        self.core.recovery.snapshot_ended(symbol, request, event.prices, event.streamed)
        self.core.context.touch(symbol)

    def contract_end(self, event: fx.ContractEnd) -> None:
        request, symbol = self._open(event.req_id, Kind.DETAILS)
        if request is not None and symbol is not None:
            rejection = symbol.rejection
            self.core.contracts.ended(request, symbol)
            if symbol.rejection is not rejection:  # ranking ten thousand symbols for each answer takes minutes
                self.core.lines.unbalanced = True

    def bars_seen(self, event: fx.BarsSeen) -> None:
        if event.req_id in self.core.requests.by_id:
            self._bars.setdefault(event.req_id, []).extend(event.bars)

    def bars_end(self, event: fx.BarsEnd) -> None:
        request, symbol = self._open(event.req_id, Kind.HISTORY)
        if request is not None and symbol is not None:
            self._history_ended(request, symbol, self._bars.pop(request.req_id, []))

    def _open(self, req_id: int, kind: Kind) -> tuple[Request | None, Symbol | None]:
        request = self.core.requests.by_id.get(req_id)
        if request is None or request.kind is not kind:
            return None, None
        return request, self.core.symbols.get(request.symbol)

    def _history_ended(self, request: Request, symbol: Symbol, bars: list[Bar]) -> None:
        self.core.requests.finish(request)
        symbol.history = None
        if request.purpose == "gap_fill":
            self.core.gaps.filled(symbol, request, bars)
        else:
            self.core.ladder.history_came(symbol, bars)
        self.core.context.touch(symbol)

    def rerouted(self, event: fx.RerouteSeen) -> None:
        """The data of the symbol comes under another contract: ask for that, with the symbol's name."""
        request = self.core.requests.by_id.get(event.req_id)
        symbol = self.core.symbols.get(request.symbol) if request is not None else None
        if request is None or symbol is None or event.con_id <= 0:
            return
        route = Route(event.con_id, event.exchange or "SMART")
        if symbol.route == route:
            return  # what it leads to leads to itself
        symbol.route = route
        self.core.requests.cancel(request)
        if request is symbol.stream:
            symbol.stream = None
        elif request is symbol.snapshot:
            symbol.snapshot = None
        self.core.context.touch(symbol)

    # --- refusals ---

    def refused(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        """An error for a request of ours."""
        if entry.reaction == "note":
            return
        self.core.context.touch(symbol)
        if request.kind is Kind.DETAILS:
            self.core.requests.finish(request)
            self.core.contracts.failed(request, symbol)
        elif request.kind is Kind.HISTORY:
            self._history_refused(request, symbol, message)
        elif entry.reaction == "no_entitlement":
            self._not_entitled(request, symbol, entry, message)
        elif entry.reaction == "competing":
            if request is symbol.snapshot:
                self._drop_snapshot(symbol)
            self.core.competing.said(symbol)
        elif entry.reaction == "line_limit":
            self.core.requests.finish(request)
            self.core.lines.refused(request, symbol)
        elif entry.reaction == "reject":
            self._rejected(request, symbol, entry, message)
        else:
            self._renew(request, symbol, ended=entry.code != 10225)

    def _rejected(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        self.core.requests.finish(request)
        if request is symbol.stream:
            symbol.stream = None
        elif request is symbol.snapshot:
            symbol.snapshot = None
            symbol.answerless += 1
            if symbol.stream is not None and symbol.proven:
                return  # what streams exists, whatever the snapshot says
        self.core.contracts.reject(symbol, entry, message, request.con_id)
        self.core.lines.unbalanced = True

    def _not_entitled(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        """Delayed data, if the user allows it and it was not tried yet."""
        core = self.core
        plan_allows = core.plan is not None and core.plan.allow_delayed
        if plan_allows and core.context.settings.allow_delayed and not symbol.delayed:
            symbol.delayed = True
            symbol.data_type = None
            if entry.code != PARTLY:
                core.requests.finish(request)
            for held in (symbol.stream, symbol.snapshot):
                core.requests.cancel(held)
            symbol.stream = symbol.snapshot = None
            symbol.step = "trust"
        elif entry.code != PARTLY:
            self._rejected(request, symbol, entry, message)

    def _renew(self, request: Request, symbol: Symbol, ended: bool) -> None:
        if ended:
            self.core.requests.finish(request)
        else:
            self.core.requests.cancel(request)
        if request is symbol.snapshot:
            symbol.snapshot = None
            symbol.answerless += 1
        elif request is symbol.stream:
            self.core.recovery.renew(symbol)

    def _drop_snapshot(self, symbol: Symbol) -> None:
        self.core.requests.cancel(symbol.snapshot)
        symbol.snapshot = None
        symbol.answerless += 1

    def _history_refused(self, request: Request, symbol: Symbol, message: str) -> None:
        text = message.lower()
        if "pacing" in text:
            self.core.requests.governor.history.refused(self.core.context.now)
        if request.purpose == "gap_fill" and "no data" not in text:
            self.core.requests.finish(request)
            symbol.history = None
            self.core.gaps.failed(symbol)
        else:
            self._history_ended(request, symbol, [])

    # --- silence ---

    def check(self, symbol: Symbol) -> int:
        """Give up requests for details and bars that nobody answers. Returns when to look again."""
        now = self.core.context.now
        wake = NEVER
        for request in (symbol.details, symbol.history):
            if request is None or not request.sent_at:
                continue
            due = request.sent_at + NO_ANSWER
            if now < due:
                wake = min(wake, due)
                continue
            self.core.requests.cancel(request)
            if request is symbol.details:
                self.core.contracts.failed(request, symbol)
                continue
            symbol.history = None
            self._bars.pop(request.req_id, None)
            if request.purpose == "gap_fill":
                self.core.gaps.failed(symbol)
        return wake

    def forget_stream(self, symbol: Symbol) -> None:
        """IB lost its subscription: the id is over, without a message."""
        if symbol.stream is not None:
            if symbol.stream.waiting:
                self.core.requests.cancel(symbol.stream)
            else:
                self.core.requests.finish(symbol.stream)
