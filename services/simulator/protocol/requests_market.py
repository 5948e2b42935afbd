"""Requests for prices: market data, its type, real-time bars, tick by tick, market depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.simulator.client import Client
from services.simulator.market import market_data
from services.simulator.market.contracts import Instrument, Wanted
from services.simulator.protocol.replies import SMART_COMPONENTS
from services.simulator.protocol.wire import Fields

if TYPE_CHECKING:
    from services.simulator.core import Core

TICK_TYPES = ("Last", "AllLast", "BidAsk", "MidPoint")


def read_contract(fields: Fields) -> Wanted:
    """The twelve contract fields, in the order that nearly every request has."""
    con_id = fields.number(0)
    symbol, sec_type, expiry = fields.text(), fields.text(), fields.text()
    fields.skip(3)  # strike, right, multiplier
    exchange, primary, currency = fields.text(), fields.text(), fields.text()
    return Wanted(con_id, symbol, sec_type, expiry, exchange, primary, currency, fields.text(), fields.text())


def resolve(core: Core, client: Client, request: int, wanted: Wanted) -> Instrument | None:
    """The one instrument that is meant; else error 200 has been sent."""
    found = [one for one in core.master.find(wanted) if one.key not in core.world.rejected]
    if len(found) == 1:
        return found[0]
    if found:
        text = f"The contract description specified for {wanted.symbol} is ambiguous."
    else:
        text = "No security definition has been found for the request"
    core.error(client, request, 200, text)
    return None


def market_data_request(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    request = fields.number()
    wanted = read_contract(fields)
    if wanted.sec_type == "BAG":
        core.error(client, request, 200, "No security definition has been found for the request")
        return
    if fields.flag():
        fields.skip(3)  # delta neutral contract
    generic = frozenset(fields.text().replace(" ", "").split(",")) - {""}
    snapshot = fields.flag()
    if client.replies.version >= SMART_COMPONENTS and fields.flag():
        core.error(client, request, 321, "Error validating request: no regulatory snapshots here, they cost money")
        return
    wrong = sorted(one for one in generic if not one.removeprefix("mdoff").split(":")[0].isdigit() and one != "mdoff")
    if wrong:
        core.error(client, request, 321, f"Error validating request: incorrect generic tick list: {','.join(wrong)}")
        return
    if request in client.subscriptions:
        core.error(client, request, 322, f"Error processing request: duplicate ticker id {request}")
        return
    instrument = resolve(core, client, request, wanted)
    if instrument is not None:
        market_data.subscribe(core, client, request, instrument, generic, snapshot)


def cancel_market_data(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    market_data.cancel(core, client, fields.number())


def market_data_type(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    kind = fields.number()
    if kind not in (1, 2, 3, 4):
        core.error(client, -1, 321, f"Error validating request: {kind} is not a market data type")
        return
    client.data_type = kind


def real_time_bars(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    request = fields.number()
    instrument = resolve(core, client, request, read_contract(fields))
    if instrument is None:
        return
    if fields.number() != 5 or request in client.real_time_bars:
        core.error(client, request, 420, "Invalid Real-time Query: bars of 5 seconds only, each id once")
        return
    client.real_time_bars[request] = instrument


def cancel_real_time_bars(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    client.real_time_bars.pop(fields.number(), None)


def tick_by_tick(core: Core, client: Client, fields: Fields) -> None:
    request = fields.number()
    instrument = resolve(core, client, request, read_contract(fields))
    if instrument is None:
        return
    kind = fields.text()
    if kind not in TICK_TYPES or len(client.tick_by_tick) >= 5:
        core.error(client, request, 10190, f"Max number of tick-by-tick requests has been reached, or no type {kind!r}")
        return
    client.tick_by_tick[request] = (instrument, kind)
    core.market.activate(instrument, core.now)


def cancel_tick_by_tick(core: Core, client: Client, fields: Fields) -> None:
    client.tick_by_tick.pop(fields.number(), None)


def market_depth(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    core.error(client, fields.number(), 309, "Max number (0) of market depth requests has been reached")


def ignore(core: Core, client: Client, fields: Fields) -> None:
    """A cancel of something that never runs here."""


HANDLERS: dict[int, Callable[[Core, Client, Fields], None]] = {
    1: market_data_request,
    2: cancel_market_data,
    10: market_depth,
    11: ignore,
    50: real_time_bars,
    51: cancel_real_time_bars,
    59: market_data_type,
    97: tick_by_tick,
    98: cancel_tick_by_tick,
}
