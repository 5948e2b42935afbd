"""The simulator's process: what `python -m services.simulator` and `ibstream simulate` run.

Exit codes: 0 stopped by SIGINT or SIGTERM, 1 the port is taken, 2 wrong usage or settings, and those of
messages/errors.py for a replay without its journal or a second one on a data root.
"""

import argparse
import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from messages.errors import IbStreamError
from services.base import logs
from services.base.clock import SystemClock
from services.base.settings import Settings, load
from services.simulator.control import Control
from services.simulator.core import Core
from services.simulator.heartbeat import PipelineHeartbeat
from services.simulator.options import config, loopback, parser
from services.simulator.recording.capture import is_capture
from services.simulator.server import Server
from services.simulator.tape.capture_tape import CaptureTape, link_scenario
from services.simulator.tape.flight_tape import FlightTape, is_flight
from services.simulator.tape.player import ReplayMarket
from services.simulator.tape.tape import AnyTape, Tape, Tapes, find_day, instruments
from services.simulator.trouble import scenario
from services.simulator.trouble.scenario import Director, ScenarioError

log = structlog.get_logger()


def build(settings: Settings, arguments: argparse.Namespace) -> Core:
    """The core, on invented prices or on a tape. Raises IbStreamError."""
    now = SystemClock().now()
    if arguments.replay is None:
        return Core(config(arguments), now)
    paths = find_day(arguments.replay, settings.journal_dir)
    tape = _tape(paths)
    listed = instruments(tape)
    market = ReplayMarket(tape, listed, arguments.speed)
    core = Core(config(arguments), now, market, listed)
    if is_capture(paths[0]) and arguments.speed and not arguments.scenario:
        recorded = link_scenario(paths[0], tape.first)
        market.on_start = lambda: Director(core, arguments.speed).run(recorded)
    return core


def _tape(paths: list[Path]) -> AnyTape:
    if is_capture(paths[0]):
        return CaptureTape(paths[0])
    if is_flight(paths[0]):
        return FlightTape(paths[0])
    tapes = [Tape(path) for path in paths]
    return tapes[0] if len(tapes) == 1 else Tapes(tapes)


async def serve(settings: Settings, arguments: argparse.Namespace, host: str) -> int:
    """Run until a signal; the exit code. Raises IbStreamError and ScenarioError before anything listens."""
    chosen = scenario.load(arguments.scenario) if arguments.scenario else None
    async with AsyncExitStack() as stack:
        core = build(settings, arguments)
        stack.callback(core.market.close)
        director = Director(core, arguments.speed or 1.0)
        heartbeat = PipelineHeartbeat(settings, core) if arguments.pipeline else None
        if heartbeat is not None:
            stack.callback(heartbeat.close)
        server = Server(core, host, arguments.port, buffer=arguments.buffer, stats=arguments.stats,
                        port_file=arguments.port_file, on_turn=heartbeat)  # fmt: skip
        control = Control(director, server.carry, server.counts)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        loop.add_signal_handler(
            signal.SIGHUP, lambda: log.info("SIGHUP: no setting of the simulator changes while it runs")
        )
        where = f"{host}:{arguments.port}"
        try:
            await server.start()
            stack.push_async_callback(server.close)
            where = arguments.control
            place = await control.listen(where) if where else ""
            stack.callback(control.close)
        except OSError as error:
            sys.stderr.write(f"ibstream simulator: cannot listen on {where}: {error.strerror}\n")
            return 1
        place = f", control on {place}" if place else ""
        print(f"simulator listening on {host}:{server.port}{place}", flush=True)  # noqa: T201 - scripts read it here
        if chosen is not None:
            server.carry(lambda: director.run(chosen))
        await server.run()
    return 0


def main() -> int:
    try:
        settings = load()
        arguments = parser(settings).parse_args()
        logs.configure(settings, "simulator")
        return asyncio.run(serve(settings, arguments, loopback(arguments.host)))
    except IbStreamError as error:
        sys.stderr.write(f"ibstream simulator: {error.message} [{error.code}]\n")
        return error.exit_code
    except ScenarioError as error:
        sys.stderr.write(f"ibstream simulator: {error}\n")
        return 2
