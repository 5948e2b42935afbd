"""The client: one object for prices, status and commands, however ibstream is reached. See the package's docstring."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from ibstream.errors import IbstreamError, InvalidAddress, StreamStopped, UnknownSymbol, Unreachable
from ibstream.rule import LONGEST_SPAN, moment_said, refusal
from ibstream.streams import CandleStream, QuoteStream, TickStream
from ibstream.transport import Transport
from messages.candles import SECONDS, Candle, Interval
from messages.control import Start, Stop
from messages.errors import IbStreamError
from messages.events import MarketDataType, Plan
from messages.views import Quote, Status
from services.base.clock import SECOND
from services.base.places import default_root
from services.base.symbols import name_of
from services.quotes.trust import is_good, moment

Address = str | Path


def connect(address: Address = "", *, token: str = "", key: Address | None = None, timeout: float = 5.0) -> "Client":
    """A client of the ibstream at `address`. Nothing is asked yet, so that it may start later.

    `data` or any other path: the data root, on this machine; without one IBSTREAM_DATA_ROOT, or the root that
    `ibstream run` takes. `http://host:8765` or https: the web API, with its `token`; prices count in the server's time,
    which its answers tell. `tcp://sink=HOST:PORT,supervisor=HOST:PORT,...`: the bus, with `key` the path of this
    program's own `NAME.key_secret`, beside `server.key` and `peers/` as `ibstream keys` lays them. `timeout` is in
    seconds, for each question. Raises InvalidAddress.
    """
    text = str(address)
    try:
        scheme = urlsplit(text).scheme if "://" in text else ""
    except ValueError as error:
        raise InvalidAddress(f"{text!r} is no address: {error}", "invalid_address") from None
    if "\0" in text:
        raise InvalidAddress(f"{text!r} is no address: it has a character that none has", "invalid_address")
    if scheme in ("http", "https"):
        from ibstream.http import HttpTransport

        transport = HttpTransport(text, token, timeout)
        return Client(transport, transport.clock.now)
    if scheme not in ("", "tcp"):
        raise InvalidAddress(
            f"{text!r} is no address; expected a data root, http://host:port or tcp://...", "invalid_address"
        )
    from ibstream.bus import BusTransport, FileTransport

    if scheme:
        return Client(BusTransport(text, key, timeout))
    return Client(FileTransport(Path(text or os.environ.get("IBSTREAM_DATA_ROOT") or default_root()), timeout))


class Client:
    """Made by `connect`. Use from one thread at a time; a context manager, or call `close`."""

    def __init__(self, transport: Transport, now: Callable[[], int] = time.time_ns) -> None:
        self._transport = transport
        self._now = now

    def price(self, symbol: str, *, max_age: float | None = None, sources: Collection[str] | None = None) -> Quote:
        """The current quote of `symbol`, vouched for at this moment.

        `max_age`: seconds since the price was received, at most (a quiet symbol's price may be older and good).
        `sources`: which sources will do (`ib_stream`, `ib_snapshot`, `ib_history`, `mock`), or the one; None: any that
        is vouched for. Raises StalePrice, UnknownSymbol, StreamStopped or Unreachable, each with `reason`, `age` and
        `source`; never returns a price that may not be used.
        """
        name = _name(symbol)
        quote = self._transport.quote(name)
        if quote is None:
            raise self._missing(name)
        if quote.symbol != name:
            raise Unreachable(f"{name}: what answers is a quote of {quote.symbol}", "unreachable")
        refused = refusal(quote, self._now(), max_age, sources)
        if refused is not None:
            raise refused
        return quote

    def status(self) -> Status:
        """The whole status. Raises Unreachable, also when nobody vouches for the status any more."""
        status = self._transport.status()
        if status.status != "stopped" and not is_good(moment(status), self._now(), LONGEST_SPAN):
            raise Unreachable("the status is out of date: nobody keeps it", "unreachable")
        return status

    def wait_until_connected(self, timeout: float = 60.0) -> Status:
        """Returns once the status is `connected`. Raises Unreachable, or StreamStopped, with the last reason after
        `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                status = self.status()
                if status.status == "connected":
                    return status
                said, reason = status.message or status.status, status.reason or status.status
            except Unreachable as error:
                status, said, reason = None, str(error), error.reason
            if time.monotonic() > deadline:
                kind = StreamStopped if status is not None and status.status == "stopped" else Unreachable
                raise kind(f"not connected within {timeout:g} s: {said}", reason)
            time.sleep(0.1)

    def plan(self) -> Plan:
        """The subscription plan in force: which symbols, why, in what order."""
        return self._transport.plan()

    def start(
        self,
        *,
        project_id: int | None = None,
        decision_snapshot_id: int | None = None,
        symbols: Iterable[str] | None = None,
        max_symbols: int | None = None,
        market_data_type: MarketDataType | None = None,
        refresh_interval_seconds: float | None = None,
        generic_ticks: str | None = None,
    ) -> None:
        """Start streaming; durable when it returns. Raises CommandRefused with the stable code as its reason."""
        self._transport.command(
            Start(
                project_id,
                decision_snapshot_id,
                None if symbols is None else list(symbols),
                max_symbols,
                market_data_type,
                refresh_interval_seconds,
                generic_ticks,
            )
        )

    def stop(self) -> None:
        """Stop streaming; stopping a stopped stream is no error. Durable when it returns."""
        self._transport.command(Stop())

    def quotes(self, *symbols: str) -> QuoteStream:
        """Quotes of these symbols (of all without one) as they change: `for` and `async for` both work.

        Each carries its `good_until`; when that passes unrenewed the quote comes once more, `stale` with the reason
        `expired`: who keeps the last one that came is never fooled by silence. Conflated for a slow reader.
        """
        return QuoteStream(self._transport, [_name(symbol) for symbol in symbols], self._now)

    def ticks(self, *symbols: str, since: str | int | None = None) -> TickStream:
        """Every tick of these symbols (of all without one), without a gap, once and in order, with marks.

        `since`: a time (ISO 8601, `-5m`, or UTC nanoseconds) from which the past is read first; None: from now on.
        Yields `Tick` and `Mark`: a mark says that from some moment no price was had, and why, or that it is had
        again. Only with a data root or the bus. Raises Unreachable.
        """
        return TickStream(self._transport, [_name(symbol) for symbol in symbols], since, self._now)

    def candles(
        self, symbol: str, interval: Interval = "1m", from_: str | int | None = None, to: str | int | None = None
    ) -> Iterator[Candle]:
        """Candles of the past, oldest first: those that overlap the time from `from_` on and before `to`.

        Times are ISO 8601, `14:30`, `-2h`, or UTC nanoseconds; None: the last 60 candles, and now. `coverage` is the
        share of each that was seen, and `blind` says why not more; the one under way is not `complete`. Needs a data
        root or HTTP. Raises UnknownSymbol; Unreachable, with the reason `past_deleted` where retention has deleted that
        time; IbstreamError `invalid_request`.
        """
        now = self._now()
        end = _moment("to", to, now, now)
        begin = _moment("from_", from_, now, end - 60 * _width(interval))
        if begin >= end:
            raise IbstreamError("from_ is not before to", "invalid_request")
        return self._transport.past_candles(_name(symbol), interval, begin, end)

    def live_candles(self, *symbols: str, interval: Interval = "1m") -> CandleStream:
        """Candles of these symbols as they change: `for` and `async for` both work.

        First the newest of each; then the one under way, about once a second when it changed; once more when it is over
        (`complete`), and again when more is learned of it. Of all symbols without one, but for HTTP. The interval must
        be one that the sink publishes (IBSTREAM_CANDLES): of another nothing comes.
        """
        _width(interval)
        return CandleStream(self._transport, [_name(symbol) for symbol in symbols], interval)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _missing(self, name: str) -> Exception:
        """Why there is no quote: asked of the status, which raises Unreachable itself when nobody is there."""
        status = self._transport.status()
        if status.status == "stopped":
            reason = status.reason or "stopped"
            return StreamStopped(f"{name}: the stream is stopped: {status.message or reason}", reason)
        if not is_good(moment(status), self._now(), LONGEST_SPAN):
            return Unreachable(f"{name}: no price, and the status is out of date", "unreachable")
        return UnknownSymbol(f"{name}: no price was ever received", "symbol_not_found")


def _name(symbol: str) -> str:
    try:
        return name_of(symbol)
    except IbStreamError as error:
        raise UnknownSymbol(error.message, error.code) from None


def _width(interval: Interval) -> int:
    """Nanoseconds. Raises IbstreamError `invalid_request`."""
    if interval not in SECONDS:
        raise IbstreamError(f"{interval!r} is no interval; expected one of {', '.join(SECONDS)}", "invalid_request")
    return SECONDS[interval] * SECOND


def _moment(name: str, said: str | int | None, now: int, otherwise: int) -> int:
    return otherwise if said is None else moment_said(name, said, now)
