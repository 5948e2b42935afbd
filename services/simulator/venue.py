"""What the order desk knows of the core's world: time, quotes as feeds have them, and hours.

Faults of market data do not touch orders: they are filled at the market's own quote, whether a client is told of it
or not. A halt does: nothing is filled.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from services.simulator.market.contracts import Instrument
from services.simulator.market.hours import parse_moment
from services.simulator.trading.matching import Quote
from services.simulator.trading.order import ZERO

if TYPE_CHECKING:
    from services.simulator.core import Core

_REGULAR_HOURS = ("STK", "OPT", "CFD")  # what an order that is not for outside regular hours waits for
_DAYS_AHEAD = 10


class CoreVenue:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._at = -1
        self._quotes: dict[int, Quote] = {}

    @property
    def now(self) -> int:
        return self._core.now

    def quote(self, instrument: Instrument) -> Quote:
        """The same one for a whole turn."""
        if self._at != self._core.now:
            self._at = self._core.now
            self._quotes.clear()
        found = self._quotes.get(instrument.con_id)
        if found is None:
            found = self._quotes[instrument.con_id] = self._look(instrument)
        return found

    def day_end(self, instrument: Instrument) -> int:
        """The end of the regular session that runs, or else of the next one."""
        hours = self._core.world.hours
        today = hours.local(self.now).date()
        for day in (today + timedelta(days=n) for n in range(_DAYS_AHEAD)):
            for session in hours.sessions(instrument.sec_type, day):
                if (end := hours.to_ns(session.end)) > self.now:
                    return end
        return hours.to_ns(hours.local(self.now) + timedelta(days=1))

    def moment(self, text: str) -> int:
        return parse_moment(text, self._core.world.hours.time_zone)

    def watch(self, instrument: Instrument) -> None:
        self._core.market.activate(instrument, self.now)

    def release(self, instrument: Instrument) -> None:
        self._core.release(instrument)

    def _look(self, instrument: Instrument) -> Quote:
        feed, hours = self._core.market.feed(instrument, self.now), self._core.world.hours
        trading = not feed.halted and hours.is_open(instrument.sec_type, self.now)
        regular = trading
        if trading and hours.schedule != "always" and instrument.sec_type in _REGULAR_HOURS:
            local = hours.local(self.now)
            regular = any(one.start <= local < one.end for one in hours.sessions(instrument.sec_type, local.date()))
        sides = {name: (_price(feed.quote(name)[0]), _size(feed.quote(name)[1])) for name in ("bid", "ask", "last")}
        last = sides["last"][0] if instrument.has_trades else None
        return Quote(*sides["bid"], *sides["ask"], last, trading, regular)


def _price(text: str) -> Decimal | None:
    """None for what is no price: IB says -1 or 0 where there is none."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        return None
    return price if price > 0 else None


def _size(size: float) -> Decimal:
    return Decimal(repr(size)) if size > 0 else ZERO
