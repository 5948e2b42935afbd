"""What a setting's type cannot say: rules within a text, and between two settings. Called by settings.load.

Everything that a service would refuse at its start is refused here, before anything starts.
"""

import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from messages.candles import INTERVALS, Interval
from messages.errors import IbStreamError
from messages.topics import (
    SIDE_SERVICES,
    SUPERVISOR_CONTROL,
    chosen,
    events_endpoint,
    kind,
    sharded,
    streams,
    writer_of,
)
from services.base.reset_windows import ResetWindows

if TYPE_CHECKING:
    from services.base.settings import Settings

_hidden: set[str] = set()
"""Variables whose value is never repeated."""

DATABASES: Final = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
"""What a database's URL may begin with; a driver after a + is the planner's to choose."""

MAX_IPC_PATH: Final = 100  # a unix socket's path has 107 usable bytes on Linux, 103 on macOS

_HOST = re.compile(r"\[?[A-Za-z0-9._:%-]+\]?")
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GATEWAY = re.compile(r"([a-z0-9]{1,16})=([^/]+)(?:/(\d{1,6}))?(?:/([1-9]\d{0,5}))?")
_URL = re.compile(r"[A-Za-z][\w+.-]*://")


def check(settings: "Settings") -> None:
    """Raises IbStreamError `invalid_setting` for the first that is wrong, naming it."""
    parse_gateways(settings)
    _check_places(settings)
    _check_gateway(settings)
    _check_plan(settings)
    _check_web(settings)
    _check_relay(settings)
    candle_intervals(settings)
    expected_services(settings)
    for url in settings.alert_urls.split():
        if not _URL.match(url):
            raise malformed("IBSTREAM_ALERT_URLS", url, "apprise URLs, such as tgram://token/chat, separated by spaces")
    least = 2 * settings.heartbeat_interval
    if settings.heartbeat_timeout < least:
        expected = f"at least twice IBSTREAM_HEARTBEAT_INTERVAL ({settings.heartbeat_interval})"
        raise malformed("IBSTREAM_HEARTBEAT_TIMEOUT", str(settings.heartbeat_timeout), expected)
    least = 4 * settings.heartbeat_interval
    if settings.good_for_seconds < least:
        expected = f"at least four times IBSTREAM_HEARTBEAT_INTERVAL ({settings.heartbeat_interval})"
        raise malformed("IBSTREAM_GOOD_FOR_SECONDS", str(settings.good_for_seconds), expected)


def hide(names: Iterable[str]) -> None:
    """Variables whose values no error repeats; those of the fields that settings.py marks as secret."""
    _hidden.update(names)


def malformed(name: str, text: str, expected: str) -> IbStreamError:
    """The error for a value, in the one form: which setting, what came, what is expected."""
    shown = "***" if name in _hidden else repr(text)
    return IbStreamError("invalid_setting", f"{name} is {shown}; expected {expected}")


def parse_endpoint(name: str, text: str) -> tuple[str, int]:
    """`host:port`. Raises IbStreamError `invalid_setting` naming the variable."""
    host, sep, port = text.rpartition(":")
    if not sep or not _HOST.fullmatch(host) or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise malformed(name, text, "host:port with a port from 1 to 65535")
    return host.strip("[]"), int(port)


class GatewayAddress(NamedTuple):
    """One of several gateways."""

    host: str
    port: int
    client_id: int
    lines: int


GATEWAY_FORM: Final = "NAME=HOST:PORT/CLIENTID/LINES, the name of lower-case letters and digits"


def parse_gateways(settings: "Settings") -> dict[str, GatewayAddress]:
    """The gateways of IBSTREAM_GATEWAYS by name, as they stand there; none when it is empty.

    Raises IbStreamError `invalid_setting`.
    """
    found: dict[str, GatewayAddress] = {}
    for part in settings.gateways.split():
        match = _GATEWAY.fullmatch(part)
        if match is None:
            raise malformed("IBSTREAM_GATEWAYS", part, GATEWAY_FORM)
        name, where, client, lines = match.groups()
        host, port = parse_endpoint(f"IBSTREAM_GATEWAYS, at {name},", where)
        client_id = settings.ib_client_id if client is None else int(client)
        if name in found:
            raise malformed("IBSTREAM_GATEWAYS", part, f"each name once, and {name} stands there twice")
        if any((host, port, client_id) == (*other[:2], other.client_id) for other in found.values()):
            raise malformed("IBSTREAM_GATEWAYS", part, "another client id: this one has that address already")
        found[name] = GatewayAddress(host, port, client_id, settings.ib_line_limit if lines is None else int(lines))
    return found


def no_such_gateway(name: str, named: Iterable[str]) -> str:
    """What is expected when a gateway is asked for by a name that is not among the `named`."""
    known = ", ".join(named)
    if not name:
        return f"one of its names after `python -m services.gateway`: {known}"
    return f"a gateway named {name!r} in it" + (f" beside {known}" if known else "")


def longest_endpoint(settings: "Settings") -> int:
    """Characters of the longest name of a socket in the run folder, with the slash before it."""
    names = [events_endpoint(sharded("gateway", name)) for name in settings.gateway_names]
    return max(len(f"/{name}") for name in (*names, SUPERVISOR_CONTROL))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origins(settings: "Settings") -> list[str]:
    """The foreign web origins that are let in."""
    return [origin.strip().rstrip("/").lower() for origin in settings.web_origins.split(",") if origin.strip()]


def candle_intervals(settings: "Settings") -> tuple[Interval, ...]:
    """The intervals whose candles are published. Raises IbStreamError `invalid_setting`."""
    words = settings.candles.replace(",", " ").split()
    for word in words:
        if word not in INTERVALS:
            raise malformed("IBSTREAM_CANDLES", word, f"some of {' '.join(INTERVALS)}")
    return tuple(interval for interval in INTERVALS if interval in words)


def relay_streams(settings: "Settings") -> tuple[list[str], list[str]]:
    """The streams that the relay sends, and those that it receives; `ticks` is every gateway's.

    Raises IbStreamError `invalid_setting`.
    """
    known = streams(settings.gateway_names)
    found: list[list[str]] = []
    for name, text in (("SEND", settings.relay_send), ("RECEIVE", settings.relay_receive)):
        try:
            found.append(chosen(text.replace(",", " ").split(), known))
        except KeyError as unknown:
            expected = f"streams, each one of {', '.join(known)}"
            raise malformed(f"IBSTREAM_RELAY_{name}", unknown.args[0], expected) from None
    # A mirror takes the place of a writer, with all of its streams.
    sending = {writer_of(stream) for stream in found[0]}
    for stream in found[1]:
        if writer_of(stream) in sending:
            expected = f"no stream of the {writer_of(stream)}, which IBSTREAM_RELAY_SEND says runs here"
            raise malformed("IBSTREAM_RELAY_RECEIVE", stream, expected)
    return found[0], found[1]


def expected_services(settings: "Settings") -> tuple[str, ...]:
    """Whom the supervisor misses; `gateway` is each of several. Raises IbStreamError `invalid_setting`."""
    known = (*settings.services, *SIDE_SERVICES)
    try:
        found = tuple(chosen(settings.expected_services.replace(",", " ").split(), known))
    except KeyError as unknown:
        expected = f"services, each one of {', '.join(known)}"
        raise malformed("IBSTREAM_EXPECTED_SERVICES", unknown.args[0], expected) from None
    if not {"gateway", "planner"} <= set(map(kind, found)):
        raise malformed("IBSTREAM_EXPECTED_SERVICES", settings.expected_services, "at least gateway and planner")
    return found


def _check_relay(settings: "Settings") -> None:
    relay_streams(settings)
    if urlsplit(settings.nats_url).scheme not in ("nats", "tls", "ws", "wss"):
        raise malformed("IBSTREAM_NATS_URL", settings.nats_url, "an address such as nats://name:password@nats.example")


def _check_places(settings: "Settings") -> None:
    if not settings.data_root.strip():
        raise malformed("IBSTREAM_DATA_ROOT", settings.data_root, "the path of a folder")
    folders = {
        "DATA_ROOT": settings.root,
        "RUN_DIR": settings.run_path,
        "ITEMS_ROOT": Path(settings.items_root).expanduser().absolute() if settings.items_root else None,
        "KEYS_DIR": settings.keys_path,
    }
    for name, path in folders.items():
        if path is not None and _is_file(path):
            text = str(getattr(settings, name.lower()) or path)
            raise malformed(f"IBSTREAM_{name}", text, "the path of a folder, not of a file")
    longest = MAX_IPC_PATH - longest_endpoint(settings)
    if len(str(settings.run_path)) > longest:
        raise malformed("IBSTREAM_RUN_DIR", settings.run_dir, f"a path of at most {longest} characters")
    settings.peers  # noqa: B018 - reading it checks it
    if not _KEY_NAME.fullmatch(settings.bus_key):
        raise malformed("IBSTREAM_BUS_KEY", settings.bus_key, "the name of a key: letters, digits, dots, hyphens")


def _is_file(path: Path) -> bool:
    """Whether there is something else where a folder belongs, or where one of its parents belongs."""
    try:
        there = next(place for place in (path, *path.parents) if os.path.lexists(place))
        return not there.is_dir()
    except OSError:  # not even a path: too long, or below something that may not be read
        return True


def _check_gateway(settings: "Settings") -> None:
    if not _HOST.fullmatch(settings.ib_host):
        raise malformed("IBSTREAM_IB_HOST", settings.ib_host, "a host name or an address")
    if settings.ib_backup:
        parse_endpoint("IBSTREAM_IB_BACKUP", settings.ib_backup)
        if settings.gateways:
            expected = "nothing while IBSTREAM_GATEWAYS names several, each of which stands in for the others"
            raise malformed("IBSTREAM_IB_BACKUP", settings.ib_backup, expected)
    if not is_loopback(settings.sim_host):
        raise malformed("IBSTREAM_SIM_HOST", settings.sim_host, "a loopback address: invented prices stay here")
    ResetWindows(settings.reset_windows, settings.reset_time_zone)


def _check_plan(settings: "Settings") -> None:
    url = settings.database_url
    if url and (not _URL.match(url) or url.partition("://")[0].partition("+")[0].lower() not in DATABASES):
        expected = "the URL of SQLite, PostgreSQL, MySQL or MariaDB, such as postgresql://user:password@host/name"
        raise malformed("IBSTREAM_DATABASE_URL", url, expected)


def _check_web(settings: "Settings") -> None:
    if not _HOST.fullmatch(settings.web_host):
        raise malformed("IBSTREAM_WEB_HOST", settings.web_host, "a host name or an address")
    if not all("!" <= letter <= "~" for letter in settings.web_token):
        raise malformed("IBSTREAM_WEB_TOKEN", settings.web_token, "printable ASCII without spaces")
    if not is_loopback(settings.web_host) and not settings.web_token:
        raise IbStreamError(
            "invalid_setting",
            f"IBSTREAM_WEB_HOST is {settings.web_host!r}, which other machines can reach; expected a secret in"
            " IBSTREAM_WEB_TOKEN too, or 127.0.0.1",
        )
    for origin in origins(settings):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise IbStreamError(
                "invalid_setting",
                f"IBSTREAM_WEB_ORIGINS has {origin!r}; expected origins such as https://desk.example:8443",
            )
