"""ibstream on this machine (files and local sockets) or over tcp. Stands on the sockets that the services use."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import zmq

from ibstream.errors import CommandRefused, InvalidAddress, Unreachable
from messages.codec import decode_plan, decode_quote
from messages.control import AnyMessage, GetStatus, Start, StatusReply, Stop
from messages.errors import IbStreamError
from messages.events import Plan
from messages.topics import PLAN, QUOTE_PREFIX, SUPERVISOR_CONTROL, events_endpoint, quote_topic
from messages.views import Quote, Status
from services.base.settings import Settings, load
from services.runtime.bus import Subscriber, request

_quote_file = msgspec.json.Decoder(Quote).decode
_status_file = msgspec.json.Decoder(Status).decode
GONE: Final = ("supervisor_unreachable", "planner_unreachable")


class BusFeed:
    """Topic `quote.*` of the sink. A new subscriber gets the current values at once."""

    def __init__(self, context: "zmq.Context[Any]", settings: Settings, symbols: Iterable[str]) -> None:
        topics = [quote_topic(symbol) for symbol in symbols] or [QUOTE_PREFIX]
        self._exact = frozenset(topics) if QUOTE_PREFIX not in topics else None  # a topic is a prefix on the wire
        self._subscriber = Subscriber(context, settings, [events_endpoint("sink")], topics)

    def poll(self, seconds: float) -> list[Quote]:
        self._subscriber.socket.poll(int(seconds * 1000))
        found = []
        for topic, payload in self._subscriber.drain():
            if self._exact is None or topic in self._exact:
                try:
                    found.append(decode_quote(payload))
                except msgspec.MsgspecError:
                    self._subscriber.malformed += 1
        return found

    def close(self) -> None:
        self._subscriber.close()


class BusTransport:
    """`tcp://sink=HOST:PORT,supervisor=HOST:PORT,planner=HOST:PORT,gateway=HOST:PORT`: those that one needs."""

    def __init__(self, address: str, key: str | Path | None, timeout: float) -> None:
        given: dict[str, str] = {"IBSTREAM_BUS_PEERS": urlsplit(address).netloc.replace(",", " ")}
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
        self._quotes: BusFeed | None = None
        self._latest: dict[str, Quote] = {}

    def quote(self, symbol: str) -> Quote | None:
        if self._quotes is None:
            self._quotes = self.follow(())
            self._take(self._timeout)  # until the first of the current values is here
        self._take(0)
        if symbol not in self._latest:
            self._take(0.2)
        return self._latest.get(symbol)

    def _take(self, seconds: float) -> None:
        assert self._quotes is not None
        while found := self._quotes.poll(seconds):
            self._latest.update((quote.symbol, quote) for quote in found)
            seconds = 0

    def status(self) -> Status:
        reply = self._ask(GetStatus())
        if not isinstance(reply, StatusReply):
            raise Unreachable("what answers is no supervisor of this version", "unreachable")
        return reply.status

    def plan(self) -> Plan:
        subscriber = Subscriber(self.context, self.settings, [events_endpoint("planner")], [PLAN])
        try:
            subscriber.socket.poll(int(self._timeout * 1000))
            for topic, payload in subscriber.drain():
                if topic == PLAN:
                    return decode_plan(payload)
        except msgspec.MsgspecError:
            raise Unreachable("what answers is no planner of this version", "unreachable") from None
        finally:
            subscriber.close()
        raise Unreachable("no plan was heard; is the planner running?", "unreachable")

    def command(self, command: Start | Stop) -> None:
        self._ask(command)

    def follow(self, symbols: Iterable[str]) -> BusFeed:
        return BusFeed(self.context, self.settings, symbols)

    def close(self) -> None:
        if self._quotes is not None:
            self._quotes.close()
            self._quotes = None
        self.context.destroy(linger=0)

    def _ask(self, message: AnyMessage) -> AnyMessage:
        try:
            return request(self.settings, SUPERVISOR_CONTROL, message, timeout=self._timeout)
        except msgspec.MsgspecError:
            raise Unreachable("what answers is no supervisor of this version", "unreachable") from None
        except IbStreamError as error:
            if error.code in GONE:
                raise Unreachable(error.message, "unreachable") from None
            raise CommandRefused(error.message, error.code) from None


class FileTransport(BusTransport):
    """A data root on this machine: prices and status from its files, the rest over its local sockets."""

    def __init__(self, root: Path, timeout: float) -> None:
        kept = {name: os.environ[name] for name in ("IBSTREAM_RUN_DIR", "IBSTREAM_GATEWAYS") if name in os.environ}
        self._begin(kept | {"IBSTREAM_DATA_ROOT": str(root)}, timeout)

    def quote(self, symbol: str) -> Quote | None:
        path = self.settings.stream_dir / f"{symbol}.json"
        try:
            return _quote_file(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unreachable(f"{path} cannot be read: {error}", "unreachable") from None

    def status(self) -> Status:
        path = self.settings.stream_dir / "_status.json"
        try:
            return _status_file(path.read_bytes())
        except FileNotFoundError:
            raise Unreachable(f"there is no {path}: ibstream never ran on this data root", "unreachable") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise Unreachable(f"{path} cannot be read: {error}", "unreachable") from None
