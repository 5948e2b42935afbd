"""Steps about contracts: which there are, what their details say, and requests that are answered otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from services.simulator.core import farm_message
from services.simulator.market import market_data
from services.simulator.market.contracts import Instrument
from services.simulator.market.identity import derived_id
from services.simulator.trouble.faults import Answer, Asked, Details
from services.simulator.trouble.registry import Undo, check_of, end_step, lose_lines, step, tell_anew
from services.simulator.trouble.world import SEC_DEF_FARM

if TYPE_CHECKING:
    from services.simulator.trouble.scenario import Director


@step
def reroute(on: Director, symbol: str, to: str) -> Undo:
    """91 (92 for depth): market data of these symbols is to be asked for as `to`, by contract id and exchange; nothing
    else comes."""
    target = next(iter(on.instruments(to)))
    on.core.world.faults.reroutes |= dict.fromkeys(on.keys(symbol), (target.con_id, target.exchange))
    return partial(no_reroute, on, symbol)


@check_of("reroute")
def _target(on: Director, arguments: Mapping[str, Any]) -> None:
    if len(on.instruments(arguments["to"])) != 1:
        raise ValueError("`to` is one symbol")


no_reroute = end_step("no_reroute", "End `reroute`.", lambda world: world.faults.reroutes)


@step
def two_listings(on: Director, symbol: str, exchange: str = "EBS", first: bool = True) -> Undo:
    """A second listing behind SMART in the same currency, on `exchange`: 200 (ambiguous), and two rows of details,
    the new one `first` or last."""
    for one in on.instruments(symbol):
        key = f"{one.key}:{exchange}"
        if on.core.master.by_key(key) is None:
            twin = replace(one, con_id=derived_id(key), primary=exchange, called=key, invented=False)
            on.core.master.add(twin, first)
            on.core.world.faults.twins.append(twin)
    return partial(one_listing, on)


@step
def one_listing(on: Director) -> None:
    """End `two_listings`; what is subscribed by then goes on."""
    while on.core.world.faults.twins:
        on.core.master.remove(on.core.world.faults.twins.pop())


@step
def refuse_in_reset(on: Director, drop: bool = True) -> Undo:
    """2157, and 200 for every stream, snapshot, history and details until undone, when 2158 comes. With `drop` the
    connections end first, so that all is asked for again."""
    if drop:
        for client in on.core.ready_clients():
            on.core.close(client, "scenario: reset window", abort=True)
    on.core.world.faults.refusing = True
    on.core.world.farms[SEC_DEF_FARM] = "broken"
    on.core.tell_all(*farm_message("Sec-def data", SEC_DEF_FARM, "broken"))
    return partial(reset_over, on)


@step
def reset_over(on: Director) -> None:
    """End `refuse_in_reset`: 2158, and all contracts exist again."""
    on.core.world.faults.refusing = False
    on.core.world.farms[SEC_DEF_FARM] = "ok"
    on.core.tell_all(*farm_message("Sec-def data", SEC_DEF_FARM, "ok"))


@step
def expire(on: Director, symbol: str) -> Undo:
    """A future's last day is over: 200 for its lines and all requests, but for details that include the expired."""
    on.core.world.faults.expired |= on.keys(symbol)
    lose_lines(on, symbol, 200, market_data.NOT_FOUND)
    return partial(unexpire, on, symbol)


unexpire = end_step("unexpire", "End `expire`.", lambda world: world.faults.expired)


@step
def answer(on: Director, code: int, to: Asked, symbol: str, message: str = "", instead: bool = True) -> Undo:
    """Any error, of any code, for each stream, snapshot, history or details request (`to`) of these symbols: in place
    of what was asked for, or beside it."""
    for key in on.keys(symbol):
        on.core.world.faults.answers[to, key] = Answer(code, message, instead)
    return partial(no_answer, on, to, symbol)


@step
def no_answer(on: Director, to: Asked, symbol: str) -> None:
    """End `answer`."""
    for key in on.keys(symbol):
        on.core.world.faults.answers.pop((to, key), None)


@step
def odd_details(
    on: Director, symbol: str, bare: bool = False, zone: str = "", primary: str = "", long_name: str = ""
) -> Undo:
    """Contract details without hours and time zone (`bare`), with another name of their zone or primary exchange (any
    text: `CST (China Standard Time)`, `ISLAND`), or with a long name that is sent as it is, valid escape or not."""
    on.core.world.faults.details |= dict.fromkeys(on.keys(symbol), Details(bare, zone, primary, long_name))
    return partial(even_details, on, symbol)


@check_of("odd_details")
def _is_odd(on: Director, arguments: Mapping[str, Any]) -> None:
    if not any(arguments.get(name) for name in ("bare", "zone", "primary", "long_name")):
        raise ValueError("it wants one of bare, zone, primary and long_name")


even_details = end_step("even_details", "End `odd_details`.", lambda world: world.faults.details)


@step
def magnify(on: Director, symbol: str, magnifier: int = 100) -> Undo:
    """Live prices of these symbols are told in this part of the currency (100: cents), and details say so in their
    price magnifier."""
    on.core.world.faults.magnifiers |= dict.fromkeys(on.keys(symbol), magnifier)
    tell_anew(on, symbol)
    return partial(no_magnify, on, symbol)


no_magnify = end_step("no_magnify", "End `magnify`.", lambda world: world.faults.magnifiers, anew=True)


@step
def cross_volumes(on: Director, root: str = "ES") -> Undo:
    """The front month of these futures and the one after it change places in what they trade a day: in history, and in
    lines that are subscribed from then on."""
    if root not in on.core.world.faults.volumes_crossed:
        on.core.world.faults.volumes_crossed.add(root)
        _change_places(on, root)
    return partial(uncross_volumes, on, root)


@check_of("cross_volumes")
def _has_two_months(on: Director, arguments: Mapping[str, Any]) -> None:
    if len(_months(on, arguments.get("root", "ES"))) < 2:
        raise ValueError("`root` is the symbol of futures with several months, such as ES")


@step
def uncross_volumes(on: Director, root: str = "ES") -> None:
    """End `cross_volumes`."""
    if root in on.core.world.faults.volumes_crossed:
        on.core.world.faults.volumes_crossed.discard(root)
        _change_places(on, root)


def _change_places(on: Director, root: str) -> None:
    front, after = _months(on, root)[:2]
    for one, other in ((front, after), (after, front)):
        on.core.master.remove(one)
        on.core.master.add(replace(one, volume=other.volume))


def _months(on: Director, root: str) -> list[Instrument]:
    futures = [one for one in on.core.master if one.sec_type == "FUT" and one.symbol == root]
    return sorted(futures, key=lambda one: one.expiry)
