"""Counts of what the server sent and met, for the log at exit and for `--stats FILE`. Kill tests hold them against
the journal: a tick counts when it was handed to the socket, and is moved to `unsent` when the connection ended
with the tick still in this process.
"""

from collections import Counter, OrderedDict
from dataclasses import asdict, dataclass, field
from typing import Any

from services.base.clock import iso

CONNECTIONS_KEPT = 1000


@dataclass
class Connection:
    since: int
    client_id: int = -1
    server_version: int = 0
    ticks: int = 0
    unsent: int = 0
    until: int = 0
    reason: str = ""


@dataclass
class Stats:
    ticks: int = 0
    unsent: int = 0
    accepted: int = 0
    dropped: int = 0  # connections that the server ended, for whatever reason
    slow: int = 0  # of those, for not reading
    garbage: int = 0
    strikes: int = 0
    symbols: Counter[str] = field(default_factory=Counter)
    client_ids: Counter[int] = field(default_factory=Counter)
    requests: Counter[int] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)
    connections: OrderedDict[int, Connection] = field(default_factory=OrderedDict)

    def connected(self, conn: int, now: int) -> None:
        self.accepted += 1
        self.connections[conn] = Connection(now)
        while len(self.connections) > CONNECTIONS_KEPT:
            self.connections.popitem(last=False)

    def started(self, conn: int, client_id: int, version: int) -> None:
        one = self.connections[conn]
        one.client_id, one.server_version = client_id, version

    def sent(self, conn: int, ticks: int) -> None:
        if ticks:
            self.ticks += ticks
            one = self.connections.get(conn)
            if one is not None:
                one.ticks += ticks
                self.client_ids[one.client_id] += ticks

    def note(self, conn: int, reason: str) -> None:
        """Why the server ends a connection."""
        self.dropped += 1
        if conn in self.connections:
            self.connections[conn].reason = reason

    def closed(self, conn: int, now: int, unsent: int, reason: str) -> None:
        self.unsent += unsent
        one = self.connections.get(conn)
        if one is not None:
            one.until, one.unsent = now, unsent
            one.reason = one.reason or reason

    def as_json(self, now: int) -> dict[str, Any]:
        """`ticks.total` were handed to sockets; `ticks.unsent` of them never left. The rest is by client and symbol."""
        connections = []
        for conn, one in self.connections.items():
            row = asdict(one) | {"conn": conn, "since": iso(one.since), "until": iso(one.until) if one.until else None}
            connections.append(row)
        return {
            "time": iso(now),
            "ticks": {
                "total": self.ticks,
                "unsent": self.unsent,
                "by_client_id": {str(key): count for key, count in sorted(self.client_ids.items())},
                "by_symbol": dict(sorted(self.symbols.items())),
            },
            "accepted": self.accepted,
            "open": sum(1 for one in self.connections.values() if not one.until),
            "dropped": self.dropped,
            "slow": self.slow,
            "garbage": self.garbage,
            "strikes": self.strikes,
            "requests": {str(key): count for key, count in sorted(self.requests.items())},
            "errors": {str(key): count for key, count in sorted(self.errors.items())},
            "connections": connections,
        }
