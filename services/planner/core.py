"""The plan's core: what the database and the files said -> which symbols, why, and in what order. Pure.

`derive` turns a request and its sources into candidates, most important first; `select` fits them into the
limits. The same input gives the same plan. The service calls both; `ibstream plan --dry-run` too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeVar

import msgspec

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import CutSymbol, Plan, PlannedChain, PlannedSymbol
from services.base import generic_ticks
from services.base.symbols import Contract, contract_from_plan, identified, name_of, override, parse, planned
from services.planner.config import ALL, ProjectConfig, Theme
from services.planner.items import Item, Member

MAX_CUT_LISTED: Final = 1_000  # a rotation through more would take hours, and each plan carries the list
MAX_WARNINGS: Final = 20
MIN_REFRESH: Final = 5.0  # seconds

T = TypeVar("T")
Importance = tuple[float, ...]  # smaller is more important; ties are settled by name


class Project(msgspec.Struct, frozen=True):
    id: int
    name: str
    config: ProjectConfig = ProjectConfig()


class Sources(msgspec.Struct, frozen=True):
    """What was read for one request. `items` is None when no snapshot is used, `universe` when no theme is."""

    project: Project | None = None
    snapshot_id: int | None = None
    items: Sequence[Item] | None = None
    universe: Sequence[Member] | None = None
    warnings: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True, gc=False):
    contract: Contract
    reason: str
    importance: Importance
    generic_ticks: str = ""  # as in PlannedSymbol
    chain: str = ""  # likewise
    tick_by_tick: str = ""
    real_time_bars: str = ""

    @property
    def held(self) -> bool:
        return self.importance[0] == HELD


class Answer(msgspec.Struct, frozen=True):
    """Everything that could be planned for a request, most important first, each name once."""

    candidates: tuple[Candidate, ...] = ()
    project_id: int | None = None
    project_name: str | None = None
    decision_snapshot_id: int | None = None
    warnings: tuple[str, ...] = ()
    chains: tuple[PlannedChain, ...] = ()  # whose options are no candidates yet (chains.py)


class Limits(msgspec.Struct, frozen=True):
    max_symbols: int
    line_limit: int  # what IB allows, as far as is known

    @property
    def count(self) -> int:
        return min(self.max_symbols, self.line_limit)

    @property
    def which(self) -> Literal["max_symbols", "lines"]:
        """The limit that cuts."""
        return "lines" if self.line_limit < self.max_symbols else "max_symbols"

    @property
    def words(self) -> str:
        if self.which == "lines":
            return f"over the limit of {self.line_limit} market data lines"
        return f"over max_symbols {self.max_symbols}"


class Selection(msgspec.Struct, frozen=True):
    symbols: list[PlannedSymbol]
    cut: list[CutSymbol]
    warnings: list[str]


# --- from sources to candidates ----------------------------------------------------------------------------

# Tiers: the head of an Importance.
HELD = -1.0  # before all others (held.py)
_BENCHMARK, _RISK_OFF, _FIRST, _SECOND, _UNDERLYING, OPTIONS = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0
_LAST = float("inf")  # of what was not given


def check_request(request: Start) -> None:
    """Raises IbStreamError for a request that no database could answer."""
    if request.symbols is not None:
        if not any(text.strip() for text in request.symbols):
            raise IbStreamError("symbols_empty", "the request names an empty list of symbols")
        for text in request.symbols:
            parse(text)
    if request.max_symbols is not None and request.max_symbols < 1:
        message = f"max_symbols is {request.max_symbols}; expected at least 1"
        raise IbStreamError("invalid_request", message, "max_symbols")
    if request.generic_ticks is not None:
        generic_ticks.parse(request.generic_ticks)
    interval = request.refresh_interval_seconds
    if interval is not None and not interval >= MIN_REFRESH:
        message = f"refresh_interval_seconds is {interval}; expected at least {MIN_REFRESH:.0f}"
        raise IbStreamError("invalid_request", message, "refresh_interval_seconds")


def derive(request: Start, sources: Sources, chains: Sequence[PlannedChain] = (), *, adds_held: bool = False) -> Answer:
    """All candidates, most important first: by rank, then weight, then score, then name, within their source.

    The benchmark and the risk-off symbols of the project come before everything else. Symbols that could
    not be ones are left out with a warning, except those of the request itself.

    The underlyings of `chains` come last.

    `adds_held`: what is held is planned too, so that a project may name nothing at all.

    Raises IbStreamError `invalid_symbol` for the request's own symbols, `symbols_empty` when nothing is left.
    """
    check_request(request)
    config = sources.project.config if sources.project is not None else ProjectConfig()
    builder = _Builder(config, request.generic_ticks or "")
    if request.symbols is not None:
        for position, text in enumerate(request.symbols):
            builder.add(text, "requested", (_FIRST, position))
    elif sources.items is not None:
        _add_items(builder, sources)
    else:
        for position, text in enumerate(config.symbols):
            builder.add(text, "project symbol", (_FIRST, position))
        _add_themes(builder, config, sources.universe or ())
    named = len(builder.best)
    for position, text in enumerate(config.benchmark):
        builder.add(text, "benchmark", (_BENCHMARK, position))
    for position, text in enumerate(config.risk_off_symbols):
        builder.add(text, "risk_off", (_RISK_OFF, position))
    for position, chain in enumerate(chains):
        builder.add(chain.underlying, "underlying of its options", (_UNDERLYING, position))
    held_alone = adds_held and sources.project is not None and sources.items is None and not builder.refused
    if not named and (sources.items is not None or not builder.best) and not held_alone:
        raise _empty(sources, builder)
    return Answer(
        candidates=tuple(builder.ordered()),
        project_id=sources.project.id if sources.project else None,
        project_name=sources.project.name if sources.project else None,
        decision_snapshot_id=sources.snapshot_id if sources.items is not None else None,
        warnings=(*sources.warnings, *builder.all_warnings()),
        chains=tuple(chains),
    )


def _add_items(builder: "_Builder", sources: Sources) -> None:
    label = f"decision_snapshot {sources.snapshot_id}"
    lines: dict[Contract, list[int]] = {}
    for item in sources.items or ():
        reason = label if item.rank is None else f"{label}, rank {item.rank:g}"
        importance = (
            _FIRST,
            _LAST if item.rank is None else item.rank,
            _LAST if item.weight is None else -abs(item.weight),  # a short position matters as much
            _LAST if item.score is None else -item.score,
        )
        contract = builder.add(item.symbol, reason, importance, f"line {item.line}", item.identity)
        if contract is not None:
            lines.setdefault(contract, []).append(item.line)
    twice = {contract.name: where for contract, where in lines.items() if len(where) > 1}
    if twice:
        shown = [f"{name} in lines {', '.join(map(str, where[:5]))}" for name, where in list(twice.items())[:5]]
        count = "a symbol comes" if len(twice) == 1 else f"{len(twice)} symbols come"
        builder.warn(f"{label}: {count} more than once, and the most important line counts: {'; '.join(shown)}")


def _add_themes(builder: "_Builder", config: ProjectConfig, universe: Sequence[Member]) -> None:
    """Each symbol for the theme of highest priority that has it; themes of weight 0 or less are out."""
    by_category: dict[str, list[str]] = {}
    for member in universe:
        if not config.asset_types or member.asset_class in config.asset_types:
            by_category.setdefault(member.category, []).append(member.symbol)
    taken: set[str] = set()
    for theme in sorted(active_themes(config), key=lambda t: (-t.priority, -t.weight, t.key)):
        excluded = {builder.name(text) for text in theme.exclude}
        members = [(0.0, position, text) for position, text in enumerate(theme.manual)]
        members += [(1.0, 0, text) for text in by_category.get(theme.key.lower(), ())]
        mine = set()
        for kind, position, text in members:
            name = builder.name(text)
            if name not in excluded and name not in taken:
                builder.add(text, f"theme {theme.key}", (_SECOND, -theme.priority, -theme.weight, kind, position))
                mine.add(name)
        taken |= mine


def _empty(sources: Sources, builder: "_Builder") -> IbStreamError:
    field = "project_id"
    if sources.items is not None:
        field, where = "decision_snapshot_id", f"decision snapshot {sources.snapshot_id} has no symbols"
    elif sources.project is not None:
        where = f"project {sources.project.id} has no usable decision snapshot and no symbols in its configuration"
    else:
        where = "neither a project nor symbols were named"
    refused = f"; {builder.refused} could not be read as symbols" if builder.refused else ""
    return IbStreamError("symbols_empty", where + refused, field)


class _Builder:
    """Collects candidates: one a name, the most important, with every reason that named it."""

    def __init__(self, config: ProjectConfig, ticks: str = "") -> None:
        self.best: dict[str, Candidate] = {}
        self.refused = 0
        self._reasons: dict[str, list[tuple[Importance, str]]] = {}
        self._warnings: dict[str, None] = {}
        self._overrides = self._by_name(config.contracts, "contracts")
        self._ticks_of_all = generic_ticks.parse(ticks)
        self._ticks = self._by_name(config.generic_ticks, "generic_ticks")
        self._fine = {
            kind: self._by_name(chosen, kind)
            for kind, chosen in (("tick_by_tick", config.tick_by_tick), ("real_time_bars", config.real_time_bars))
        }

    def _by_name(self, chosen: Mapping[str, T], kind: str) -> dict[str, T]:
        found = {}
        for text, what in chosen.items():
            try:
                for_all = kind == "generic_ticks" and text == ALL
                found[text if for_all else name_of(text)] = what
            except IbStreamError as error:
                self.warn(f"{kind}: {error.message}")
        return found

    def _generic_ticks(self, name: str) -> str:
        own = self._ticks.get(name, self._ticks.get(ALL, frozenset()))
        return generic_ticks.written(own | self._ticks_of_all)

    def name(self, text: str) -> str:
        """The symbol's name; of what is none the text itself, which no name equals."""
        try:
            return name_of(text)
        except IbStreamError:
            return text

    def add(
        self,
        text: str,
        reason: str,
        importance: Importance,
        where: str = "",
        identity: tuple[tuple[str, str], ...] = (),
    ) -> Contract | None:
        """What the text stands for, by what identifies it where that is known; None when that is nothing."""
        if not text.strip():
            return None
        try:
            contract = identified(parse(text), dict(identity)) if identity else parse(text)
            if contract.name in self._overrides:
                contract = override(contract, self._overrides[contract.name])
        except IbStreamError as error:
            self.refused += 1
            self.warn(f"{reason.partition(',')[0]}{', ' if where else ''}{where}: {error.message}")
            return None
        old = self.best.get(contract.name)
        if old is None:
            self.best[contract.name] = Candidate(contract, reason, importance)
            return contract
        if old.contract != contract:
            kept = contract if importance < old.importance else old.contract
            self.warn(f"{contract.name} is asked for as two contracts; planned is {notation(kept)}")
        reasons = self._reasons.setdefault(contract.name, [(old.importance, old.reason)])
        reasons.append((importance, reason))
        if importance < old.importance:
            self.best[contract.name] = Candidate(contract, reason, importance)
        return contract

    def ordered(self) -> Iterable[Candidate]:
        ticks = bool(self._ticks or self._ticks_of_all)
        for _, name, candidate in sorted((c.importance, name, c) for name, c in self.best.items()):
            found = candidate
            if name in self._reasons:
                found = msgspec.structs.replace(found, reason=_joined(self._reasons[name]))
            if ticks:
                found = msgspec.structs.replace(found, generic_ticks=self._generic_ticks(name))
            fine = {kind: chosen[name] for kind, chosen in self._fine.items() if name in chosen}
            yield msgspec.structs.replace(found, **fine) if fine else found

    def all_warnings(self) -> list[str]:
        warnings = list(self._warnings)
        if self.refused > len(warnings) or len(warnings) > MAX_WARNINGS:
            warnings = [*warnings[:MAX_WARNINGS], f"{self.refused} symbols in all could not be read"]
        return warnings

    def warn(self, warning: str) -> None:
        if len(self._warnings) <= MAX_WARNINGS:
            self._warnings[warning] = None


def _joined(reasons: list[tuple[Importance, str]]) -> str:
    """`benchmark; decision_snapshot 12, rank 3`: each source once, the most important reason first."""
    shown: dict[str, str] = {}
    for _, reason in sorted(reasons):
        shown.setdefault(reason.partition(",")[0], reason)
    return "; ".join(list(shown.values())[:4])


def notation(contract: Contract | PlannedSymbol) -> str:
    """`SAP:IBIS:EUR`: how a person would write the contract."""
    base = contract.ib_symbol or (contract.name if isinstance(contract, Contract) else contract.symbol)
    parts = [base, contract.exchange, contract.currency, contract.sec_type]
    if contract.strike:
        last = [contract.trading_class] if contract.trading_class else []
        return ":".join([*parts, contract.last_trade_date, f"{contract.strike:g}", contract.right, *last])
    fifth = contract.roll or contract.last_trade_date or contract.primary_exchange
    return ":".join([*parts, fifth] if fifth else parts)


# --- from candidates to a plan -----------------------------------------------------------------------------


def select(answer: Answer, limits: Limits, incumbents: frozenset[str] = frozenset()) -> Selection:
    """Fit the candidates into the limits. `incumbents` are the names that stream now.

    The cut is by importance. So that small changes of rank do not open and close subscriptions, a candidate
    near the limit keeps its place: an incumbent leaves only when it falls a tenth of the limit behind it,
    and a newcomer displaces one only from as far above it. `priority` is the place among all candidates.
    """
    # What lies further down can be neither chosen nor listed.
    ranked = answer.candidates[: limits.count + band(limits.count) + MAX_CUT_LISTED]
    always = sum(candidate.importance[0] < _FIRST for candidate in ranked)
    chosen = _chosen([c.contract.name for c in ranked], limits.count, always, incumbents)
    symbols: list[PlannedSymbol] = []
    cut: list[CutSymbol] = []
    for priority, candidate in enumerate(ranked):
        if candidate.contract.name in chosen:
            symbols.append(_planned(candidate, priority))
        elif len(cut) < MAX_CUT_LISTED:
            name, contract = candidate.contract.name, _planned(candidate, priority)
            cut.append(CutSymbol(name, limits.words, priority, contract, limits.which))
    warnings = list(answer.warnings)
    unlisted = len(answer.candidates) - len(symbols) - len(cut)
    if unlisted:
        warnings.append(f"{unlisted} more symbols are cut and not listed: {limits.words}")
    lost = [c.contract.name for c in ranked if c.importance[0] < _FIRST and c.contract.name not in chosen]
    if lost:
        first = "what is held, the benchmark" if any(c.held for c in ranked) else "the benchmark"
        warnings.append(f"not even {first} and risk-off symbols fit: {', '.join(lost[:10])}; {limits.words}")
    return Selection(symbols, cut, warnings)


def band(count: int) -> int:
    """How many places on each side of a limit of `count` are decided by who is in already."""
    return (count + 9) // 10 if count > 1 else 0


def _chosen(ranked: Sequence[str], count: int, always: int, incumbents: frozenset[str]) -> frozenset[str]:
    if len(ranked) <= count:
        return frozenset(ranked)
    width = band(count)
    safe = min(count, max(count - width, always))
    chosen = list(ranked[:safe])
    around = ranked[safe : count + width]
    chosen += [name for name in around if name in incumbents][: count - len(chosen)]
    chosen += [name for name in around if name not in incumbents][: count - len(chosen)]
    return frozenset(chosen)


def _planned(candidate: Candidate, priority: int) -> PlannedSymbol:
    return msgspec.structs.replace(
        planned(candidate.contract, candidate.reason, priority),
        generic_ticks=candidate.generic_ticks,
        chain=candidate.chain,
        tick_by_tick=candidate.tick_by_tick,
        real_time_bars=candidate.real_time_bars,
        held=candidate.held,
    )


def answer_of(plan: Plan) -> Answer:
    """The candidates of a plan made earlier, so that a limit learned later can cut it without the database."""
    listed = sorted([*plan.symbols, *(c.contract for c in plan.cut if c.contract)], key=lambda s: s.priority)
    return Answer(
        candidates=tuple(_candidate(planned) for planned in map(_as_if_not_held, listed) if _is_named(planned)),
        chains=tuple(plan.chains),
        project_id=plan.project_id,
        project_name=plan.project_name,
        decision_snapshot_id=plan.decision_snapshot_id,
    )


def _as_if_not_held(planned: PlannedSymbol) -> PlannedSymbol:
    """What is held is told by the gateways anew; one that is planned for nothing else has no reason then."""
    if not planned.held:
        return planned
    return msgspec.structs.replace(planned, held=False, reason=planned.reason.partition("; ")[2])


def _is_named(planned: PlannedSymbol) -> bool:
    """Neither the options of a chain nor what is only held: both are found anew for each plan."""
    return bool(planned.reason) and not planned.chain


def _candidate(planned: PlannedSymbol) -> Candidate:
    tier = _BENCHMARK if planned.reason.startswith(("benchmark", "risk_off")) else _FIRST
    return Candidate(
        contract_from_plan(planned),
        planned.reason,
        (tier, planned.priority),
        planned.generic_ticks,
        tick_by_tick=planned.tick_by_tick,
        real_time_bars=planned.real_time_bars,
    )


def active_themes(config: ProjectConfig) -> list[Theme]:
    """The themes that are in."""
    return [theme for theme in config.themes if theme.weight > 0]
