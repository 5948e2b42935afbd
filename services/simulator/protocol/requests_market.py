"""Requests for prices: market data, its type, real-time bars, tick by tick, market depth."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from services.simulator.client import Client
from services.simulator.market import generic_ticks, market_data
from services.simulator.market.contracts import Instrument, Wanted
from services.simulator.market.past_ticks import MOST, WINDOW, PastTick
from services.simulator.market.shown import has
from services.simulator.protocol.handlers import cancels, handles
from services.simulator.protocol.requested import ById, MarketData, MarketDataType, RealTimeBars, TickByTick
from services.simulator.refused import Refused, invalid
from services.simulator.trouble.answers import answered

if TYPE_CHECKING:
    from services.simulator.core import Core

PAST = {"Last": "TRADES", "AllLast": "TRADES", "BidAsk": "BID_ASK", "MidPoint": "MIDPOINT"}
TICK_TYPES = tuple(PAST)
MOST_TICK_BY_TICK = 5
REAL_TIME = ("TRADES", "MIDPOINT", "BID", "ASK")


def resolve(core: Core, wanted: Wanted) -> Instrument:
    """The one instrument that is meant. Raises Refused 200."""
    found = [one for one in core.master.find(wanted) if core.world.exists(one, wanted.expired)]
    if len(found) == 1:
        return found[0]
    text = f"The contract description specified for {wanted.symbol} is ambiguous." if found else market_data.NOT_FOUND
    raise Refused(200, text)


def refuse_twice(request: int, kept: Container[int]) -> None:
    """Raises Refused for the id of one that runs."""
    if request in kept:
        raise Refused(322, f"Error processing request: duplicate ticker id {request}")


@handles(1)
def market_data_request(core: Core, client: Client, asked: MarketData) -> None:
    request, wanted = asked.request, asked.contract
    if wanted.sec_type == "BAG":
        raise Refused(200, market_data.NOT_FOUND)
    generic = frozenset(asked.generic.replace(" ", "").split(",")) - {""}
    if asked.regulatory:
        raise invalid("no regulatory snapshots here, they cost money")
    if (why := generic_ticks.refusal(asked.generic, wanted.sec_type or "STK")) is not None:
        raise Refused(321, why)
    refuse_twice(request, client.subscriptions)
    instrument = resolve(core, wanted)
    if not answered(core, client, request, "snapshot" if asked.snapshot else "stream", instrument):
        market_data.subscribe(core, client, request, instrument, generic, asked.snapshot)


@handles(2)
def cancel_market_data(core: Core, client: Client, asked: ById) -> None:
    market_data.cancel(core, client, asked.request)


@handles(59)
def market_data_type(core: Core, client: Client, asked: MarketDataType) -> None:
    if asked.kind not in (1, 2, 3, 4):
        raise invalid(f"{asked.kind} is not a market data type")
    client.data_type = asked.kind


@handles(50)
def real_time_bars(core: Core, client: Client, asked: RealTimeBars) -> None:
    request = asked.request
    instrument = resolve(core, asked.contract)
    if asked.what not in REAL_TIME or not has(instrument, asked.what):
        raise invalid("What to show field is missing or incorrect.")
    if asked.seconds != 5 or request in client.real_time_bars:
        raise Refused(420, "Invalid Real-time Query: bars of 5 seconds only, each id once")
    client.real_time_bars[request] = (instrument, asked.what)


cancels(51, lambda client: client.real_time_bars, known=True)


@handles(97)
def tick_by_tick(core: Core, client: Client, asked: TickByTick) -> None:
    request, kind = asked.request, asked.kind
    instrument = resolve(core, asked.contract)
    if kind not in TICK_TYPES:
        raise Refused(10189, f"Failed to request tick-by-tick data: {kind!r} is none of {', '.join(TICK_TYPES)}")
    refuse_twice(request, client.tick_by_tick)
    if len(client.tick_by_tick) >= MOST_TICK_BY_TICK:
        raise Refused(10190, "Max number of tick-by-tick requests has been reached.")
    if asked.past:
        end = core.market.time(core.now)
        found = core.market.past_ticks(instrument, end - WINDOW, end, min(asked.past, MOST), first=False)
        core.send(client, past_ticks_reply(client, request, PAST[kind], found, instrument))
    client.tick_by_tick[request] = (instrument, kind)
    core.market.activate(instrument, core.now)


def past_ticks_reply(
    client: Client, request: int, what: str, found: Sequence[PastTick], instrument: Instrument
) -> bytes:
    """Past trades, quotes or mid-points in one message, of kind 98, 97 or 96."""
    if what == "TRADES":
        return client.replies.historical_ticks_last(request, found, instrument.primary or instrument.exchange)
    if what == "BID_ASK":
        return client.replies.historical_ticks_bid_ask(request, found)
    return client.replies.historical_ticks(request, found)


cancels(98, lambda client: client.tick_by_tick, known=True)


@handles(12, 13, 14, 53, 56, 57, 89, 90, 101, 103, 106, 107)
def ignore(core: Core, client: Client, asked: Any) -> None:
    """A cancel of something that never runs here."""
