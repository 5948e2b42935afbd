"""The planner: control and link events in, the plan out; database and files are read on threads.

`build` hangs it on a Service. Guarantees: the last plan is published from the first moment, also while
the database is away; a plan is in the journal before it is published; heartbeats go on through any read.
"""

import math
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

import msgspec
import structlog

from messages.codec import decode_heartbeat, decode_plan, encode
from messages.control import (
    Accepted,
    AnyMessage,
    ComputePlan,
    Failed,
    ListProjects,
    ListSnapshots,
    PlanReply,
    RefreshPlan,
    Start,
)
from messages.errors import IbStreamError
from messages.events import Block, EventBlock, Plan
from messages.topics import CONTROL, LINK, ONE_GATEWAY, PLAN, PLANNER_CONTROL, heartbeat_topic, sharded
from services.journal import JournalReader, saved_state
from services.journal.cursor import Cursor
from services.planner.catalogue import Catalogue
from services.planner.chains import derive_all
from services.planner.core import Answer, check_request
from services.planner.database import Database
from services.planner.demo import ensure_demo
from services.planner.sources import gather, with_project
from services.planner.state import Defaults, Effect, Folded, PlannerState, Publish, Read
from services.runtime.follow import Follower
from services.runtime.process import Service

log = structlog.get_logger()

STATE_VERSION = 5  # raise it when the fold changes: the streams are folded again then
SAVE_SECONDS = 5.0
HEALTH_SECONDS = 0.25  # between two looks at which of several gateways have failed


class Saved(msgspec.Struct, kw_only=True):
    """The fold, the cursors it belongs to, and the times of the blocks there (UTC nanoseconds)."""

    version: int = STATE_VERSION
    folded: Folded = msgspec.field(default_factory=Folded)
    cursors: dict[str, Cursor] = {}
    times: dict[str, int] = {}


class Planner:
    """The loop's side of the planner: sockets, threads, files, time."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._settings = settings
        self._database = Database(settings.database, settings.database_timeout)
        self._make_demo()
        self._journal = service.journal(PLAN)
        self._state_path = settings.state_dir / "planner.state"
        self._saved = self._load()
        self._state = PlannerState(
            Defaults(
                max_symbols=settings.max_symbols,
                line_limits=settings.line_limits,
                refresh_interval=settings.refresh_interval,
                allow_delayed=settings.allow_delayed,
                positions=settings.positions,
                heartbeat_timeout=settings.heartbeat_timeout,
            ),
            self._saved.folded,
            self._last_plan(),
            service.clock.now(),
        )
        self._times = dict(self._saved.times)
        self._caught_up = False
        # A read connects, asks and parses a file: each bounded, and all of them together here.
        self._read_seconds = settings.database_timeout + 3.0
        self._reads = service.background("the read of the database and the snapshot's file", "database_unavailable", 6)
        self._catalogue = Catalogue(settings, self._database)
        # Threads of their own: whoever looks at lists never delays a plan.
        self._lookups = service.background("the list of what is in the database", "database_unavailable", 2)

    def start(self) -> None:
        service = self._service
        if self._state.plan is not None:
            service.publisher.set_last(PLAN, encode(self._state.plan))
        service.serve_replay()
        self._server = service.serve(PLANNER_CONTROL, self._command)
        self._control = self._follow(CONTROL, self._on_control, self._control_reset)
        for name in self._settings.gateway_names:
            stream = sharded(LINK, name)
            self._follow(stream, partial(self._on_link, name), partial(self._link_reset, stream))
            if name:
                service.on_topic(heartbeat_topic(sharded("gateway", name)), partial(self._on_beat, name))
        service.every(1.0, self._watch)
        service.every(SAVE_SECONDS, self._save)
        service.each_turn(self._turn)
        service.on_close(self._save)
        service.subscribe(["supervisor", *(sharded("gateway", name) for name in self._settings.gateway_names)])

    # --- what comes in ---

    def _follow(self, stream: str, apply: Callable[[Block], None], restart: Callable[[], None]) -> Follower:
        saved = self._saved
        return self._service.follow(stream, apply, restart, saved.cursors.get(stream), saved.times.get(stream, 0))

    def _on_control(self, block: Block) -> None:
        assert isinstance(block, EventBlock)
        for offset, event in enumerate(block.events):
            self._state.on_control(event, block.first_seq + offset, block.time)
        self._times[CONTROL] = block.time

    def _on_link(self, gateway: str, block: Block) -> None:
        assert isinstance(block, EventBlock)
        for event in block.events:
            self._state.on_link(event, gateway, block.epoch, block.time)
        self._times[sharded(LINK, gateway)] = block.time

    def _on_beat(self, gateway: str, _topic: str, payload: bytes) -> None:
        with suppress(msgspec.MsgspecError):  # counted where all heartbeats are heard
            head = decode_heartbeat(payload).heads.get(sharded(LINK, gateway))
            self._state.on_beat(gateway, head.epoch if head is not None else 0, self._service.clock.now())

    def _control_reset(self) -> None:
        log.warning("stream_folded_again", stream=CONTROL)
        self._caught_up = False
        self._state.reset()

    def _link_reset(self, stream: str) -> None:
        log.warning("stream_folded_again", stream=stream)
        self._state.folded.forget(stream)

    def _command(self, message: AnyMessage) -> AnyMessage | None:
        """What needs the database is answered late, when its read is done. Raises IbStreamError."""
        route = self._server.route
        match message:
            case RefreshPlan():
                self._state.refresh()
                return Accepted()
            case ComputePlan():
                check_request(message.request)
                self._submit(message.request, lambda found: self._server.reply(route, self._preview(message, found)))
            case ListProjects():
                self._browse(self._catalogue.projects, route)
            case ListSnapshots():
                self._browse(partial(self._catalogue.snapshots, message.project_id), route)
            case _:
                known = "compute_plan, refresh_plan, list_projects and list_snapshots"
                raise IbStreamError("invalid_request", f"this endpoint takes {known}")
        return None

    def _browse(self, read: Callable[[], AnyMessage], route: list[bytes]) -> None:
        def answer(outcome: AnyMessage | IbStreamError) -> None:
            self._server.reply(route, Failed.by(outcome) if isinstance(outcome, IbStreamError) else outcome)

        self._lookups.submit(read, answer, self._read_seconds)

    def _preview(self, message: ComputePlan, outcome: Answer | IbStreamError) -> AnyMessage:
        if isinstance(outcome, IbStreamError):
            return Failed.by(outcome)
        return PlanReply(plan=self._state.preview(message.request, outcome, self._service.clock.now()))

    # --- what goes out ---

    def _turn(self) -> float:
        # While the past is being folded for the first time, a start may be one that was stopped long ago.
        # Later the writer may be ahead for as long as its disk is full: that must not stop the refreshes.
        self._caught_up = self._caught_up or not self._control.behind
        if not self._caught_up:
            return math.inf
        self._run(self._state.turn(self._service.clock.now()))
        wait = self._state.wait(self._service.clock.now())
        return wait if self._settings.gateway_names == ONE_GATEWAY else min(wait, HEALTH_SECONDS)

    def _run(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(effect.plan)
                case Read():
                    self._submit(effect.request, partial(self._on_answer, effect))
                case _:
                    assert_never(effect)

    def _submit(self, request: Start, then: Callable[[Answer | IbStreamError], None]) -> None:
        request = with_project(request, self._settings)
        database, settings = self._database, self._settings
        adds_held = settings.positions == "plan"

        def read() -> Answer:
            return derive_all(request, gather(request, settings, database), adds_held=adds_held)

        self._reads.submit(read, then, self._read_seconds)

    def _on_answer(self, read: Read, outcome: Answer | IbStreamError) -> None:
        self._run(self._state.on_read(read.number, outcome, self._service.clock.now()))

    def _publish(self, plan: Plan) -> None:
        plan = msgspec.structs.replace(plan, epoch=self._journal.epoch, first_seq=self._journal.next_seq)
        payload = encode(plan)
        if not self._journal.append(payload, 1, plan.time):
            self._state.not_published()
            return
        try:
            self._journal.sync(2.0)
        except IbStreamError as error:
            log.warning("plan_not_durable_yet", reason=error.message)
        self._state.plan = plan
        self._service.publisher.set_last(PLAN, payload)
        self._say(plan)

    def _say(self, plan: Plan) -> None:
        if plan.problem is not None:
            log.warning("plan_kept", code=plan.problem_code, problem=plan.problem, symbols=len(plan.symbols))
        else:
            log.info(
                "planned",
                started=plan.started,
                symbols=len(plan.symbols),
                cut=len(plan.cut),
                project=plan.project_id,
                decision_snapshot=plan.decision_snapshot_id,
                warnings=plan.warnings[:3] or None,
            )

    def _watch(self) -> None:
        self._journal.poll(self._service.clock.monotonic())
        plan = self._state.plan
        if plan is not None:
            metrics = self._service.metrics
            metrics.update(plan_symbols=len(plan.symbols), plan_cut=len(plan.cut))
            for series in [series for series in metrics if series.partition("{")[0] == "plan_problem"]:
                del metrics[series]
            code = f'{{code="{plan.problem_code}"}}' if plan.problem is not None else ""
            metrics[f"plan_problem{code}"] = float(plan.problem is not None)

    # --- what stays ---

    def _make_demo(self) -> None:
        try:
            ensure_demo(self._settings, self._service.clock.now())
        except (OSError, sqlite3.Error) as error:
            log.error("demo_not_created", error=str(error))

    def _last_plan(self) -> Plan | None:
        with JournalReader(self._settings.journal_dir, PLAN) as reader:
            row = reader.last()
        return None if row is None else decode_plan(row.payload)

    def _load(self) -> Saved:
        """The saved fold, less what is not of this journal; an empty one when there is none that can be trusted."""
        saved = saved_state.load(self._state_path, Saved, STATE_VERSION) or Saved()
        for stream in saved_state.of_another_journal(self._settings, saved.cursors, saved.times):
            del saved.cursors[stream], saved.times[stream]
            saved.folded.forget(stream)
        return saved

    def _save(self) -> None:
        cursors = {stream: follower.cursor for stream, follower in self._service.followers.items()}
        if self._saved.cursors == cursors:
            return
        saved = Saved(folded=self._state.folded, cursors=cursors, times=self._times)
        if saved_state.save(self._state_path, saved):
            self._saved = saved


def build(service: Service) -> Planner:
    planner = Planner(service)
    planner.start()
    return planner
