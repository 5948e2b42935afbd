"""Which instruments move when: 250 ms aggregates at the natural pace, or as many ticks a second as asked for.

Feeds exist for what somebody looked at; they are stepped only while somebody is subscribed. Deterministic for the
same seed and the same times.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from services.base.clock import MILLISECOND, SECOND
from services.simulator.market.bars import bars
from services.simulator.market.contracts import Instrument
from services.simulator.market.greeks import Worth
from services.simulator.market.hours import MarketHours
from services.simulator.market.past_ticks import PastTick, past_ticks
from services.simulator.market.prices import Feed, Tick
from services.simulator.market.trades import RawBar

SLICE = 50 * MILLISECOND  # five slices make one aggregate; each symbol has its own slice
SLICES = 5
MOST_CATCH_UP = SECOND  # after a stall, at most this much is made up for


class Quotes(Protocol):
    """One instrument's market, invented (prices.Feed) or recorded (replay.RecordedFeed)."""

    instrument: Instrument
    halted: int
    data_type: int

    def image(self) -> list[Tick]: ...

    def rt_volume(self) -> Tick: ...

    def worth(self, now: int) -> Worth | None: ...

    def quote(self, side: str) -> tuple[str, float]: ...


class Source(Protocol):
    """Where prices come from: `Market`, or replay.ReplayMarket."""

    backlog: int
    ended: bool

    @property
    def eager(self) -> bool: ...

    def time(self, now: int) -> int: ...

    def feed(self, instrument: Instrument, now: int) -> Quotes: ...

    def feeds(self) -> Sequence[Quotes]: ...

    def activate(self, instrument: Instrument, now: int) -> Quotes: ...

    def deactivate(self, instrument: Instrument) -> None: ...

    def advance(self, now: int) -> Iterator[tuple[Quotes, list[Tick]]]: ...

    def bars(self, instrument: Instrument, start: int, end: int, seconds: int, trades: bool = True) -> list[RawBar]: ...

    def past_ticks(
        self, instrument: Instrument, start: int, end: int, most: int, first: bool
    ) -> Sequence[PastTick]: ...

    def progress(self) -> dict[str, object]: ...

    def close(self) -> None: ...


class Market:
    """Invented prices. `rate`: ticks a second for all that is subscribed together, 0 for the natural pace."""

    backlog = 0
    ended = False
    eager = False

    def __init__(self, seed: int, rate: int, hours: MarketHours) -> None:
        self._seed, self._rate, self._hours = seed, rate, hours
        self._feeds: dict[int, Feed] = {}
        self._active: dict[int, Feed] = {}
        self._ring: list[Feed] = []
        self._position = 0
        self._credit = 0.0
        self._last = 0
        self._random = random.Random(seed)  # noqa: S311 - prices, not secrets

    def feed(self, instrument: Instrument, now: int) -> Feed:
        """The instrument's feed, brought to `now` unless it is running."""
        feed = self._feeds.get(instrument.con_id)
        if feed is None:
            feed = self._feeds[instrument.con_id] = Feed(self._seed, instrument, self._hours)
        if instrument.con_id not in self._active:
            feed.refresh(now)
        return feed

    def time(self, now: int) -> int:
        return now

    def bars(self, instrument: Instrument, start: int, end: int, seconds: int, trades: bool = True) -> list[RawBar]:
        """History that agrees with the live prices. `trades`: of what was traded, and not of the fair price alone."""
        feed = self._feeds.get(instrument.con_id) if trades else None
        if feed is not None and instrument.con_id not in self._active:
            feed.refresh(self._last)
        minutes = feed.minutes if feed is not None else None
        return bars(self._seed, instrument, self._hours, start, end, seconds, minutes)

    def past_ticks(self, instrument: Instrument, start: int, end: int, most: int, first: bool) -> list[PastTick]:
        """At most `most` past ticks in [start, end), the first or the last of them."""
        return past_ticks(self._seed, instrument, self._hours, start, end, most, first)

    def progress(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        """Nothing is held."""

    def feeds(self) -> list[Feed]:
        """Of everything that somebody ever looked at."""
        return list(self._feeds.values())

    def activate(self, instrument: Instrument, now: int) -> Feed:
        """Let the instrument move from now on."""
        feed = self.feed(instrument, now)
        if instrument.con_id not in self._active:
            self._active[instrument.con_id] = feed
            self._ring = list(self._active.values())
        return feed

    def deactivate(self, instrument: Instrument) -> None:
        if self._active.pop(instrument.con_id, None) is not None:
            self._ring = list(self._active.values())

    def advance(self, now: int) -> Iterator[tuple[Feed, list[Tick]]]:
        """The steps that fall due until `now`, each with the ticks that it makes."""
        since = max(self._last, now - MOST_CATCH_UP)
        self._last = now
        if not self._ring:
            return
        if self._rate:
            yield from self._at_rate(since, now)
            return
        for slice_number in range(since // SLICE + 1, now // SLICE + 1):
            for feed in self._ring:
                if feed.instrument.con_id % SLICES == slice_number % SLICES and self._random.random() < feed.activity:
                    yield feed, self._step(feed, slice_number * SLICE)

    def _at_rate(self, since: int, now: int) -> Iterator[tuple[Feed, list[Tick]]]:
        self._credit += (now - since) / SECOND * self._rate
        fruitless = 0
        while self._credit > 0 and fruitless < len(self._ring):
            self._position = (self._position + 1) % len(self._ring)
            feed = self._ring[self._position]
            ticks = self._step(feed, now)
            fruitless = 0 if ticks else fruitless + 1
            self._credit -= len(ticks)
            yield feed, ticks
        self._credit = min(self._credit, 0.0)  # what could not be made is not owed: all may be halted

    def _step(self, feed: Feed, at: int) -> list[Tick]:
        return feed.step(at) if self._hours.is_open(feed.instrument.sec_type, at) else []
