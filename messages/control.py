"""Commands and replies of the request/reply endpoints.

The supervisor answers `Command`s, the planner `PlannerCommand`s, each stream's writer `ReplayRequest`s.
A command that changes anything is durable in the journal before it is acknowledged.
"""

from typing import Literal

import msgspec

from messages.events import MarketDataType, Plan
from messages.views import Status


class Message(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True):
    """Base of commands and replies."""


class Start(Message, tag="start", frozen=True):
    """Start streaming. Fails with `ib_stream_lock_busy` when the stream is started already."""

    project_id: int | None = None
    decision_snapshot_id: int | None = None
    symbols: list[str] | None = None
    max_symbols: int | None = None
    market_data_type: MarketDataType | None = None
    refresh_interval_seconds: float | None = None


class Stop(Message, tag="stop", frozen=True):
    """Stop streaming; stopping a stopped stream is not an error."""


class GetStatus(Message, tag="get_status", frozen=True):
    pass


class RefreshPlan(Message, tag="refresh_plan", frozen=True):
    """Read the database now, and try rejected symbols again."""


class ComputePlan(Message, tag="compute_plan", frozen=True):
    """To the planner: what would be planned for this request? Validates it and changes nothing."""

    request: Start


class ReplayRequest(Message, tag="replay", frozen=True):
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
    code: str
    message: str


class StatusReply(Message, tag="status", frozen=True):
    status: Status


class PlanReply(Message, tag="plan_reply", frozen=True):
    plan: Plan


class ReplayReply(Message, tag="replay_reply", frozen=True):
    """`blocks` as they stand in the journal; `head_seq` is the last sequence number written so far, `next_seq`
    the one to ask for next: with symbols asked for, there may be more though no block came."""

    stream: str
    head_seq: int
    blocks: list[bytes]
    next_seq: int = 0


Command = Start | Stop | GetStatus | RefreshPlan
PlannerCommand = ComputePlan | RefreshPlan
Reply = Accepted | Failed | StatusReply | PlanReply | ReplayReply
AnyMessage = Command | ComputePlan | ReplayRequest | Reply

ServiceName = Literal["simulator", "gateway", "planner", "sink", "supervisor", "web"]
