"""What to show as the status: the supervisor's words while it is heard, and the truth once it is not.

Pure: used by the sink for `_status.json` and by the web for its pages, both of which outlive the supervisor.
Guarantees that a status that says `connected` has a supervisor behind it that spoke within the timeout.
"""

import msgspec

from messages.topics import kind
from messages.views import ServiceStatus, Status, StatusWord
from services.base.clock import iso


class StatusKeeper:
    """`last` is what was shown before. Times `at` are seconds on a clock that never goes back."""

    def __init__(self, last: Status, timeout: float, at: float) -> None:
        self._timeout = timeout
        self._told = last  # by the supervisor
        self._shown = last
        self._heard = {"supervisor": at, "gateway": at}
        self._silent = False

    def on_status(self, status: Status, at: float) -> Status:
        """The supervisor published its status: this is what to show."""
        self._told = self._shown = status
        self._silent = False
        self._heard["supervisor"] = at
        return status

    def on_heartbeat(self, service: str, at: float) -> None:
        self._heard[kind(service)] = at  # of several gateways any one will do

    @property
    def current(self) -> Status:
        return self._shown

    def check(self, at: float, now: int) -> Status | None:
        """What to show because the supervisor is silent (`now` in UTC nanoseconds); None for nothing new."""
        if not self._lost("supervisor", at):
            return None
        word = self._word(at)
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

    def _lost(self, service: str, at: float) -> bool:
        return at - self._heard[service] > self._timeout

    def _word(self, at: float) -> StatusWord:
        told = self._told
        if told.status == "stopped" and told.reason != "shutdown":
            return "stopped"
        if told.status in ("connected", "degraded") and not self._lost("gateway", at):
            return "degraded"
        return "disconnected"
