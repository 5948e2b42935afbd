"""A simulated gateway for your own tests: on a free port of loopback, in a thread of the test's process. Its clock is
the test's: no price moves and no deadline comes until `advance`. The steps of scenarios are its methods.

    with SimulatedGateway() as gateway:
        program.connect(gateway.host, gateway.port)
        gateway.wait_for_lines("SPY")
        gateway.farm_down(farm="usfarm.nj", lasts=30)
        gateway.advance(31)

pytest_plugin.py has it as a fixture. Nothing here waits for the clock on the wall, but for the other side's bytes.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from services.base.clock import SECOND, ManualClock
from services.simulator.core import Config, Core
from services.simulator.server import TURN, Server
from services.simulator.trouble import scenario
from services.simulator.trouble.registry import STEPS
from services.simulator.trouble.scenario import Director

MONDAY_NOON = 1_767_632_400 * SECOND  # 2026-01-05, 12:00 in New York
WITHIN = 10.0  # seconds of real time for anything that is asked of the gateway's thread
MOST_UNREAD = 1_000_000  # bytes that may wait for a client before time stands still
POLL = 0.005
T = TypeVar("T")


class SimulatedGateway:
    """A gateway that runs from its making until `close`. `now`: what its clock says first, UTC nanoseconds; `config`:
    the fields of core.Config. The limits of messages and history are off unless given, since its time stands still.

    Methods may be called from any thread. They raise ScenarioError for a step that cannot be done, and TimeoutError.
    """

    host = "127.0.0.1"

    def __init__(self, now: int = MONDAY_NOON, **config: Any) -> None:
        self.clock = ManualClock(now)
        self.core = Core(Config(**({"message_limit": 1_000_000, "history_pacing": False} | config)), now)
        self._director = Director(self.core)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated gateway", daemon=True)
        self._thread.start()
        self._server = self._call(lambda: Server(self.core, self.host, 0, clock=self.clock))
        self._running = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        self.wait_until(lambda: bool(self.port))

    @property
    def port(self) -> int:
        """Where it listens; after `move_port`, the new one."""
        return self._server.port

    @property
    def client_ids(self) -> list[int]:
        """Of the clients that are ready, in order."""
        return self._call(lambda: sorted(client.client_id for client in self.core.ready_clients()))

    @property
    def lines(self) -> list[str]:
        """The symbols that are subscribed, once a line, in order."""
        return self._call(
            lambda: sorted(
                line.instrument.key for client in self.core.ready_clients() for line in client.subscriptions.values()
            )
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, in turns of 50 ms: prices move, and what falls due happens. It waits for clients that read
        more slowly than that, but not for one that does not read at all."""

        async def pass_time() -> None:
            end, patience = self.clock.now() + int(seconds * SECOND), self._loop.time() + WITHIN / 2
            while (left := end - self.clock.now()) > 0:
                self.clock.advance(min(TURN, left / SECOND))
                await self._server.apply(self.core.handle_turn(self.clock.now()))
                await asyncio.sleep(0)
                while self._server.unread() > MOST_UNREAD and self._loop.time() < patience:
                    await asyncio.sleep(POLL)

        asyncio.run_coroutine_threadsafe(pass_time(), self._loop).result(WITHIN + seconds)

    def step(self, name: str, **arguments: Any) -> None:
        """A step of a scenario, now. `lasts`: undone after so many seconds of the gateway's time."""
        if "lasts" in arguments:
            arguments["for"] = arguments.pop("lasts")
        timed = scenario.parse_step({"do": name, **arguments})

        async def carry_out() -> None:
            self._server.carry(lambda: self._director.do(timed))
            await self._server.apply([])

        asyncio.run_coroutine_threadsafe(carry_out(), self._loop).result(WITHIN)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Each step by its own name: `gateway.starve(symbol="SPY", lasts=5)`."""
        if name not in STEPS:
            raise AttributeError(f"{name!r} is neither a method nor a step of a scenario")
        return lambda **arguments: self.step(name, **arguments)

    def run(self, name: str) -> None:
        """Begin a scenario, shipped or in a file: its steps happen while time passes."""
        chosen = scenario.load(name)
        self._call(lambda: self._server.carry(lambda: self._director.run(chosen)))

    def stats(self) -> dict[str, Any]:
        """What was counted so far, as with --stats."""
        return self._call(self._server.counts)

    def wait_until(self, condition: Callable[[], bool], within: float = WITHIN) -> None:
        """Wait until something is so, in seconds of real time. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so within {within:g} s")
            time.sleep(POLL)

    def wait_for_lines(self, *symbols: str, within: float = WITHIN) -> None:
        """Wait until all of these are subscribed, in seconds of real time. Raises TimeoutError."""
        try:
            self.wait_until(lambda: set(symbols) <= set(self.lines), within)
        except TimeoutError:
            missing = ", ".join(sorted(set(symbols) - set(self.lines)))
            raise TimeoutError(f"nobody subscribed to {missing} within {within:g} s") from None

    def close(self) -> None:
        """End every connection and the thread. Twice does no harm."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._server.stop)
        self._running.result(WITHIN)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN)
        self._loop.close()

    def __enter__(self) -> "SimulatedGateway":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _serve(self) -> None:
        await self._server.start()
        await self._server.run()
        await self._server.close()

    def _call(self, function: Callable[[], T]) -> T:
        """The result of something that must run in the gateway's thread."""

        async def called() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(WITHIN)
