"""The names of topics, journal streams and endpoints, in one place.

A stream is a journalled, sequenced series of blocks with exactly one writer. A topic is a name on the bus.
Stream blocks travel on the topic of the stream's name; views travel on last-value topics, whose current
value every new subscriber gets at once.
"""

from typing import Final

TICKS: Final = "ticks"  # stream, gateway: TickBlock
LINK: Final = "link"  # stream, gateway: EventBlock of link events
PLAN: Final = "plan"  # stream and last-value topic, planner: Plan
CONTROL: Final = "control"  # stream, supervisor: EventBlock of control events
STATUS: Final = "status"  # last-value topic, supervisor: Status
QUOTE_PREFIX: Final = "quote."  # last-value topics, sink: Quote
HEARTBEAT_PREFIX: Final = "heartbeat."  # every service, twice a second: Heartbeat

STREAM_WRITER: Final = {TICKS: "gateway", LINK: "gateway", PLAN: "planner", CONTROL: "supervisor"}
"""Which service writes a stream. Nobody else ever does."""

SERVICES: Final = ("simulator", "gateway", "planner", "sink", "supervisor", "web")

SIDE_SERVICES: Final = ("relay",)
"""Services that only some machines run. They are heard like the others, and nobody misses them."""


def quote_topic(symbol: str) -> str:
    return QUOTE_PREFIX + symbol


def heartbeat_topic(service: str) -> str:
    return HEARTBEAT_PREFIX + service


# Endpoint names; bus.py turns them into addresses. A publisher's endpoint is `{service}.events`, a stream
# writer's replay endpoint `{service}.replay`, and these two answer commands:
SUPERVISOR_CONTROL: Final = "supervisor.control"
PLANNER_CONTROL: Final = "planner.control"


def events_endpoint(service: str) -> str:
    return f"{service}.events"


def replay_endpoint(service: str) -> str:
    return f"{service}.replay"
