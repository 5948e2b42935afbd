"""Requests about the account: what it is worth, what it holds, and what it gained; and what is told of changes.

Positions are told when they change, profit once a second, figures within a second of a trade and every three minutes
(TWS API documentation, account and portfolio data).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.base.clock import SECOND
from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.client import Client
from services.simulator.protocol.handlers import cancels, handles, tells
from services.simulator.protocol.requested import AccountSummary, AccountUpdates, ById, Nothing, OfAccount, ProfitOf
from services.simulator.protocol.rows import PositionRow
from services.simulator.refused import invalid
from services.simulator.trading.account import Profit, Value
from services.simulator.trading.ledger import Position
from services.simulator.trading.order import ZERO

if TYPE_CHECKING:
    from services.simulator.core import Core

ACCOUNT = SIMULATED_ACCOUNT
UPDATES_EVERY = 180 * SECOND


tells(17, lambda core, client, asked: client.replies.managed_accounts(ACCOUNT))


@handles(8)
def next_ids(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.next_valid_id(core.desk.next_id(client.client_id)))


def check_account(account: str) -> None:
    """Raises Refused for another account than the only one; `All` are that one."""
    if account not in ("", ACCOUNT, "All"):
        raise invalid(f"Invalid account code '{account}'")


# --- what the account is worth ---


@handles(6)
def account_updates(core: Core, client: Client, asked: AccountUpdates) -> None:
    check_account(asked.account)
    client.watching.updates = None
    if not asked.subscribe:
        return
    client.watching.updates = {}
    client.watching.portfolio = {}
    _send_updates(core, client, core.desk.account.everything(), _portfolio(core))
    core.send(client, client.replies.account_download_end(ACCOUNT))


@handles(76)
def account_updates_multi(core: Core, client: Client, asked: OfAccount) -> None:
    check_account(asked.account)
    client.watching.updates_multi[asked.request] = {}
    _send_updates_multi(core, client, asked.request, core.desk.account.everything())
    core.send(client, client.replies.account_update_multi_end(asked.request))


cancels(77, lambda client: client.watching.updates_multi)


@handles(62)
def account_summary(core: Core, client: Client, asked: AccountSummary) -> None:
    client.watching.summaries[asked.request] = (asked.tags, {})
    _send_summary(core, client, asked.request)
    core.send(client, client.replies.account_summary_end(asked.request))


cancels(63, lambda client: client.watching.summaries)


def _send_updates(core: Core, client: Client, values: list[Value], portfolio: dict[int, PositionRow]) -> None:
    told = client.watching.updates
    if told is None:
        return
    for value in _changed(told, values):
        core.send(client, client.replies.account_value(value.tag, value.value, value.currency, ACCOUNT))
    for con_id, row in portfolio.items():
        known = client.watching.portfolio.get(con_id)
        if row != known and (known is not None or row.quantity != "0"):
            client.watching.portfolio[con_id] = row
            core.send(client, client.replies.portfolio_value(ACCOUNT, row))
    core.send(client, client.replies.account_time(f"{core.world.hours.local(core.now):%H:%M}"))


def _send_updates_multi(core: Core, client: Client, request: int, values: list[Value]) -> None:
    for value in _changed(client.watching.updates_multi[request], values):
        core.send(client, client.replies.account_update_multi(request, ACCOUNT, value.tag, value.value, value.currency))


def _send_summary(core: Core, client: Client, request: int) -> None:
    tags, told = client.watching.summaries[request]
    for value in _changed(told, core.desk.account.summary(tags)):
        core.send(client, client.replies.account_summary(request, ACCOUNT, value.tag, value.value, value.currency))


def _changed(told: dict[tuple[str, str], str], values: list[Value]) -> list[Value]:
    """Those that are not what was told last, which they are from now on."""
    found = [value for value in values if told.get((value.tag, value.currency)) != value.value]
    told.update({(value.tag, value.currency): value.value for value in found})
    return found


# --- what it holds ---


@handles(61)
def positions(core: Core, client: Client, asked: Nothing) -> None:
    refusal = core.world.faults.positions
    if refusal is not None:
        if refusal.message:
            core.error(client, -1, refusal.code, refusal.message)
        return
    client.watching.positions = True
    for one in core.desk.account.held():
        core.send(client, client.replies.position(ACCOUNT, row_of(core, one)))
    core.send(client, client.replies.position_end())


@handles(64)
def cancel_positions(core: Core, client: Client, asked: Nothing) -> None:
    client.watching.positions = False


@handles(74)
def positions_multi(core: Core, client: Client, asked: OfAccount) -> None:
    check_account(asked.account)
    client.watching.positions_multi.add(asked.request)
    for one in core.desk.account.held():
        core.send(client, client.replies.position_multi(asked.request, ACCOUNT, row_of(core, one)))
    core.send(client, client.replies.position_multi_end(asked.request))


@handles(75)
def cancel_positions_multi(core: Core, client: Client, asked: ById) -> None:
    client.watching.positions_multi.discard(asked.request)


def position_changed(core: Core, con_id: int) -> None:
    """Tell those who asked for positions; the figures follow within a second."""
    core.account_told_at = 0
    row = row_of(core, core.desk.account.ledger.positions[con_id])
    for client in core.ready_clients():
        if client.watching.positions:
            core.send(client, client.replies.position(ACCOUNT, row))
        for request in client.watching.positions_multi:
            core.send(client, client.replies.position_multi(request, ACCOUNT, row))


def row_of(core: Core, one: Position) -> PositionRow:
    price = core.desk.account.price(one) if one.quantity else ZERO
    return PositionRow(
        one.instrument, f"{one.quantity.normalize():f}" if one.quantity else "0", float(price), float(one.value(price)),
        round(float(one.average_cost), 8), float(one.unrealized(price)), float(one.realized),
    )  # fmt: skip


def _portfolio(core: Core) -> dict[int, PositionRow]:
    return {con_id: row_of(core, one) for con_id, one in core.desk.account.ledger.positions.items()}


# --- what it gained ---


@handles(92)
def pnl(core: Core, client: Client, asked: OfAccount) -> None:
    check_account(asked.account)
    client.watching.profit[asked.request] = None
    _send_profit(core, client)


cancels(93, lambda client: client.watching.profit)


@handles(94)
def pnl_single(core: Core, client: Client, asked: ProfitOf) -> None:
    check_account(asked.account)
    client.watching.profit_of[asked.request] = (asked.con_id, None)
    _send_profit(core, client)


cancels(95, lambda client: client.watching.profit_of)


def _send_profit(core: Core, client: Client) -> None:
    """Where it is not what was told last."""
    account, watching = core.desk.account, client.watching
    for request, told in watching.profit.items():
        found = account.profit()
        if found != told:
            watching.profit[request] = found
            core.send(client, client.replies.pnl(request, *map(float, found)))
    for request, (con_id, before) in watching.profit_of.items():
        one = account.ledger.positions.get(con_id)
        gained = Profit(ZERO, ZERO, ZERO) if one is None else account.profit_of(con_id)
        row = None if one is None else row_of(core, one)
        if before is None or before != (gained, row):
            watching.profit_of[request] = (con_id, (gained, row))
            quantity, value = ("0", 0.0) if row is None else (row.quantity, row.value)
            daily, unrealized, realized = map(float, gained)
            core.send(client, client.replies.pnl_single(request, quantity, daily, unrealized, realized, value))


def turn(core: Core) -> None:
    """Once a second, what has changed."""
    if core.now - core.profit_told_at < SECOND:
        return
    core.profit_told_at = core.now
    clients = core.ready_clients()
    for client in clients:
        _send_profit(core, client)
    if core.now - core.account_told_at < UPDATES_EVERY:
        return
    core.account_told_at = core.now
    values, portfolio = core.desk.account.everything(), _portfolio(core)
    for client in clients:
        _send_updates(core, client, values, portfolio)
        for request in client.watching.updates_multi:
            _send_updates_multi(core, client, request, values)
        for request in client.watching.summaries:
            _send_summary(core, client, request)


# --- what there is not ---


tells(80, lambda core, client, asked: client.replies.family_codes(ACCOUNT))
tells(79, lambda core, client, asked: client.replies.soft_dollar_tiers(asked.request))
tells(104, lambda core, client, asked: client.replies.user_info(asked.request))


@handles(18, 19)
def advisor(core: Core, client: Client, asked: Nothing | ById) -> None:
    raise invalid("not a financial advisor account")
