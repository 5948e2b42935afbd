"""The planner's state machine: what is wanted, what was read, what is planned. Pure: time comes in, effects
go out.

The service feeds it control and link events, the clock, and what reads gave; it answers with reads to make
and plans to publish. A plan goes out only when it differs from the last one. When a read fails the last good
plan stays in force, with the problem written on it, and reads go on until one succeeds.
"""

import math
from datetime import UTC, datetime
from typing import Literal

import msgspec

from messages.control import Start
from messages.errors import IbStreamError
from messages.events import (
    AnyEvent,
    ContractQualified,
    HeldContract,
    LineLimitLearned,
    LinkChanged,
    OptionsCentred,
    OptionsListed,
    Plan,
    PlannedSymbol,
    PlanRefreshRequested,
    PositionsChanged,
    SymbolChanged,
)
from messages.topics import CONTROL, shard
from services.base.clock import SECOND
from services.base.wanted import Wanted
from services.planner.chains import is_option, with_chains
from services.planner.core import Answer, Limits, Selection, answer_of, select
from services.planner.health import Health, LinkFact, fold_link
from services.planner.held import with_held
from services.planner.placement import Place, place

NO_CONTRACT = 200  # IB's code
RETRY_SECONDS = 5.0  # between reads while they fail
SHOWN = 10  # symbols named in a warning


class Defaults(msgspec.Struct, frozen=True):
    """What holds when the start request says nothing."""

    max_symbols: int = 100
    # of each gateway by its name; one alone has none
    line_limits: dict[str, int] = msgspec.field(default_factory=lambda: {"": 100})
    refresh_interval: float = 60.0
    allow_delayed: bool = True
    positions: Literal["off", "mark", "plan"] = "off"
    heartbeat_timeout: float = 2.5  # seconds of silence after which one of several gateways has failed


class Read(msgspec.Struct, frozen=True):
    """Effect: find the answer to `request`, and hand it in with `number`."""

    number: int
    request: Start


class Publish(msgspec.Struct, frozen=True):
    """Effect: journal and publish `plan`; its epoch and first_seq are the writer's to fill in."""

    plan: Plan


Effect = Read | Publish


class Folded(msgspec.Struct):
    """What the streams have said so far: saved together with their cursors."""

    wanted: Wanted = msgspec.field(default_factory=Wanted)
    refresh_token: int = 0
    line_limits: dict[str, int] = {}  # as IB taught them; by gateway, as `links`
    links: dict[str, LinkFact] = {}
    options: dict[str, OptionsListed] = {}  # by underlying
    centres: dict[str, float] = {}  # the strike nearest to its price
    missing: set[str] = set()  # options that IB does not know, since it listed any
    con_ids: dict[str, int] = {}  # IB's ids of symbols
    held: dict[str, list[HeldContract]] = {}  # by gateway

    @property
    def request(self) -> Start | None:
        """The start that holds, as a command; None: stopped."""
        started = self.wanted.request
        return None if started is None else Start(**msgspec.structs.asdict(started))

    def forget(self, stream: str) -> None:
        """What a stream said: it is going to be folded again from its beginning."""
        if stream == CONTROL:
            self.wanted = Wanted()
        else:
            self.line_limits.pop(shard(stream), None)
            self.links.pop(shard(stream), None)
            self.held.pop(shard(stream), None)
            self.options.clear()
            self.centres.clear()
            self.missing.clear()

    def forget_limits(self) -> None:
        """Try again what was planned before IB taught otherwise; it says so if a limit still holds."""
        self.line_limits.clear()


class PlannerState:
    """Feed `on_control` and `on_link` in order, then call `turn` whenever anything happened or time passed."""

    def __init__(self, defaults: Defaults, folded: Folded, plan: Plan | None, now: int = 0) -> None:
        self.folded = folded
        self.plan = plan  # the last one published, this process's or an earlier one's
        self._defaults = defaults
        self._before = plan  # the one before `plan`
        self._answer: Answer | None = None  # behind `plan`, when this process computed it
        self._due = 0  # when the next read may start, UTC nanoseconds
        self._reading: int | None = None  # number of the read under way
        self._number = 0
        self._recut = False
        self._several = "" not in defaults.line_limits
        moved = {symbol.home for symbol in _all_symbols(plan) if symbol.home} if plan is not None else ()
        self._health = Health(defaults.line_limits, moved if self._several else (), now, defaults.heartbeat_timeout)
        self._failed = self._health.failed

    # --- events ---

    def on_control(self, event: AnyEvent, seq: int, time: int) -> None:
        if self.folded.wanted.apply(event, seq, time):
            if self.folded.request is not None:
                self.folded.forget_limits()
            self._forget_read()
        elif isinstance(event, PlanRefreshRequested):
            self.refresh(seq)

    def on_link(self, event: AnyEvent, gateway: str = "", epoch: int = 0, time: int = 0) -> None:
        """An event of the link stream of `gateway`, from a block of that epoch and time."""
        if isinstance(event, LineLimitLearned):
            self._learn(gateway, event.limit)
        elif isinstance(event, OptionsListed):
            self.folded.options[event.symbol] = event
            self.folded.missing.clear()
            self._recut = True
        elif isinstance(event, OptionsCentred):
            self.folded.centres[event.symbol] = event.strike
            self._recut = True
        elif isinstance(event, SymbolChanged):
            if event.code == NO_CONTRACT and is_option(event.symbol) and event.symbol not in self.folded.missing:
                self.folded.missing.add(event.symbol)
                self._recut = True
        elif isinstance(event, ContractQualified):
            self._qualified(event)
        elif isinstance(event, PositionsChanged):
            self._recut = self._recut or event.held != self.folded.held.get(gateway, [])
            self.folded.held[gateway] = event.held
        elif isinstance(event, LinkChanged) and self._several:
            links = self.folded.links
            links[gateway] = fold_link(links.get(gateway, LinkFact()), event, epoch, time)

    def _qualified(self, event: ContractQualified) -> None:
        before = self.folded.con_ids.get(event.symbol, 0)
        if before != event.con_id:
            self.folded.con_ids[event.symbol] = event.con_id
            ids = {one.con_id for held in self.folded.held.values() for one in held}
            self._recut = self._recut or not ids.isdisjoint((before, event.con_id))

    def on_beat(self, gateway: str, epoch: int, now: int) -> None:
        """A heartbeat of one of several gateways; `epoch` is that of its link stream."""
        self._health.on_beat(gateway, epoch, now)

    def refresh(self, token: int = 0) -> None:
        """Read again at once, and let rejected symbols be tried again."""
        self.folded.refresh_token = max(self.folded.refresh_token + 1, token)
        self.folded.forget_limits()
        self._forget_read()

    def reset(self) -> None:
        """Forget what the control stream said: it is going to be folded again from its beginning."""
        self.folded.forget(CONTROL)
        self._forget_read()

    # --- effects ---

    def turn(self, now: int) -> list[Effect]:
        """What there is to do at `now`. Call only when the control stream is applied up to its head."""
        request = self.folded.request
        if not self.folded.wanted.since:
            return []
        if request is None:
            return self._publish(msgspec.structs.replace(self._blank(Start(), now), started=False))
        effects: list[Effect] = []
        failed = self._health.check(self.folded.links, now) if self._several else self._failed
        moved, self._failed = failed != self._failed, failed
        if self._recut:
            self._recut = False
            if self.plan is not None and self._in_force():
                effects += self._adopt(self._answer or answer_of(self.plan), now, keep_problem=True)
        elif moved and self.plan is not None and self._in_force():
            effects += self._publish(msgspec.structs.replace(self.plan, time=self._time(now)))
        if self._reading is None and now >= self._due:
            self._number += 1
            self._reading = self._number
            effects.append(Read(self._number, request))
        return effects

    def wait(self, now: int) -> float:
        """Seconds until `turn` has something to do though nothing happens; infinity when it waits for an answer."""
        if self.folded.request is None or self._reading is not None:
            return math.inf
        return max(0.0, (self._due - now) / SECOND)

    def on_read(self, number: int, result: Answer | IbStreamError, now: int) -> list[Effect]:
        """What read `number` gave. One that was overtaken by a start, stop or refresh is dropped."""
        request = self.folded.request
        if number != self._reading or request is None:
            return []
        self._reading = None
        interval = request.refresh_interval_seconds or self._defaults.refresh_interval
        if isinstance(result, IbStreamError):
            self._due = now + int(min(interval, RETRY_SECONDS) * SECOND)
            return self._keep(result, now)
        self._due = now + int(interval * SECOND)
        self._answer = result
        return self._adopt(result, now)

    def not_published(self) -> None:
        """The journal did not take the last plan: it does not hold, and is computed again soon."""
        self.plan = self._before

    def preview(self, request: Start, answer: Answer, now: int) -> Plan:
        """The plan that a start with `request` would begin with. Changes nothing."""
        return self._placed(self._plan(answer, request, frozenset(), now))

    # --- inside ---

    def _forget_read(self) -> None:
        self._reading = None
        self._due = 0

    def _in_force(self) -> bool:
        """Whether the last plan answers what is wanted now, not an earlier start."""
        return self.plan is not None and self.plan.started and self._covers(self.plan)

    def _adopt(self, answer: Answer, now: int, *, keep_problem: bool = False) -> list[Effect]:
        request, plan = self.folded.request, self.plan
        assert request is not None
        in_force = plan is not None and self._in_force()
        incumbents = frozenset(s.symbol for s in plan.symbols) if plan and in_force else frozenset[str]()
        new = self._plan(answer, request, incumbents, now)
        if keep_problem and plan is not None:
            new = _with_problem(new, plan.problem_code, plan.problem, plan.problem_since)
        return self._publish(new)

    def _keep(self, error: IbStreamError, now: int) -> list[Effect]:
        """The last good plan stays in force; without one for this request, nothing is planned yet."""
        request, plan = self.folded.request, self.plan
        assert request is not None
        if plan is None or not self._in_force():
            plan = msgspec.structs.replace(self._blank(request, now), project_id=request.project_id)
        since = plan.problem_since if plan.problem_code == error.code else now
        plan = msgspec.structs.replace(plan, time=self._time(now), refresh_token=self.folded.refresh_token)
        return self._publish(_with_problem(plan, error.code, error.message, since))

    def _plan(self, answer: Answer, request: Start, incumbents: frozenset[str], now: int) -> Plan:
        limits = Limits(
            max_symbols=request.max_symbols or self._defaults.max_symbols, line_limit=sum(self._lines().values())
        )
        today = f"{datetime.fromtimestamp(now / SECOND, UTC):%Y%m%d}"
        answer = with_chains(answer, self.folded.options, self.folded.centres, today, self.folded.missing)
        selection = select(answer, limits, incumbents)
        if self._defaults.positions != "off":
            selection = self._first_what_is_held(answer, selection, limits, incumbents)
        return msgspec.structs.replace(
            self._blank(request, now),
            symbols=selection.symbols,
            cut=selection.cut,
            project_id=answer.project_id,
            project_name=answer.project_name,
            decision_snapshot_id=answer.decision_snapshot_id,
            warnings=selection.warnings,
            chains=list(answer.chains),
        )

    def _first_what_is_held(
        self, answer: Answer, before: Selection, limits: Limits, incumbents: frozenset[str]
    ) -> Selection:
        """The selection with what is held before all else; it says what has no place for that. `before`: without."""
        held = [one for name in self._defaults.line_limits for one in self.folded.held.get(name, ())]
        found = with_held(answer, held, self.folded.con_ids, add=self._defaults.positions == "plan")
        selection = select(found, limits, incumbents)
        streamed = {symbol.symbol for symbol in selection.symbols}
        displaced = [symbol.symbol for symbol in before.symbols if symbol.symbol not in streamed]
        if displaced:
            more = f" and {len(displaced) - SHOWN} more" if len(displaced) > SHOWN else ""
            names = ", ".join(displaced[:SHOWN]) + more
            selection.warnings.append(f"what is held takes the place of {names}: {limits.words}")
        return selection

    def _blank(self, request: Start, now: int) -> Plan:
        return Plan(
            epoch=0,
            first_seq=0,
            time=self._time(now),
            started=True,
            symbols=[],
            market_data_type=request.market_data_type or "realtime",
            allow_delayed=self._defaults.allow_delayed,
            refresh_token=self.folded.refresh_token,
            answers=self.folded.wanted.seq,
        )

    def _time(self, now: int) -> int:
        """Never before the start that the plan answers, though the clock may have been set back since."""
        return max(now, self.folded.wanted.since)

    def _learn(self, gateway: str, limit: int) -> None:
        if limit != self.folded.line_limits.get(gateway):
            self.folded.line_limits[gateway] = limit
            self._recut = True

    def _lines(self) -> dict[str, int]:
        """The market data lines of each gateway, as far as is known."""
        return {name: self.folded.line_limits.get(name) or most for name, most in self._defaults.line_limits.items()}

    def _placed(self, plan: Plan) -> Plan:
        """The plan with a gateway for each symbol, where there are several."""
        if not self._several:
            return plan
        known = _all_symbols(self.plan) if self.plan is not None else []
        before = {symbol.symbol: Place(symbol.gateway, symbol.home or symbol.gateway) for symbol in known}
        ranked = sorted(plan.symbols, key=lambda symbol: symbol.priority)
        cut = [one.symbol for one in plan.cut if one.contract is not None]
        places = place([symbol.symbol for symbol in ranked], cut, self._lines(), self._failed, before)
        return msgspec.structs.replace(
            plan,
            symbols=[_at(symbol, places[symbol.symbol]) for symbol in plan.symbols],
            cut=[
                msgspec.structs.replace(one, contract=_at(one.contract, places[one.symbol])) if one.contract else one
                for one in plan.cut
            ],
        )

    def _publish(self, plan: Plan) -> list[Effect]:
        plan = self._placed(plan)
        if self.plan is not None and _content(plan) == _content(self.plan) and self._covers(self.plan):
            return []
        self._before, self.plan = self.plan, plan
        return [Publish(plan)]

    def _covers(self, plan: Plan) -> bool:
        """Whether a plan answers the last start or stop; an equal one of before is said again, so that it shows."""
        wanted = self.folded.wanted
        return plan.time >= wanted.since and plan.answers == wanted.seq


def _all_symbols(plan: Plan) -> list[PlannedSymbol]:
    """Those that it streams and those that it cuts."""
    return [*plan.symbols, *(cut.contract for cut in plan.cut if cut.contract is not None)]


def _at(symbol: PlannedSymbol, place: Place) -> PlannedSymbol:
    home = place.home if place.home != place.gateway else ""
    return msgspec.structs.replace(symbol, gateway=place.gateway, home=home)


def _content(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, epoch=0, first_seq=0, time=0)


def _with_problem(plan: Plan, code: str | None, problem: str | None, since: int | None) -> Plan:
    return msgspec.structs.replace(plan, problem_code=code, problem=problem, problem_since=since)
