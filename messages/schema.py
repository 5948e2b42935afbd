"""JSON Schema of every view, command, reply and event, made from the types themselves: `python -m messages.schema`.

The result stands in `schema.json` beside this file for readers in other languages; a test keeps it in step.
"""

import json
from typing import Any, Final

import msgspec

from messages.candles import Candle
from messages.control import AnyMessage
from messages.events import AnyEvent, EventBlock, Plan, TickBlock
from messages.views import Heartbeat, Quote, Status

ROOTS: Final[dict[str, Any]] = {
    "quote": Quote,
    "candle": Candle,
    "status": Status,
    "heartbeat": Heartbeat,
    "plan": Plan,
    "ticks": TickBlock,
    "events": EventBlock,
    "event": AnyEvent,
    "message": AnyMessage,
}
"""What travels, by the name it has in `schema.json`: topics and files, blocks of streams, commands and replies."""


def document() -> dict[str, Any]:
    """One JSON Schema document: `properties` by the names of ROOTS, everything else under `$defs`."""
    schemas, definitions = msgspec.json.schema_components(ROOTS.values(), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ibstream: what travels between processes and is written to files",
        "properties": dict(zip(ROOTS, schemas, strict=True)),
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201
