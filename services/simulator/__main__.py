"""`python -m services.simulator`: a TWS-protocol server on loopback, for `make run`, tests and anyone's IB client.

Exit codes: 0 stopped by SIGINT or SIGTERM, 1 the port is taken, 2 wrong usage or settings.
"""

import argparse
import asyncio
import ipaddress
import signal
import sys
from pathlib import Path

from messages.errors import IbStreamError
from services import logs
from services.clock import SystemClock
from services.settings import Settings, load
from services.simulator import scenario
from services.simulator.control import Control
from services.simulator.core import Config, Core
from services.simulator.replies import HIGHEST, LOWEST
from services.simulator.scenario import Director, ScenarioError
from services.simulator.server import BUFFER, Server

DEFAULTS = Config()


def parser(settings: Settings) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m services.simulator",
        description="A simulated IB Gateway: speaks the TWS socket protocol (versions 100 to 200) to any IB client.",
    )
    add = made.add_argument
    add("--host", default=settings.sim_host, help="loopback address to listen on (default %(default)s)")
    add("--port", type=_port, default=settings.sim_port, help="0: any free port (default %(default)s)")
    add("--port-file", type=Path, metavar="FILE", help="write the port here, whenever it changes")
    add("--seed", type=int, default=settings.sim_seed, help="of the prices (default %(default)s)")
    add("--rate", type=_count, default=0, metavar="TICKS", help="ticks a second to each client; 0: the natural pace")
    add("--symbols", type=_count, default=DEFAULTS.symbols, metavar="N",
        help="synthetic stocks SIM0001 to SIM<N> beside the real names (default %(default)s)")  # fmt: skip
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
    add("--speed", type=_speed, default=1.0, metavar="X", help="divide the scenario's times by this")
    add("--control", metavar="WHERE",
        help="take steps as lines of JSON: a unix socket's path, a loopback port, or - for standard input")  # fmt: skip
    add("--stats", type=Path, metavar="FILE", help="write counts as JSON here, every second and at exit")
    return made


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a speed above 0")
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


async def serve(arguments: argparse.Namespace, host: str) -> int:
    config = Config(
        seed=arguments.seed,
        rate=arguments.rate,
        symbols=arguments.symbols,
        server_version=arguments.server_version,
        line_limit=arguments.lines,
        message_limit=arguments.message_limit,
        strikes_allowed=arguments.strikes,
        history_pacing=not arguments.no_history_pacing,
    )
    core = Core(config, SystemClock().now())
    director = Director(core, arguments.speed)
    chosen = scenario.load(arguments.scenario) if arguments.scenario else None
    server = Server(core, host, arguments.port, buffer=arguments.buffer, stats=arguments.stats,
                    port_file=arguments.port_file)  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    try:
        await server.start()
    except OSError as error:
        sys.stderr.write(f"ibstream simulator: cannot listen on {host}:{arguments.port}: {error.strerror}\n")
        return 1
    control = Control(director, server.carry, server.counts)
    try:
        place = await control.listen(arguments.control) if arguments.control else ""
    except OSError as error:
        sys.stderr.write(f"ibstream simulator: cannot listen on {arguments.control} for control: {error.strerror}\n")
        return 1
    print(f"simulator listening on {host}:{server.port}" + (f", control on {place}" if place else ""), flush=True)  # noqa: T201
    if chosen is not None:
        server.carry(lambda: director.run(chosen))
    try:
        await server.run()
    finally:
        control.close()
        await server.close()
    return 0


def main() -> int:
    try:
        settings = load()
        arguments = parser(settings).parse_args()
        logs.configure(settings, "simulator")
        host = loopback(arguments.host)
    except IbStreamError as error:
        sys.stderr.write(f"ibstream simulator: {error.message} [{error.code}]\n")
        return error.exit_code
    try:
        return asyncio.run(serve(arguments, host))
    except ScenarioError as error:
        sys.stderr.write(f"ibstream simulator: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
