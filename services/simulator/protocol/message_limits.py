"""The limits that IB enforces, as the server keeps them: messages a second with three strikes, and the history
rules. Pure: times are passed in. Source: TWS API documentation, pacing limitations.
"""

from collections import deque

from services.base.clock import SECOND


class MessageRate:
    """At most `limit` messages in any second. A breach is a strike and starts the count anew."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.strikes = 0
        self._times: deque[int] = deque()

    def breached(self, now: int, lag: float = 0.0) -> bool:
        """Count one message. `lag`: seconds that this server was late to read, which the client is not blamed for."""
        self._times.append(now)
        while self._times[0] <= now - SECOND:
            self._times.popleft()
        if len(self._times) <= self.limit * (1 + lag):
            return False
        self._times.clear()
        self.strikes += 1
        return True


class HistoryPacing:
    """Bars of 30 seconds or less: at most 60 requests in ten minutes, no identical one within 15 seconds, fewer
    than 6 for one contract, exchange and type in two seconds; BID_ASK counts twice."""

    WINDOW, IDENTICAL, BURST = 600 * SECOND, 15 * SECOND, 2 * SECOND

    def __init__(self, limit: int = 60, burst: int = 6) -> None:
        self._limit, self._burst = limit, burst
        self._all: deque[int] = deque()
        self._recent: deque[tuple[int, tuple[str, ...], tuple[str, ...]]] = deque()

    def breach(self, now: int, series: tuple[str, ...], request: tuple[str, ...], weight: int) -> str | None:
        """Count a request for small bars; the rule that it breaks, or None. `series` is contract, exchange and type."""
        while self._all and self._all[0] <= now - self.WINDOW:
            self._all.popleft()
        while self._recent and self._recent[0][0] <= now - self.IDENTICAL:
            self._recent.popleft()
        if len(self._all) + weight > self._limit:
            return f"more than {self._limit} requests in ten minutes"
        if any(request == before for _, _, before in self._recent):
            return "an identical request within 15 seconds"
        if sum(series == before and at > now - self.BURST for at, before, _ in self._recent) + 1 >= self._burst:
            return f"{self._burst} requests for one contract within two seconds"
        self._all.extend([now] * weight)
        self._recent.append((now, series, request))
        return None
