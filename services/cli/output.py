"""What the command groups share: asking the services, and how statuses, times and tables look.

Imports nothing heavy at the top: every command pays for it.
"""

from typing import TYPE_CHECKING, Final, TypeVar

from messages.errors import IbStreamError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from messages.control import AnyMessage, Start
    from messages.views import Status
    from services.base.settings import Settings

T = TypeVar("T")

WORD_STYLE: Final = {
    "connected": "bold green",
    "starting": "bold cyan",
    "degraded": "bold yellow",
    "disconnected": "bold red",
    "stopped": "bold",
}

STATE_STYLE: Final = {
    "live": "green",
    "quiet": "green",
    "closed": "blue",
    "pending": "cyan",
    "halted": "magenta",
    "rejected": "red",
    "stale": "red",
}


def open_streams() -> None:
    """Whoever closed one wants nothing from it; else the next file that is opened would be in its place. What an
    encoding lacks is shown as its code."""
    import io
    import os
    import sys

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settings() -> "Settings":
    import os

    from services.base.settings import load, with_env_file

    return load(with_env_file(os.environ))


def journal(where: "Settings") -> "Path":
    """The folder of the journal. Raises IbStreamError `journal_unavailable` where nothing was ever recorded, or where
    that cannot be seen."""
    from services.journal.days import is_there

    folder = where.journal_dir
    if not is_there(folder):
        sentence = f"there is no journal in {folder}: is IBSTREAM_DATA_ROOT right? Nothing was recorded there"
        raise IbStreamError("journal_unavailable", sentence)
    return folder


def console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False)  # the terminal wraps what is long; nothing is cut


def ask(where: "Settings", endpoint: str, message: "AnyMessage", answer: "type[T]", timeout: float = 5.0) -> "T":
    """Send a command and wait for the answer. A local service that does not run is not waited for.

    Raises IbStreamError: what a `Failed` says, `supervisor_unreachable` or `planner_unreachable`; `invalid_request`
    where something else than an `answer` comes.
    """
    from services.runtime.bus import is_listening, request, unreachable

    local = endpoint.partition(".")[0] not in where.peers
    if local and not is_listening(where.run_path / endpoint):
        raise unreachable(where, endpoint)
    reply = request(where, endpoint, message, timeout=timeout)
    if not isinstance(reply, answer):
        service = endpoint.partition(".")[0]
        raise IbStreamError("invalid_request", f"the {service} answered {type(reply).__name__}")
    return reply


def get_status(where: "Settings") -> "Status":
    """Raises IbStreamError `supervisor_unreachable`."""
    from messages.control import GetStatus, StatusReply
    from messages.topics import SUPERVISOR_CONTROL

    return ask(where, SUPERVISOR_CONTROL, GetStatus(), StatusReply).status


def print_json(value: object) -> None:
    """Indented JSON on standard output, exactly the fields of the message."""
    import sys

    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def symbol_list(text: str | None) -> list[str] | None:
    """`SPY, QQQ` as a list; an empty text is an empty list, which the planner refuses by name."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def since(option: str, text: str | None) -> int | None:
    """The time that an option names, in UTC nanoseconds. Raises IbStreamError."""
    import time

    from services.base.clock import parse_time

    if text is None:
        return None
    try:
        return parse_time(text, time.time_ns())
    except ValueError as error:
        raise IbStreamError("invalid_request", f"{option}: {error}") from None


def span(begin: str | None, end: str | None) -> tuple[int | None, int | None]:
    """What `--from` and `--to` name, in UTC nanoseconds. Raises IbStreamError, also when nothing lies between."""
    first, last = since("--from", begin), since("--to", end)
    if first is not None and last is not None and first >= last:
        raise IbStreamError("invalid_request", "--from is not before --to")
    return first, last


def with_iso_times(value: object, *names: str) -> object:
    """A struct as plain values for JSON, its times of these names as UTC ISO 8601 in place of nanoseconds."""
    import msgspec

    from services.base.clock import iso

    plain = msgspec.to_builtins(value)
    return plain | {name: iso(plain[name]) for name in names if isinstance(plain.get(name), int)}


def start_request(
    project: int | None,
    decision_snapshot: int | None,
    symbols: str | None,
    max_symbols: int | None,
    market_data_type: str | None = None,
    refresh_interval: float | None = None,
    generic_ticks: str | None = None,
) -> "Start":
    from messages.control import Start

    return Start(
        project_id=project,
        decision_snapshot_id=decision_snapshot,
        symbols=symbol_list(symbols),
        max_symbols=max_symbols,
        market_data_type=market_data_type,  # type: ignore[arg-type]
        refresh_interval_seconds=refresh_interval,
        generic_ticks=generic_ticks,
    )


def styled(text: str | None, style: str | None) -> str:
    """Rich markup of a text that may hold anything."""
    from rich.markup import escape

    shown = escape(text or "")
    return f"[{style}]{shown}[/]" if style and shown else shown


def state_text(state: str) -> str:
    return styled(state, STATE_STYLE.get(state, "yellow"))


def age_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} d"


def headline(status: "Status") -> str:
    """The status in one line of markup."""
    parts = [styled(status.status, WORD_STYLE[status.status])]
    if status.reason:
        parts.append(styled(status.reason, None))
    if status.message:
        parts.append(styled(status.message, None))
    return "  ".join(parts)


def warnings_of(status: "Status") -> "list[str]":
    """What is wrong beside the symbols: services that say what ails them, the plan, and what the plan left out."""
    found = [f"{name}: {service.detail}" for name, service in status.services.items() if service.detail]
    if status.plan_problem:
        code = f" [{status.plan_problem_code}]" if status.plan_problem_code else ""
        found.append(f"{status.plan_problem}{code}")
    return found + status.warnings


def services_line(status: "Status") -> str:
    colours = {"up": "green", "failing": "yellow", "down": "red"}
    states = {name: service.state for name, service in status.services.items()}
    return "  ".join(f"{name} {styled(state, colours[state])}" for name, state in states.items())
