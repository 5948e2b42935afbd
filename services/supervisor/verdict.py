"""The verdict: one status word, a stable reason and a sentence, from what the supervisor knows.

Pure. Guarantees: never `connected` while a planned symbol of an open market has no fresh price and no reason;
`reason` is null exactly when the word is `connected` or `stopped`.

    stopped        nobody wants the stream
    starting       on the way, and nothing has failed yet: services, plan, connection or first prices are awaited
    connected      every planned symbol is live (or verified quiet, or halted), or its market is closed
    degraded       at least one planned symbol lives on a fallback or on nothing, or a service is missing
    disconnected   no connection and no current price of any source left
"""

from collections import Counter
from typing import Final, NamedTuple

from messages.events import LinkChanged, Plan, PlannedSymbol
from messages.topics import kind, shard
from messages.views import StatusWord
from services.base.clock import SECOND
from services.supervisor.facts import Facts, SymbolFact
from services.supervisor.heartbeats import Watch

SILENCE_FACTOR = 3  # a symbol that is called live, and silent for so many times `stale_after`, is not
SHOWN = 3  # symbols named in a sentence

HEALTHY: Final = frozenset({"quiet", "halted", "closed"})  # `live` and `delayed` are looked at more closely
SERVED: Final = frozenset({"live", "quiet", "delayed", "snapshot", "history"})  # states that can bring current prices

WORDS: Final = {
    "gateway_unreachable": "the IB gateway cannot be reached",
    "gateway_silent": "the IB gateway accepts the connection and does not answer",
    "handshake_refused": "the IB gateway closed the connection during the handshake",
    "greeting_incomplete": "the IB gateway answers and does not get ready: its login may not be complete",
    "foreign_gateway": "an IB gateway answers where the simulator was expected",
    "connection_lost": "the connection to the IB gateway was lost",
    "protocol_error": "the IB gateway sent something that cannot be read",
    "client_id_in_use": "another program uses this API client id at the IB gateway",
    "ib_connection_lost": "the IB gateway has lost its connection to IB",
    "server_connection_broken": "the IB gateway has lost its connection to IB",
    "port_changed": "the IB gateway moves to another port",
    "hand_back": "going back to the first IB gateway",
    "competing_session": "another session of this IB user has the market data",
    "farm_down": "an IB data farm is disconnected",
    "no_entitlement": "the IB account has no entitlement for live prices",
    "line_limit": "all market data lines are in use",
    "no_contract": "IB knows no such contract, or more than one",
    "no_answer": "neither the stream nor a snapshot brings anything",
    "verifying": "the feed has not been seen since an interruption",
    "no_ticks": "no prices come, and nothing has confirmed that this is right",
    "link_silent": "no symbol at all gets prices",
    "feed_dead": "a feed is dead although it is subscribed",
    "symbols_empty": "the plan has no symbols",
    "service_down": "the gateway service is not running",
}


class Verdict(NamedTuple):
    word: StatusWord
    reason: str | None = None
    message: str | None = None


class Limits(NamedTuple):
    """Times are UTC nanoseconds."""

    now: int
    listening_since: int  # for so long this supervisor has seen every tick
    stale_after: int


def judge(facts: Facts, watch: Watch, limits: Limits) -> Verdict:
    if facts.wanted.request is None:
        if facts.plan is not None and facts.plan.started:
            return Verdict("stopped", None, "the stream is stopped; its subscriptions end once the planner has said so")
        return Verdict("stopped", None, "the stream is stopped; `ibstream start` starts it")
    missing = watch.missing()
    if set(watch.gateways) <= set(missing):
        return Verdict("disconnected", "service_down", _down_sentence(missing))
    plan = facts.plan
    if plan is None or not plan.started or not facts.plan_answers:
        if missing:
            return Verdict("disconnected", "service_down", _down_sentence(missing))
        waiting = watch.waiting()
        if waiting:
            return Verdict("starting", "service_starting", f"waiting for {', '.join(waiting)}")
        return Verdict("starting", "planning", "waiting for the plan")
    if not plan.symbols:
        sentence = plan.problem or WORDS["symbols_empty"]
        return Verdict("disconnected", plan.problem_code or "symbols_empty", sentence)
    return _judge_link(facts, watch, plan, missing, limits)


def _judge_link(facts: Facts, watch: Watch, plan: Plan, missing: list[str], limits: Limits) -> Verdict:
    troubles = {
        planned.symbol: reason
        for planned in plan.symbols
        if (reason := trouble(plan, planned, facts, limits)) is not None
    }
    links = {name: facts.link_of(shard(name)) for name in watch.gateways if name not in missing}
    failures = {name: link.failure for name, link in links.items() if not link.ready and link.failure is not None}
    if not any(link.ready for link in links.values()):
        if not failures:
            phases = sorted({link.link.phase if link.link is not None else "idle" for link in links.values()})
            return Verdict("starting", "connecting", f"connecting to the IB gateway (phase {', '.join(phases)})")
        failure = next(iter(failures.values()))
        served = any(_served(facts.fact(planned)) for planned in plan.symbols)
        reason = failure.reason or failure.phase
        return Verdict("degraded" if served else "disconnected", reason, _link_sentence(reason, failure.detail))
    if missing or failures:
        return _judge_absent(plan, missing, failures, troubles)
    if failing := watch.failing():
        return Verdict("degraded", "service_failing", "; ".join(f"{name}: {why}" for name, why in failing.items()))
    if behind := watch.behind():
        return Verdict("degraded", "reader_behind", _behind_sentence(behind))
    # Who wanted more symbols than IB has lines for has some on snapshots; a limit of the user's own is no trouble.
    bad = {cut.symbol: "line_limit" for cut in plan.cut if cut.limit == "lines"}
    planned = len(plan.symbols) + len(bad)
    bad |= {symbol: reason for symbol, reason in troubles.items() if reason != "pending"}
    if bad:
        reason = _most(bad)
        return Verdict("degraded", reason, _symbols_sentence(bad, reason, planned))
    if connecting := [name for name, link in links.items() if not link.ready]:
        return Verdict("starting", "connecting", f"connecting to the IB gateway of {', '.join(connecting)}")
    if troubles:
        return Verdict("starting", "awaiting_prices", f"waiting for the first price of {_names(troubles)}")
    if waiting := watch.waiting():
        return Verdict("starting", "service_starting", f"waiting for {', '.join(waiting)}")
    return Verdict("connected")


def _judge_absent(
    plan: Plan, missing: list[str], failures: dict[str, LinkChanged], troubles: dict[str, str]
) -> Verdict:
    """Services are missing, or some of several gateways have no link, and another one has."""
    sentences = [_down_sentence(missing)] if missing else []
    sentences += [
        f"{name}: {_link_sentence(failure.reason or failure.phase, failure.detail)}"
        for name, failure in failures.items()
    ]
    sentences += [_stand_in(plan, shard(name)) for name in (*missing, *failures) if shard(name)]
    if troubles and (failures or any(map(shard, missing))):
        sentences.append(_symbols_sentence(troubles, _most(troubles), len(plan.symbols)))
    reason = "service_down"
    if not missing:
        failure = next(iter(failures.values()))
        reason = failure.reason or failure.phase
    return Verdict("degraded", reason, "; ".join(sentences))


def _stand_in(plan: Plan, gateway: str) -> str:
    """What becomes of the symbols of a gateway that is away."""
    left = [symbol.symbol for symbol in plan.symbols if symbol.gateway == gateway]
    if left:
        return f"nobody serves {_names(left)} yet"
    moved = [symbol for symbol in plan.symbols if symbol.home == gateway]
    if not moved:
        return "it had no symbols"
    others = ", ".join(sorted({symbol.gateway for symbol in moved}))
    return f"its {len(moved)} symbols are served by {others}" if len(moved) > 1 else f"its symbol is served by {others}"


def trouble(plan: Plan, planned: PlannedSymbol, facts: Facts, limits: Limits) -> str | None:
    """Why a planned symbol keeps the whole from being connected: a stable word, `pending` for one that may still
    come, None when all is well with it."""
    fact = facts.fact(planned)
    if fact is None:
        return "pending"
    said = fact.said
    if said.state in HEALTHY:
        return None
    if said.state == "pending":
        return "pending"
    if said.state == "delayed" and (said.reason == "delayed_asked" or plan.market_data_type.startswith("delayed")):
        return None
    if said.state == "live" and not said.stale:
        linked = facts.link_of(planned.gateway).since
        seen = max(facts.prices.get(said.symbol, 0), fact.since, linked, limits.listening_since)
        return None if limits.now - seen <= SILENCE_FACTOR * limits.stale_after else "no_ticks"
    return said.reason or ("stale" if said.state == "live" else said.state)


def words_of(reason: str) -> str:
    """A reason for people."""
    return WORDS.get(reason, reason.replace("_", " "))


def held_without_price(facts: Facts, watch: Watch, limits: Limits) -> dict[str, str]:
    """Symbols that an account holds and that have no current price though their market is open, each with the reason.
    One that waits for its first price has a moment for it."""
    plan = facts.plan
    if facts.wanted.request is None or plan is None or not plan.started:
        return {}
    down = {shard(name) for name in watch.missing() if kind(name) == "gateway"}
    cut = [one.contract for one in plan.cut if one.contract is not None]
    found = {}
    for planned in (one for one in (*plan.symbols, *cut) if one.held):
        why = "service_down" if planned.gateway in down else _without_price(plan, planned, facts, limits)
        if why is not None:
            found[planned.symbol] = why
    return found


def _without_price(plan: Plan, planned: PlannedSymbol, facts: Facts, limits: Limits) -> str | None:
    fact = facts.fact(planned)
    if fact is None or fact.said.state == "closed":
        return None
    said = fact.said
    if said.state == "pending" and limits.now - fact.since <= SILENCE_FACTOR * limits.stale_after:
        return None
    if said.stale:
        return said.reason or said.state
    return "no_ticks" if trouble(plan, planned, facts, limits) == "no_ticks" else None


def touched_sentence(facts: Facts, watch: Watch, limits: Limits) -> str:
    """How many symbols have no good price of their own stream, and which, the most important first."""
    plan = facts.plan
    if plan is None or not plan.started or not plan.symbols:
        return "no symbol is planned"
    down = {shard(name) for name in watch.missing() if kind(name) == "gateway"}
    touched = [
        planned.symbol
        for planned in plan.symbols
        if planned.gateway in down
        or not facts.link_of(planned.gateway).ready
        or trouble(plan, planned, facts, limits) is not None
    ]
    cut = [cut.symbol for cut in plan.cut if cut.limit == "lines"]
    count = f"{len(touched) + len(cut)} of {len(plan.symbols) + len(cut)} symbols touched"
    return f"{count} ({_names(touched + cut)})" if touched or cut else count


def _most(bad: dict[str, str]) -> str:
    """The reason that most have."""
    return min(Counter(bad.values()).items(), key=lambda item: (-item[1], item[0]))[0]


def _served(fact: SymbolFact | None) -> bool:
    return fact is not None and not fact.said.stale and fact.said.state in SERVED


def limits_at(now: int, listening_since: int, stale_after: float) -> Limits:
    """`stale_after` in seconds."""
    return Limits(now, listening_since, int(stale_after * SECOND))


def _down_sentence(missing: list[str]) -> str:
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} not running"


def _behind_sentence(behind: dict[str, dict[str, int]]) -> str:
    said = [
        f"the {name} is behind by {events:,} events of the stream {stream}"
        for name, streams in behind.items()
        for stream, events in streams.items()
    ]
    return "; ".join(said)


def _link_sentence(reason: str, detail: str | None) -> str:
    words = words_of(reason)
    return f"{words}: {detail}" if detail else words


def _symbols_sentence(bad: dict[str, str], reason: str, planned: int) -> str:
    first = [symbol for symbol, why in bad.items() if why == reason]
    words = words_of(reason)
    sentence = f"{len(bad)} of {planned} symbols not live: {words} ({_names(first)})"
    others = len(bad) - len(first)
    return f"{sentence}; {others} for other reasons" if others else sentence


def _names(symbols: list[str] | dict[str, str]) -> str:
    names = list(symbols)
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
