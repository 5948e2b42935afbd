"""The one encoder and the typed decoders: msgpack on the bus and in journals, JSON in files and on HTTP.

Decoders raise `msgspec.MsgspecError` for bytes that are not the type: callers count and drop such frames.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from messages.candles import Candle
from messages.control import AnyMessage
from messages.events import AnyEvent, Block, EventBlock, Plan, TickBlock, UnknownEvent
from messages.topics import CONTROL, LINK, PLAN, TICKS, kind
from messages.views import Heartbeat, Quote, Status

_encoder = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()

encode = _encoder.encode
encode_json = _json.encode


def decoder(kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    """A msgpack decoder of one type. For bytes that are not of it, it raises msgspec.MsgspecError and nothing else."""
    return _checked(msgspec.msgpack.Decoder(kind).decode)


def json_decoder(kind: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    """A JSON decoder of one type. For bytes that are not of it, it raises msgspec.MsgspecError and nothing else."""
    return _checked(msgspec.json.Decoder(kind).decode)


def _checked(decode: Callable[[Any], Any]) -> Callable[[bytes | msgspec.Raw], Any]:
    def checked(data: bytes | msgspec.Raw) -> Any:
        try:
            return decode(data)
        except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets these two through
            raise msgspec.DecodeError(str(error)) from None

    return checked


decode_ticks: Callable[[bytes], TickBlock] = decoder(TickBlock)
decode_plan: Callable[[bytes], Plan] = decoder(Plan)
decode_message: Callable[[bytes], AnyMessage] = decoder(AnyMessage)
decode_heartbeat: Callable[[bytes], Heartbeat] = decoder(Heartbeat)
decode_status: Callable[[bytes], Status] = decoder(Status)
decode_quote: Callable[[bytes], Quote] = decoder(Quote)
decode_candle: Callable[[bytes], Candle] = decoder(Candle)

_decode_known_events: Callable[[bytes], EventBlock] = decoder(EventBlock)
_decode_event: Callable[[bytes | msgspec.Raw], AnyEvent] = decoder(AnyEvent)
_decode_plain: Callable[[bytes | msgspec.Raw], Any] = decoder(Any)


class _AnyEvents(msgspec.Struct, tag="events", tag_field="type"):
    """An EventBlock whose events are not looked at."""

    epoch: int
    first_seq: int
    time: int
    events: list[msgspec.Raw]


_decode_any_events: Callable[[bytes], _AnyEvents] = decoder(_AnyEvents)


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
        plain = _decode_plain(raw)
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
