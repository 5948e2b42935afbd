"""What is computed of prices everywhere alike. Pure."""

from decimal import Decimal
from typing import TypeVar, overload

Price = TypeVar("Price", float, Decimal)


@overload
def midpoint(bid: Price, ask: Price) -> Price: ...


@overload
def midpoint(bid: Price | None, ask: Price | None) -> Price | None: ...


def midpoint(bid: Price | None, ask: Price | None) -> Price | None:
    """The middle of bid and ask, not rounded; None unless both are known."""
    return None if bid is None or ask is None else (bid + ask) / 2
