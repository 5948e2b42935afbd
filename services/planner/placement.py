"""Which of several gateways serves which symbol. Pure; called by the planner's state machine for each plan.

Every symbol has a home among the gateways, and keeps it as long as that gateway exists and has a line for it.
While a home has failed, the lines of the living gateways go to the most important of all symbols. Those beyond
the lines have a living gateway too, which serves them from snapshots. Given its own result again, it changes nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple


class Place(NamedTuple):
    gateway: str  # that serves the symbol now
    home: str  # that it goes back to


def place(
    symbols: Sequence[str],
    cut: Sequence[str],
    lines: Mapping[str, int],
    failed: Collection[str],
    before: Mapping[str, Place],
) -> dict[str, Place]:
    """A place for each of `symbols`, most important first, and of `cut`, which take no line.

    `lines` are the market data lines of every gateway, `failed` those that serve nothing, `before` the places in
    the plan before. While all have failed, everything stays where it was.
    """
    homes = _homes(symbols, cut, lines, before)
    living = {name: count for name, count in lines.items() if name not in failed}
    if len(living) == len(lines):
        return {symbol: Place(home, home) for symbol, home in homes.items()}
    was = {symbol: known.gateway for symbol, known in before.items() if known.gateway in lines}
    if not living:
        return {symbol: Place(was.get(symbol, home), home) for symbol, home in homes.items()}
    places = _Places(living)
    total = sum(living.values())
    left = places.take(symbols[:total], homes)
    left = places.take(left, was)
    places.give(left)
    for symbol in (*symbols[total:], *cut):
        places.put_beyond(symbol, [homes[symbol], was.get(symbol, "")])
    return {symbol: Place(places.of[symbol], home) for symbol, home in homes.items()}


def _homes(
    symbols: Sequence[str], cut: Sequence[str], lines: Mapping[str, int], before: Mapping[str, Place]
) -> dict[str, str]:
    known = {symbol: place.home for symbol, place in before.items() if place.home in lines}
    places = _Places(lines)
    places.give(places.take(symbols, known), known)
    for symbol in cut:
        places.put_beyond(symbol, [known.get(symbol, "")])
    return places.of


class _Places:
    """Symbols on gateways, and the lines that are left."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self.of: dict[str, str] = {}
        self._lines = lines
        self._free = dict(lines)
        self._beyond = dict.fromkeys(lines, 0)

    def take(self, symbols: Iterable[str], wanted: Mapping[str, str]) -> list[str]:
        """Give each a line of the gateway that it is `wanted` on. Returns those for which there is none."""
        left = []
        for symbol in symbols:
            gateway = wanted.get(symbol, "")
            if self._free.get(gateway, 0) > 0:
                self._put(symbol, gateway)
            else:
                left.append(symbol)
        return left

    def give(self, symbols: Iterable[str], wanted: Mapping[str, str] | None = None) -> None:
        """Give each a line of the gateway with the most of them left, and, when there is none, a place beyond."""
        for symbol in symbols:
            gateway = max(self._free, key=self._free.__getitem__)
            if self._free[gateway] > 0:
                self._put(symbol, gateway)
            else:
                self.put_beyond(symbol, [(wanted or {}).get(symbol, "")])

    def put_beyond(self, symbol: str, wanted: Iterable[str]) -> None:
        """Place it without a line: where it is wanted, or where the fewest are, for the gateway's size."""
        known = [gateway for gateway in wanted if gateway in self._lines]
        gateway = known[0] if known else min(self._lines, key=lambda name: self._beyond[name] / self._lines[name])
        self._beyond[gateway] += 1
        self.of[symbol] = gateway

    def _put(self, symbol: str, gateway: str) -> None:
        self._free[gateway] -= 1
        self.of[symbol] = gateway
