"""Alerts: which changes of the status are told to people, and when; and the thread that tells them.

`AlertPolicy` is pure. `Messenger` sends through apprise, an optional dependency, in a thread of its own with
a bounded queue: a slow mail server never holds up the supervisor. Off while IBSTREAM_ALERT_URLS is empty.
"""

import math
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from messages.errors import IbStreamError

log = structlog.get_logger()

SETTLE_SECONDS: Final = 5.0  # a trouble that is over sooner is told to nobody
QUEUE: Final = 100
MOST_NAMED: Final = 20  # symbols in one alert


class Alert(NamedTuple):
    kind: str  # degraded, disconnected, recovered, held, held_again, price, quality
    title: str
    text: str


class Installation(NamedTuple):
    """Which ibstream an alert is of: somebody may run several, and reads it on a telephone."""

    host: str
    data_root: str
    page: str  # the page's address

    def signed(self, alert: Alert, touched: str) -> Alert:
        """The alert with what it touches, where it comes from, and where to look, a line each."""
        origin = f"host {self.host}, data root {self.data_root}"
        return alert._replace(text="\n".join((alert.text, touched, origin, self.page)))


class AlertPolicy:
    """Called with the status about once a second; times are seconds on a clock that never goes back.

    A trouble is told once it has lasted `SETTLE_SECONDS`, and its end once it was told. Between two alerts
    of one kind at least `min_interval` seconds pass. An outage in an expected reset window is not told, unless
    it outlasts the window.
    """

    def __init__(self, min_interval: float) -> None:
        self._min_interval = min_interval
        self._sent: dict[str, float] = {}
        self._word = "connected"
        self._since = 0.0
        self._told: str | None = None  # the trouble that people know of

    def decide(self, word: str, message: str | None, expected: bool, now: float) -> Alert | None:
        if word != self._word:
            self._word, self._since = word, now
        if word in ("degraded", "disconnected"):
            if expected or self._told == word or now - self._since < SETTLE_SECONDS:
                return None
            alert = self._allowed(word, f"ibstream is {word}", message or word, now)
            if alert is not None:
                self._told = word
            return alert
        if word == "connected" and self._told is not None:
            alert = self._allowed("recovered", "ibstream has recovered", f"connected again after: {self._told}", now)
            if alert is not None:
                self._told = None
            return alert
        if word == "stopped":
            self._told = None  # by somebody's wish: nothing to tell
        return None

    def _allowed(self, kind: str, title: str, text: str, now: float) -> Alert | None:
        last = self._sent.get(kind)
        if last is not None and now - last < self._min_interval:
            return None
        self._sent[kind] = now
        return Alert(kind, title, text)


class HeldAlerts:
    """Which alerts come of symbols that are held and have no current price. Called with them and their reasons, in
    words, about once a second; times are seconds on a clock that never goes back.

    One is told once it has lasted `SETTLE_SECONDS`, with others that have, and its end once it was told. Between two
    alerts at least `min_interval` seconds pass: what comes meanwhile is told then, if it still is so.
    """

    def __init__(self, min_interval: float) -> None:
        self._min_interval = min_interval
        self._sent = -math.inf
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def decide(self, bad: Mapping[str, str], expected: bool, now: float) -> Alert | None:
        """`expected`: IB's own reset, which is told to nobody."""
        self._since = {symbol: self._since.get(symbol, now) for symbol in bad}
        if expected or now - self._sent < self._min_interval:
            return None
        news = [symbol for symbol, since in self._since.items() if now - since >= SETTLE_SECONDS]
        news = [symbol for symbol in news if symbol not in self._told]
        over = self._told - bad.keys()
        if not news and not over:
            return None
        self._sent = now
        self._told = (self._told - over) | set(news)
        back = f"with a price again: {', '.join(sorted(over)[:MOST_NAMED])}" if over else ""
        if not news:
            return Alert("held_again", "ibstream: what is held has prices again", back)
        lines = [f"{symbol}: {bad[symbol]}" for symbol in news[:MOST_NAMED]]
        more = len(news) - len(lines)
        lines += [f"and {more} more"] * bool(more) + [back] * bool(back)
        title = (
            f"{news[0]} is held and has no current price"
            if len(news) == 1
            else (f"{len(news)} symbols are held and have no current price")
        )
        return Alert("held", f"ibstream: {title}", "\n".join(lines))


class Messenger:
    """Sends alerts, in a thread. Raises IbStreamError `invalid_setting` when it is made with URLs it cannot use."""

    def __init__(self, urls: str, notify: Callable[[Alert], bool] | None = None) -> None:
        self.sent = self.failed = 0
        self._notify = notify or _apprise(urls.split())
        self._queue: queue.Queue[Alert | None] = queue.Queue(QUEUE)
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def send(self, alert: Alert) -> None:
        """Never blocks: with the queue full the alert is dropped with a log line."""
        try:
            self._queue.put_nowait(alert)
        except queue.Full:
            log.warning("alert_dropped", kind=alert.kind)

    def close(self, wait: float = 1.0) -> None:
        """Let the thread finish what it is sending, for `wait` seconds at most."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(wait)

    def _run(self) -> None:
        while (alert := self._queue.get()) is not None:
            try:
                delivered = self._notify(alert)
            except Exception as error:
                log.warning("alert_failed", kind=alert.kind, error=type(error).__name__)
                delivered = False
            self.sent += delivered
            self.failed += not delivered
            log.info("alert", kind=alert.kind, text=alert.text, delivered=delivered)


def _apprise(urls: list[str]) -> Callable[[Alert], bool]:
    try:
        import apprise
    except ImportError:
        raise IbStreamError(
            "invalid_setting",
            "IBSTREAM_ALERT_URLS is set, which needs the extra `alerts`: pip install '.[alerts]' in the checkout",
        ) from None
    client = apprise.Apprise()
    for number, url in enumerate(urls, 1):
        if not client.add(url):  # the URL is not repeated: it may hold a password
            raise IbStreamError(
                "invalid_setting", f"IBSTREAM_ALERT_URLS: number {number} is not a URL that apprise knows"
            )
    kinds: dict[str, Any] = {
        "degraded": apprise.NotifyType.WARNING,
        "disconnected": apprise.NotifyType.FAILURE,
        "recovered": apprise.NotifyType.SUCCESS,
        "held": apprise.NotifyType.FAILURE,
        "held_again": apprise.NotifyType.SUCCESS,
        "price": apprise.NotifyType.INFO,
        "quality": apprise.NotifyType.WARNING,
    }
    return lambda alert: bool(client.notify(title=alert.title, body=alert.text, notify_type=kinds[alert.kind]))
