"""The one encoder and the typed decoders: msgpack on the bus and in journals, JSON in files and on HTTP.

Decoders raise `msgspec.MsgspecError` for bytes that are not the type: callers count and drop such frames.
"""

from collections.abc import Callable

import msgspec

from messages.control import AnyMessage
from messages.events import AnyEvent, Block, EventBlock, Plan, TickBlock, UnknownEvent
from messages.topics import CONTROL, LINK, PLAN, TICKS, kind
from messages.views import Heartbeat, Quote, Status

_encoder = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()

encode = _encoder.encode
encode_json = _json.encode

decode_ticks = msgspec.msgpack.Decoder(TickBlock).decode
decode_plan = msgspec.msgpack.Decoder(Plan).decode
decode_message = msgspec.msgpack.Decoder(AnyMessage).decode
decode_heartbeat = msgspec.msgpack.Decoder(Heartbeat).decode
decode_status = msgspec.msgpack.Decoder(Status).decode
decode_quote = msgspec.msgpack.Decoder(Quote).decode

_decode_known_events = msgspec.msgpack.Decoder(EventBlock).decode
_decode_event: Callable[[bytes | msgspec.Raw], AnyEvent] = msgspec.msgpack.Decoder(AnyEvent).decode


class _AnyEvents(msgspec.Struct, tag="events", tag_field="type"):
    """An EventBlock whose events are not looked at."""

    epoch: int
    first_seq: int
    time: int
    events: list[msgspec.Raw]


_decode_any_events = msgspec.msgpack.Decoder(_AnyEvents).decode


def decode_events(payload: bytes) -> EventBlock:
    """A block of events; those that this program does not know, or cannot read, become UnknownEvents, so that
    sequence numbers stay right. Raises MsgspecError for what is no block of events."""
    try:
        return _decode_known_events(payload)
    except msgspec.ValidationError:
        block = _decode_any_events(payload)
    return EventBlock(block.epoch, block.first_seq, block.time, [_event(raw) for raw in block.events])


def _event(raw: msgspec.Raw) -> AnyEvent:
    try:
        return _decode_event(raw)
    except msgspec.ValidationError:
        plain = msgspec.msgpack.decode(raw)
        if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
            raise
        return UnknownEvent(name=plain["type"])


_by_kind: dict[str, Callable[[bytes], Block]] = {
    TICKS: decode_ticks,
    LINK: decode_events,
    CONTROL: decode_events,
    PLAN: decode_plan,
}


def decode_block(stream: str, payload: bytes) -> Block:
    """The block of a stream. Raises KeyError for an unknown stream, MsgspecError for foreign bytes."""
    return _by_kind[kind(stream)](payload)
