"""The one encoder and the typed decoders: msgpack on the bus and in journals, JSON in files and on HTTP.

Decoders raise `msgspec.MsgspecError` for bytes that are not the type: callers count and drop such frames.
"""

from collections.abc import Callable

import msgspec

from messages.control import AnyMessage
from messages.events import Block, EventBlock, Plan, TickBlock
from messages.topics import CONTROL, LINK, PLAN, TICKS
from messages.views import Heartbeat, Quote, Status

_encoder = msgspec.msgpack.Encoder()
_json = msgspec.json.Encoder()

encode = _encoder.encode
encode_json = _json.encode

decode_ticks = msgspec.msgpack.Decoder(TickBlock).decode
decode_events = msgspec.msgpack.Decoder(EventBlock).decode
decode_plan = msgspec.msgpack.Decoder(Plan).decode
decode_message = msgspec.msgpack.Decoder(AnyMessage).decode
decode_heartbeat = msgspec.msgpack.Decoder(Heartbeat).decode
decode_status = msgspec.msgpack.Decoder(Status).decode
decode_quote = msgspec.msgpack.Decoder(Quote).decode

_by_stream: dict[str, Callable[[bytes], Block]] = {
    TICKS: decode_ticks,
    LINK: decode_events,
    CONTROL: decode_events,
    PLAN: decode_plan,
}


def decode_block(stream: str, payload: bytes) -> Block:
    """The block of a stream. Raises KeyError for an unknown stream, MsgspecError for foreign bytes."""
    return _by_stream[stream](payload)
