"""Invented prices: a random walk that can be asked for any moment, and the ticks that a quote makes of it.

`Walk.at` is a pure function of seed, instrument and time, so history, a restart and the live stream agree.
`Feed.step` turns it into tick messages as IB sends them: only what changed, each price followed by its size. What it
trades it notes, for history; trading goes on while nobody looks, and is made up when somebody does again.
"""

import math
import random
from datetime import timedelta
from typing import NamedTuple

from services.base.clock import DAY, HOUR, MINUTE, SECOND
from services.simulator.market.contracts import Instrument
from services.simulator.market.derived import ends_at
from services.simulator.market.greeks import Worth, worth
from services.simulator.market.hours import MarketHours
from services.simulator.market.trades import Minutes

PRICE, SIZE, GENERIC, STRING = 1, 2, 45, 46  # message ids of the four kinds of tick

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE, HIGH, LOW, VOLUME, CLOSE, OPEN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14
BID_EXCHANGE, ASK_EXCHANGE, LAST_TIME, RT_VOLUME, HALTED, LAST_EXCHANGE = 32, 33, 45, 48, 49, 84

_MASK = (1 << 64) - 1
_YEAR = 365 * DAY
_PERIODS = [2 * SECOND * 4**n for n in range(11)]  # two seconds to 24 days
_STOCK_SIZES = (100, 100, 100, 200, 200, 300, 400, 500, 700, 900, 1200, 1600, 2500)
_TRADES = (1, 5, 10, 25, 40, 50, 100, 100, 100, 100, 200, 300, 500)
_CONTRACTS = (1, 1, 1, 2, 3, 5, 10)
_COINS = (0.001, 0.0025, 0.01, 0.05, 0.125, 0.5, 1)
_LOTS = tuple(range(1, 60))
_SIZES: dict[str, tuple[float, ...]] = {
    "STK": _STOCK_SIZES, "CFD": _STOCK_SIZES, "FUT": _LOTS, "CONTFUT": _LOTS, "OPT": _LOTS,
    "FOP": _LOTS, "WAR": _STOCK_SIZES, "BOND": (5, 10, 25, 100, 250), "CMDTY": (10, 50, 100, 400),
    "CASH": (500_000, 1_000_000, 2_500_000), "CRYPTO": _COINS,
}  # fmt: skip
_LETTERS = "NPQZVU"
_MINUTES_KEPT = 480  # of trades: a session, and its bars are what was traded in it
_STEPS_MEANWHILE = 600  # at most, to make up what was traded while nobody looked


class Tick(NamedTuple):
    """One tick message but for its request id. `text` is the price or value; `size` goes with a price."""

    kind: int
    field: int
    text: str
    size: float = 0
    mask: int = 0


class Walk:
    """Fractal noise over eleven time scales, each scaled like a random walk: it looks like one, at any zoom."""

    def __init__(self, seed: int, instrument: Instrument) -> None:
        source = random.Random(f"{seed}:{instrument.con_id}")  # noqa: S311 - prices, not secrets
        self.price = instrument.price
        self._scales = [
            [source.getrandbits(64), period, 0.9 * instrument.daily * math.sqrt(period / DAY), -2, 0.0, 0.0, 0.0]
            for period in _PERIODS
        ]
        self._span, self._total, self._slope = -1, 0.0, 0.0  # the sum of all scales: straight in a finest period

    def at(self, now: int) -> float:
        """The fair price at `now`, unrounded. Cheapest when asked in order of time."""
        span, rest = divmod(now, _PERIODS[0])
        if span != self._span:
            self._enter(span)
        return self.price * math.exp(self._total + self._slope * rest)

    def _enter(self, span: int) -> None:
        start = span * _PERIODS[0]
        total = slope = 0.0
        for scale in self._scales:
            key, period, weight, index, left, right, rise = scale
            i, rest = divmod(start, period)
            if i != index:
                left = right if i == index + 1 else weight * _lattice(key, i)
                right = weight * _lattice(key, i + 1)
                rise = (right - left) / period
                scale[3:] = i, left, right, rise
            total += left + rise * rest
            slope += rise
        self._span, self._total, self._slope = span, total, slope


class OptionWalk:
    """What an option is worth while its underlying walks."""

    def __init__(self, seed: int, option: Instrument, under: Instrument) -> None:
        self._under = walk(seed, under)
        self._strike, self._is_call = option.strike, option.right == "C"
        self._ends = ends_at(option)
        self._volatility = under.daily * math.sqrt(252)

    def at(self, now: int) -> float:
        return self.worth(now).price

    def worth(self, now: int) -> Worth:
        years = max(0, self._ends - now) / _YEAR
        return worth(self._under.at(now), self._strike, self._is_call, self._volatility, years)


def walk(seed: int, instrument: Instrument) -> Walk | OptionWalk:
    """The fair price of an instrument at any time; of a CFD, its underlying's."""
    if instrument.under is None:
        return Walk(seed, instrument)
    if instrument.sec_type in ("OPT", "FOP"):
        return OptionWalk(seed, instrument, instrument.under)
    return Walk(seed, instrument.under)


def _lattice(key: int, index: int) -> float:
    """A number in [-1, 1) that depends on nothing but its arguments (splitmix64)."""
    z = (key + index * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 1) / (1 << 62) - 1.0


def chance(seed: int, instrument: Instrument, at: int) -> int:
    """A whole number that depends on nothing but its arguments."""
    return int((_lattice(seed * 1_000_003 + instrument.con_id, at) + 1) * (1 << 40))


class Day(NamedTuple):
    """A session: when it begins and ends, and when the one before ended."""

    start: int
    end: int
    previous_end: int


def session_day(hours: MarketHours, sec_type: str, now: int) -> Day:
    """The session that runs at `now`, or else the last one before it."""
    day = hours.local(now).date()
    found: list[tuple[int, int]] = []
    for _ in range(20):
        spans = hours.sessions(sec_type, day)
        if spans:
            start, end = hours.to_ns(spans[0].start), hours.to_ns(spans[-1].end)
            if start <= now:
                found.append((start, end))
        if len(found) == 2:
            break
        day -= timedelta(days=1)
    if not found:
        return Day(now - now % DAY, now - now % DAY + DAY, now - now % DAY - 4 * HOUR)
    start, end = found[0]
    previous_end = found[1][1] if len(found) == 2 else start
    return Day(start, end, min(previous_end, start - 4 * HOUR) if hours.schedule == "always" else previous_end)


def traded(instrument: Instrument, day: Day, now: int) -> int:
    """Shares or contracts traded in the session until `now`: it only grows, faster at open and close."""
    if not instrument.has_trades:
        return 0
    part = min(1.0, max(0.0, (now - day.start) / (day.end - day.start)))
    return int(instrument.volume * (part + 0.14 * math.sin(2 * math.pi * part)))


class Feed:
    """The market of one instrument, in whole ticks. Deterministic for the same seed and times of its steps."""

    def __init__(self, seed: int, instrument: Instrument, hours: MarketHours) -> None:
        self.instrument = instrument
        self.data_type = 1  # as IB delivers it: live
        self.halted = 0  # tick 49: 0 trading, 1 regulatory, 2 volatility
        self._hours = hours
        self._walk = walk(seed, instrument)
        self._random = random.Random(f"{seed}/{instrument.con_id}")  # noqa: S311
        self._sizes = _SIZES.get(instrument.sec_type, (0,))
        if instrument.in_lots:
            self._sizes = tuple(size * instrument.round_lot // 100 for size in _STOCK_SIZES)
        self._trades = {"STK": _TRADES, "CRYPTO": _COINS}.get(instrument.sec_type, _CONTRACTS)
        self._trade_chance = min(0.9, max(0.05, instrument.volume / 86_400 / 400))
        if not instrument.has_quotes:
            self._trade_chance = 1.0
        self.activity = 1.0 if instrument.sec_type != "STK" else min(1.0, 0.4 + instrument.volume / 10_000_000)
        self.day = Day(0, 0, 0)
        self.bid = self.ask = self.last = self.open = self.high = self.low = self.close = 0
        self.bid_size: float = self._sizes[0]  # never 0: that would say that there is no quote
        self.ask_size: float = self._sizes[0]
        self.last_size: float = 0
        self.volume: float = 0
        self.last_time = 0
        self.letters = (0, 0, 0)
        self.minutes = Minutes(_MINUTES_KEPT)
        self._at = 0  # up to which it has traded

    def price(self, ticks: int) -> str:
        return f"{ticks * self.instrument.tick:.{self.instrument.decimals}f}"

    def refresh(self, now: int) -> None:
        """Bring everything to `now` after a time in which nobody looked."""
        day = session_day(self._hours, self.instrument.sec_type, now)
        until = min(now, day.end)
        if self.minutes.since and self._at >= day.start:
            self._meanwhile(until)
            return
        if until - self._at > MINUTE:  # else it ran until the session began
            self.minutes.begin(until)
        self.day, self._at = day, until
        span = max(1, until - self.day.start)
        path = [self._level(self.day.start + span * n // 200) for n in range(201)]
        self.open, self.high, self.low = path[0], max(path), min(path)
        self.close = self._level(self.day.previous_end)
        self._quote(now if self._hours.is_open(self.instrument.sec_type, now) else until)
        self._choose_last(until)
        self.volume = max(self.volume, traded(self.instrument, self.day, until))

    def _meanwhile(self, until: int) -> None:
        """Trade on, with a second between two steps, or more after a long time."""
        if self.halted or until <= self._at:
            return
        pace = max(SECOND, (until - self._at) // _STEPS_MEANWHILE)
        for at in range(self._at + pace, until + 1, pace):
            self._at = at
            if self._hours.is_open(self.instrument.sec_type, at):
                self._quote(at)
                if self.instrument.has_trades and self._random.random() < self._trade_chance:
                    self._trade(at)

    def step(self, now: int) -> list[Tick]:
        """What one aggregate changes. Empty while the symbol is halted."""
        if self.halted:
            return []
        if now >= self.day.end:
            self._next_day(now)
        self._at = now
        instrument, out = self.instrument, []
        was_bid, was_ask, was_letters = self.bid, self.ask, self.letters
        was_bid_size, was_ask_size = self.bid_size, self.ask_size
        self._quote(now)
        if instrument.has_quotes:
            if self.bid != was_bid:
                out.append(Tick(PRICE, BID, self.price(self.bid), self.bid_size, 1))
            if self.bid != was_bid or self.bid_size != was_bid_size:
                out.append(Tick(SIZE, BID_SIZE, "", self.bid_size))
            if self.ask != was_ask:
                out.append(Tick(PRICE, ASK, self.price(self.ask), self.ask_size, 1))
            if self.ask != was_ask or self.ask_size != was_ask_size:
                out.append(Tick(SIZE, ASK_SIZE, "", self.ask_size))
        if instrument.has_trades and self._random.random() < self._trade_chance:
            out += self._traded_ticks(now)
        if instrument.in_lots and self.letters != was_letters:
            out += self._exchange_ticks()
        return out

    def image(self) -> list[Tick]:
        """Everything that a new subscription is told, in IB's usual order."""
        instrument = self.instrument
        out = [Tick(GENERIC, HALTED, f"{self.halted}.0")] if instrument.in_lots else []
        if instrument.has_quotes:
            out += [
                Tick(PRICE, BID, self.price(self.bid), self.bid_size, 1),
                Tick(SIZE, BID_SIZE, "", self.bid_size),
                Tick(PRICE, ASK, self.price(self.ask), self.ask_size, 1),
                Tick(SIZE, ASK_SIZE, "", self.ask_size),
            ]
        if instrument.has_trades:
            out += [
                Tick(PRICE, LAST, self.price(self.last), self.last_size),
                Tick(SIZE, LAST_SIZE, "", self.last_size),
            ]
        if instrument.volume:
            out.append(Tick(SIZE, VOLUME, "", self.volume))
        out += [
            Tick(PRICE, HIGH, self.price(self.high)),
            Tick(PRICE, LOW, self.price(self.low)),
            Tick(PRICE, CLOSE, self.price(self.close)),
        ]
        if instrument.has_trades:
            out += [Tick(PRICE, OPEN, self.price(self.open)), Tick(STRING, LAST_TIME, str(self.last_time // SECOND))]
        return out + (self._exchange_ticks() if instrument.in_lots else [])

    def quote(self, side: str) -> tuple[str, float]:
        """Text of the price and the size of `bid`, `ask` or `last`."""
        return self.price(getattr(self, side)), getattr(self, f"{side}_size")

    def worth(self, now: int) -> Worth | None:
        """An option's model price and greeks; None for all else."""
        return self._walk.worth(now) if isinstance(self._walk, OptionWalk) else None

    def rt_volume(self) -> Tick:
        """Tick 48, for those who asked for generic tick 233: price;size;time;volume;vwap;single."""
        average = (self.open + self.high + self.low + self.last) // 4
        parts = (self.price(self.last), self.last_size, self.last_time // 1_000_000, self.volume)
        return Tick(STRING, RT_VOLUME, ";".join(map(str, (*parts, self.price(average), "true"))))

    def _level(self, now: int) -> int:
        return max(2, round(self._walk.at(now) / self.instrument.tick))

    def _quote(self, now: int) -> None:
        spread = self.instrument.spread + (self._random.random() < 0.12)
        self.bid = max(1, round(self._walk.at(now) / self.instrument.tick - spread / 2))
        self.ask = self.bid + spread
        if self._random.random() < 0.7:
            self.bid_size = self._random.choice(self._sizes)
        if self._random.random() < 0.7:
            self.ask_size = self._random.choice(self._sizes)
        if self._random.random() < 0.1:
            self.letters = (self._random.randrange(6), self._random.randrange(6), self._random.randrange(6))

    def _choose_last(self, now: int) -> None:
        if not self.instrument.has_quotes:
            self.last = self._level(now)
        else:
            self.last = self.bid if self._random.random() < 0.5 else self.ask
            self.last_size = self._random.choice(self._trades)
        self.high, self.low = max(self.high, self.last), min(self.low, self.last)
        self.last_time = now

    def _trade(self, now: int) -> None:
        """A report of trades: the last of them, and how much was traded since the one before."""
        self._choose_last(now)
        before = self.volume
        if self.instrument.volume:
            self.volume = max(round(before + self.last_size, 6), traded(self.instrument, self.day, now))
        self.minutes.note(now, self.last * self.instrument.tick, round(self.volume - before, 6))

    def _traded_ticks(self, now: int) -> list[Tick]:
        was_last, was_high, was_low, was_volume = self.last, self.high, self.low, self.volume
        self._trade(now)
        out: list[Tick] = []
        if self.last != was_last:
            out.append(Tick(PRICE, LAST, self.price(self.last), self.last_size))
        out.append(Tick(SIZE, LAST_SIZE, "", self.last_size))
        if self.volume != was_volume:
            out.append(Tick(SIZE, VOLUME, "", self.volume))
        if self.high != was_high:
            out.append(Tick(PRICE, HIGH, self.price(self.high)))
        if self.low != was_low:
            out.append(Tick(PRICE, LOW, self.price(self.low)))
        out.append(Tick(STRING, LAST_TIME, str(self.last_time // SECOND)))
        return out

    def _exchange_ticks(self) -> list[Tick]:
        bid, ask, last = self.letters
        return [
            Tick(STRING, BID_EXCHANGE, _LETTERS[bid] + _LETTERS[ask]),
            Tick(STRING, ASK_EXCHANGE, _LETTERS[ask] + _LETTERS[last]),
            Tick(STRING, LAST_EXCHANGE, _LETTERS[last]),
        ]

    def _next_day(self, now: int) -> None:
        """A new session begins when its start has passed; until then the old one's figures stand."""
        day = session_day(self._hours, self.instrument.sec_type, now)
        if day.start != self.day.start:
            self.volume = 0
            self.refresh(now)
