"""Commands and replies of the request/reply endpoints.

The supervisor answers `Command`s, the planner `PlannerCommand`s, each stream's writer `ReplayRequest`s.
A command that changes anything is durable in the journal before it is acknowledged.
"""

from typing import Final

import msgspec

from messages.errors import IbStreamError
from messages.events import MarketDataType, Plan
from messages.views import AlertNotice, PriceAlert, ProjectChoice, SnapshotChoice, Status


class Message(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True):
    """Base of commands and replies. A reader of replies passes over fields that it does not know."""


class Request(Message, frozen=True, forbid_unknown_fields=True):
    """Base of commands: one with a field that is not known here is refused by its name, never half obeyed."""


class Start(Request, tag="start", frozen=True):
    """Start streaming. Fails with `ib_stream_lock_busy` when the stream is started already."""

    project_id: int | None = None
    decision_snapshot_id: int | None = None
    symbols: list[str] | None = None
    max_symbols: int | None = None
    market_data_type: MarketDataType | None = None
    refresh_interval_seconds: float | None = None
    generic_ticks: str | None = None  # asked for with every symbol, beside its own: IB's numbers, as `233,236`


class Stop(Request, tag="stop", frozen=True):
    """Stop streaming; stopping a stopped stream is not an error."""


class GetStatus(Request, tag="get_status", frozen=True):
    pass


class RefreshPlan(Request, tag="refresh_plan", frozen=True):
    """Read the database now, and try rejected symbols again."""


class AddAlert(Request, tag="add_alert", frozen=True):
    """Set a price alert: `SPY rises above 600`. The id of the new one is the `seq` of the answer.

    Fails with `invalid_request`, field `rule`, for what is no rule.
    """

    rule: str
    pause: float = 900.0  # seconds, at least 1: between two of its alerts for one symbol
    note: str = ""


class RemoveAlert(Request, tag="remove_alert", frozen=True):
    """Fails with `alert_not_found`."""

    id: int


class ListAlerts(Request, tag="list_alerts", frozen=True):
    """Which price alerts are set, and when each came last?"""


class ComputePlan(Request, tag="compute_plan", frozen=True):
    """To the planner: what would be planned for this request? Validates it and changes nothing."""

    request: Start


class ListProjects(Request, tag="list_projects", frozen=True):
    """To the planner: which projects are there to choose from?"""


class ListSnapshots(Request, tag="list_snapshots", frozen=True):
    """To the planner: which decision snapshots does a project have? Fails with `project_not_found`."""

    project_id: int


class ReplayRequest(Request, tag="replay", frozen=True):
    """To a stream's writer: blocks from the one that holds `from_seq` on, about `max_bytes` of them.

    With `from_time` (UTC nanoseconds) not before the first block of that time or later; with `symbols` only
    blocks that hold something of one of these.
    """

    stream: str
    from_seq: int
    max_bytes: int = 4_000_000
    from_time: int = 0
    symbols: list[str] = []


class Accepted(Message, tag="accepted", frozen=True):
    """Done, and durable. `seq` is the event's sequence number in the stream `control`."""

    seq: int | None = None
    changed: bool = True


class Failed(Message, tag="failed", frozen=True):
    """`field` is the part of the request that caused it, where one did."""

    code: str
    message: str
    field: str | None = None

    @classmethod
    def by(cls, error: IbStreamError) -> "Failed":
        return cls(code=error.code, message=error.message, field=error.field)


class StatusReply(Message, tag="status", frozen=True):
    status: Status


class PlanReply(Message, tag="plan_reply", frozen=True):
    plan: Plan


class ProjectsReply(Message, tag="projects", frozen=True):
    """By id; of very many the newest, and then `more` is true."""

    projects: list[ProjectChoice]
    more: bool = False


class SnapshotsReply(Message, tag="snapshots", frozen=True):
    """The newest first; `more` is true when there are older ones."""

    snapshots: list[SnapshotChoice]
    more: bool = False


class AlertsReply(Message, tag="alerts", frozen=True):
    """By id: the oldest first. `recent`: the last alerts that came, the newest first, also of those removed since."""

    alerts: list[PriceAlert]
    recent: list[AlertNotice] = []


class ReplayReply(Message, tag="replay_reply", frozen=True):
    """`blocks` as they stand in the journal; `head_seq` is the last sequence number written so far, `next_seq`
    the one to ask for next: with symbols asked for, there may be more though no block came."""

    stream: str
    head_seq: int
    blocks: list[bytes]
    next_seq: int = 0


Command = Start | Stop | GetStatus | RefreshPlan | AddAlert | RemoveAlert | ListAlerts
PlannerCommand = ComputePlan | RefreshPlan | ListProjects | ListSnapshots
Reply = Accepted | Failed | StatusReply | PlanReply | ProjectsReply | SnapshotsReply | AlertsReply | ReplayReply
AnyMessage = Command | PlannerCommand | ReplayRequest | Reply

ANSWERS: Final[dict[type[Message], type[Message]]] = {
    Start: Accepted,
    Stop: Accepted,
    RefreshPlan: Accepted,
    GetStatus: StatusReply,
    AddAlert: Accepted,
    RemoveAlert: Accepted,
    ListAlerts: AlertsReply,
    ComputePlan: PlanReply,
    ListProjects: ProjectsReply,
    ListSnapshots: SnapshotsReply,
    ReplayRequest: ReplayReply,
}
"""What answers each request, but for `Failed`."""
