"""The supervisor's loop: streams, heartbeats and commands in; the control stream and the status out.

`build` hangs it on a Service. Guarantees: a command is durable in the journal before it is acknowledged, or
answered with `journal_unavailable` and forgotten; the status goes out at once when something changed (at most
ten times a second), every second while prices come, and in good time before it is over; no command holds up the loop.
"""

import math
import socket
from collections.abc import Callable
from functools import partial

import msgspec
import structlog

from messages.codec import decode_heartbeat, encode
from messages.control import Accepted, AnyMessage, ComputePlan, Failed
from messages.errors import IbStreamError
from messages.events import AlertFired, Block, ControlEvent, EventBlock, ServiceChanged, StatusChanged
from messages.topics import (
    CONTROL,
    HEARTBEAT_PREFIX,
    LINK,
    PLAN,
    PLANNER_CONTROL,
    SIDE_SERVICES,
    STATUS,
    SUPERVISOR_CONTROL,
    TICKS,
    sharded,
    writer_of,
)
from services.base.clock import iso
from services.base.lock import OwnedLock
from services.journal import saved_state
from services.journal.cursor import Cursor
from services.runtime.bus import request
from services.runtime.follow import FileSource, Follower
from services.runtime.process import Service
from services.supervisor.alerts import Alert, AlertPolicy, HeldAlerts, Installation, Messenger
from services.supervisor.core import Record, Supervisor, Validate
from services.supervisor.facts import VERSION, Facts
from services.supervisor.housekeeping import Housekeeping
from services.supervisor.price_alerts import PriceAlerts
from services.supervisor.quality import Findings, QualityAlerts, QualityWatch, metrics_of
from services.supervisor.verdict import words_of

log = structlog.get_logger()

TURN_SECONDS = 0.02  # a person waits for the answer to a command, and does not notice this
REVIEW_SECONDS = 0.1  # between two looks at everything, at least, when something changed
LOOK_SECONDS = 1.0  # and at most
POLL_SECONDS = 1.0
PUBLISH_SECONDS = 0.95  # between two statuses while prices come: at every look
RENEW_SHARE = 0.38  # of the span for which a status is vouched for: one that says nothing new is renewed after that
SAVE_SECONDS = 5.0
SYNC_SECONDS = 2.0
VALIDATE_MARGIN = 4.0  # seconds for the planner on top of what a database query may take


class SupervisorService:
    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._settings = settings
        self._lock = self._lock_data_root()
        self._messenger = Messenger(settings.alert_urls) if settings.alert_urls else None
        self._alerts = AlertPolicy(settings.alert_min_interval)
        self._held_alerts = HeldAlerts(settings.held_alert_interval)
        service.metrics["held_without_price"] = 0.0
        self._installation = Installation(socket.gethostname(), str(settings.root), settings.page_url)
        self._journal = service.journal(CONTROL)
        self._state_path = settings.state_dir / "supervisor.state"
        facts = self._load()
        self._saved: dict[str, Cursor] = dict(facts.cursors)
        self._core = Supervisor(
            settings, facts, service.lock.owner, now=service.clock.now(), at=service.clock.monotonic()
        )
        self._questions = service.background("the planner", "planner_unreachable")
        self._price_alerts = PriceAlerts(
            settings, service.background("the journal's reader", "journal_unavailable"), self._tell_price_alerts
        )
        self._quality = QualityWatch(
            settings.journal_dir,
            settings.quality_seconds if self._has_ticks() else 0,
            service.background("the journal's reader", "journal_unavailable", threads=1),
            self._tell_quality,
        )
        self._quality_alerts = QualityAlerts(settings.alert_min_interval)
        self._housekeeping = Housekeeping(service.clock.monotonic())
        self._changed = True
        self._stirred = True  # something came that the verdict may depend on
        self._review_due = 0.0
        self._renew_seconds = settings.good_for_seconds * RENEW_SHARE
        self._priced = False  # prices came since the status went out last
        self._published_at = -math.inf
        self._alert_due = 0.0

    def start(self) -> None:
        service, facts = self._service, self._core.facts
        self._fold_own_stream()
        service.serve_replay()
        first = self._core.first_decision()
        if first is not None:
            self._record(first)
            log.info("first_start", begins=type(first).__name__, api_mode=self._settings.api_mode)
        self._server = service.serve(SUPERVISOR_CONTROL, self._command)
        for gateway in self._settings.gateway_names:
            self._follow(sharded(LINK, gateway), partial(facts.apply_link, gateway=gateway))
        self._follow(PLAN, facts.apply_plan)
        service.on_topic(HEARTBEAT_PREFIX, self._on_heartbeat)
        service.every(min(LOOK_SECONDS, self._renew_seconds), self._look)
        service.every(POLL_SECONDS, lambda: self._journal.poll(service.clock.monotonic()))
        service.each_turn(self._turn)
        service.every(SAVE_SECONDS, self._save)
        service.every(SAVE_SECONDS, lambda: self._housekeeping.turn(service.clock.monotonic()))
        service.on_close(self._housekeeping.close)
        service.on_close(self._close)
        service.subscribe((*self._settings.services, *SIDE_SERVICES))  # itself too: its own health goes the same way

    # --- what comes in ---

    def _follow(self, stream: str, fold: Callable[[Block], None]) -> None:
        def apply(block: Block) -> None:
            fold(block)
            self._changed = True

        facts = self._core.facts
        cursor, time = facts.cursors.get(stream), facts.times.get(stream, 0)
        self._service.follow(stream, apply, lambda: self._restart(stream), cursor, time)

    def _restart(self, stream: str) -> None:
        log.warning("stream_folded_again", stream=stream)
        self._core.facts.restart(stream)

    def _on_heartbeat(self, _topic: str, payload: bytes) -> None:
        try:
            beat = decode_heartbeat(payload)
        except msgspec.MsgspecError:
            self._service.malformed += 1
            return
        self._priced |= bool(beat.prices)
        self._stirred |= self._core.hear(beat, self._service.clock.monotonic())

    # --- commands ---

    def _command(self, command: AnyMessage) -> AnyMessage | None:
        """Raises IbStreamError. A start is answered late, when the planner has looked at it."""
        decision = self._core.decide(command, self._service.clock.now())
        match decision:
            case Validate():
                self._validate(decision, self._server.route)
                return None
            case Record():
                return self._recorded(decision.event)
            case _:
                return decision

    def _validate(self, wanted: Validate, route: list[bytes]) -> None:
        def answered(outcome: AnyMessage | IbStreamError) -> None:
            self._core.validated()
            reply: AnyMessage
            try:
                if isinstance(outcome, IbStreamError):
                    raise outcome
                reply = self._recorded(wanted.event)
            except IbStreamError as error:
                log.warning("start_refused", code=error.code, message=error.message)
                reply = Failed.by(error)
            self._server.reply(route, reply)

        question = ComputePlan(request=wanted.request)
        patience = self._settings.database_timeout + VALIDATE_MARGIN
        ask = partial(request, self._settings, PLANNER_CONTROL, question, timeout=patience)
        self._questions.submit(ask, answered, patience + 1.0)

    def _recorded(self, event: ControlEvent) -> Accepted:
        accepted = Accepted(seq=self._record(event))
        log.info("accepted", command=type(event).__name__, seq=accepted.seq)
        return accepted

    def _record(self, event: ControlEvent) -> int:
        """Journal one event, durably, and publish it. Returns its sequence number. Raises IbStreamError."""
        block = self._append([event])
        if block is None:
            raise IbStreamError("journal_unavailable", self._journal.problem or "the journal takes no more")
        try:
            self._journal.sync(SYNC_SECONDS)
        finally:
            self._publish_block(block)  # also when the disk is slow: what the journal holds has happened
        return block.first_seq

    def _append(self, events: list[ControlEvent]) -> EventBlock | None:
        """A block in the journal's files; None when the disk refuses it, and then it never happened."""
        journal, now = self._journal, self._service.clock.now()
        block = EventBlock(
            epoch=journal.epoch, first_seq=journal.next_seq, time=max(now, journal.time), events=[*events]
        )
        taken = journal.append(encode(block), block.count, block.time, hold=False)
        return block if taken else None

    def _publish_block(self, block: EventBlock) -> None:
        self._core.facts.apply_control(block)
        self._service.publisher.send(CONTROL, encode(block))
        self._changed = True

    # --- what goes out ---

    def _look(self) -> None:
        self._stirred = True

    def _turn(self) -> float:
        """Review what came, or that somebody was not heard. Returns the seconds until there is need to again."""
        at = self._service.clock.monotonic()
        if (self._stirred or self._changed or not self._core.watch.wait(at)) and at >= self._review_due:
            self._review(at)
        wait = 0.0 if self._stirred or self._changed else self._core.watch.wait(at)
        return max(wait, self._review_due - at)

    def _review(self, at: float) -> None:
        self._stirred, self._review_due = False, at + REVIEW_SECONDS
        now = self._service.clock.now()
        before = self._core.verdict
        settled = not any(follower.behind for follower in self._service.followers.values())
        events = self._core.review(now, at, settled=settled)
        if events:
            block = self._append(events)
            if block is not None:
                self._publish_block(block)
                for event in events:
                    _say(event)
        if self._core.verdict != before:
            self._changed = True
        age = at - self._published_at
        if self._changed or age >= self._renew_seconds or (self._priced and age >= PUBLISH_SECONDS):
            self._changed = self._priced = False
            self._published_at = at
            self._service.publisher.set_last(STATUS, encode(self._core.status(now)))
        if at >= self._alert_due:
            self._alert_due = at + PUBLISH_SECONDS
            self._alert(at)
            if self._settings.positions != "off":
                self._look_at_held(now, at)
            self._look_for_price_alerts(now, at)
            self._quality.look(now, at)

    def _alert(self, at: float) -> None:
        if self._messenger is None:
            return
        verdict = self._core.verdict
        alert = self._alerts.decide(verdict.word, verdict.message, self._core.outage_expected, at)
        if alert is not None:
            self._messenger.send(self._installation.signed(alert, self._core.touched(self._service.clock.now())))
        self._service.metrics["alerts_sent_total"] = self._messenger.sent
        self._service.metrics["alerts_failed_total"] = self._messenger.failed

    def _look_at_held(self, now: int, at: float) -> None:
        bad = {symbol: words_of(why) for symbol, why in self._core.held_without_price(now).items()}
        self._service.metrics["held_without_price"] = float(len(bad))
        alert = self._held_alerts.decide(bad, self._core.outage_expected, at)
        if alert is not None:
            log.warning("held", text=alert.text)
            self._send(alert, "`ibstream status` says more")

    def _look_for_price_alerts(self, now: int, at: float) -> None:
        alerts = self._core.facts.alerts.values()
        self._price_alerts.look(min((alert.since for alert in alerts), default=None), now, at)
        self._service.problem = self._price_alerts.problem

    def _has_ticks(self) -> bool:
        """Whether they are journalled on this machine."""
        streams = [sharded(TICKS, gateway) for gateway in self._settings.gateway_names]
        return not any(writer_of(stream) in self._settings.peers for stream in streams)

    def _tell_quality(self, found: Findings | None) -> None:
        marks = found.marks if found is not None else {}
        self._changed |= marks != self._core.marks
        self._core.marks = marks
        if found is None:
            return
        self._service.metrics.update(metrics_of(found.lately))
        alert = self._quality_alerts.decide(found.lately, self._service.clock.monotonic())
        if alert is not None:
            log.warning("data_quality", text=alert.text)
            self._send(alert, "`ibstream quality` says more")

    def _tell_price_alerts(self, found: list[AlertFired]) -> bool:
        """Journal what is new, and then tell people. False when the disk refuses it."""
        news = self._core.facts.news(found)
        if not news:
            return True
        block = self._append([*news])
        if block is None:
            return False
        self._publish_block(block)
        for event in news:
            log.info("price_alert", id=event.id, symbol=event.symbol, text=event.text)
            note = self._core.facts.alerts[event.id].added.note
            self._send(Alert("price", f"ibstream: {event.text}", note or event.text), f"at {iso(event.at)}")
        return True

    def _send(self, alert: Alert, more: str) -> None:
        if self._messenger is not None:
            self._messenger.send(self._installation.signed(alert, more))

    # --- what stays ---

    def _lock_data_root(self) -> OwnedLock:
        """Beside the run folder's lock: two run folders may be given the same data root."""
        root = self._settings.root
        busy = f"another supervisor runs already on the data root {root}"
        return OwnedLock(self._settings.state_dir / "supervisor.lock", busy, self._service.started_at)

    def _fold_own_stream(self) -> None:
        source = FileSource(self._settings.journal_dir, CONTROL)
        facts = self._core.facts
        own = Follower(CONTROL, source, self._apply_own, lambda: self._restart(CONTROL), facts.cursors.get(CONTROL))
        own.look_back()
        while own.step():
            pass
        source.close()

    def _apply_own(self, block: Block) -> None:
        assert isinstance(block, EventBlock)
        self._core.facts.apply_control(block)

    def _load(self) -> Facts:
        """The saved facts, less what is not of this journal; fresh ones when there are none that can be trusted."""
        facts = saved_state.load(self._state_path, Facts, VERSION) or Facts()
        for stream in saved_state.of_another_journal(self._settings, facts.cursors, facts.times):
            facts.restart(stream)
        return facts

    def _save(self) -> None:
        facts = self._core.facts
        if facts.cursors != self._saved and saved_state.save(self._state_path, facts):
            self._saved = dict(facts.cursors)

    def _close(self) -> None:
        self._save()
        if self._messenger is not None:
            self._messenger.close()
        self._lock.release()


def _say(event: ControlEvent) -> None:
    match event:
        case StatusChanged():
            log.info("status", status=event.status, reason=event.reason)
        case ServiceChanged():
            say = log.info if event.state == "up" else log.warning
            say("service", name=event.service, state=event.state, pid=event.pid, detail=event.detail)
        case _:
            pass


def build(service: Service) -> SupervisorService:
    service.pace = TURN_SECONDS
    supervisor = SupervisorService(service)
    supervisor.start()
    return supervisor
