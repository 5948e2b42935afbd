"""Scenario files: timed steps in TOML, checked before anything runs; and the director who carries them out.

    title = "A farm blips"
    about = "What a client should do."
    begin = "subscription"        # or "start" (the default), "client"

    [[step]]
    at = 5.0                      # seconds after the beginning
    do = "farm_down"              # a function of the step modules; its parameters are the other keys
    farm = "usfarm"
    for = 3.0                     # undone after so many seconds

`--speed 10` makes ten seconds one.
"""

import inspect
import random
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from services.simulator.core import Core
from services.simulator.market.contracts import Instrument
from services.simulator.trouble import habits, steps, steps_contracts, steps_gateway, steps_orders, steps_ticks
from services.simulator.trouble.chaos import plan
from services.simulator.trouble.registry import CHECKS, STEPS

FOLDER = Path(__file__).parent / "scenarios"
Begin = Literal["start", "client", "subscription"]
STEP_MODULES = (habits, steps, steps_contracts, steps_gateway, steps_orders, steps_ticks)  # importing them fills STEPS
BEGINS = ("start", "client", "subscription")


class ScenarioError(Exception):
    """What is wrong with a scenario or a step, and where, in one sentence."""


@dataclass(frozen=True)
class Timed:
    """One step: `at` seconds after the beginning, undone after `lasts` seconds if that is given."""

    at: float
    do: str
    arguments: Mapping[str, Any]
    lasts: float | None = None


@dataclass(frozen=True)
class Scenario:
    title: str
    about: str
    begin: Begin
    steps: list[Timed]


def shipped() -> list[str]:
    """The names of the scenarios in this package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    """A shipped scenario by name, or a file by path. Raises ScenarioError."""
    path = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise ScenarioError(f"{name!r} is neither a file nor one of {', '.join(shipped())}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    try:
        return parse(document)
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


def parse(document: Mapping[str, Any]) -> Scenario:
    """A scenario from what its file says. Raises ScenarioError."""
    unknown = document.keys() - {"title", "about", "begin", "step"}
    if unknown:
        raise ScenarioError(f"unknown key {sorted(unknown)[0]!r}; expected title, about, begin and [[step]]")
    begin = document.get("begin", "start")
    if begin not in BEGINS:
        raise ScenarioError(f"begin is {begin!r}; expected one of {', '.join(BEGINS)}")
    timed = []
    for number, entry in enumerate(document.get("step", []), 1):
        try:
            timed.append(parse_step(entry))
        except ScenarioError as error:
            raise ScenarioError(f"step {number}: {error}") from None
    return Scenario(str(document.get("title", "")), str(document.get("about", "")), begin, timed)


def parse_step(entry: Mapping[str, Any]) -> Timed:
    """One step, with its names and types checked. Raises ScenarioError."""
    given = dict(entry)
    do, at, lasts = given.pop("do", None), given.pop("at", 0.0), given.pop("for", None)
    for name, value in (("at", at), ("for", lasts)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise ScenarioError(f"{name} is {value!r}; expected seconds")
    function = STEPS.get(do) if isinstance(do, str) else None
    if function is None or not isinstance(do, str):
        raise ScenarioError(f"do is {do!r}; expected one of {', '.join(sorted(STEPS))}")
    hints = get_type_hints(function, localns={"Director": Director})
    parameters = dict(list(inspect.signature(function).parameters.items())[1:])
    for name, value in given.items():
        if name not in parameters:
            raise ScenarioError(f"{do} has no {name!r}; it takes {', '.join(parameters) or 'nothing'}")
        try:
            given[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            raise ScenarioError(f"{do}: {name} is {value!r}: {error}") from None
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise ScenarioError(f"{do} needs {name!r}")
    return Timed(float(at), do, given, None if lasts is None else float(lasts))


class Director:
    """Carries steps out on a core. All times are divided by `speed`."""

    def __init__(self, core: Core, speed: float = 1.0) -> None:
        assert speed > 0
        self.core = core
        self.speed = speed
        self.random = random.Random(core.config.seed)  # noqa: S311 - nonsense, not secrets

    def run(self, scenario: Scenario) -> None:
        """Begin a scenario when its time has come. Raises ScenarioError for what this core does not have."""
        for timed in scenario.steps:
            self.check(timed)
        if self._begun(scenario.begin):
            self.core.log("scenario begins", title=scenario.title, steps=len(scenario.steps))
            for timed in scenario.steps:
                self.core.after(self.scaled(timed.at), self._later(timed))
        else:
            self.core.after(0, lambda: self.run(scenario))

    def do(self, timed: Timed) -> None:
        """One step, now. Raises ScenarioError for an unknown symbol or farm."""
        self.check(timed)
        self.core.log("scenario step", do=timed.do, **timed.arguments)
        undo = STEPS[timed.do](self, **timed.arguments)
        if undo is not None and timed.lasts is not None:
            self.core.after(self.scaled(timed.lasts), undo)

    def check(self, timed: Timed) -> None:
        """Raises ScenarioError for what there is not: a farm, a symbol, and whatever else a step names."""
        if (farm := timed.arguments.get("farm")) is not None:
            self.check_farm(farm)
        self.instruments(timed.arguments.get("symbol", ""))
        if timed.do in CHECKS:
            try:
                CHECKS[timed.do](self, timed.arguments)
            except ValueError as error:
                raise ScenarioError(f"{timed.do}: {error}") from None

    def check_farm(self, farm: str) -> None:
        if farm not in self.core.world.farms:
            raise ScenarioError(f"there is no farm {farm!r}; there are {', '.join(self.core.world.farms)}")

    def chaos(self, seed: int, seconds: float) -> None:
        for entry in plan(seed, seconds):
            timed = parse_step(entry)
            self.core.after(self.scaled(timed.at), self._later(timed))

    def scaled(self, seconds: float) -> float:
        return seconds / self.speed

    def keys(self, symbol: str) -> set[str]:
        """The symbols that a step names, separated by commas; all, when it names none."""
        return {one.key for one in self.instruments(symbol)} if symbol else {one.key for one in self.core.master}

    def instruments(self, symbol: str) -> set[Instrument]:
        found: set[Instrument] = set()
        for key in filter(None, (part.strip() for part in symbol.split(","))):
            instrument = self.core.master.by_key(key)
            if instrument is None:
                raise ScenarioError(f"there is no symbol {key!r}")
            found.add(instrument)
        return found

    def _later(self, timed: Timed) -> Callable[[], None]:
        return lambda: self.do(timed)

    def _begun(self, begin: Begin) -> bool:
        clients = self.core.ready_clients()
        return begin == "start" or (bool(clients) if begin == "client" else any(one.subscriptions for one in clients))
