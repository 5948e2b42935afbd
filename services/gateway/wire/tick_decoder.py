"""Decoders of ticks: received bytes in, columns of ticks out, as fast as Python's C code allows.

Called by the gateway's adapter once a drain. Every frame that is no tick, and every tick that is not exactly as it
should be, goes untouched to the official decoder, such a tick in its turn. Guarantees: what a decoder takes, the
official one decodes the same; no frame vanishes; the result does not depend on how the bytes were cut; cost is linear
in the bytes.
"""

from services.gateway.wire.protobuf_ticks import BINARY_IDS, ProtobufTickDecoder
from services.gateway.wire.text_ticks import Odd, TextTickDecoder

TickDecoder = TextTickDecoder | ProtobufTickDecoder


def tick_decoder(server_version: int, odd: Odd | None = None) -> TickDecoder:
    """The decoder for one connection to a gateway that answered with this version. `odd` is called with each tick that
    is not exactly as it should be, when all rows before it are there; without it such ticks go to `rare`."""
    return (ProtobufTickDecoder if server_version >= BINARY_IDS else TextTickDecoder)(server_version, odd)
