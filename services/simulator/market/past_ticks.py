"""Past ticks of invented prices, one a second: a pure function of seed, instrument and time, so that they agree with
the bars and with what the live feed showed, to a tick or two.
"""

from typing import NamedTuple

from services.base.clock import SECOND
from services.simulator.market.bars import DAY, bar_times
from services.simulator.market.contracts import Instrument
from services.simulator.market.hours import MarketHours
from services.simulator.market.prices import Walk, chance

MOST = 1000  # of one request, as at IB
WINDOW = 5 * DAY * SECOND  # how far a request looks for them: over a weekend


class PastTick(NamedTuple):
    """Prices as text, sizes in shares or contracts, `time` in UTC seconds."""

    time: int
    bid: str
    ask: str
    last: str
    bid_size: float
    ask_size: float
    last_size: float


def past_ticks(
    seed: int, instrument: Instrument, hours: MarketHours, start: int, end: int, most: int, first: bool
) -> list[PastTick]:
    """At most `most` ticks in [start, end), UTC nanoseconds, oldest first: the first of them, or the last."""
    minutes = list(bar_times(hours, instrument.sec_type, start, end, 60))
    needed = most // 60 + 2
    seconds = [
        at
        for begins, ends in (minutes[:needed] if first else minutes[-needed:])
        for at in range(begins, min(ends, end), SECOND)
    ]
    walk = Walk(seed, instrument)
    return [_tick(walk, seed, instrument, at) for at in (seconds[:most] if first else seconds[-most:])]


def _tick(walk: Walk, seed: int, instrument: Instrument, at: int) -> PastTick:
    bid = max(1, round(walk.at(at) / instrument.tick - instrument.spread / 2))
    ask = bid + instrument.spread
    dice, lot = chance(seed, instrument, at), instrument.round_lot
    bid_text, ask_text = (f"{level * instrument.tick:.{instrument.decimals}f}" for level in (bid, ask))
    return PastTick(
        time=at // SECOND,
        bid=bid_text,
        ask=ask_text,
        last=bid_text if dice % 2 else ask_text,
        bid_size=lot * (1 + dice % 7),
        ask_size=lot * (1 + dice % 11),
        last_size=max(1, lot * (dice % 5) // 2),
    )
