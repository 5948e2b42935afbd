"""What a scenario makes of requests: an error of its own, odd details. Called by the handlers of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.simulator.client import Client
from services.simulator.market.contracts import Instrument
from services.simulator.protocol.rows import Hours, Verbatim
from services.simulator.trouble.faults import Asked, Details

if TYPE_CHECKING:
    from services.simulator.core import Core


def answered(core: Core, client: Client, request: int, asked: Asked, instrument: Instrument) -> bool:
    """Whether a scenario's error was the whole answer to this request; one that goes beside it was sent as well."""
    found = core.world.faults.answers.get((asked, instrument.key))
    if found is None:
        return False
    core.error(client, request, found.code, found.message)
    return found.instead


def described(core: Core, instrument: Instrument) -> tuple[Instrument, Hours]:
    """What contract details say of an instrument, and of its hours."""
    hours = core.world.hours.describe(instrument.sec_type, core.now, instrument.time_zone)
    if core.world.empty_hours:
        hours = hours._replace(trading=f";{hours.trading}")
    odd = core.world.faults.details.get(instrument.key, Details())
    if odd.bare:
        hours = hours._replace(time_zone="", trading="", liquid="")
    if odd.zone:
        hours = hours._replace(time_zone=odd.zone)
    if odd.primary:
        instrument = replace(instrument, primary=odd.primary)
    if odd.long_name:
        instrument = replace(instrument, name=Verbatim(odd.long_name))
    factor = core.world.faults.magnifiers.get(instrument.key)
    return (instrument if factor is None else replace(instrument, magnifier=factor)), hours
