"""Streams of quotes and ticks: one object, for `for` and for `async for`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

from ibstream.errors import IbstreamError
from ibstream.rule import LONGEST_SPAN, expired, moment_said
from ibstream.ticks import Mark, TickFeed
from ibstream.transport import Transport
from messages.candles import Candle, Interval
from messages.ticks import Tick
from messages.views import Quote
from services.base.clock import SECOND
from services.quotes.trust import is_good, moment

T = TypeVar("T")
NEVER: Final = 2**63
STEP = 0.25  # seconds: how long one poll may wait, and so how late a cancellation may be
MILLISECOND = 0.001  # polls count whole ones


class Polled(Protocol[T]):
    def poll(self, seconds: float) -> list[T]: ...

    def close(self) -> None: ...


class Stream(Generic[T]):
    """Iterate once. Ends never by itself; `close` it, or leave the loop. Raises what the feed raises."""

    def __init__(self, feed: Polled[T]) -> None:
        self._feed = feed
        self._open = True

    def __iter__(self) -> Iterator[T]:
        try:
            while self._open:
                yield from self._feed.poll(STEP)
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            while self._open:
                for item in await self._polled():
                    yield item
        finally:
            self.close()

    async def _polled(self) -> list[T]:
        """A poll on another thread. Who is cancelled waits for its end: a socket is never closed under its poll."""
        polling = asyncio.ensure_future(asyncio.to_thread(self._feed.poll, STEP))
        try:
            return await asyncio.shield(polling)
        except asyncio.CancelledError:
            while not polling.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([polling])
            if not polling.cancelled():
                polling.exception()  # seen: nobody is left to be told
            raise

    def close(self) -> None:
        if self._open:
            self._open = False
            self._feed.close()


class _Expiring:
    """Quotes as a transport brings them, and once more, stale, each whose time is over without a renewal."""

    def __init__(self, transport: Transport, symbols: Sequence[str], now: Callable[[], int]) -> None:
        self._feed = transport.follow(symbols)
        self._now = now
        self._good: dict[str, tuple[int, Quote]] = {}  # with the moment at which it is over
        self._next = NEVER  # no quote is over before this

    def poll(self, seconds: float) -> list[Quote]:
        left = (self._next - self._now()) / SECOND + MILLISECOND
        found = self._feed.poll(min(seconds, max(0.0, left)))
        now = self._now()
        for quote in found:
            if quote.stale:
                self._good.pop(quote.symbol, None)
                continue
            until = moment(quote)
            until = until if until is not None and is_good(until, now, LONGEST_SPAN) else now
            self._good[quote.symbol] = until, quote
            self._next = min(self._next, until)
        if now < self._next:
            return found
        over = [quote for until, quote in self._good.values() if until <= now]
        for quote in over:
            del self._good[quote.symbol]
        self._next = min((until for until, _ in self._good.values()), default=NEVER)
        came_over = {id(quote) for quote in over}
        return [quote for quote in found if id(quote) not in came_over] + [expired(quote) for quote in over]

    def close(self) -> None:
        self._feed.close()


class QuoteStream(Stream[Quote]):
    def __init__(self, transport: Transport, symbols: Sequence[str], now: Callable[[], int]) -> None:
        super().__init__(_Expiring(transport, symbols, now))


class CandleStream(Stream[Candle]):
    def __init__(self, transport: Transport, symbols: Sequence[str], interval: Interval) -> None:
        super().__init__(transport.follow_candles(symbols, interval))


class TickStream(Stream[Tick | Mark]):
    def __init__(
        self, transport: Transport, symbols: Sequence[str], since: str | int | None, now: Callable[[], int]
    ) -> None:
        from ibstream.bus import BusTransport

        if not isinstance(transport, BusTransport):
            raise IbstreamError("ticks need a data root or the bus: HTTP carries quotes", "invalid_request")
        moment_ns = None if since is None else moment_said("since", since, now())
        super().__init__(TickFeed(transport, frozenset(symbols), moment_ns))
