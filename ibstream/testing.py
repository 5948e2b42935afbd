"""A fake ibstream for your own tests: set a price, let it go stale, stop the stream. No process, no socket, no clock.

fake = ibstream.testing.FakeStream()
fake.set_price("SPY", last=590.0, bid=589.9, ask=590.1)
strategy(fake.client)
fake.advance(6)          # nobody vouches any more
with pytest.raises(ibstream.StalePrice): strategy(fake.client)
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from ibstream.client import Client
from ibstream.errors import CommandRefused, Unreachable
from messages.candles import Candle, Interval
from messages.control import Start, Stop
from messages.events import Plan, PlannedSymbol, PriceSource
from messages.views import Quote, Status
from services.base.clock import SECOND, iso

T = TypeVar("T", Quote, Candle)


class FakeFeed(Generic[T]):
    """What `set_price`, `add_candle` and their like brought of these symbols since it was opened, the current values
    first."""

    def __init__(self, symbols: Iterable[str], current: Iterable[T] = ()) -> None:
        self._symbols = frozenset(symbols)
        self._came: deque[T] = deque()
        for one in current:
            self.bring(one)

    def bring(self, one: T) -> None:
        if not self._symbols or one.symbol in self._symbols:
            self._came.append(one)

    def poll(self, seconds: float) -> list[T]:
        found = list(self._came)
        self._came.clear()
        return found

    def close(self) -> None:
        self._came.clear()


class FakeStream:
    """Stands where ibstream would: `client` is a real Client on it, with the same rule and the same errors."""

    def __init__(self, *, good_for: float = 5.0, now: int = 1_700_000_000 * SECOND) -> None:
        self._good_for = good_for
        self._now = now
        self._quotes: dict[str, Quote] = {}
        self._feeds: list[FakeFeed[Quote]] = []
        self._candles: dict[tuple[str, str, str], Candle] = {}
        self._candle_feeds: list[tuple[Interval, FakeFeed[Candle]]] = []
        self._stopped = False
        self._reachable = True
        self._seq = 0
        self.client = Client(self, lambda: self._now)

    # --- what a test does ---

    def set_price(
        self,
        symbol: str,
        last: float | None = None,
        *,
        bid: float | None = None,
        ask: float | None = None,
        source: PriceSource = "ib_stream",
    ) -> None:
        """A price, received now and vouched for as long as a real sink would."""
        self._seq += 1
        self._put(
            Quote(
                symbol=symbol,
                timestamp=iso(self._now),
                source=source,
                last=last,
                bid=bid,
                ask=ask,
                stale=False,
                good_until=iso(self._now + int(self._good_for * SECOND)),
                epoch=1,
                seq=self._seq,
            )
        )

    def advance(self, seconds: float) -> None:
        """Time goes by, and nothing is renewed: after `good_for` seconds no price may be used."""
        self._now += int(seconds * SECOND)

    def go_stale(self, symbol: str, reason: str = "connection_lost") -> None:
        """The symbol's price is withdrawn, as when its stream dies."""
        self._put(msgspec.structs.replace(self._quotes[symbol], stale=True, reason=reason, good_until=None))

    def stop_stream(self) -> None:
        self._stopped = True
        for symbol in self._quotes:
            self.go_stale(symbol, "stopped")

    def add_candle(self, candle: Candle) -> None:
        """A candle comes: the past holds it from now on, in the place of one of the same interval and start."""
        self._candles[candle.symbol, candle.interval, candle.start] = candle
        for interval, feed in self._candle_feeds:
            if interval == candle.interval:
                feed.bring(candle)

    def unplug(self) -> None:
        """Nothing answers from now on."""
        self._reachable = False

    def _put(self, quote: Quote) -> None:
        self._quotes[quote.symbol] = quote
        for feed in self._feeds:
            feed.bring(quote)

    # --- what the client asks (see ibstream.transport) ---

    def quote(self, symbol: str) -> Quote | None:
        self._check()
        return self._quotes.get(symbol)

    def status(self) -> Status:
        self._check()
        until = iso(self._now + int(self._good_for * SECOND))
        if self._stopped:
            return Status(status="stopped", reason="stopped", api_mode="mock")
        return Status(status="connected", api_mode="mock", subscribed_symbols=sorted(self._quotes), good_until=until)

    def plan(self) -> Plan:
        self._check()
        symbols = [PlannedSymbol(symbol, "test", place) for place, symbol in enumerate(sorted(self._quotes))]
        return Plan(epoch=1, first_seq=1, time=self._now, started=not self._stopped, symbols=symbols)

    def command(self, command: Start | Stop) -> None:
        self._check()
        if isinstance(command, Stop):
            self.stop_stream()
        elif not self._stopped:
            raise CommandRefused("the stream is started already", "ib_stream_lock_busy")
        else:
            self._stopped = False

    def follow(self, symbols: Iterable[str]) -> FakeFeed[Quote]:
        feed = FakeFeed(symbols, self._quotes.values())
        self._feeds.append(feed)
        return feed

    def past_candles(self, symbol: str, interval: Interval, begin: int, end: int) -> Iterator[Candle]:
        self._check()
        since, until = iso(begin), iso(end)
        for key, candle in sorted(self._candles.items()):
            if key[:2] == (symbol, interval) and candle.end > since and candle.start < until:
                yield candle

    def follow_candles(self, symbols: Iterable[str], interval: Interval) -> FakeFeed[Candle]:
        feed: FakeFeed[Candle] = FakeFeed(symbols)
        self._candle_feeds.append((interval, feed))
        return feed

    def close(self) -> None:
        self._feeds.clear()

    def _check(self) -> None:
        if not self._reachable:
            raise Unreachable("the fake was unplugged", "unreachable")
