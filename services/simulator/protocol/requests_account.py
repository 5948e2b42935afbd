"""Requests about accounts and orders. There is one account, with some cash and nothing else, and it is read-only:
what clients ask at connect gets its correct empty end, and an order is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.base.simulated import SIMULATED_ACCOUNT
from services.simulator.client import Client
from services.simulator.protocol.requests_market import ignore
from services.simulator.protocol.wire import Fields

if TYPE_CHECKING:
    from services.simulator.core import Core

ACCOUNT = SIMULATED_ACCOUNT
VALUES = (
    ("AccountType", "SIMULATED", ""),
    ("AvailableFunds", "1000000.00", "USD"),
    ("BuyingPower", "1000000.00", "USD"),
    ("CashBalance", "1000000.00", "USD"),
    ("EquityWithLoanValue", "1000000.00", "USD"),
    ("GrossPositionValue", "0.00", "USD"),
    ("NetLiquidation", "1000000.00", "USD"),
    ("TotalCashValue", "1000000.00", "USD"),
)


def managed_accounts(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.managed_accounts(ACCOUNT))


def next_ids(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.next_valid_id(1))


def account_updates(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    if not fields.flag():
        return
    for key, value, currency in VALUES:
        core.send(client, client.replies.account_value(key, value, currency, ACCOUNT))
    core.send(client, client.replies.account_time(f"{core.world.hours.local(core.now):%H:%M}"))
    core.send(client, client.replies.account_download_end(ACCOUNT))


def account_updates_multi(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    request = fields.number()
    for key, value, currency in VALUES:
        core.send(client, client.replies.account_update_multi(request, ACCOUNT, key, value, currency))
    core.send(client, client.replies.account_update_multi_end(request))


def account_summary(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    request = fields.number()
    fields.skip()  # group
    tags = set(fields.text().split(","))
    for key, value, currency in VALUES:
        if key in tags:
            core.send(client, client.replies.account_summary(request, ACCOUNT, key, value, currency))
    core.send(client, client.replies.account_summary_end(request))


def positions(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.position_end())


def positions_multi(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    core.send(client, client.replies.position_multi_end(fields.number()))


def open_orders(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.open_order_end())


def completed_orders(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.completed_orders_end())


def executions(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    core.send(client, client.replies.executions_end(fields.number()))


def pnl(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.pnl(fields.number()))


def pnl_single(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.pnl_single(fields.number()))


def family_codes(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.family_codes(ACCOUNT))


def soft_dollar_tiers(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.soft_dollar_tiers(fields.number()))


def user_info(core: Core, client: Client, fields: Fields) -> None:
    core.send(client, client.replies.user_info(fields.number()))


def advisor(core: Core, client: Client, fields: Fields) -> None:
    core.error(client, -1, 321, "Error validating request: not a financial advisor account")


def order(core: Core, client: Client, fields: Fields) -> None:
    """Place, cancel and exercise carry the order id first, or after a version field before 145 and 169."""
    first = fields.number(-1)
    core.error(client, first, 321, "Error validating request: the simulator takes no orders, its API is read-only")


def order_with_version(core: Core, client: Client, fields: Fields) -> None:
    fields.skip()
    order(core, client, fields)


def place_order(core: Core, client: Client, fields: Fields) -> None:
    (order_with_version if client.replies.version < 145 else order)(core, client, fields)


def cancel_order(core: Core, client: Client, fields: Fields) -> None:
    (order_with_version if client.replies.version < 192 else order)(core, client, fields)


def global_cancel(core: Core, client: Client, fields: Fields) -> None:
    """Nothing is open, so nothing is left to cancel."""


HANDLERS: dict[int, Callable[[Core, Client, Fields], None]] = {
    3: place_order,
    4: cancel_order,
    5: open_orders,
    6: account_updates,
    7: executions,
    8: next_ids,
    15: open_orders,
    16: open_orders,
    17: managed_accounts,
    18: advisor,
    19: advisor,
    21: order_with_version,
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
