"""ibstream on this machine (files and local sockets) or over tcp. Stands on the sockets that the services use."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec
import zmq

from ibstream.errors import CommandRefused, IbstreamError, InvalidAddress, UnknownSymbol, Unreachable
from messages.candles import Candle, Interval
from messages.codec import decode_candle, decode_plan, decode_quote, decode_status, json_decoder
from messages.control import Start, Stop
from messages.errors import IbStreamError
from messages.events import Plan
from messages.topics import (
    PLAN,
    QUOTE_PREFIX,
    STATUS,
    SUPERVISOR_CONTROL,
    candle_topic,
    events_endpoint,
    heartbeat_topic,
    quote_topic,
)
from messages.views import Quote, Status
from services.base.settings import Settings, load
from services.runtime.bus import Subscriber, request

T = TypeVar("T")

_quote_file: Callable[[bytes], Quote] = json_decoder(Quote)
_status_file: Callable[[bytes], Status] = json_decoder(Status)
GONE: Final = ("supervisor_unreachable", "planner_unreachable")
BEATS: Final = 2  # heartbeats of the sink after which a current value that did not come will not


def subscriber(
    context: "zmq.Context[Any]", settings: Settings, services: Iterable[str], topics: list[str]
) -> Subscriber:
    """Of what these services publish. Raises InvalidAddress where a key is missing."""
    try:
        return Subscriber(context, settings, [events_endpoint(service) for service in services], topics)
    except IbStreamError as error:
        raise InvalidAddress(error.message, "invalid_address") from None


class BusFeed(Generic[T]):
    """Topics of the sink, or all that begin with `prefix`. A new subscriber gets the current values at once."""

    def __init__(
        self, context: "zmq.Context[Any]", settings: Settings, topics: list[str], prefix: str,
        decode: Callable[[bytes], T],
    ) -> None:  # fmt: skip
        self._exact = frozenset(topics)  # a topic is a prefix on the wire
        self._decode = decode
        self._subscriber = subscriber(context, settings, ["sink"], topics or [prefix])

    def poll(self, seconds: float) -> list[T]:
        self._subscriber.socket.poll(int(seconds * 1000))
        found = []
        for topic, payload in self._subscriber.drain():
            if not self._exact or topic in self._exact:
                try:
                    found.append(self._decode(payload))
                except msgspec.MsgspecError:
                    self._subscriber.malformed += 1
        return found

    def close(self) -> None:
        self._subscriber.close()


class HeldQuotes:
    """The newest quote of each symbol that was ever asked for, from its topic."""

    def __init__(self, context: "zmq.Context[Any]", settings: Settings) -> None:
        self._subscriber = subscriber(context, settings, ["sink"], [heartbeat_topic("sink")])
        self._latest: dict[str, Quote] = {}
        self._beats = 0
        self._asked_at: dict[str, int] = {}  # by symbol, in beats

    def get(self, symbol: str, timeout: float) -> Quote | None:
        """None when the sink is heard and has none. Raises Unreachable when it is not heard within `timeout` s."""
        if symbol not in self._asked_at:
            self._subscriber.subscribe(quote_topic(symbol))
            self._asked_at[symbol] = self._beats
        deadline = time.monotonic() + timeout
        self._drain()
        while symbol not in self._latest:
            if self._beats >= self._asked_at[symbol] + BEATS:
                return None
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unreachable("the sink is not heard; is it running?", "unreachable")
            self._subscriber.socket.poll(int(left * 1000) + 1)
            self._drain()
        return self._latest[symbol]

    def _drain(self) -> None:
        while frames := self._subscriber.drain():
            for topic, payload in frames:
                if not topic.startswith(QUOTE_PREFIX):
                    self._beats += 1
                    continue
                try:
                    quote = decode_quote(payload)
                except msgspec.MsgspecError:
                    raise Unreachable("what answers is no sink of this version", "unreachable") from None
                self._latest[quote.symbol] = quote

    def close(self) -> None:
        self._subscriber.close()


class BusTransport:
    """`tcp://sink=HOST:PORT,supervisor=HOST:PORT,planner=HOST:PORT,gateway=HOST:PORT`: those that one needs."""

    def __init__(self, address: str, key: str | Path | None, timeout: float) -> None:
        peers = urlsplit(address).netloc.replace(",", " ").strip()
        if not peers:
            raise InvalidAddress(f"{address!r} names no service; expected tcp://sink=HOST:PORT,...", "invalid_address")
        given: dict[str, str] = {"IBSTREAM_BUS_PEERS": peers}
        if key is not None:
            path = Path(key).expanduser().absolute()
            given |= {
                "IBSTREAM_KEYS_DIR": str(path.parent),
                "IBSTREAM_BUS_KEY": path.name.removesuffix(".key_secret"),
            }
        self._begin(given, timeout)

    def _begin(self, given: dict[str, str], timeout: float) -> None:
        try:
            self.settings = load(given)
        except IbStreamError as error:
            raise InvalidAddress(error.message, "invalid_address") from None
        self.context: zmq.Context[Any] = zmq.Context()
        self._timeout = timeout
        self._quotes: HeldQuotes | None = None

    def quote(self, symbol: str) -> Quote | None:
        if self._quotes is None:
            self._quotes = HeldQuotes(self.context, self.settings)
        return self._quotes.get(symbol, self._timeout)

    def status(self) -> Status:
        return self._last_value("supervisor", STATUS, decode_status)

    def plan(self) -> Plan:
        return self._last_value("planner", PLAN, decode_plan)

    def _last_value(self, service: str, topic: str, decode: Callable[[bytes], T]) -> T:
        """What a service publishes as current: a key that may subscribe is enough."""
        heard = subscriber(self.context, self.settings, [service], [topic])
        deadline = time.monotonic() + self._timeout
        try:
            while (left := deadline - time.monotonic()) > 0:
                heard.socket.poll(int(left * 1000) + 1)
                payloads = [payload for name, payload in heard.drain() if name == topic]
                if payloads:
                    return decode(payloads[-1])
        except msgspec.MsgspecError:
            raise Unreachable(f"what answers is no {service} of this version", "unreachable") from None
        finally:
            heard.close()
        raise Unreachable(f"no {topic} was heard; is the {service} running?", "unreachable")

    def command(self, command: Start | Stop) -> None:
        try:
            request(self.settings, SUPERVISOR_CONTROL, command, timeout=self._timeout)
        except IbStreamError as error:
            if error.code in GONE:
                raise Unreachable(error.message, "unreachable") from None
            raise CommandRefused(error.message, error.code) from None

    def follow(self, symbols: Iterable[str]) -> BusFeed[Quote]:
        topics = [quote_topic(symbol) for symbol in symbols]
        return BusFeed(self.context, self.settings, topics, QUOTE_PREFIX, decode_quote)

    def past_candles(self, symbol: str, interval: Interval, begin: int, end: int) -> Iterator[Candle]:
        raise IbstreamError("candles of the past need a data root or HTTP: the bus has live ones", "invalid_request")

    def follow_candles(self, symbols: Iterable[str], interval: Interval) -> BusFeed[Candle]:
        topics = [candle_topic(interval, symbol) for symbol in symbols]
        return BusFeed(self.context, self.settings, topics, candle_topic(interval, ""), decode_candle)

    def close(self) -> None:
        if self._quotes is not None:
            self._quotes.close()
            self._quotes = None
        self.context.destroy(linger=0)


class FileTransport(BusTransport):
    """A data root on this machine: prices and status from its files, the rest over its local sockets."""

    def __init__(self, root: Path, timeout: float) -> None:
        kept = {name: os.environ[name] for name in ("IBSTREAM_RUN_DIR", "IBSTREAM_GATEWAYS") if name in os.environ}
        self._begin(kept | {"IBSTREAM_DATA_ROOT": str(root)}, timeout)

    def quote(self, symbol: str) -> Quote | None:
        return self._read(f"{symbol}.json", _quote_file)

    def status(self) -> Status:
        status = self._read("_status.json", _status_file)
        if status is None:
            path = self.settings.stream_dir / "_status.json"
            raise Unreachable(f"there is no {path}: ibstream never ran on this data root", "unreachable")
        return status

    def _read(self, name: str, decode: Callable[[bytes], T]) -> T | None:
        """What a file of the stream's folder holds; None where there is none."""
        path = self.settings.stream_dir / name
        try:
            return decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unreachable(f"{path} cannot be read: {error}", "unreachable") from None

    def past_candles(self, symbol: str, interval: Interval, begin: int, end: int) -> Iterator[Candle]:
        from services.journal.days import is_there
        from services.quotes.past_candles import past_candles

        journal = self.settings.journal_dir
        try:
            if not is_there(journal):
                raise IbStreamError(
                    "journal_unavailable", f"there is no journal in {journal}: nothing was recorded there"
                )
            yield from past_candles(journal, symbol, interval, begin, end, time.time_ns()).candles
        except IbStreamError as error:
            raise _of_the_past(error) from None


def _of_the_past(error: IbStreamError) -> IbstreamError:
    kind = UnknownSymbol if error.code == "symbol_not_found" else Unreachable
    return kind(error.message, error.code)
