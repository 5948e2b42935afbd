"""Who answers which request, by its message id: the modules of requests fill the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from services.simulator.client import Client

if TYPE_CHECKING:
    from services.simulator.core import Core

Handler = Callable[["Core", Client, Any], None]
"""Takes a request of `requested.py`, the one that the readers make of its message."""
H = TypeVar("H", bound=Handler)

HANDLERS: dict[int, Handler] = {}


def handles(*kinds: int) -> Callable[[H], H]:
    """A function that answers the requests of these message ids."""

    def keep(function: H) -> H:
        HANDLERS.update(dict.fromkeys(kinds, function))
        return function

    return keep
