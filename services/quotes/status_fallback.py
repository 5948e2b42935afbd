"""What to show as the status: the supervisor's words while it is heard, and the truth once it is not.

Pure: used by the sink for `_status.json` and by the web for its pages, both of which outlive the supervisor.
Guarantees that a status that says `connected` has a supervisor behind it that spoke within the timeout.
"""

import msgspec

from messages.topics import kind
from messages.views import ServiceStatus, Status, StatusWord
from services.base.clock import iso
from services.base.liveness import Liveness


class StatusKeeper:
    """`last` is what was shown before; who is heard, the caller tells `alive`: a status of the supervisor too."""

    def __init__(self, last: Status, alive: Liveness) -> None:
        self._told = last  # by the supervisor
        self._shown = last
        self._alive = alive
        self._silent = False

    def on_status(self, status: Status) -> Status:
        """The supervisor published its status: this is what to show."""
        self._told = self._shown = status
        self._silent = False
        return status

    @property
    def current(self) -> Status:
        return self._shown

    def check(self, now: int) -> Status | None:
        """What to show because the supervisor is silent (`now` in UTC nanoseconds); None for nothing new."""
        if "supervisor" not in self._alive.lost:
            return None
        word = self._word()
        if self._silent and word == self._shown.status:
            return None
        self._silent = True
        told = self._told
        known = told.services.get("supervisor", ServiceStatus(state="down"))
        self._shown = msgspec.structs.replace(
            told,
            status=word,
            reason="service_down",
            message="the supervisor is down: nobody watches over the stream",
            degraded_since=told.degraded_since or iso(now),
            services={**told.services, "supervisor": msgspec.structs.replace(known, state="down")},
            good_until=None,
        )
        return self._shown

    def at_stop(self) -> Status:
        """The sink ends, cleanly: nobody writes `_status.json` from here on."""
        services = dict(self._shown.services)
        if "sink" in services:
            services["sink"] = msgspec.structs.replace(services["sink"], state="down")
        return msgspec.structs.replace(
            self._shown,
            status="stopped",
            reason="shutdown",
            message="ibstream was shut down",
            services=services,
            good_until=None,
        )

    def _word(self) -> StatusWord:
        told = self._told
        if told.status == "stopped" and told.reason != "shutdown":
            return "stopped"
        if told.status in ("connected", "degraded") and any(map(self._alive.heard, self._gateways())):
            return "degraded"
        return "disconnected"

    def _gateways(self) -> list[str]:
        return [name for name in self._alive.names() if kind(name) == "gateway"]
