"""Settings: environment variables with the prefix IBSTREAM_, read in one place by every service and the CLI.

`load()` guarantees that a value it returns is valid; anything unknown or malformed is an `IbStreamError`
(`invalid_setting`) that names the variable, what came and what is expected. `deploy/env.example` is this
table written out, and a test keeps the two in step.
"""

import difflib
import hashlib
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from messages.errors import IbStreamError
from messages.topics import ONE_GATEWAY, services
from services.base.places import default_root
from services.base.settings_rules import (
    MAX_IPC_PATH,
    check,
    expected_services,
    hide,
    is_loopback,
    longest_endpoint,
    malformed,
    no_such_gateway,
    parse_endpoint,
    parse_gateways,
)

PREFIX = "IBSTREAM_"
TWS_PAPER_PORT = 7497
CHECKOUT = Path(__file__).parents[2]
SIMULATOR_PORT = 17497  # not one that TWS or IB Gateway would have: they run on many a desk

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
MOST: Final = 1_000_000_000  # of any number that may be broken: as seconds a life, as nanoseconds within 64 bits
MOST_WHOLE: Final = 2**63 - 1  # an id of a database
Count = Annotated[int, Meta(ge=1)]
Secret = Annotated[str, Meta(extra={"secret": True})]
"""May hold a password or a token: its value is shown nowhere."""


_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


def _field(default: Any, help: str) -> Any:
    """A setting. `help` ends up in deploy/env.example and in the answer to a malformed value."""
    _HELP.append(help)
    return default


_HELP: list[str] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with its default. The variable's name is the field's, in capitals, after IBSTREAM_."""

    env_file: str = _field("", "file of more settings, NAME=VALUE a line; read again on SIGHUP; the environment wins")
    # where things are
    data_root: str = _field(default_root(), "folder of all files that ibstream writes")
    run_dir: str = _field("", "folder of sockets and locks; empty: run/ in the data root, if its path is short enough")
    # the gateway
    api_mode: Literal["mock", "ib"] = _field("mock", "mock: the built-in simulator; ib: a real TWS or IB Gateway")
    ib_host: str = _field(
        "127.0.0.1", "address of TWS or IB Gateway; in mock mode it is the simulator's, whatever this says"
    )
    ib_port: Port | None = _field(
        None, "API port: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper; empty: 7497"
    )
    ib_client_id: Annotated[int, Meta(ge=0, le=999_999)] = _field(17, "API client id, kept across reconnects")
    ib_backup: str = _field("", "second gateway, host:port, used while the first is away; empty: none")
    gateways: str = _field(
        "",
        "several gateways, NAME=HOST:PORT/CLIENTID/LINES separated by spaces; client id and lines as above when left"
        " out; empty: the one above",
    )
    ib_connect_timeout: Seconds = _field(5.0, "seconds for TCP connect, and again for handshake and ready")
    ib_message_rate: Annotated[int, Meta(ge=1, le=1000)] = _field(45, "most messages a second to the gateway")
    ib_generic_ticks: Annotated[str, Meta(pattern=r"^(\d{1,4}(,\d{1,4})*)?$")] = _field(
        "", "what IB is to stream beside prices and sizes, by its generic tick numbers, such as 233,787 (odd lots)"
    )
    ib_line_limit: Count = _field(100, "market data lines that may be open at once, before IB says otherwise")
    ib_backoff_max: Seconds = _field(30.0, "longest pause between two connection attempts, seconds")
    flight_recorder_mb: Annotated[int, Meta(ge=0, le=1024)] = _field(
        32, "megabytes of raw gateway traffic kept for after a fault; 0: none"
    )
    positions: Literal["off", "mark", "plan"] = _field(
        "off",
        "ask IB what its accounts hold; mark: planned symbols that are held come first, and are marked; plan: what is"
        " held and not planned is planned too",
    )
    allow_delayed: bool = _field(True, "use delayed prices, marked as such, where the live ones are not entitled")
    # what fresh means
    stale_after: Seconds = _field(15.0, "seconds of silence after which a liquid symbol is checked and called stale")
    link_stale_after: Seconds = _field(10.0, "seconds of silence of all symbols after which the link is checked")
    good_for_seconds: Annotated[float, Meta(ge=1, le=60)] = _field(
        5.0, "longest time that a price may be used after something died, seconds; less costs more renewals of files"
    )
    probe_timeout: Seconds = _field(12.0, "seconds that a snapshot probe may take; IB's own limit is about 11")
    gap_fill: bool = _field(True, "fill gaps with one-minute bars from IB history")
    reset_windows: str = _field(
        "daily 00:15-01:45, fri-sat 23:00-03:00, sun 01:00-01:15",
        "when IB resets its servers, in reset_time_zone; an outage inside is expected and raises no alert",
    )
    reset_time_zone: str = _field("America/New_York", "time zone of reset_windows")
    roll_days: Annotated[int, Meta(ge=0, le=366)] = _field(
        5, "days before its last trade date on which the month of a future that rolls (FUT:front) gives way to the next"
    )
    roll_by: Literal["days", "volume"] = _field(
        "days", "rule of futures that roll: days, or volume: sooner, once a later month traded more in a whole day"
    )
    # the plan
    database_url: Secret = _field("", "SQLAlchemy URL of the projects' database; empty: SQLite demo in the data root")
    database_timeout: Seconds = _field(5.0, "seconds that a database query may take")
    project_id: Annotated[int, Meta(ge=1)] | None = _field(
        None, "project to start with; empty: the demo project in mock mode"
    )
    items_root: str = _field("", "only folder from which snapshot CSVs may be read; empty: anywhere")
    max_symbols: Count = _field(100, "symbols to stream at most, unless the start request says otherwise")
    refresh_interval: Annotated[float, Meta(ge=5)] = _field(60.0, "seconds between two reads of the database, least 5")
    # files and journal
    file_interval_ms: Annotated[int, Meta(ge=0, le=60_000)] = _field(
        200, "least milliseconds between two writes of one symbol's file"
    )
    file_writes_per_second: Count = _field(1000, "most symbol files written a second, all symbols together")
    sink_nice: Annotated[int, Meta(ge=0, le=19)] = _field(
        3, "niceness of the sink: on busy cores the gateway goes first; more costs prices where programs fill all cores"
    )
    candles: str = _field(
        "1m 5m 15m 1h 1d", "intervals of the candles that are published, of 1s 5s 1m 5m 15m 1h 1d; empty: none"
    )
    gather_ms: Annotated[int, Meta(ge=0, le=1000)] = _field(
        0, "milliseconds for which ticks may be gathered under load before they go out: 0 is fastest, 50 costs half"
    )
    journal_commit_ms: Annotated[int, Meta(ge=1, le=60_000)] = _field(
        100, "most milliseconds of ticks that a power failure may lose"
    )
    retention_days_ticks: Count = _field(30, "days of ticks to keep")
    retention_days_events: Count = _field(365, "days of link, plan and control events to keep")
    retention_gb: Annotated[float, Meta(gt=0)] = _field(50.0, "gigabytes of journal and archive to keep at most")
    archive_after_days: Count = _field(1, "days after which a closed day is compacted to Parquet")
    # processes
    heartbeat_interval: Annotated[float, Meta(ge=0.05, le=5)] = _field(
        1.0, "seconds between two heartbeats of a service"
    )
    heartbeat_timeout: Seconds = _field(2.5, "seconds of silence after which a service is called down")
    log_level: Literal["debug", "info", "warning", "error"] = _field("info", "least level of a log line")
    log_format: Literal["human", "json"] = _field("human", "how a log line is written")
    # more than one machine
    expected_services: str = _field(
        "gateway planner sink", "services that the stream needs; leave out one that runs elsewhere and is no peer"
    )
    bus_peers: str = _field("", "services reached by tcp, SERVICE=HOST:PORT separated by spaces; the others are local")
    bus_key: str = _field("local", "name of the key that this machine's programs connect with")
    keys_dir: str = _field("", "folder of the keys of tcp endpoints; empty: keys/ in the data root")
    nats_url: Secret = _field("nats://127.0.0.1:4222", "NATS server with JetStream that the relay connects to")
    relay_send: str = _field("", "streams that the relay sends to NATS, such as: ticks link; empty: none")
    relay_receive: str = _field("", "streams of another machine that the relay brings here; empty: none")
    # web
    web_host: str = _field("127.0.0.1", "address of the web page and API; off loopback IBSTREAM_WEB_TOKEN is needed")
    web_port: Port = _field(8765, "port of the web page and API")
    web_token: Secret = _field(
        "", "secret that every client must send as a bearer token; empty: none, on loopback only"
    )
    web_origins: str = _field("", "other origins, comma-separated, whose pages may start and stop the stream")
    # alerts
    alert_urls: Secret = _field("", "apprise URLs, separated by spaces, told of degraded, disconnected and recovered")
    alert_min_interval: Seconds = _field(300.0, "least seconds between two alerts of one kind")
    held_alert_interval: Seconds = _field(
        300.0, "least seconds between two alerts that a held symbol has no current price; needs IBSTREAM_POSITIONS"
    )
    quality_seconds: Annotated[float, Meta(ge=0)] = _field(
        60.0, "seconds between two looks at the quality of what comes in, for metrics and alerts; 0: none"
    )
    # simulator
    sim_host: str = _field("127.0.0.1", "address of the simulator: loopback only")
    sim_port: Port | None = _field(
        None,
        "port of the simulator, and where the gateway finds it in mock mode; empty: in mock mode IBSTREAM_IB_PORT if"
        " that is set, else 17497",
    )
    sim_seed: int = _field(1, "seed of the simulator's prices")

    # --- places derived from the above ---

    @property
    def root(self) -> Path:
        return Path(self.data_root).expanduser().absolute()

    @property
    def stream_dir(self) -> Path:
        """Symbol files and `_status.json`."""
        return self.root / "ib" / "stream"

    @property
    def journal_dir(self) -> Path:
        return self.root / "journal"

    @property
    def state_dir(self) -> Path:
        """Projections with their cursors: rebuilt from the journal when missing."""
        return self.root / "state"

    @property
    def run_path(self) -> Path:
        """Sockets and locks. Falls back to a private folder under the system's temporary one when the data
        root's path is too long for a unix socket."""
        if self.run_dir:
            return Path(self.run_dir).expanduser().absolute()
        inside = self.root / "run"
        if len(str(inside)) + longest_endpoint(self) <= MAX_IPC_PATH:
            return inside
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"ibstream-{os.getuid()}-{digest}"

    @property
    def keys_path(self) -> Path:
        return Path(self.keys_dir).expanduser().absolute() if self.keys_dir else self.root / "keys"

    @property
    def peers(self) -> dict[str, tuple[str, int]]:
        """Host and first port of each service that is reached by tcp: events, then replay, then control."""
        known = self.services
        found: dict[str, tuple[str, int]] = {}
        for part in self.bus_peers.replace(",", " ").split():
            service, sep, where = part.partition("=")
            if not sep or service not in known:
                expected = f"SERVICE=HOST:PORT, a service being one of {', '.join(known)}"
                raise malformed("IBSTREAM_BUS_PEERS", part, expected)
            if service in found:
                raise malformed("IBSTREAM_BUS_PEERS", part, f"each service once, and {service} stands there twice")
            found[service] = parse_endpoint("IBSTREAM_BUS_PEERS", where)
        return found

    @property
    def expected(self) -> tuple[str, ...]:
        """The services without which the stream is not whole."""
        return expected_services(self)

    @property
    def gateway_names(self) -> tuple[str, ...]:
        """The shards of the pipeline: one without a name when there is one gateway."""
        return tuple(parse_gateways(self)) or ONE_GATEWAY

    @property
    def services(self) -> tuple[str, ...]:
        """All services of the pipeline: `gateway`, or one of each name."""
        return services(self.gateway_names)

    @property
    def simulator_address(self) -> tuple[str, int]:
        """Where the simulator listens; in mock mode the one place where the gateway looks for it."""
        given = self.sim_port or (self.ib_port if self.api_mode == "mock" else None)
        return self.sim_host.strip("[]"), given or SIMULATOR_PORT

    @property
    def gateway_addresses(self) -> list[tuple[str, int]]:
        """Where this gateway connects, the best first. A named gateway has the address of its name."""
        simulated = self.api_mode == "mock" and not self.gateways
        found = [self.simulator_address if simulated else (self.ib_host, self.ib_port or TWS_PAPER_PORT)]
        if self.ib_backup:
            backup = parse_endpoint("IBSTREAM_IB_BACKUP", self.ib_backup)
            if not simulated or is_loopback(backup[0]):  # a second simulator may be; a real gateway waits for ib mode
                found.append(backup)
        return found

    @property
    def page_url(self) -> str:
        host = self.web_host.strip("[]")
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{shown}:{self.web_port}"

    @property
    def line_limits(self) -> dict[str, int]:
        """Market data lines of each gateway, by its name."""
        named = parse_gateways(self)
        return {name: found.lines for name, found in named.items()} or {"": self.ib_line_limit}

    def of_gateway(self, name: str) -> "Settings":
        """What the gateway of that name works with. Raises IbStreamError `invalid_setting` when there is none."""
        named = parse_gateways(self)
        if not named and not name:
            return self
        if name not in named:
            raise malformed("IBSTREAM_GATEWAYS", self.gateways, no_such_gateway(name, named))
        found = named[name]
        return msgspec.structs.replace(
            self, ib_host=found.host, ib_port=found.port, ib_client_id=found.client_id, ib_line_limit=found.lines
        )

    @property
    def database(self) -> str | Path:
        """The URL that was given, or the file of the demo."""
        return self.database_url or self.root / "projects.sqlite"

    @property
    def flight_dir(self) -> Path:
        """The flight recorder's ring file and its dumps."""
        return self.root / "flight"

    @property
    def universe_csv(self) -> Path:
        return self.root / "universe" / "universe.csv"


HELP: dict[str, str] = dict(zip(Settings.__struct_fields__, _HELP, strict=True))
"""What each setting is for, by field name."""

_TYPES = get_type_hints(Settings, include_extras=True)

SECRETS: frozenset[str] = frozenset(
    field
    for field, kind in _TYPES.items()
    if any(isinstance(note, Meta) and (note.extra or {}).get("secret") for note in get_args(kind)[1:])
)
"""Settings whose values are shown nowhere, by field name."""

hide(PREFIX + field.upper() for field in SECRETS)


def load(env: Mapping[str, str] | None = None) -> Settings:
    """The settings from `env` (default: the process environment).

    Raises IbStreamError `invalid_setting` for the first unknown or malformed variable.
    """
    env = os.environ if env is None else env
    path = env.get(f"{PREFIX}ENV_FILE", "")
    listed = read_env_file(path)
    values: dict[str, Any] = {}
    for name, text in sorted((listed | dict(env)).items()):
        if not name.startswith(PREFIX):
            continue
        try:
            field = _field_of(name)
            if text.strip() or field in ("data_root",):
                values[field] = _convert(name, field, text.strip())
        except IbStreamError as error:
            where = f" (in {path})" if name in listed and name not in env else ""
            raise IbStreamError(error.code, error.message + where) from None
    settings = Settings(**values)
    check(settings)
    return settings


def with_env_file(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that a person starts: with IBSTREAM_ENV_FILE naming the `.env` of the working
    folder, or else the one beside the Procfile of the checkout that this code is in, unless it names one already."""
    found = dict(env)
    if f"{PREFIX}ENV_FILE" not in found:
        for folder in (Path.cwd(), CHECKOUT):
            if (folder / ".env").is_file() and (folder == Path.cwd() or (folder / "Procfile").is_file()):
                found[f"{PREFIX}ENV_FILE"] = str(folder / ".env")
                break
    return found


def read_env_file(path: str) -> dict[str, str]:
    """The settings in a file of `NAME=VALUE` or `export NAME=VALUE` lines, with or without quotes; blank lines and
    comments, also after a value and a blank, are passed over, and so are other programs' variables.

    Raises IbStreamError `invalid_setting` naming the file and the line. An empty path is an empty file.
    """
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise malformed("IBSTREAM_ENV_FILE", path, f"a readable text file ({error})") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ENV_LINE.fullmatch(line)
        name = match[1] if match is not None else ""
        if match is None or (not name.startswith(PREFIX) and _looks_like_ours(name)):
            raise IbStreamError("invalid_setting", f"{path}, line {number}: expected {PREFIX}NAME=VALUE or a comment")
        if name.startswith(PREFIX):
            found[name] = _env_value(match[2])
    return found


def _env_value(text: str) -> str:
    """What is in quotes, or before a comment."""
    end = text.find(text[0], 1) if text[:1] in ('"', "'") else -1
    if end > 0 and re.match(r"\s*$|\s+#", text[end + 1 :]):
        return text[1:end]
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _looks_like_ours(name: str) -> bool:
    """A misspelt prefix must not make a setting vanish."""
    return difflib.SequenceMatcher(None, name.upper()[: len(PREFIX)], PREFIX).ratio() > 0.7


def _field_of(name: str) -> str:
    """The setting that a variable is for. Raises IbStreamError."""
    field = name[len(PREFIX) :].lower()
    if field not in HELP or name != name.upper():
        raise _unknown(name)
    return field


def _convert(name: str, field: str, text: str) -> Any:
    kind = _TYPES[field]
    if kind is bool and text.lower() in ("yes", "on"):
        return True
    if kind is bool and text.lower() in ("no", "off"):
        return False
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError:
        raise malformed(name, text, expectation(field)) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise malformed(name, text, expectation(field))
    most = MOST if isinstance(value, float) else MOST_WHOLE
    if isinstance(value, float | int) and abs(value) > most:
        raise malformed(name, text, f"{expectation(field)}, at most {most}")
    return value


def expectation(field: str) -> str:
    """What a setting takes, in words: `a whole number from 1 to 65535`."""
    return _describe(_TYPES[field])


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is Annotated:
        base, *metas = get_args(kind)
        low = next((m.ge for m in metas if isinstance(m, Meta) and m.ge is not None), None)
        above = next((m.gt for m in metas if isinstance(m, Meta) and m.gt is not None), None)
        high = next((m.le for m in metas if isinstance(m, Meta) and m.le is not None), None)
        words = _describe(base)
        if low is not None and high is not None:
            return f"{words} from {low} to {high}"
        if low is not None:
            return f"{words} of at least {low}"
        if above is not None:
            return f"{words} above {above}"
        return words
    if kind is bool:
        return "true or false"
    if kind is int:
        return "a whole number"
    if kind is float:
        return "a number"
    if kind is str:
        return "a text"
    return " or ".join(_describe(part) for part in get_args(kind) if part is not type(None))


def _unknown(name: str) -> IbStreamError:
    near = difflib.get_close_matches(name[len(PREFIX) :].lower(), HELP, n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else "; deploy/env.example lists them all"
    return IbStreamError("invalid_setting", f"{name} is not a setting of ibstream{hint}")
