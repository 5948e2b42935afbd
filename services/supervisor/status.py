"""The status that others read, built from what the supervisor knows. Pure.

`ib_error_count` counts every message that IB sent as an error since the stream was started, warnings and
unknown codes included; only those of class `info` (2104, 2106, 2107, 2158 and their like, which say that all
is well) are left out.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

from msgspec import UNSET

from messages.events import CutSymbol, Plan, PlannedSymbol, PriceSource, StreamStarted
from messages.fields import SOURCES
from messages.quality import Mark
from messages.topics import kind, shard
from messages.views import LinkStatus, LockOwner, ServiceStatus, Status, SymbolStatus
from services.base.clock import SECOND, iso
from services.supervisor.facts import Facts, LinkFacts, SymbolFact
from services.supervisor.verdict import Verdict

Marks = Mapping[str, list[Mark]]
"""What to look at in the data of each symbol; one that is missing was not looked at."""

STATE_SOURCE: dict[str, PriceSource] = {"snapshot": "ib_snapshot", "history": "ib_history"}

POSITION_WORDS: Final = {
    "link_down": "there is no connection that would tell of changes",
    "refused": "IB refuses to tell what the accounts hold",
    "no_answer": "IB does not tell what the accounts hold",
    "unreadable": "not all that IB told of them can be read",
    "too_many": "there are more than are told",
}


def build(
    facts: Facts,
    verdict: Verdict,
    services: dict[str, ServiceStatus],
    *,
    now: int,
    api_mode: Literal["mock", "ib"],
    lock: LockOwner,
    good_until: int | None = None,
    marks: Marks | None = None,
) -> Status:
    """The whole status at `now` (UTC ns), vouched for until `good_until`; with the `marks` of each symbol's data."""
    gateways = {shard(name): service for name, service in services.items() if kind(name) == "gateway"}
    down = {name for name, service in gateways.items() if service.state == "down"}
    symbols = symbol_statuses(facts, now, api_mode, down, marks or {})
    several = [name for name in gateways if name]
    plan, chosen = facts.plan, _chosen(facts)
    return Status(
        status=verdict.word,
        reason=verdict.reason,
        message=verdict.message,
        last_heartbeat=iso(now),
        subscribed_symbols=sorted(
            name for name, symbol in symbols.items() if symbol.streaming and symbol.state != "rejected"
        ),
        ib_error_count=sum(facts.errors.values()),
        ib_errors_by_code=facts.errors,
        last_error=facts.last_error,
        market_data_type=_delivered(symbols.values(), plan),
        degraded_since=iso(facts.degraded_since) if facts.degraded_since else None,
        last_snapshot_refresh=iso(facts.last_snapshot) if facts.last_snapshot else None,
        project_id=chosen.project_id if chosen is not None else None,
        decision_snapshot_id=chosen.decision_snapshot_id if chosen is not None else None,
        api_mode=api_mode,
        services=services,
        symbols=symbols,
        lock=lock,
        link=_link(_most_troubled(facts, gateways)),
        links={name: link for name in several if (link := _link(facts.link_of(name)))} if several else UNSET,
        plan_problem=plan.problem if plan is not None else None,
        plan_problem_code=plan.problem_code if plan is not None else None,
        warnings=[*_warnings(plan), *_positions(facts, gateways), *_clocks(facts)]
        if facts.wanted.request is not None
        else [],
        good_until=iso(good_until) if good_until is not None else None,
    )


def symbol_statuses(
    facts: Facts, now: int, api_mode: str, down: Collection[str], marks: Marks
) -> dict[str, SymbolStatus]:
    """Each symbol that is planned for streaming or cut from it; none while nothing is wanted. `down`: the names of
    the gateways that are not there."""
    plan = facts.plan
    if facts.wanted.request is None or plan is None or not plan.started:
        return {}
    links = [link.link for link in facts.links.values() if link.link is not None]
    mock = api_mode == "mock" or any(link.account_kind == "simulator" for link in links)
    planned: list[tuple[PlannedSymbol | CutSymbol, bool]] = [(symbol, True) for symbol in plan.symbols]
    planned += [(symbol, False) for symbol in plan.cut]
    return {
        symbol.symbol: _symbol_status(symbol, streamed, facts, now, mock, symbol.gateway in down, marks)
        for symbol, streamed in planned
    }


def _symbol_status(
    planned: PlannedSymbol | CutSymbol,
    streamed: bool,
    facts: Facts,
    now: int,
    mock: bool,
    gateway_down: bool,
    marks: Marks,
) -> SymbolStatus:
    name = planned.symbol
    fact = facts.fact(planned)
    priced = facts.prices.get(name)
    said = fact.said if fact is not None else None
    local_symbol, month = facts.month(planned)
    return SymbolStatus(
        state="stale" if gateway_down else said.state if said is not None else "pending",
        source=_source(facts, name, fact, mock) if priced else None,
        age=round(max(0, now - priced) / SECOND, 3) if priced else None,
        reason="service_down" if gateway_down else said.reason if said is not None else None,
        code=said.code if said is not None else None,
        message=said.message if said is not None else None,
        why=planned.reason,
        priority=planned.priority,
        market_data_type=said.market_data_type if said is not None else None,
        streaming=streamed and (said is None or said.state != "over_limit"),
        gateway=planned.gateway or UNSET,
        marks=marks.get(name, UNSET),
        held=planned.held or UNSET,
        local_symbol=local_symbol or UNSET,
        contract_month=month or UNSET,
    )


def _source(facts: Facts, name: str, fact: SymbolFact | None, mock: bool) -> PriceSource:
    if mock:
        return "mock"
    if name in facts.sources:
        return SOURCES[facts.sources[name]]  # type: ignore[return-value]
    return STATE_SOURCE.get(fact.said.state if fact is not None else "", "ib_stream")


def _delivered(symbols: Iterable[SymbolStatus], plan: Plan | None) -> str | None:
    """What is delivered, when it is the same for all; `mixed` otherwise; what was asked for before any price."""
    types = {symbol.market_data_type for symbol in symbols if symbol.market_data_type is not None}
    if len(types) > 1:
        return "mixed"
    if types:
        return types.pop()
    return plan.market_data_type if plan is not None and plan.started else None


def _chosen(facts: Facts) -> Plan | StreamStarted | None:
    """What says which project and snapshot it is: the plan, or the request until there is one."""
    if facts.plan is not None and facts.plan.started:
        return facts.plan
    return facts.wanted.request


def _most_troubled(facts: Facts, gateways: Collection[str]) -> LinkFacts:
    """Of several the first that is not ready."""
    links = [facts.link_of(name) for name in gateways] or [facts.link_of("")]
    return next((link for link in links if not link.ready), links[0])


def _link(of: LinkFacts) -> LinkStatus | None:
    link = of.link
    if link is None:
        return None
    return LinkStatus(
        phase=link.phase,
        reason=link.reason,
        detail=link.detail,
        endpoint=f"{link.host}:{link.port}" if link.host is not None else None,
        server_version=link.server_version,
        expected=link.expected,
        since=iso(of.since),
        farms=of.farms,
        clock_skew=link.clock_skew,
    )


def _positions(facts: Facts, gateways: Collection[str]) -> list[str]:
    """Where what is held may be another by now."""
    found = []
    for name in sorted(gateways):
        positions = facts.link_of(name).positions
        if positions is None or positions.reason in (None, "off"):
            continue
        whose = f"positions of {name}" if name else "positions"
        known = f"are as of {iso(positions.as_of)}" if positions.as_of else "are not known"
        words = POSITION_WORDS.get(positions.reason, positions.reason.replace("_", " "))
        found.append(f"{whose} {known}: {words}{f' ({positions.message})' if positions.message else ''}")
    return found


def _clocks(facts: Facts) -> list[str]:
    """A clock that differs makes good prices look old, and old ones good."""
    found = []
    for name, of in facts.links.items():
        skew = of.link.clock_skew if of.link is not None else None
        if skew is not None:
            ours = "behind" if skew > 0 else "ahead of"
            which = f" {name}'s" if name else "'s"
            found.append(f"this machine's clock is {abs(skew):.1f} s {ours} the gateway{which}: let NTP set it")
    return found


def _warnings(plan: Plan | None) -> list[str]:
    if plan is None:
        return []
    warnings = list(plan.warnings)
    if plan.cut:
        count = f"{len(plan.cut)} symbol{'s are' if len(plan.cut) > 1 else ' is'}"
        warnings.append(f"{count} not streamed ({plan.cut[0].reason}), and served from snapshots by rotation")
    return warnings
