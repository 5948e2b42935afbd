"""Takes a program through trials, each with a gateway and, where it is started here, a program of its own.

Time is real, since the program's clock is; `speed` divides the length of the troubles alone. Every wait ends: for the
program to connect after `connect` seconds, to be whole again after the trial's `within` (or `patience`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from messages.errors import IbStreamError
from services.base.clock import SECOND, SystemClock
from services.simulator.core import Config, Core
from services.simulator.rehearsal.card import Card, Outcome, card
from services.simulator.rehearsal.program import Program
from services.simulator.rehearsal.trials import Trial, steps
from services.simulator.rehearsal.watch import Fault, Watch
from services.simulator.server import Server
from services.simulator.trouble import scenario
from services.simulator.trouble.scenario import Director, Scenario

STEADY: Final = 3 * SECOND  # without a new line, before the trouble begins
HOLD: Final = 3 * SECOND  # every line flows for so long before the trial is over
WITHOUT_LINES: Final = 10 * SECOND  # that a program may have none for, while the market is closed
POLL: Final = 0.05
AT_ONCE: Final = 0.1  # seconds: two turns of the gateway
START: Final = 30.0  # seconds for a listener whose port is still taken
HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class Terms:
    """`connect`: real seconds in which the program must connect and subscribe; `patience`: those in which it must be
    whole again, 0 for each trial's own; `jobs`: trials that run at the same time."""

    port: int = 0
    speed: float = 1.0
    connect: float = 60.0
    patience: float = 0.0
    jobs: int = 1
    seed: int = 1


class Unreachable(Exception):
    """The program did not connect, or has no line: one sentence."""


async def rehearse(
    program: Callable[[str], Program] | None,
    name: str,
    trials: Sequence[Trial],
    terms: Terms,
    say: Callable[[str], None],
) -> Card:
    """The score card; `say` is told what begins and ends. `program` makes the one for a trial of this name; None:
    whoever connects to the port.

    Raises IbStreamError `program_unreachable` when the program cannot be started, or is not there in the first trial,
    which is run alone; `invalid_request` when the port is taken.
    """
    room = asyncio.Semaphore(terms.jobs)

    async def run(trial: Trial) -> Outcome:
        async with room:
            say(f"{trial.name}: {trial.title}")
            try:
                outcome = await _Run(trial, program and program(trial.name), terms, say).run()
            except Unreachable as error:
                if trial is trials[0]:
                    raise IbStreamError("program_unreachable", str(error)) from None
                outcome = _outcome(trial, why=str(error))
            say(f"{trial.name}: {outcome.verdict}, {outcome.why}")
            return outcome

    outcomes = [await run(trials[0])]
    try:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(run(trial)) for trial in trials[1:]]
    except* IbStreamError as errors:
        raise errors.exceptions[0] from None
    return card(name, outcomes + [one.result() for one in others])


class _Run:
    """One trial, once."""

    def __init__(self, trial: Trial, program: Program | None, terms: Terms, say: Callable[[str], None]) -> None:
        self._trial, self._program, self._terms, self._say = trial, program, terms, say
        self._clock = SystemClock()
        self._core = Core(Config(seed=terms.seed), self._clock.now())
        self._watch = Watch(self._core)
        self._director = Director(self._core, terms.speed)
        self._within = terms.patience or trial.within

    async def run(self) -> Outcome:
        async with self._gateway() as server:
            try:
                for entry in self._trial.before:
                    server.carry(lambda entry=entry: self._director.do(scenario.parse_step(entry)))  # type: ignore[misc]
                if self._program is None:
                    self._say(f"waiting for your program on {HOST}:{server.port}")
                else:
                    self._program.start(HOST, server.port)
                await self._connected()
                self._watch.want()
                return await self._trouble(server)
            finally:
                if self._program is not None:
                    await self._program.stop()

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[Server]:
        server = Server(self._core, HOST, self._terms.port, on_turn=lambda _: self._watch.look(self._clock.now()))
        deadline = asyncio.get_running_loop().time() + START
        while True:
            try:
                await server.start()
                break
            except OSError as error:
                if asyncio.get_running_loop().time() > deadline:
                    sentence = f"cannot listen on {HOST}:{self._terms.port}: {error.strerror}"
                    raise IbStreamError("invalid_request", sentence) from None
                await asyncio.sleep(POLL)
        turning = asyncio.create_task(server.run())
        try:
            yield server
        finally:
            server.stop()
            await turning
            await server.close()

    async def _connected(self) -> None:
        """Until the program is there with its lines, all of them flowing. Raises Unreachable."""
        deadline = self._clock.now() + int(self._terms.connect * SECOND)
        while not self._is_there():
            if ended := self._ended(" before it had a market data line"):
                raise Unreachable(ended)
            if self._clock.now() > deadline:
                seconds = f"within {self._terms.connect:g} seconds"
                if not self._core.ready_clients():
                    raise Unreachable(f"the program did not connect {seconds}")
                raise Unreachable(f"the program connected and subscribed to nothing that flows {seconds}")
            await asyncio.sleep(POLL)

    def _is_there(self) -> bool:
        """Where a market is closed, to be connected is enough after a while: some subscribe when it opens."""
        now, steady = self._clock.now(), self._watch.steady_since
        if steady:
            return now - steady > STEADY
        if not (self._trial.until_open and self._core.ready_clients()):
            return False
        return now - max(one.since for one in self._core.stats.connections.values()) > WITHOUT_LINES

    async def _trouble(self, server: Server) -> Outcome:
        began = self._clock.now()
        timed = [scenario.parse_step(entry) for entry in steps(self._trial, self._watch.farms())]
        server.carry(lambda: self._director.run(Scenario(self._trial.name, "", "start", timed)))
        over = began + int(self._trial.over / self._terms.speed * SECOND)
        while self._clock.now() < over or not self._is_open():
            if ended := self._ended():
                return self._outcome(began, self._clock.now(), ended)
            await asyncio.sleep(POLL)
        over = self._clock.now()
        deadline = over + int(self._within * SECOND)
        await asyncio.sleep(POLL * 4)  # so that what the end of the trouble did has been looked at
        while not self._is_whole(over):
            if ended := self._ended():
                return self._outcome(began, over, ended)
            if self._clock.now() > deadline:
                return self._outcome(began, over)
            await asyncio.sleep(POLL)
        return self._outcome(began, over)

    def _is_open(self) -> bool:
        return not self._trial.until_open or self._core.world.hours.is_open("STK", self._clock.now())

    def _is_whole(self, over: int) -> bool:
        since = self._watch.whole_since
        return bool(since) and self._clock.now() - max(since, over) > HOLD

    def _ended(self, when: str = "") -> str:
        return self._program.ended(when) if self._program is not None else ""

    def _outcome(self, began: int, over: int, ended: str = "") -> Outcome:
        watch, now = self._watch, self._clock.now()
        whole = not ended and self._is_whole(over)
        blind = max(0.0, (watch.whole_since - over) / SECOND) if whole else None
        faults = watch.faults()
        unharmed = bool(watch.whole_since) and watch.whole_since <= began
        missing = [stream.symbol for stream in watch.missing()]
        why, by = _sentence(ended, blind, self._within, unharmed, missing, faults)
        return _outcome(
            self._trial,
            why=why,
            passed=whole and not faults,
            by=by,
            blind=blind,
            seconds=(now - began) / SECOND,
            watch=watch,
            connections=self._core.stats.accepted,
            remarks=self._remarks(began, faults),
        )

    def _remarks(self, began: int, faults: list[Fault]) -> list[str]:
        """What is no failure, and worth to know; and the faults that the sentence had no room for."""
        made = [fault.seen for fault in faults[1:]]
        connections = list(self._core.stats.connections.values())
        ids = list(dict.fromkeys(one.client_id for one in connections if one.client_id >= 0))
        left = sum(one.until > began and one.reason.endswith("by the client") for one in connections)
        if len(ids) > 1:
            made.append(f"used the client ids {', '.join(map(str, ids))}: orders belong to the id that placed them")
        if left:
            made.append(f"ended {left} connection{'s' if left > 1 else ''} by itself")
        return made


def _sentence(
    ended: str, blind: float | None, within: float, unharmed: bool, missing: list[str], faults: list[Fault]
) -> tuple[str, Fault | None]:
    """Why, and the fault that it is for, if it is one."""
    if ended:
        return ended, None
    if blind is None:
        names = ", ".join(missing[:5]) + (" and more" if len(missing) > 5 else "")
        return f"not whole again within {within:g} seconds: no prices of {names or 'anything'}", None
    if faults:
        return faults[0].seen, faults[0]
    if unharmed:
        return "never blind", None
    return f"all prices were back {f'after {blind:.1f} seconds' if blind >= AT_ONCE else 'at once'}", None


def _outcome(
    trial: Trial, *, why: str, passed: bool = False, by: Fault | None = None, blind: float | None = None,
    seconds: float = 0.0, watch: Watch | None = None, connections: int = 0, remarks: Sequence[str] = (),
) -> Outcome:  # fmt: skip
    return Outcome(
        name=trial.name,
        title=trial.title,
        verdict="pass" if passed else "fail",
        why=why,
        rule=by.rule if by else trial.rule,
        source=by.source if by else trial.source,
        points=trial.weight if passed else 0,
        of=trial.weight,
        blind_seconds=None if blind is None else round(blind, 2),
        seconds=round(seconds, 2),
        lines=sum(watch.wanted.values()) if watch else 0,
        connections=connections,
        peak_messages_per_second=watch.peak if watch else 0,
        remarks=list(remarks),
    )
