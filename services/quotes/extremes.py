"""The lowest and the highest price of a span of time that moves on, in little memory. Pure; used by price alerts.

Time is counted in parts. A price that a later one has passed can never be an extreme again, so it is not kept: of a
price that goes up and down some thirty are, and never more than one a part for each side.
"""

import msgspec


class Side(msgspec.Struct, array_like=True):
    """Prices that may still become the extreme, oldest first: each is further out than all that came after it."""

    parts: list[int] = []
    prices: list[float] = []


class Extremes(msgspec.Struct, array_like=True):
    low: Side = msgspec.field(default_factory=Side)
    high: Side = msgspec.field(default_factory=Side)

    def note(self, part: int, price: float, oldest: int) -> tuple[float, float]:
        """A price, in a part of time no earlier than the last one. Returns the lowest and the highest of the parts from
        `oldest` on, this one among them."""
        return _note(self.low, part, price, oldest, 1.0), _note(self.high, part, price, oldest, -1.0)

    def begin(self, part: int, price: float) -> None:
        """Forget all but this price."""
        self.low, self.high = Side([part], [price]), Side([part], [price])


def _note(side: Side, part: int, price: float, oldest: int, sign: float) -> float:
    parts, prices = side.parts, side.prices
    while prices and sign * prices[-1] >= sign * price:
        parts.pop()
        prices.pop()
    if not parts or parts[-1] != part:
        parts.append(part)
        prices.append(price)
    gone = 0
    while parts[gone] < oldest:
        gone += 1
    del parts[:gone], prices[:gone]
    return prices[0]
