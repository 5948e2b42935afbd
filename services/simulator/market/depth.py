"""A book of orders behind the quote: its first row is the quote itself, the others follow a tick or more behind.

A pure function of quote, instrument and second, so that every client sees the same book.
"""

from typing import NamedTuple

from services.base.clock import SECOND
from services.simulator.market.contracts import Instrument
from services.simulator.market.prices import chance

SERVED = frozenset({"STK", "FUT", "CONTFUT", "CASH", "CRYPTO", "OPT"})
MAKERS = ("NSDQ", "ARCA", "BATS", "EDGX", "IEX", "MEMX")


class Level(NamedTuple):
    """One row of one side: `price` as text, `size` in shares or contracts."""

    price: str
    size: float
    maker: str


class DepthRow(NamedTuple):
    """One change of a book as a client hears it. `operation`: 0 insert, 1 update, 2 delete; `side`: 0 ask, 1 bid."""

    place: int
    operation: int
    side: int
    level: Level
    smart: bool


class Book(NamedTuple):
    """Both sides, the best price first."""

    bids: list[Level]
    asks: list[Level]


def book(
    instrument: Instrument, seed: int, now: int, rows: int, bid: tuple[str, float], ask: tuple[str, float]
) -> Book:
    """`rows` levels a side behind the quote's two sides, each a price as text and a size."""
    return Book(_side(instrument, seed, now, rows, bid, -1), _side(instrument, seed + 1, now, rows, ask, 1))


def _side(instrument: Instrument, seed: int, now: int, rows: int, best: tuple[str, float], step: int) -> list[Level]:
    text, size = best
    ticks, levels = round(float(text) / instrument.tick), []
    for place in range(rows):
        dice = chance(seed + place, instrument, now // SECOND)
        if place:
            ticks += step * (1 + dice % 2)
            text, size = f"{ticks * instrument.tick:.{instrument.decimals}f}", max(best[1], 1) * (1 + dice % 5)
        if ticks <= 0:
            break
        levels.append(Level(text, size, MAKERS[dice % len(MAKERS)]))
    return levels
