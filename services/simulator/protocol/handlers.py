"""Who answers which request, by its message id: the modules of requests fill the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from services.simulator.client import Client
from services.simulator.protocol.requested import ById
from services.simulator.refused import Refused

if TYPE_CHECKING:
    from services.simulator.core import Core

Handler = Callable[["Core", Client, Any], None]
"""Takes a request of `requested.py`, the one that the readers make of its message."""
H = TypeVar("H", bound=Handler)

HANDLERS: dict[int, Handler] = {}


def cancels(kind: int, kept: Callable[[Client], dict[int, Any]], *, known: bool = False) -> None:
    """The request of this message id ends what is `kept` for a client under the id that it names, if anything; with
    `known` an id of nothing is an error."""

    def cancel(core: Core, client: Client, asked: ById) -> None:
        if kept(client).pop(asked.request, None) is None and known:
            raise Refused(300, f"Can't find EId with tickerId:{asked.request}")

    HANDLERS[kind] = cancel


def tells(kind: int, reply: Callable[[Core, Client, Any], bytes]) -> None:
    """The request of this message id has one message as its whole answer."""

    def tell(core: Core, client: Client, asked: Any) -> None:
        core.send(client, reply(core, client, asked))

    HANDLERS[kind] = tell


def handles(*kinds: int) -> Callable[[H], H]:
    """A function that answers the requests of these message ids."""

    def keep(function: H) -> H:
        HANDLERS.update(dict.fromkeys(kinds, function))
        return function

    return keep
