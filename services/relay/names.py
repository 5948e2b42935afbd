"""Which streams go where, and what they are called in NATS. Used by all of the relay.

Contract: a block of a stream is one message on `ibstream.STREAM`, byte for byte as in the journal, kept by the
JetStream stream `ibstream_STREAM` (of `ticks.a`: `ibstream_ticks_a`); its message id is `STREAM-EPOCH-FIRST_SEQ`.
Last values (heartbeats, the status) go over plain NATS on `ibstream.` and the topic's name, and are kept by nobody.
"""

from typing import NamedTuple

from messages.events import Block
from messages.topics import CONTROL, STATUS, TICKS, heartbeat_topic, kind, writer_of
from services.base.settings import Settings

PREFIX = "ibstream"


class Trouble(Exception):
    """Why a stream is not relayed right now: one sentence for the operator. It is tried again."""


class Position(NamedTuple):
    """How far a stream has come: ordered, for a newer epoch counts more than any sequence number."""

    epoch: int
    seq: int


def position(block: Block) -> Position:
    """Of a block's last event."""
    return Position(block.epoch, block.first_seq + block.count - 1)


def subject(topic: str) -> str:
    return f"{PREFIX}.{topic}"


def jetstream_name(stream: str) -> str:
    return f"{PREFIX}_{stream}".replace(".", "_")  # NATS allows no dot in it


def message_id(stream: str, block: Block) -> str:
    return f"{stream}-{block.epoch}-{block.first_seq}"


def values_of(streams: list[str]) -> list[str]:
    """The last-value topics that go along with streams: what their writers say of themselves, and the status."""
    topics = sorted({heartbeat_topic(writer_of(stream)) for stream in streams})
    return [*topics, STATUS] if CONTROL in streams else topics


def retention_days(settings: Settings, stream: str) -> int:
    return settings.retention_days_ticks if kind(stream) == TICKS else settings.retention_days_events
