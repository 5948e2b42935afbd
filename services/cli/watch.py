"""`ibstream status --watch`: a live table of every symbol, from the topics `status`, `quote.*` and `heartbeat.*`.

Never shows as current what nobody vouches for any more: a silent supervisor or sink is told as the page tells it.
"""

import signal
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import zmq

from messages.codec import encode_json
from messages.topics import QUOTE_PREFIX, STATUS, events_endpoint, heartbeat_topic
from messages.views import Quote, Status, SymbolStatus
from services.base.settings import Settings
from services.cli import output as tools
from services.cli.table import Table
from services.runtime.bus import Subscriber, unreachable
from services.web.hub import Hub

if TYPE_CHECKING:
    from rich.console import Group

PATIENCE = 5.0  # seconds to wait for the first status
FRAME_SECONDS = 0.25
CURRENT = ("live", "quiet", "delayed", "snapshot", "history")
DROPPED = ("volume", "source", "age", "bid", "ask")  # columns, the least important first


class Viewer:
    """What was heard, as far as somebody vouches for it now: what the page shows."""

    def __init__(self, settings: Settings) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        endpoints = [events_endpoint(service) for service in settings.services]
        self._subscriber = Subscriber(
            self._context, settings, endpoints, [STATUS, QUOTE_PREFIX, *map(heartbeat_topic, settings.services)]
        )
        self._hub = Hub(settings.heartbeat_timeout, "", time.monotonic(), settings.good_for_seconds)

    @property
    def status(self) -> Status | None:
        return self._hub.status

    def quote(self, symbol: str) -> Quote | None:
        return self._hub.quote(symbol)

    def listen(self, seconds: float) -> None:
        """Take what comes within `seconds`, and notice who is silent."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._subscriber.socket.poll(int(left * 1000) + 1)
            self._hub.apply(self._subscriber.drain(), time.monotonic(), time.time_ns())

    def close(self) -> None:
        self._subscriber.close()
        self._context.term()


def watch_status(settings: Settings, *, as_json: bool) -> None:
    """Until Ctrl-C. Raises IbStreamError `supervisor_unreachable` when nobody is there at first."""
    tools.get_status(settings)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    viewer = Viewer(settings)
    try:
        deadline = time.monotonic() + PATIENCE
        while viewer.status is None:
            if time.monotonic() > deadline:
                raise unreachable(settings, "supervisor.events")
            viewer.listen(0.1)
        if as_json:
            _print_lines(viewer)
        else:
            _show(viewer)
    except KeyboardInterrupt:
        pass
    finally:
        viewer.close()


def _print_lines(viewer: Viewer) -> None:
    assert viewer.status is not None
    while True:
        sys.stdout.buffer.write(encode_json(viewer.status) + b"\n")
        sys.stdout.buffer.flush()
        viewer.listen(1.0)


def _show(viewer: Viewer) -> None:
    from rich.live import Live

    console = tools.console()
    with Live(
        render(viewer, console.height, console.width), console=console, auto_refresh=False, screen=console.is_terminal
    ) as live:
        while True:
            viewer.listen(FRAME_SECONDS)
            live.update(render(viewer, console.height, console.width), refresh=True)


def render(viewer: Viewer, height: int, width: int) -> "Group":
    """One picture, at most `height` lines high; in a narrow one the less important columns are left out."""
    from rich.console import Group
    from rich.text import Text

    status = viewer.status
    assert status is not None
    lines = [Text.from_markup(tools.headline(status)), Text.from_markup(tools.services_line(status))]
    lines += [Text(f"warning: {warning}", "yellow") for warning in tools.warnings_of(status)[:3]]
    room = max(3, height - len(lines) - 4)
    table = Table("symbol", ">bid", ">ask", ">last", ">volume", "source", "state", ">age", "reason")
    ordered = sorted(status.symbols.items(), key=_importance)
    for name, symbol in ordered[:room]:
        table.add_row(*_row(name, symbol, viewer.quote(name)))
    if len(ordered) > room:
        lines.append(Text(f"{len(ordered) - room} more symbols; a higher window shows them", "dim"))
    dropped: set[str] = set()
    for column in DROPPED:  # so that what is shown is whole
        if table.without(dropped).width > width:
            dropped.add(column)
    return Group(*lines, table.without(dropped))


def _importance(item: tuple[str, SymbolStatus]) -> tuple[bool, int, str]:
    """Troubles first, then by priority."""
    name, symbol = item
    fine = symbol.state in ("live", "quiet", "closed")
    return fine, symbol.priority if symbol.priority is not None else 1 << 30, name


def _row(name: str, symbol: SymbolStatus, quote: Quote | None) -> list[str]:
    prices = ["", "", "", ""]
    if quote is not None:
        prices = [_number(quote.bid), _number(quote.ask), _number(quote.last), _whole(quote.volume)]
        if quote.stale:
            prices = [f"[dim]{price}[/]" if price else "" for price in prices]
            if symbol.state in CURRENT:  # as somebody said who is silent now
                symbol = msgspec.structs.replace(symbol, state="stale", age=None, reason=quote.reason)
    return [
        name,
        *prices,
        symbol.source or "",
        tools.state_text(symbol.state),
        tools.age_text(symbol.age),
        tools.styled(symbol.reason, None),
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    text = f"{value:,.4f}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"{whole}.{part:0<2}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
