"""The way to a running simulator for tests and tinkerers: lines of JSON on a loopback socket or standard input.

    {"do": "farm_down", "farm": "usfarm", "for": 3}      a step, as in a scenario file, now
    {"do": "run", "scenario": "farm_blip"}               a shipped scenario or a file; "speed" divides its times
    {"do": "stats"}                                      the counts of --stats, in the answer

Every line is answered with one: `{"ok": true, ...}` or `{"ok": false, "error": "..."}`.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.simulator.trouble import scenario
from services.simulator.trouble.scenario import Director, ScenarioError

MOST_LINE = 100_000
Carry = Callable[[Callable[[], None]], None]


class Control:
    """`carry` runs an action on the core and carries its effects out; `stats` gives the counts."""

    def __init__(self, director: Director, carry: Carry, stats: Callable[[], dict[str, Any]]) -> None:
        self._director, self._carry, self._stats = director, carry, stats
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, where: str) -> str:
        """Listen on `-` (standard input), a port of 127.0.0.1 (0: any), or a unix socket's path. Returns the place.
        Raises OSError."""
        if where == "-":
            await asyncio.get_running_loop().connect_read_pipe(lambda: _Lines(self.answer), sys.stdin.buffer)
            return "-"
        if where.isdigit():
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", int(where), limit=MOST_LINE)
            return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._path = Path(where)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, where, limit=MOST_LINE)
        self._path.chmod(0o600)
        return where

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what one line says."""
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ScenarioError('expected an object such as {"do": "farm_down"}')
            return {"ok": True, **self._do(command)}
        except (ScenarioError, ValueError) as error:
            return {"ok": False, "error": str(error)}

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        if command.get("do") == "stats":
            return {"stats": self._stats()}
        if command.get("do") == "run":
            speed = command.get("speed", self._director.speed)
            if not isinstance(speed, int | float) or speed <= 0:
                raise ScenarioError(f"speed is {speed!r}; expected a number above 0")
            director = Director(self._director.core, speed)
            chosen = scenario.load(str(command.get("scenario")))
            self._carry(lambda: director.run(chosen))
            return {"title": chosen.title}
        timed = scenario.parse_step(command)
        if timed.at:
            raise ScenarioError("a step sent here happens now: leave `at` out")
        self._carry(lambda: self._director.do(timed))
        return {}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: a line beyond the limit
            pass
        finally:
            writer.close()


class _Lines(asyncio.Protocol):
    """Standard input, line by line; answers go to standard output."""

    def __init__(self, answer: Callable[[bytes], dict[str, Any]]) -> None:
        self._answer = answer
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            print(json.dumps(self._answer(line)), flush=True)  # noqa: T201
