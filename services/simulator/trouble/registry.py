"""The table of all steps, which the step modules fill, and what their steps are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from services.simulator.client import Subscription
from services.simulator.market import market_data
from services.simulator.trouble.world import Entitlement, World

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


def end_step(
    name: str, told: str, marks: Callable[[World], set[str] | dict[str, Any]], anew: bool = False
) -> Callable[[Director, str], None]:
    """The step of this name that ends what symbols are marked with; with `anew`, their lines are told everything."""

    def end(on: Director, symbol: str) -> None:
        marked = marks(on.core.world)
        for key in on.keys(symbol):
            marked.discard(key) if isinstance(marked, set) else marked.pop(key, None)
        if anew:
            tell_anew(on, symbol)

    end.__name__, end.__doc__ = name, told
    return step(end)


def tell_anew(on: Director, symbol: str) -> None:
    for one in subscriptions(on, symbol):
        one.image_due = True


def entitle(on: Director, symbol: str, entitlement: Entitlement) -> None:
    """What the account may see of these symbols; open lines hear of it."""
    on.core.world.entitlements |= dict.fromkeys(on.keys(symbol), entitlement)
    for one in subscriptions(on, symbol):
        market_data.refuse(on.core, one, entitlement)


def lose_lines(on: Director, symbol: str, code: int, text: str) -> None:
    """IB drops the lines of these symbols, with an error."""
    for one in subscriptions(on, symbol):
        on.core.error(one.client, one.request, code, text)
        market_data.lose(on.core, one)


def subscriptions(on: Director, symbol: str = "") -> list[Subscription]:
    """The open lines of these symbols, or of all."""
    every = [one for client in on.core.ready_clients() for one in client.subscriptions.values()]
    return [one for one in every if not symbol or one.instrument.key in on.keys(symbol)]


def revive(chosen: list[Subscription], ticks: bool) -> None:
    """Let lines flow again, beginning with everything; without `ticks` they stay dead until subscribed anew."""
    for one in chosen:
        one.dead = one.dead or not ticks
        one.image_due = True
