"""What becomes of a request: its answer, IB's refusal, or silence. Called by the core.

Each end of a request frees what it held, and hands the result to the part that asked.
"""

from typing import TYPE_CHECKING, Final

from messages.events import Bar
from services.gateway.core import interface as fx
from services.gateway.core.deadlines import NEVER, ns
from services.gateway.core.fine_data import FINE
from services.gateway.core.governor import Kind, Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.month_volumes import PURPOSE as MONTHS
from services.gateway.core.symbol import Advisory, Route, Symbol

if TYPE_CHECKING:
    from services.gateway.core.core import GatewayCore

NO_ANSWER: Final = ns(60)  # after which a request for details or bars is given up
SOON: Final = ns(5)  # likewise, where IB said that it will hardly answer
QUARTER_HOUR: Final = ns(900)
PACING_WINDOW: Final = ns(60)
PACING_REFUSALS: Final = 3
PACING_CODES: Final = frozenset({162, 420})
"""Codes by which IB speaks of pacing, besides much else. No other has to do with how many bars are asked for."""

DELAYED: Final = 3  # as a market data type
DELAYED_SHOWN: Final = 10167
NOT_UP_TO_THE_SECOND: Final = 2188
OTHER_BARS: Final = 10299
ADVISORIES: Final = frozenset({10089, 10091})  # the data may come all the same, or a part of it
PLAINLY_ENDED: Final = frozenset({101, 200, 320, 321, 354, 420, 10168, 10186})
"""Codes after which IB holds nothing open for the request: a cancel would be answered with 300."""

NOTICES: Final = range(2100, 2200)  # IB's own range of warnings: they end nothing


class Answers:
    def __init__(self, core: "GatewayCore") -> None:
        self.core = core
        self._bars: dict[int, list[Bar]] = {}
        self._refusals: list[int] = []  # times of history's last refusals

    def connection_lost(self) -> None:
        self._bars.clear()

    # --- answers ---

    def snapshot_end(self, event: fx.SnapshotEnd) -> None:
        request = self._open(event.req_id, Kind.SNAPSHOT)
        if request is not None:
            symbol = self.core.symbols[request.symbol]
            self.core.requests.finish(request)
            self.core.recovery.snapshot_ended(symbol, request, event.prices, event.streamed)
            self.core.context.touch(symbol)

    def contract_end(self, event: fx.ContractEnd) -> None:
        request = self._open(event.req_id, Kind.DETAILS)
        if request is not None:
            symbol = self.core.symbols[request.symbol]
            rejection = symbol.refusal.rejection
            if self.core.contracts.ended(request, symbol):
                self.core.gaps.rolled(symbol)
            self.core.unit_check.read(symbol)
            if symbol.refusal.rejection is not rejection:  # ranking ten thousand symbols for each answer takes minutes
                self.core.lines.unbalanced = True

    def options_end(self, event: fx.OptionParamsEnd) -> None:
        request = self._open(event.req_id, Kind.OPTIONS)
        if request is not None:
            self.core.chains.ended(request, self.core.symbols[request.symbol])

    def bars_seen(self, event: fx.BarsSeen) -> None:
        if event.req_id in self.core.requests.by_id:
            self._bars.setdefault(event.req_id, []).extend(event.bars)

    def bars_end(self, event: fx.BarsEnd) -> None:
        request = self._open(event.req_id, Kind.HISTORY)
        if request is not None:
            self._history_ended(request, self.core.symbols[request.symbol], self._bars.pop(request.req_id, []))

    def _open(self, req_id: int, kind: Kind) -> Request | None:
        request = self.core.requests.by_id.get(req_id)
        return request if request is not None and request.kind is kind else None

    def _history_ended(self, request: Request, symbol: Symbol, bars: list[Bar]) -> None:
        if bars:
            self._refusals.clear()
        self.core.requests.finish(request)
        if request.purpose == "gap_fill":
            self.core.gaps.filled(symbol, request, bars)
        elif request.purpose == "volume":
            self.core.unit_check.bars_came(symbol, bars)
        elif request.purpose == MONTHS:
            self.core.month_volumes.came(symbol, request, bars)
        else:
            self.core.ladder.history_came(symbol, bars)
        self.core.context.touch(symbol)

    def rerouted(self, event: fx.RerouteSeen) -> None:
        """The data of the symbol comes under another contract: ask for that, with the symbol's name."""
        request = self.core.requests.by_id.get(event.req_id)
        if request is None or event.con_id <= 0:
            return
        symbol = self.core.symbols[request.symbol]
        route = Route(event.con_id, event.exchange or "SMART")
        before, symbol.contract.route = symbol.contract.route, route
        if before == route:
            return  # what it leads to leads to itself
        self.core.requests.cancel(request)
        if before is not None:
            self.core.recovery.renew(symbol)  # and on and on, perhaps: not at once each time
        self.core.context.touch(symbol)

    # --- refusals ---

    def refused(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        """An error for a request of ours."""
        self.core.context.touch(symbol)
        if request.kind is Kind.STREAM and not request.got:
            symbol.refusal.complaint = (entry.code, message)  # the only thing that tells why nothing comes
        if request.kind is Kind.HISTORY:
            self._history_refused(request, symbol, entry, message)
        elif entry.code == DELAYED_SHOWN:
            if not request.delivered:
                self.core.delivers(request, DELAYED)
        elif entry.reaction == "note" and not _ends(request, entry):
            pass
        elif self.core.requests.wishes.refused(request, symbol, entry.code, message):
            self._end(request, entry)  # the next stream asks for less
        elif request.kind is Kind.OPTIONS:
            self.core.requests.finish(request)
        elif request.kind in FINE:
            self.core.fine_data.refused(request, symbol, entry)
        elif request.kind is Kind.DETAILS:
            self.core.requests.finish(request)
            self.core.contracts.failed(request, symbol, entry, message)
        else:
            self._market_data_refused(request, symbol, entry, message)

    def _market_data_refused(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        match entry.reaction:
            case "no_entitlement":
                self._not_entitled(request, symbol, entry, message)
            case "competing":
                if request is symbol.requests.snapshot:
                    self.core.requests.give_up_snapshot(symbol)
                self.core.competing.said(symbol)
            case "line_limit":
                self.core.requests.finish(request)
                self.core.lines.refused(request, symbol)
            case "reject":
                self._rejected(request, symbol, entry, message)
            case "note":
                self.core.requests.give_up_snapshot(symbol)
            case _:
                self._renew(request, symbol)

    def _end(self, request: Request, entry: IbCode) -> None:
        """It leaves the books: with a cancel, unless IB plainly said that it is over."""
        if entry.code in PLAINLY_ENDED:
            self.core.requests.finish(request)
        else:
            self.core.requests.cancel(request)

    def _rejected(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        self._end(request, entry)
        if request.kind is Kind.SNAPSHOT:
            symbol.snapshots.in_vain += 1
            if symbol.requests.stream is not None and symbol.trust.proven:
                return  # what streams exists, whatever the snapshot says
        self.core.contracts.reject(symbol, entry, message, request.con_id)
        self.core.lines.unbalanced = True

    def _not_entitled(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        """Delayed data, if the user allows it and it was not tried yet. Where it is delayed data that was asked for, an
        advisory is no refusal unless nothing follows it."""
        core = self.core
        plan_allows = core.planned.plan is not None and core.planned.plan.allow_delayed
        if plan_allows and core.context.settings.allow_delayed and not symbol.feed.delayed:
            symbol.feed.delayed = True
            symbol.feed.data_type = None
            self._end(request, entry)
            for held in (symbol.requests.stream, symbol.requests.snapshot):
                core.requests.cancel(held)
            symbol.cure.over()
        elif entry.code not in ADVISORIES:
            self._rejected(request, symbol, entry, message)
        elif request is symbol.requests.stream and not request.got and request.delivered not in (3, 4):
            symbol.refusal.advisory = Advisory(entry, message, core.context.now + core.recovery.pace.probe_timeout)

    def _renew(self, request: Request, symbol: Symbol) -> None:
        if request.kind is Kind.SNAPSHOT:
            self.core.requests.give_up_snapshot(symbol)
        else:
            self.core.requests.cancel(request)
            self.core.recovery.renew(symbol)

    # --- history's refusals: one code for many causes, and a text in any language ---

    def _history_refused(self, request: Request, symbol: Symbol, entry: IbCode, message: str) -> None:
        if entry.code == NOT_UP_TO_THE_SECOND:
            # Bars may follow all the same. When they do not, those of a quarter of an hour ago are there.
            request.give_up_at = self.core.context.now + SOON
            symbol.bars.behind = QUARTER_HOUR
            return
        if entry.reaction == "note" and not _ends(request, entry):
            return
        if entry.name == "unknown":
            self.core.requests.cancel(request)
        else:
            self.core.requests.finish(request)
        if entry.code == OTHER_BARS:
            symbol.bars.kind = "TRADES" if request.what_to_show == "AGGTRADES" else "AGGTRADES"
            self._ask_bars_again(request, symbol)
            return
        text = message.lower()
        nothing = "no data" in text
        if entry.code in PACING_CODES and not nothing and "hmds" not in text:
            self._judge_pacing("pacing" in text)
        if request.purpose != "gap_fill" or nothing:
            self._history_ended(request, symbol, [])
        else:
            self.core.gaps.refused(symbol, request, by_service="hmds" in text)

    def _judge_pacing(self, said: bool) -> None:
        """Refusals in a row that the service's own name (HMDS) does not explain: perhaps too many were asked for."""
        now = self.core.context.now
        self._refusals = [at for at in self._refusals if at > now - PACING_WINDOW]
        self._refusals.append(now)
        if said or len(self._refusals) >= PACING_REFUSALS:
            self._refusals.clear()
            self.core.requests.governor.history.refused(now)

    def _ask_bars_again(self, request: Request, symbol: Symbol) -> None:
        if request.purpose == "gap_fill":
            self.core.gaps.fill_soon(symbol.name)
        elif request.purpose == MONTHS:
            self.core.month_volumes.came(symbol, request, [])
        else:
            symbol.bars.asked_at = 0

    # --- silence ---

    def check(self, symbol: Symbol) -> int:
        """Give up requests that nobody answers, and refuse where nothing follows an advisory. Returns when to look
        again."""
        now = self.core.context.now
        wake = self._judge_advisory(symbol)
        for request in (symbol.requests.details, symbol.requests.history, symbol.requests.month_bars):
            if request is None or not request.sent_at:
                continue
            due = request.give_up_at or request.sent_at + NO_ANSWER
            if now < due:
                wake = min(wake, due)
                continue
            self.core.requests.cancel(request)
            if request.kind is Kind.DETAILS:
                self.core.contracts.failed(request, symbol)
                continue
            self._bars.pop(request.req_id, None)
            if request.give_up_at or request.purpose == MONTHS:
                self._ask_bars_again(request, symbol)
            elif request.purpose == "gap_fill":
                self.core.gaps.failed(symbol)
        return wake

    def _judge_advisory(self, symbol: Symbol) -> int:
        advisory, stream = symbol.refusal.advisory, symbol.requests.stream
        if advisory is None:
            return NEVER
        if stream is None or stream.got or stream.delivered in (3, 4):
            symbol.refusal.advisory = None
        elif self.core.context.now < advisory.until:
            return advisory.until
        else:
            symbol.refusal.advisory = None
            self._rejected(stream, symbol, advisory.entry, advisory.message)
        return NEVER

    def forget_stream(self, symbol: Symbol) -> None:
        """IB lost its subscription: the id is over, without a message."""
        stream = symbol.requests.stream
        if stream is not None:
            if stream.waiting:
                self.core.requests.cancel(stream)
            else:
                self.core.requests.finish(stream)


def _ends(request: Request, entry: IbCode) -> bool:
    """A code that no table names: of a request that waits for exactly one answer, this is the answer."""
    return entry.name == "unknown" and request.kind is not Kind.STREAM and entry.code not in NOTICES
