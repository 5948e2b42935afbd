"""Requests for market depth: the book at once, then its rows as they change, until it is cancelled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from services.simulator.client import Client, DepthLine
from services.simulator.market import market_data
from services.simulator.market.depth import SERVED, Book, DepthRow, Level, book
from services.simulator.protocol.handlers import handles
from services.simulator.protocol.requested import ById, MarketDepth
from services.simulator.protocol.requests_history import moves
from services.simulator.protocol.requests_market import resolve
from services.simulator.refused import Refused

if TYPE_CHECKING:
    from services.simulator.core import Core

MOST_LINES = 3  # an account has three (TWS API documentation, market depth)
MOST_ROWS = 20
STEP_SECONDS = 1.0
INSERT, UPDATE, DELETE = 0, 1, 2


@handles(10)
def market_depth(core: Core, client: Client, asked: MarketDepth) -> None:
    request = asked.request
    instrument = resolve(core, asked.contract)
    if (instead := market_data.reroute(core, instrument)) is not None:
        core.send(client, client.replies.reroute_market_depth(request, *instead))
        return
    if instrument.sec_type not in SERVED:
        raise Refused(10092, "Deep market data is not supported for this combination of security type/exchange")
    if request in client.depth:
        raise Refused(322, "Error processing request: Duplicate ticker id")
    if len(client.depth) >= MOST_LINES:
        raise Refused(309, f"Max number ({MOST_LINES}) of market depth requests has been reached")
    rows = min(max(asked.rows, 1), MOST_ROWS)
    core.market.activate(instrument, core.now)
    client.depth[request] = DepthLine(instrument, rows, asked.smart, Book([], []))
    _step(core, client, request, client.depth[request])


@handles(11)
def cancel_market_depth(core: Core, client: Client, asked: ById) -> None:
    if client.depth.pop(asked.request, None) is None:
        raise Refused(310, f"Can't find the subscribed market depth with tickerId:{asked.request}")


def _step(core: Core, client: Client, request: int, line: DepthLine) -> None:
    """Tell what is different, and come again while the line is open."""
    if client.depth.get(request) is not line or client.is_closing():
        return
    if moves(core, line.instrument):
        feed = core.market.feed(line.instrument, core.now)
        now = core.market.time(core.now)
        new = book(line.instrument, core.config.seed, now, line.rows, feed.quote("bid"), feed.quote("ask"))
        for side, before, after in ((1, line.told.bids, new.bids), (0, line.told.asks, new.asks)):
            _tell(core, client, request, line, side, before, after)
        line.told = new
    core.after(STEP_SECONDS, partial(_step, core, client, request, line))


def _tell(
    core: Core, client: Client, request: int, line: DepthLine, side: int, before: list[Level], after: list[Level]
) -> None:
    for place, level in enumerate(after):
        if place >= len(before) or level != before[place]:
            operation = UPDATE if place < len(before) else INSERT
            row = DepthRow(place, operation, side, level, line.smart)
            core.send(client, client.replies.market_depth(request, row))
    for place in range(len(before) - 1, len(after) - 1, -1):
        row = DepthRow(place, DELETE, side, before[place], line.smart)
        core.send(client, client.replies.market_depth(request, row))
