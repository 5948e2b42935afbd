"""ibstream over its web API: standard library only, with server-sent events for quotes."""

import http.client
import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import quote as quoted

import msgspec

from ibstream.errors import CommandRefused, IbstreamError, UnknownSymbol, Unreachable
from ibstream.server_clock import ServerClock
from messages.candles import Candle, Interval
from messages.codec import json_decoder
from messages.control import Start, Stop
from messages.events import Plan
from messages.views import Quote, Status
from services.base.clock import iso

T = TypeVar("T")

API: Final = "/api/ib/stream"
PAUSE: Final = 0.5  # seconds before a lost event stream is tried again
BROKEN: Final = (OSError, http.client.HTTPException)  # what a connection ends with, or what is no HTTP
HELD: Final = 10_000  # events held for a slow reader; then the oldest connection is made anew, with current values

_quotes: Callable[[bytes], list[Quote]] = json_decoder(list[Quote])
_candles: Callable[[bytes], list[Candle]] = json_decoder(list[Candle])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the token goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


class HttpTransport:
    """`http://host:8765`, with a bearer token where the server wants one. Follows no redirects to elsewhere.
    Every answer tells `clock` the server's time."""

    def __init__(self, address: str, token: str, timeout: float) -> None:
        self._base = address.rstrip("/") + API
        self._token = token
        self._timeout = timeout
        self.clock = ServerClock()

    def quote(self, symbol: str) -> Quote | None:
        try:
            return self._get(f"/snapshot?symbol={quoted(symbol)}", Quote)
        except CommandRefused as error:
            if error.reason == "symbol_not_found":
                return None
            raise

    def status(self) -> Status:
        return self._get("/status", Status)

    def plan(self) -> Plan:
        return self._get("/plan", Plan)

    def command(self, command: Start | Stop) -> None:
        if isinstance(command, Stop):
            self.open("/stop", b"").close()
            return
        body = {name: value for name, value in msgspec.structs.asdict(command).items() if value is not None}
        self.open("/start", json.dumps(body).encode()).close()

    def follow(self, symbols: Iterable[str]) -> "HttpFeed[Quote]":
        wanted = frozenset(symbols)

        def read(data: bytes) -> list[Quote]:
            quotes = _quotes(data)
            return [quote for quote in quotes if not wanted or quote.symbol in wanted]

        return HttpFeed(self, "/events", "quotes", read)

    def past_candles(self, symbol: str, interval: Interval, begin: int, end: int) -> Iterator[Candle]:
        since, until = iso(begin), iso(end)
        while True:
            path = f"/candles?symbol={quoted(symbol)}&interval={interval}&from={since}&to={until}"
            try:
                answer = self._get(path, _Candles)
            except CommandRefused as error:
                kind = UnknownSymbol if error.reason == "symbol_not_found" else Unreachable
                raise kind(str(error), error.reason) from None
            yield from answer.candles
            if not answer.more:
                return
            since = answer.candles[-1].end

    def follow_candles(self, symbols: Iterable[str], interval: Interval) -> "HttpFeed[Candle]":
        names = ",".join(f"{interval}.{symbol}" for symbol in symbols)
        if not names:
            raise IbstreamError("over HTTP candles are of symbols that are named", "invalid_request")
        return HttpFeed(self, f"/events?candles={quoted(names)}", "candles", _candles)

    def close(self) -> None:
        """Nothing is kept open between two questions."""

    def _get(self, path: str, kind: type[T]) -> T:
        with self.open(path) as answer:
            try:
                body = answer.read()
            except BROKEN as error:
                raise Unreachable(f"{self._base} broke off its answer: {error!r}", "unreachable") from None
        try:
            return cast("T", json_decoder(kind)(body))
        except msgspec.MsgspecError as error:
            raise Unreachable(f"what answers at {self._base} is no ibstream: {error}", "unreachable") from None

    def open(self, path: str, body: bytes | None = None, timeout: float | None = None) -> Any:
        """The answer, to be closed. Raises CommandRefused with the server's code, or Unreachable."""
        wanted = urllib.request.Request(self._base + path, data=body)  # noqa: S310 - the scheme was checked
        wanted.add_header("Content-Type", "application/json")
        if self._token:
            wanted.add_header("Authorization", f"Bearer {self._token}")
        sent = self.clock.read()
        try:
            answer = _opener.open(wanted, timeout=timeout or self._timeout)
        except urllib.error.HTTPError as error:
            raise _refused(error, self._base) from None
        except (*BROKEN, ValueError) as error:
            raise Unreachable(f"{self._base} does not answer: {error!r}", "unreachable") from None
        try:
            self.clock.answered(answer.headers, sent)
        except ValueError as error:
            answer.close()
            raise Unreachable(f"what answers at {self._base} is no ibstream: {error}", "unreachable") from None
        return answer


def _refused(error: urllib.error.HTTPError, base: str) -> IbstreamError:
    try:
        detail = json.loads(error.read())["detail"]
        code, message = str(detail["code"]), str(detail["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return Unreachable(f"what answers at {base} is no ibstream (HTTP {error.code})", "unreachable")
    if code in ("unauthorized", "supervisor_unreachable", "planner_unreachable"):
        return Unreachable(message, "unauthorized" if code == "unauthorized" else "unreachable")
    return CommandRefused(message, code)


class _Candles(msgspec.Struct):
    candles: list[Candle]
    more: bool


class HttpFeed(Generic[T]):
    """The server's event stream, read on a thread of its own and made anew whenever it breaks."""

    def __init__(self, transport: HttpTransport, path: str, event: str, read: Callable[[bytes], list[T]]) -> None:
        """`read` is called with what each `event` carries."""
        self._transport = transport
        self._path, self._event, self._read = path, event, read
        self._events: queue.Queue[list[T] | IbstreamError] = queue.Queue(HELD)
        self._ended = threading.Event()
        self._answer: Any = None
        self._thread = threading.Thread(target=self._run, name="ibstream-events", daemon=True)
        self._thread.start()

    def poll(self, seconds: float) -> list[T]:
        try:
            found = self._events.get(timeout=seconds)
        except queue.Empty:
            return []
        if isinstance(found, IbstreamError):
            raise found
        return found

    def close(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with self._transport.open(self._path, timeout=10.0) as answer:
                    for name, data in _server_sent(answer):
                        if self._ended.is_set():
                            return
                        if self._transport.clock.jumped:
                            break  # the next answer tells the time
                        if name == self._event:
                            self._hand_over(data)
            except Unreachable as error:
                if error.reason == "unauthorized":
                    self._events.put(error)
                    return
            except (*BROKEN, ValueError, msgspec.MsgspecError, queue.Full):
                pass  # the next connection begins with every current value
            self._ended.wait(PAUSE)

    def _hand_over(self, data: bytes) -> None:
        wanted = self._read(data)
        if wanted:
            self._events.put(wanted, timeout=PAUSE)


def _server_sent(answer: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Events by name, as the standard lays them out: `event:` and `data:` lines, a blank one behind each."""
    name, data = "", b""
    for line in answer:
        line = line.rstrip(b"\r\n")
        if not line:
            if data:
                yield name, data
            name, data = "", b""
        elif line.startswith(b"event:"):
            name = line[6:].strip().decode()
        elif line.startswith(b"data:"):
            data += line[5:].lstrip()
