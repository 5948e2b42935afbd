"""The simulator's command line."""

import argparse
import ipaddress
from pathlib import Path

from messages.errors import IbStreamError
from services.base.settings import Settings
from services.simulator.core import Config
from services.simulator.protocol.versions import HIGHEST, LOWEST
from services.simulator.server import BUFFER
from services.simulator.trouble import scenario

DEFAULTS = Config()


def parser(settings: Settings) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="ibstream simulate",
        description="A simulated IB Gateway: speaks the TWS socket protocol "
        f"(server versions {LOWEST} to {HIGHEST}, text and protobuf) to any IB client.",
    )
    add = made.add_argument
    add("--host", default=settings.sim_host, help="loopback address to listen on (default %(default)s)")
    add("--port", type=_port, default=settings.simulator_address[1], help="0: any free port (default %(default)s)")
    add("--port-file", type=Path, metavar="FILE", help="write the port here, whenever it changes")
    add("--seed", type=int, default=settings.sim_seed, help="of the prices (default %(default)s)")
    add("--rate", type=_count, default=0, metavar="TICKS", help="ticks a second over all lines; 0: the natural pace")
    add("--symbols", type=_count, default=DEFAULTS.symbols, metavar="N",
        help="synthetic stocks SIM0001 to SIM<N> beside the real names (default %(default)s)")  # fmt: skip
    add("--known-only", action="store_true", help="invent no stock: 200 for every name that is not listed")
    add("--read-only", action="store_true", help="refuse orders: 321")
    add("--master-client-id", type=_count, metavar="N", help="the client that hears of all clients' orders")
    add("--server-version", type=_version, default=HIGHEST, metavar="N", help=f"{LOWEST} to {HIGHEST}, the default")
    add("--lines", type=_count, default=DEFAULTS.line_limit, metavar="N",
        help="market data lines before error 101 (default %(default)s)")  # fmt: skip
    add("--message-limit", type=_count, default=DEFAULTS.message_limit, metavar="N",
        help="client messages a second before error 100 (default %(default)s)")  # fmt: skip
    add("--strikes", type=_count, default=DEFAULTS.strikes_allowed, metavar="N",
        help="breaches of that limit before the connection is closed (default %(default)s)")  # fmt: skip
    add("--no-history-pacing", action="store_true", help="answer any number of historical data requests")
    add("--buffer", type=_count, default=BUFFER, metavar="BYTES",
        help="unread bytes before a client is dropped (default %(default)s)")  # fmt: skip
    add("--scenario", metavar="NAME", help="a TOML file, or one of: " + ", ".join(scenario.shipped()))
    add("--replay", metavar="DAY",
        help="serve a recorded day, not invented prices: YYYY-MM-DD or last in the data root, or a file")  # fmt: skip
    add("--speed", type=_speed, default=1.0, metavar="X",
        help="of the scenario and the replay: 1, 10, ...; max replays as fast as the client reads")  # fmt: skip
    add("--control", metavar="WHERE",
        help="take steps as lines of JSON: a unix socket's path, a loopback port, or - for standard input")  # fmt: skip
    add("--pipeline", action="store_true", help="run as a service of the pipeline: heartbeats, one on a data root")
    add("--stats", type=Path, metavar="FILE", help="write counts as JSON here, every second and at exit")
    return made


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _speed(text: str) -> float:
    """0 stands for max."""
    if text == "max":
        return 0.0
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is neither a speed above 0 nor max")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 0 to 65535")
    return value


def _version(text: str) -> int:
    value = int(text)
    if not LOWEST <= value <= HIGHEST:
        raise argparse.ArgumentTypeError(f"{text} is not a server version from {LOWEST} to {HIGHEST}")
    return value


def loopback(host: str) -> str:
    """The address of a loopback host. Raises IbStreamError for any other: invented prices stay on this machine."""
    name = "127.0.0.1" if host == "localhost" else host
    try:
        inside = ipaddress.ip_address(name).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise IbStreamError("invalid_setting", f"the simulator listens on loopback only, not on {host!r}")
    return name


def config(arguments: argparse.Namespace) -> Config:
    return Config(
        seed=arguments.seed,
        rate=arguments.rate,
        symbols=arguments.symbols,
        server_version=arguments.server_version,
        line_limit=arguments.lines,
        message_limit=arguments.message_limit,
        strikes_allowed=arguments.strikes,
        history_pacing=not arguments.no_history_pacing,
        known_only=arguments.known_only,
        read_only=arguments.read_only,
        master_client_id=arguments.master_client_id,
    )
