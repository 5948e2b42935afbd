"""Steps for what gateways were seen to do, harmless in itself, that clients trip over: other orders of messages,
other notices, other ways to write a time. One of the step modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from services.simulator.trouble.registry import Undo, check_of, step
from services.simulator.trouble.world import FarmState, Params, World

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director


@step
def params(on: Director, order: Params = "second") -> Undo:
    """tickReqParams (81) comes before marketDataType (58), after it, or never."""
    on.core.world.params = order
    return partial(_as_usual, on, "params")


@step
def late_ticks(on: Director, seconds: float = 0.5) -> Undo:
    """Ticks go on for so long after a cancel."""
    on.core.world.late_ticks = seconds
    return partial(_as_usual, on, "late_ticks")


@step
def notices(on: Director, ok: str = "", idle: str = "", broken: str = "") -> Undo:
    """The market farms that a new client is told of (separated by commas): 2104, 2108, 2103. Without any, it is told
    nothing at all."""
    states: dict[FarmState, str] = {"broken": broken, "ok": ok, "idle": idle}
    on.core.world.notices = tuple(
        (farm.strip(), state) for state, farms in states.items() for farm in farms.split(",") if farm.strip()
    )
    return partial(_as_usual, on, "notices")


@step
def session_zone(on: Director, zone: str = "Hongkong") -> Undo:
    """The times of bars are in the zone of the session, not of the exchange."""
    on.core.world.session_zone = zone
    return partial(_as_usual, on, "session_zone")


@check_of("session_zone")
def _known_zone(on: Director, arguments: Mapping[str, Any]) -> None:
    if arguments.get("zone", "UTC") not in available_timezones():
        raise ValueError(f"there is no time zone {arguments['zone']!r}")


@step
def fractional(on: Director) -> Undo:
    """Last sizes of US stocks have a fraction of a share, from server version 222 on."""
    on.core.world.fractional = True
    return partial(_as_usual, on, "fractional")


@step
def lots(on: Director) -> Undo:
    """IB's setting "market data in lots for US stocks" is on: sizes and volumes of lines that are subscribed from now
    on are in hundreds of shares. Bars stay in shares."""
    on.core.world.lots = True
    return partial(_as_usual, on, "lots")


@step
def empty_hours(on: Director) -> Undo:
    """The trading hours of contract details begin with an empty segment."""
    on.core.world.empty_hours = True
    return partial(_as_usual, on, "empty_hours")


def _as_usual(on: Director, habit: str) -> None:
    setattr(on.core.world, habit, getattr(World(), habit))
