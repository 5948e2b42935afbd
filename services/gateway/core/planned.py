"""Which symbols this gateway serves: those that the plan gives to it. Called by the core when a plan comes.

A symbol that stays keeps its facts and its stream; one that goes leaves no request, deadline or review behind.
"""

from typing import TYPE_CHECKING, Final

from messages.events import Plan, PlannedSymbol, SymbolChanged
from messages.fields import MARKET_DATA_TYPES
from services.gateway.core.contracts import same_contract
from services.gateway.core.symbol import Cut, Price, Symbol

if TYPE_CHECKING:
    from services.gateway.core.core import GatewayCore

DATA_TYPE_NUMBER: Final = {name: number for number, name in MARKET_DATA_TYPES.items()}


class Planned:
    def __init__(self, core: "GatewayCore") -> None:
        self.core = core
        self.plan: Plan | None = None

    @property
    def wants_link(self) -> bool:
        """One of several keeps its connection without a symbol too: only so is it known to be of use again. So does one
        that is asked what is held, from which a plan may be made."""
        if self.core.symbols or self.plan is None or not self.plan.started:
            return bool(self.core.symbols)
        return self.core.context.settings.positions == "plan" or bool(self.core.name and self.plan.symbols)

    def changed(self, plan: Plan) -> None:
        before, self.plan = self.plan, plan
        wanted, cut = _wanted(plan, self.core.name)
        if before is None and plan.started:
            elsewhere = {planned.symbol for planned in plan.symbols if planned.gateway != self.core.name}
            self.core.gaps.left_to_others(elsewhere, plan.time)
        for name in [name for name in self.core.symbols if name not in wanted]:
            self._remove(self.core.symbols[name])
        for name, planned in wanted.items():
            self._add(name, planned, cut.get(name))
        if before is not None:
            self._renew_for(before, plan)
        self.core.chains.planned(plan.chains if plan.started else [])
        self.core.requests.data_type = DATA_TYPE_NUMBER[plan.market_data_type]
        self.core.lines.unbalanced = True

    def _add(self, name: str, planned: PlannedSymbol, cut_message: str | None) -> None:
        symbol = self.core.symbols.get(name)
        if symbol is not None and not same_contract(symbol.planned, planned):
            self._remove(symbol)
            symbol = None
        if symbol is None:
            price = Price(floor=self.core.context.given.pop(name, 0))
            symbol = self.core.symbols[name] = Symbol(planned, self.core.context.now, price)
            self.core.contracts.adopt(symbol)
            self.core.gaps.adopt(symbol)
        if symbol.planned.generic_ticks != planned.generic_ticks:
            self.core.requests.cancel(symbol.requests.stream)
        symbol.planned = planned
        if cut_message is not None:
            self.core.requests.cancel(symbol.requests.stream)
            symbol.cut = Cut("plan_limit", cut_message)
        elif symbol.cut is not None and symbol.cut.reason == "plan_limit":
            symbol.cut = None
        self.core.context.touch(symbol)

    def _remove(self, symbol: Symbol) -> None:
        self.core.requests.abandon(symbol)
        self.core.gaps.removed(symbol)
        self.core.context.given[symbol.name] = max(symbol.price_time, symbol.price.floor)
        del self.core.symbols[symbol.name]
        self.core.context.untouch(symbol)
        self.core.context.deadlines.clear(("symbol", symbol.name))
        self.core.context.deadlines.clear(("rejected", symbol.name))
        self.core.context.emit(SymbolChanged(symbol=symbol.name, state="removed", stale=True, reason="not_planned"))

    def _renew_for(self, before: Plan, plan: Plan) -> None:
        """Changes of the plan that bear on symbols which stay."""
        refresh = plan.refresh_token > before.refresh_token
        retype = before.market_data_type != plan.market_data_type
        for symbol in self.core.symbols.values():
            if symbol.refusal.rejection is not None and (refresh or plan.allow_delayed != before.allow_delayed):
                self.core.contracts.retry(symbol)
            # Delayed data may be live data by now: type 3 brings the better one of the two.
            if retype or (symbol.feed.delayed and (refresh or not plan.allow_delayed)):
                symbol.feed.delayed = symbol.feed.delayed and plan.allow_delayed
                self.core.requests.cancel(symbol.requests.stream)


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
