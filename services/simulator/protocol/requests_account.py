"""Requests about accounts and orders. There is one account, with some cash and nothing else, and it is read-only:
what clients ask at connect gets its correct empty end, and an order is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.client import Client
from services.simulator.market import account
from services.simulator.protocol.requested import AccountSummary, AccountUpdates, ById, Nothing
from services.simulator.protocol.requests_market import ignore

if TYPE_CHECKING:
    from services.simulator.core import Core

ACCOUNT = SIMULATED_ACCOUNT


def managed_accounts(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.managed_accounts(ACCOUNT))


def next_ids(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.next_valid_id(1))


def account_updates(core: Core, client: Client, asked: AccountUpdates) -> None:
    if not asked.subscribe:
        return
    for key, value, currency in account.everything():
        core.send(client, client.replies.account_value(key, value, currency, ACCOUNT))
    core.send(client, client.replies.account_time(f"{core.world.hours.local(core.now):%H:%M}"))
    core.send(client, client.replies.account_download_end(ACCOUNT))


def account_updates_multi(core: Core, client: Client, asked: ById) -> None:
    request = asked.request
    for key, value, currency in account.everything():
        core.send(client, client.replies.account_update_multi(request, ACCOUNT, key, value, currency))
    core.send(client, client.replies.account_update_multi_end(request))


def account_summary(core: Core, client: Client, asked: AccountSummary) -> None:
    request = asked.request
    for key, value, currency in account.summary(asked.tags):
        core.send(client, client.replies.account_summary(request, ACCOUNT, key, value, currency))
    core.send(client, client.replies.account_summary_end(request))


def positions(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.position_end())


def positions_multi(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.position_multi_end(asked.request))


def open_orders(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.open_order_end())


def completed_orders(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.completed_orders_end())


def executions(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.executions_end(asked.request))


def pnl(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.pnl(asked.request))


def pnl_single(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.pnl_single(asked.request))


def family_codes(core: Core, client: Client, asked: Nothing) -> None:
    core.send(client, client.replies.family_codes(ACCOUNT))


def soft_dollar_tiers(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.soft_dollar_tiers(asked.request))


def user_info(core: Core, client: Client, asked: ById) -> None:
    core.send(client, client.replies.user_info(asked.request))


def advisor(core: Core, client: Client, asked: Nothing) -> None:
    core.error(client, -1, 321, "Error validating request: not a financial advisor account")


def order(core: Core, client: Client, asked: ById) -> None:
    """Place, cancel and exercise: refused under the order's id."""
    text = "Error validating request: the simulator takes no orders, its API is read-only"
    core.error(client, asked.request, 321, text)


def global_cancel(core: Core, client: Client, asked: Nothing) -> None:
    """Nothing is open, so nothing is left to cancel."""


HANDLERS: dict[int, Callable[[Core, Client, Any], None]] = {
    3: order,
    4: order,
    5: open_orders,
    6: account_updates,
    7: executions,
    8: next_ids,
    15: open_orders,
    16: open_orders,
    17: managed_accounts,
    18: advisor,
    19: advisor,
    21: order,
    58: global_cancel,
    61: positions,
    62: account_summary,
    63: ignore,
    64: ignore,
    74: positions_multi,
    75: ignore,
    76: account_updates_multi,
    77: ignore,
    79: soft_dollar_tiers,
    80: family_codes,
    92: pnl,
    93: ignore,
    94: pnl_single,
    95: ignore,
    99: completed_orders,
    104: user_info,
}
