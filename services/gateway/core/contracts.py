"""What IB knows of a symbol: contract details for hours and currency, and the symbols that it refuses.

Called by the core. Details are asked after the subscriptions, and remembered across restarts. A rejected
symbol is tried again on a slow schedule, when a refresh was asked for, and when the plan lists it anew.
"""

from functools import lru_cache
from typing import Final

import msgspec

from messages.events import ContractQualified, PlannedSymbol
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, ns
from services.gateway.core.governor import Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.requests import Requests
from services.gateway.core.symbol_state import Rejection, Symbol
from services.gateway.core.trading_hours import Hours, parse_hours

ASK_AGAIN: Final = ns(3600)
HOURS_AHEAD: Final = ns(12 * 3600)  # hours that end sooner than this are renewed
FIRST_RETRY: Final = 900.0  # seconds
LAST_RETRY: Final = 4 * 3600.0
NO_CONTRACT: Final = 200

hours_of = lru_cache(maxsize=512)(parse_hours)  # most symbols share a few texts


class Contracts:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self._answers: dict[int, list[ContractQualified]] = {}

    # --- details ---

    def adopt(self, symbol: Symbol) -> None:
        """Take over what memory holds, as far as it is about the same contract."""
        known = self.context.memory.contracts.get(symbol.name)
        if known is not None and _same_contract(known, symbol.planned):
            symbol.con_id = known.con_id
            symbol.hours = _hours(known)

    def check(self, symbol: Symbol) -> int:
        """Ask for details where they are missing or run out. Returns when to look again."""
        now = self.context.now
        if symbol.details is not None or symbol.rejection is not None:
            return NEVER
        hours = symbol.hours
        renew_at = 0 if symbol.con_id == 0 or hours is None else hours.known_until - HOURS_AHEAD
        due = max(renew_at, symbol.contract_asked_at + ASK_AGAIN if symbol.contract_asked_at else 0)
        if now < due:
            return due
        self._ask(symbol)
        return NEVER

    def _ask(self, symbol: Symbol) -> None:
        symbol.contract_asked_at = self.context.now
        self.requests.details(symbol)

    def seen(self, req_id: int, details: ContractQualified) -> None:
        if req_id in self.requests.by_id:
            self._answers.setdefault(req_id, []).append(details)

    def ended(self, request: Request, symbol: Symbol) -> None:
        """All answers are here. Of several contracts the one that fits the plan best is taken."""
        self.requests.finish(request)
        symbol.details = None
        self.context.touch(symbol)
        answers = self._answers.pop(request.req_id, [])
        if not answers:
            return
        best = max(answers, key=lambda info: _fit(info, symbol.planned))
        event = msgspec.structs.replace(best, symbol=symbol.name)
        if event != self.context.memory.contracts.get(symbol.name):
            self.context.emit(event)
        symbol.con_id = best.con_id
        symbol.hours = _hours(event)
        if symbol.told_contract:
            self.context.ticks(symbol.name, self.context.contract_rows(symbol))
        if symbol.rejection is not None and symbol.rejection.code == NO_CONTRACT and symbol.rejections == 1:
            self.retry(symbol)  # the contract was ambiguous; its id settles it

    def failed(self, request: Request, symbol: Symbol) -> None:
        self._answers.pop(request.req_id, None)
        symbol.details = None
        self.context.touch(symbol)

    def connection_lost(self) -> None:
        self._answers.clear()

    # --- refusals ---

    def reject(self, symbol: Symbol, entry: IbCode, message: str) -> None:
        """IB refuses the symbol: it holds no line, and is tried again later."""
        # One word for what a user sees as one thing; the code tells the kinds apart.
        name = "no_entitlement" if entry.reaction == "no_entitlement" else entry.name
        symbol.rejection = Rejection(name, entry.code, message)
        symbol.rejections += 1
        for request in (symbol.stream, symbol.snapshot, symbol.history):
            self.requests.cancel(request)
        symbol.stream = symbol.snapshot = symbol.history = None
        symbol.step = "trust"
        if entry.code == NO_CONTRACT:
            symbol.con_id = 0
            if symbol.rejections == 1:
                self._ask(symbol)
        pause = min(LAST_RETRY, FIRST_RETRY * 2.0 ** (symbol.rejections - 1))
        self.context.deadlines.set(("rejected", symbol.name), self.context.now + ns(pause))
        self.context.touch(symbol)

    def retry(self, symbol: Symbol) -> None:
        """Give a rejected symbol another chance."""
        symbol.rejection = None
        symbol.answerless = 0
        self.context.deadlines.clear(("rejected", symbol.name))
        self.context.touch(symbol)


def same_contract(one: PlannedSymbol, other: PlannedSymbol) -> bool:
    """Do two plans mean the same contract, whatever their reason and priority, and wherever they are served?"""
    return all(
        getattr(one, field) == getattr(other, field)
        for field in PlannedSymbol.__struct_fields__
        if field not in ("reason", "priority", "gateway", "home")
    )


def _same_contract(known: ContractQualified, planned: PlannedSymbol) -> bool:
    if known.sec_type != planned.sec_type or known.currency != planned.currency:
        return False
    return not planned.primary_exchange or planned.primary_exchange in (known.primary_exchange, known.exchange)


def _fit(info: ContractQualified, planned: PlannedSymbol) -> tuple[bool, bool, bool]:
    return (
        info.currency == planned.currency,
        bool(planned.primary_exchange) and planned.primary_exchange in (info.primary_exchange, info.exchange),
        info.exchange == planned.exchange,
    )


def _hours(contract: ContractQualified) -> Hours | None:
    return hours_of(contract.liquid_hours or contract.trading_hours, contract.time_zone)
