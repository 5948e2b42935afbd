"""What the client asks of a way to reach ibstream: files and local sockets, the bus over tcp, or HTTP."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from messages.candles import Candle, Interval
from messages.control import Start, Stop
from messages.events import Plan
from messages.views import Quote, Status


class Feed(Protocol):
    """Quotes as they change. May be lost or conflated, never reordered for one symbol."""

    def poll(self, seconds: float) -> list[Quote]:
        """What came, at most after `seconds`; empty for nothing. Raises Unreachable where that can be known."""

    def close(self) -> None: ...


class CandleFeed(Protocol):
    """Candles as they change. May be lost or conflated, never reordered for one symbol and interval."""

    def poll(self, seconds: float) -> list[Candle]:
        """What came, at most after `seconds`; empty for nothing. Raises Unreachable where that can be known."""

    def close(self) -> None: ...


class Transport(Protocol):
    """Every method raises Unreachable when nothing answers. Call from one thread at a time."""

    def quote(self, symbol: str) -> Quote | None:
        """The current quote as its writer last wrote it, good or not; None when there never was one."""

    def status(self) -> Status: ...

    def plan(self) -> Plan: ...

    def command(self, command: Start | Stop) -> None:
        """Returns once the command is durable. Raises CommandRefused."""

    def follow(self, symbols: Iterable[str]) -> Feed: ...

    def past_candles(self, symbol: str, interval: Interval, begin: int, end: int) -> Iterator[Candle]:
        """Those that overlap [begin, end), UTC nanoseconds, oldest first. Raises UnknownSymbol, and IbstreamError."""

    def follow_candles(self, symbols: Iterable[str], interval: Interval) -> CandleFeed: ...

    def close(self) -> None: ...
