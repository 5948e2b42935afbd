"""The names of topics, journal streams and endpoints, in one place.

A stream is a journalled, sequenced series of blocks with exactly one writer. A topic is a name on the bus.
Stream blocks travel on the topic of the stream's name; views travel on last-value topics, whose current
value every new subscriber gets at once.

With several gateways (`IBSTREAM_GATEWAYS`), each has a name and streams of its own, `ticks.NAME` and `link.NAME`,
written by the service `gateway.NAME`: so a name has a kind, and sometimes a shard behind a dot. One gateway alone
has no name.
"""

import re
from collections.abc import Iterable
from typing import Final

TICKS: Final = "ticks"  # stream, gateway: TickBlock
LINK: Final = "link"  # stream, gateway: EventBlock of link events
PLAN: Final = "plan"  # stream and last-value topic, planner: Plan
CONTROL: Final = "control"  # stream, supervisor: EventBlock of control events
STATUS: Final = "status"  # last-value topic, supervisor: Status
QUOTE_PREFIX: Final = "quote."  # last-value topics, sink: Quote
CANDLE_PREFIX: Final = "candle."  # last-value topics, sink: Candle
HEARTBEAT_PREFIX: Final = "heartbeat."  # every service, once a second: Heartbeat

_WRITER: Final = {TICKS: "gateway", LINK: "gateway", PLAN: "planner", CONTROL: "supervisor"}

SHARDED: Final = (TICKS, LINK)
"""Kinds of stream of which each gateway has one of its own."""

ONE_GATEWAY: Final = ("",)
"""The shards of one gateway alone: it has no name."""

SIDE_SERVICES: Final = ("relay",)
"""Services that only some machines run. They are heard like the others, and nobody misses them."""

SHARD: Final = re.compile(r"[a-z0-9]+")


def kind(name: str) -> str:
    """Of a stream or a service: `ticks` of `ticks.a`, `gateway` of `gateway.a`."""
    return name.partition(".")[0]


def shard(name: str) -> str:
    """Of a stream or a service: `a` of `ticks.a`; empty without one."""
    return name.partition(".")[2]


def sharded(kind: str, shard: str) -> str:
    """The name of a shard's stream or service: `ticks.a`, and `ticks` without a shard."""
    return f"{kind}.{shard}" if shard else kind


def chosen(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of the `known` streams or services that are named, each once; a kind names every shard of it.

    Raises KeyError with the first name that is not known.
    """
    known = tuple(known)
    found: dict[str, None] = {}
    for name in names:
        of_it = [one for one in known if name in (one, kind(one))]
        if not of_it:
            raise KeyError(name)
        found |= dict.fromkeys(of_it)
    return list(found)


def writer_of(stream: str) -> str:
    """Which service writes a stream; nobody else ever does. Raises KeyError for an unknown one."""
    return sharded(_WRITER[kind(stream)], shard(stream))


def is_stream(name: str) -> bool:
    own, dot, part = name.partition(".")
    return own in SHARDED and SHARD.fullmatch(part) is not None if dot else own in _WRITER


def streams(shards: Iterable[str] = ONE_GATEWAY) -> tuple[str, ...]:
    """All streams of a pipeline whose gateways have these names."""
    shards = tuple(shards)
    return (*(sharded(kind, shard) for kind in SHARDED for shard in shards), PLAN, CONTROL)


def services(shards: Iterable[str] = ONE_GATEWAY) -> tuple[str, ...]:
    """All services of such a pipeline, but for those beside it."""
    return ("simulator", *(sharded("gateway", shard) for shard in shards), "planner", "sink", "supervisor", "web")


STREAMS: Final = streams()
SERVICES: Final = services()
"""With one gateway."""


def quote_topic(symbol: str) -> str:
    return QUOTE_PREFIX + symbol


def candle_topic(interval: str, symbol: str) -> str:
    return f"{CANDLE_PREFIX}{interval}.{symbol}"


def heartbeat_topic(service: str) -> str:
    return HEARTBEAT_PREFIX + service


# Endpoint names; services/runtime/bus.py turns them into addresses. A publisher's endpoint is `{service}.events`, a
# stream writer's replay endpoint `{service}.replay`, and these two answer commands:
SUPERVISOR_CONTROL: Final = "supervisor.control"
PLANNER_CONTROL: Final = "planner.control"


def events_endpoint(service: str) -> str:
    return f"{service}.events"


def replay_endpoint(service: str) -> str:
    return f"{service}.replay"
