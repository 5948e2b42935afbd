"""Requests about contracts and the like: details, symbols, options, rules, exchanges, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.simulator.client import Client
from services.simulator.market.contracts import SMART_COMPONENTS, Instrument, Wanted
from services.simulator.market.derived import option_series
from services.simulator.market.market_data import NOT_FOUND
from services.simulator.protocol.handlers import handles, tells
from services.simulator.protocol.requested import ById, MarketRule, MatchingSymbols, OfContract, OptionParams
from services.simulator.protocol.requests_market import resolve
from services.simulator.refused import Refused, invalid
from services.simulator.trouble.answers import answered, described

if TYPE_CHECKING:
    from services.simulator.core import Core

MARKET_RULES = {67: "0.25", 239: "0.00005", 635: "0.0001", 2806: "0.25"}  # every other rule is that of a US stock


@handles(9)
def contract_details(core: Core, client: Client, asked: OfContract) -> None:
    request, wanted = asked
    if core.world.farms["secdefil"] == "broken" and not core.world.faults.refusing:
        return
    found = [one for one in core.master.find(wanted) if core.world.exists(one, wanted.expired)]
    if not found:
        raise Refused(200, NOT_FOUND)
    if answered(core, client, request, "details", found[0]):
        return
    for one in found:
        said, hours = described(core, one)
        for exchange in rows_of(one, wanted):
            core.send(client, client.replies.contract_details(request, said, exchange, hours))
    core.send(client, client.replies.contract_details_end(request))


def rows_of(found: Instrument, wanted: Wanted) -> list[str]:
    """The exchanges that get a row each: of a stock that was asked for by name without one, all where it trades."""
    if wanted.exchange or wanted.con_id or found.sec_type != "STK":
        return [wanted.exchange or found.exchange]
    return found.valid_exchanges.split(",")


@handles(81)
def matching_symbols(core: Core, client: Client, asked: MatchingSymbols) -> None:
    core.send(client, client.replies.symbol_samples(asked.request, core.master.search(asked.pattern)))


@handles(78)
def option_params(core: Core, client: Client, asked: OptionParams) -> None:
    """The series on a stock or index by its symbol, or on a future by its id, of one exchange where that is named."""
    by_id = asked.con_id if asked.sec_type == "FUT" else 0
    wanted = Wanted(by_id, asked.symbol, asked.sec_type or "STK", "", "", "", "USD", "", "")
    found = next(iter(core.master.find(wanted)), None)
    if found is not None and (by_id or asked.sec_type in ("STK", "IND")):
        for one in option_series(found, core.world.hours.local(core.now).date()):
            if asked.exchange in ("", one.exchange):
                core.send(client, client.replies.option_params(asked.request, found.con_id, one))
    core.send(client, client.replies.option_params_end(asked.request))


tells(83, lambda core, client, asked: client.replies.smart_components(asked.request, SMART_COMPONENTS))


@handles(91)
def market_rule(core: Core, client: Client, asked: MarketRule) -> None:
    if asked.rule <= 0:
        raise invalid(f"unknown market rule {asked.rule}")
    core.send(client, client.replies.market_rule(asked.rule, MARKET_RULES.get(asked.rule, "0.01")))


tells(82, lambda core, client, asked: client.replies.depth_exchanges([("NASDAQ", "STK"), ("ARCA", "STK")]))
tells(49, lambda core, client, asked: client.replies.current_time(core.clock // 1_000_000_000))
tells(105, lambda core, client, asked: client.replies.current_time_in_millis(core.clock // 1_000_000))


@handles(52)
def fundamental_data(core: Core, client: Client, asked: ById) -> None:
    raise Refused(430, "We are sorry, but fundamentals data for the security is not available.")


@handles(100, 102)
def wall_street_horizon(core: Core, client: Client, asked: ById) -> None:
    raise Refused(10276, "News feed is not allowed.")


@handles(54, 55)
def option_calculation(core: Core, client: Client, asked: OfContract) -> None:
    resolve(core, asked.contract)
    raise invalid("only an option has an implied volatility and a model price")
