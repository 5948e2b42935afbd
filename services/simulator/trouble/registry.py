"""The table of all steps, which the step modules fill, and what their steps are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from services.simulator.client import Subscription

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director

Undo = Callable[[], None]
Step = Callable[..., Undo | None]
S = TypeVar("S", bound=Step)
Check = Callable[["Director", Mapping[str, Any]], None]
STEPS: dict[str, Step] = {}
CHECKS: dict[str, Check] = {}


def step(function: S) -> S:
    """A function that a scenario can name: its parameters are the step's keys."""
    STEPS[function.__name__] = function
    return function


def check_of(name: str) -> Callable[[Check], Check]:
    """A function that raises ValueError if the step of this name cannot be done with these arguments."""

    def keep(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return keep


def subscriptions(on: Director, symbol: str = "") -> list[Subscription]:
    """The open lines of these symbols, or of all."""
    every = [one for client in on.core.ready_clients() for one in client.subscriptions.values()]
    return [one for one in every if not symbol or one.instrument.key in on.keys(symbol)]


def revive(chosen: list[Subscription], ticks: bool) -> None:
    """Let lines flow again, beginning with everything; without `ticks` they stay dead until subscribed anew."""
    for one in chosen:
        one.dead = one.dead or not ticks
        one.image_due = True
