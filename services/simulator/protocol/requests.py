"""Which request is answered by whom. An unknown or malformed one is an error message, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.simulator.client import Client
from services.simulator.protocol import requests_account, requests_history, requests_market, requests_reference
from services.simulator.protocol.wire import BadRequest, Fields

if TYPE_CHECKING:
    from services.simulator.core import Core

Handler = Callable[["Core", Client, Fields], None]

HANDLERS: dict[int, Handler] = {
    **requests_market.HANDLERS,
    **requests_reference.HANDLERS,
    **requests_history.HANDLERS,
    **requests_account.HANDLERS,
}


def dispatch(core: Core, client: Client, kind: int, fields: list[str]) -> None:
    handler = HANDLERS.get(kind)
    if handler is None:
        core.error(client, -1, 321, f"Error validating request: message id {kind} is not known here")
        return
    try:
        handler(core, client, Fields(fields))
    except BadRequest as error:
        core.error(client, -1, 320, f"Error reading request: message id {kind}: {error}")
