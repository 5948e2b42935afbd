"""Requests about contracts and the like: details, symbols, options, rules, exchanges, time, news."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from services.simulator.client import Client
from services.simulator.market.contracts import SMART_COMPONENTS, Instrument, Wanted
from services.simulator.market.listed import third_friday
from services.simulator.protocol.requests_market import ignore, read_contract
from services.simulator.protocol.wire import Fields

if TYPE_CHECKING:
    from services.simulator.core import Core

MARKET_RULES = {26: "0.01", 67: "0.25", 239: "0.00005"}


def contract_details(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    request = fields.number()
    wanted = read_contract(fields)
    if core.world.farms["secdefil"] == "broken":
        return
    found = [one for one in core.master.find(wanted) if one.key not in core.world.rejected]
    if not found:
        core.error(client, request, 200, "No security definition has been found for the request")
        return
    for one in found:
        hours = core.world.hours.describe(one.sec_type, core.now)
        for exchange in rows_of(one, wanted):
            core.send(client, client.replies.contract_details(request, one, exchange, hours))
    core.send(client, client.replies.contract_details_end(request))


def rows_of(found: Instrument, wanted: Wanted) -> list[str]:
    """The exchanges that get a row each: of a stock that was asked for by name without one, all where it trades."""
    if wanted.exchange or wanted.con_id or found.sec_type != "STK":
        return [wanted.exchange or found.exchange]
    return found.valid_exchanges.split(",")


def matching_symbols(core: Core, client: Client, fields: Fields) -> None:
    request = fields.number()
    core.send(client, client.replies.symbol_samples(request, core.master.search(fields.text())))


def option_params(core: Core, client: Client, fields: Fields) -> None:
    request, symbol, _, sec_type = fields.number(), fields.text(), fields.text(), fields.text()
    found = next((one for one in core.master.search(symbol) if one.symbol == symbol and one.sec_type == sec_type), None)
    if found is not None:
        today = core.world.hours.local(core.now).date()
        months = [today.replace(day=1) + timedelta(days=31 * n) for n in range(1, 4)]
        expirations = [f"{third_friday(month.year, month.month):%Y%m%d}" for month in months]
        step = 5 if found.price > 100 else 1
        middle = round(found.price / step) * step
        strikes = [float(middle + step * n) for n in range(-10, 11) if middle + step * n > 0]
        core.send(client, client.replies.option_params(request, found, expirations, strikes))
    core.send(client, client.replies.option_params_end(request))


def smart_components(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.smart_components(fields.number(), SMART_COMPONENTS))


def market_rule(core: Core, client: Client, fields: Fields) -> None:
    rule = fields.number()
    if rule not in MARKET_RULES:
        core.error(client, -1, 321, f"Error validating request: unknown market rule {rule}")
        return
    core.send(client, client.replies.market_rule(rule, MARKET_RULES[rule]))


def depth_exchanges(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.depth_exchanges([("NASDAQ", "STK"), ("ARCA", "STK")]))


def current_time(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.current_time(core.now // 1_000_000_000))


def current_time_in_millis(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.current_time_in_millis(core.now // 1_000_000))


def news_providers(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.news_providers())


def historical_news(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.historical_news_end(fields.number()))


def news_article(core: Core, client: Client, fields: Fields) -> None:
    core.error(client, fields.number(), 10172, "Failed to request news article: No data available")


def scanner_parameters(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.scanner_parameters())


def scanner(core: Core, client: Client, fields: Fields) -> None:
    if client.replies.version < 143:
        fields.skip()
    core.send(client, client.replies.scanner_data(fields.number()))


def fundamental_data(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    core.error(client, fields.number(), 430, "We are sorry, but fundamentals data for the security is not available.")


def display_groups(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    core.send(client, client.replies.display_groups(fields.number()))


def wall_street_horizon(core: Core, client: Client, fields: Fields) -> None:
    core.error(client, fields.number(), 10276, "News feed is not allowed.")


HANDLERS: dict[int, Callable[[Core, Client, Fields], None]] = {
    9: contract_details,
    12: ignore,
    13: ignore,
    14: ignore,
    22: scanner,
    23: ignore,
    24: scanner_parameters,
    49: current_time,
    52: fundamental_data,
    53: ignore,
    67: display_groups,
    68: ignore,
    69: ignore,
    70: ignore,
    78: option_params,
    81: matching_symbols,
    82: depth_exchanges,
    83: smart_components,
    84: news_article,
    85: news_providers,
    86: historical_news,
    91: market_rule,
    100: wall_street_horizon,
    101: ignore,
    102: wall_street_horizon,
    103: ignore,
    105: current_time_in_millis,
    106: ignore,
}
