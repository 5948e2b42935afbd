"""The supervisor's core: facts and heartbeats in; commands answered; events, verdict and status out.

Pure: called by service.py with the time (`now`, UTC ns; `at`, seconds that never go back). Nothing is true
here because it was remembered: `facts` is a fold of the streams, and the rest is heard anew in seconds.
"""

from typing import Final, NamedTuple

import msgspec

from messages.control import (
    Accepted,
    AddAlert,
    AlertsReply,
    AnyMessage,
    Failed,
    GetStatus,
    ListAlerts,
    RefreshPlan,
    RemoveAlert,
    Start,
    StatusReply,
    Stop,
)
from messages.errors import IbStreamError
from messages.events import (
    AlertAdded,
    AlertFired,
    AlertRemoved,
    ControlEvent,
    PlanRefreshRequested,
    StatusChanged,
    StreamStarted,
    StreamStopped,
)
from messages.topics import LINK, TICKS, kind, shard, sharded
from messages.views import AlertNotice, Heartbeat, LockOwner, PriceAlert, Status
from services.base.clock import SECOND, iso
from services.base.settings import Settings
from services.quotes.alert_rules import MAX_SECONDS, parse
from services.supervisor import status
from services.supervisor.facts import AlertFact, Facts
from services.supervisor.heartbeats import Watch
from services.supervisor.verdict import Limits, Verdict, held_without_price, judge, limits_at, touched_sentence

STALL_NS: Final = 3 * SECOND // 2  # since the last look, of which there is one a second at least
FILES_PATIENCE: Final = 3.0  # seconds for which the sink may vouch for fewer prices than are current
MAX_ALERTS: Final = 500
MAX_NOTE: Final = 200  # characters
SETTLE: Final = 2.0  # seconds after the start in which services that have not been heard yet are no news


class Record(NamedTuple):
    """Make this event durable, then answer `Accepted` with its sequence number."""

    event: ControlEvent


class Validate(NamedTuple):
    """Ask the planner whether it could plan this; then `Record` the event."""

    request: Start
    event: StreamStarted


Decision = AnyMessage | Record | Validate


class Supervisor:
    def __init__(self, settings: Settings, facts: Facts, lock: LockOwner, *, now: int, at: float) -> None:
        self.facts = facts
        self.watch = Watch(settings.heartbeat_timeout, at, settings.expected, settings.services)
        self._settings = settings
        self._lock = lock
        self._listening_since = now
        self._settled_at = at + SETTLE
        self._validating = False
        self._reviewed = 0  # UTC ns; 0 while what was heard may be of before this process was held up
        self._hears_again = at  # what is said from then on is of now
        self._priced_at: dict[str, int] = {}  # where streams of ticks were when prices were told last
        self._arriving: dict[str, int] = {}  # what the sink must have applied before all is called connected
        self._arrived = False
        self._vouched_at = at  # when the sink last vouched for all that is current
        self.marks: status.Marks = {}
        self.verdict = Verdict("starting", "service_starting", "the supervisor starts")

    # --- what comes in ---

    def hear(self, beat: Heartbeat, at: float) -> bool:
        """True when it may change the verdict: it says something new, or the verdict waits for something."""
        news = self.watch.hear(beat, at)
        if beat.service in self.watch.gateways:
            gateway = shard(beat.service)
            epoch = self.watch.epoch(beat.service, sharded(LINK, gateway))
            if epoch is not None:
                self.facts.link_of(gateway).meet(epoch)
            if beat.prices:
                self.facts.see_prices(beat.prices)
                head = beat.heads.get(sharded(TICKS, gateway))
                self._priced_at[sharded(TICKS, gateway)] = head.seq if head is not None else 0
        return news or self.verdict.word in ("starting", "degraded", "disconnected")

    # --- commands ---

    def first_decision(self) -> ControlEvent | None:
        """What a fresh data root begins with: started in `mock` mode, stopped in `ib` mode."""
        if self.facts.wanted.since:
            return None
        if self._settings.api_mode == "mock":
            return StreamStarted(project_id=self._settings.project_id)
        return StreamStopped()

    def decide(self, command: AnyMessage, now: int) -> Decision:
        """What to do about a command. A `Validate` must be ended by `validated`. Raises IbStreamError."""
        match command:
            case Start():
                return self._decide_start(command)
            case Stop():
                if self.facts.wanted.request is None:
                    return Accepted(changed=False)
                return Record(StreamStopped())
            case RefreshPlan():
                return Record(PlanRefreshRequested())
            case GetStatus():
                return StatusReply(status=self.status(now))
            case AddAlert():
                return Record(self._new_alert(command))
            case RemoveAlert():
                if command.id not in self.facts.alerts:
                    return Failed(code="alert_not_found", message=f"no alert has the id {command.id}", field="id")
                return Record(AlertRemoved(id=command.id))
            case ListAlerts():
                alerts = [_alert_view(number, alert) for number, alert in sorted(self.facts.alerts.items())]
                return AlertsReply(alerts=alerts, recent=[_notice(event) for event in self.facts.notices])
            case _:
                takes = "start, stop, get_status, refresh_plan, add_alert, remove_alert and list_alerts"
                return Failed(code="invalid_request", message=f"this endpoint takes {takes}")

    def _new_alert(self, command: AddAlert) -> AlertAdded:
        """Raises IbStreamError."""
        if len(self.facts.alerts) >= MAX_ALERTS:
            raise IbStreamError("invalid_request", f"there are {MAX_ALERTS} alerts already, which is the most")
        rule = parse(command.rule)
        if not 1 <= command.pause <= MAX_SECONDS:
            raise IbStreamError("invalid_request", f"a pause is from 1 to {MAX_SECONDS:g} seconds", "pause")
        if len(command.note) > MAX_NOTE or not command.note.isprintable():
            raise IbStreamError("invalid_request", f"a note is one line of at most {MAX_NOTE} characters", "note")
        return AlertAdded(rule=str(rule), pause=command.pause, note=command.note)

    def _decide_start(self, start: Start) -> Decision:
        started = self.facts.wanted.request
        if started is not None:
            message = f"the stream is started already{_for_project(started)}; `ibstream stop` stops it first"
            return Failed(code="ib_stream_lock_busy", message=message)
        if self._validating:
            return Failed(code="ib_stream_lock_busy", message="another start is being checked right now")
        self._validating = True
        return Validate(start, StreamStarted(**msgspec.structs.asdict(start)))

    def validated(self) -> None:
        """The answer to a `Validate` is here, whatever it says."""
        self._validating = False

    # --- what goes out ---

    def review(self, now: int, at: float, *, settled: bool) -> list[ControlEvent]:
        """Look at everything again, several times a second: the events that this calls for.

        `settled`: the streams are applied up to their heads. The caller journals the events, which folds them
        into the facts; events that could not be journalled come again with the next review.
        """
        if self.watch.check(at):
            self._listening_since = now  # nor were any ticks seen
            self._hears_again = at + self._settings.heartbeat_timeout
        self._reviewed = now if at >= self._hears_again else 0
        self.verdict = self._after_files(judge(self.facts, self.watch, self._limits(now)), at)
        self._note_degraded(now)
        if not settled or (self.watch.waiting() and at < self._settled_at):
            return []
        events: list[ControlEvent] = list(self.watch.changes(self.facts.said_services))
        changed = StatusChanged(status=self.verdict.word, reason=self.verdict.reason)
        if changed != self.facts.said_status:
            events.append(changed)
        return events

    def status(self, now: int) -> Status:
        """The whole status with the verdict of the last review; ages and times are of `now`."""
        return status.build(
            self.facts,
            self.verdict,
            self.watch.statuses(),
            now=now,
            api_mode=self._settings.api_mode,
            lock=self._lock,
            good_until=self._good_until(now),
            marks=self.marks,
        )

    def touched(self, now: int) -> str:
        """How many of the planned symbols are in trouble, in words for people."""
        return touched_sentence(self.facts, self.watch, self._limits(now))

    def held_without_price(self, now: int) -> dict[str, str]:
        """Symbols that an account holds and that have no current price, each with the reason."""
        return held_without_price(self.facts, self.watch, self._limits(now))

    def _good_until(self, now: int) -> int | None:
        """Until when this supervisor vouches for its status: a span from its last look at everything. None when that
        was not just now."""
        if abs(now - self._reviewed) > STALL_NS:
            return None
        return self._reviewed + int(self._settings.good_for_seconds * SECOND)

    def _after_files(self, verdict: Verdict, at: float) -> Verdict:
        """`connected` is not said before each current price is in its file, and not for long while the sink vouches for
        fewer."""
        if verdict.word != "connected":
            self._arriving = {}
            return verdict
        if "sink" not in self._settings.expected:
            return verdict
        if not self._arriving:
            links = {stream: cursor.seq for stream, cursor in self.facts.cursors.items() if kind(stream) == LINK}
            self._arriving, self._arrived, self._vouched_at = links | self._priced_at, False, at
        missing = self.watch.unvouched("sink")
        if not missing and (self._arrived or self.watch.has_applied("sink", self._arriving)):
            self._arrived, self._vouched_at = True, at
        if at - self._vouched_at > FILES_PATIENCE:
            return Verdict("degraded", "not_vouched", f"the sink does not vouch for {missing} of the prices")
        if not self._arrived:
            return Verdict("starting", "awaiting_files", "waiting for the files of the first prices")
        return verdict

    @property
    def outage_expected(self) -> bool:
        """The trouble is IB's own reset, in its window."""
        if self.verdict.reason == "service_down":
            return False
        troubled = [link.link for link in self.facts.links.values() if link.link is not None and not link.ready]
        return bool(troubled) and all(link.expected for link in troubled)

    def _limits(self, now: int) -> Limits:
        return limits_at(now, self._listening_since, self._settings.stale_after)

    def _note_degraded(self, now: int) -> None:
        facts = self.facts
        if self.verdict.word in ("degraded", "disconnected"):
            facts.degraded_since = facts.degraded_since or now
        elif self.verdict.word != "starting":  # on the way back it has not recovered yet
            facts.degraded_since = facts.last_snapshot = 0


def _for_project(request: StreamStarted) -> str:
    if request.symbols is not None:
        shown = ", ".join(request.symbols[:5])
        return f" with {shown}{', ...' if len(request.symbols) > 5 else ''}"
    return f" for project {request.project_id}" if request.project_id is not None else ""


def _alert_view(number: int, alert: AlertFact) -> PriceAlert:
    added = alert.added
    return PriceAlert(
        id=number,
        rule=added.rule,
        pause=added.pause,
        note=added.note,
        added=iso(alert.since),
        count=alert.count,
        last=_notice(alert.last) if alert.last is not None else None,
    )


def _notice(event: AlertFired) -> AlertNotice:
    return AlertNotice(
        id=event.id, symbol=event.symbol, time=iso(event.at), text=event.text, value=event.value, source=event.source
    )
