"""The installed official client talking to the simulator's core in one process, without sockets or clocks."""

import functools
import inspect
import struct
from typing import Any

from ibapi import decoder, wrapper
from ibapi.client import EClient
from ibapi.contract import Contract

from services.base.clock import SECOND, ManualClock
from services.simulator import core as core_module
from services.simulator.core import Config, Core
from services.simulator.effects import Close, Effect, Send
from services.simulator.protocol.versions import RAW_MESSAGE_IDS
from services.simulator.protocol.wire import PROTOBUF_IDS

MONDAY_NOON = 1_767_632_400 * SECOND  # 2026-01-05 12:00 in New York
INFO = {2104, 2106, 2158}

# A conversation would spend most of its time on what is the same in each: IB's Decoder asks for the signature of
# every callback, and a core makes every contract that is listed on its day.
CALLBACKS = dict(inspect.getmembers(wrapper.EWrapper, inspect.isfunction))
for _method in CALLBACKS.values():
    _method.__signature__ = inspect.signature(_method)
_usual = core_module.usual
core_module.usual = functools.cache(lambda today: tuple(_usual(today)))


class Recorder(wrapper.EWrapper):
    """Keeps every callback as (name, *arguments)."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []
        for name, method in CALLBACKS.items():
            if not name.startswith("_") and not name.endswith("ProtoBuf") and name != "logAnswer":
                setattr(self, name, self._keeper(name, method))

    def _keeper(self, name: str, method: Any) -> Any:
        def keep(*arguments: Any) -> None:
            self.calls.append((name, *arguments))

        return keep


class Conversation:
    """`client` is an official EClient; what it asks is answered at once. Time moves by `turn` alone."""

    def __init__(
        self,
        version: int = 200,
        core: Core | None = None,
        client_id: int = 1,
        clock: ManualClock | None = None,
        **config: Any,
    ) -> None:
        self.clock = clock or ManualClock(MONDAY_NOON)
        self.core = core or Core(Config(**config), self.clock.now())
        self.conn = len(self.core.stats.connections) + 1
        self.version = version
        self.recorder = Recorder()
        self.closed = False
        self.sent: list[bytes] = []  # every write of the server
        self.frames: list[list[str]] = []  # of a protobuf message its id alone
        self._unread = b""
        self._decoder: decoder.Decoder | None = None
        self.client = EClient(self.recorder)
        self.client.conn = self
        self.perform(self.core.handle_connected(self.conn, self.clock.now()))
        self.say(b"API\0" + framed(f"v100..{version}".encode()))
        if self._decoder is not None:
            self.client.serverVersion_ = self.version
            self.client.setConnState(EClient.CONNECTED)
            self.client.clientId = client_id
            self.client.startApi()

    # what EClient wants of a connection
    def isConnected(self) -> bool:
        return not self.closed

    def sendMsg(self, data: bytes) -> None:
        self.say(data)

    def say(self, data: bytes) -> None:
        self.perform(self.core.handle_bytes(self.conn, data, self.clock.now()))

    def turn(self, seconds: float = 0.05) -> None:
        """Let time pass in turns of 50 ms."""
        for _ in range(max(1, round(seconds / 0.05))):
            self.perform(self.core.handle_turn(self.clock.advance(0.05)))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send) and effect.conn == self.conn:
                self.sent.append(effect.data)
                self._read(effect.data)
            elif isinstance(effect, Close) and effect.conn == self.conn:
                self.closed = True

    def _read(self, data: bytes) -> None:
        self._unread += data
        while len(self._unread) >= 4:
            (length,) = struct.unpack(">I", self._unread[:4])
            if len(self._unread) < 4 + length:
                return
            payload, self._unread = self._unread[4 : 4 + length], self._unread[4 + length :]
            if self._decoder is None:
                self.version = int(payload.split(b"\0")[0])
                self._decoder = decoder.Decoder(self.recorder, self.version)
                continue
            if self.version >= RAW_MESSAGE_IDS:
                kind, rest = int.from_bytes(payload[:4], "big"), payload[4:]
            else:
                head, _, rest = payload.partition(b"\0")
                kind = int(head)
            if kind > PROTOBUF_IDS:
                self.frames.append([str(kind - PROTOBUF_IDS)])
                self._decoder.processProtoBuf(rest, kind - PROTOBUF_IDS)
            else:
                self.frames.append([str(kind), *rest[:-1].decode().split("\0")])
                self._decoder.interpret(tuple(rest.split(b"\0")[:-1]), kind)

    def calls(self, *names: str) -> list[tuple[Any, ...]]:
        """The callbacks of these names so far, in order."""
        return [call for call in self.recorder.calls if call[0] in names]

    def take(self, *names: str) -> list[tuple[Any, ...]]:
        """The same, and forget everything."""
        found = self.calls(*names)
        self.recorder.calls.clear()
        return found

    def errors(self) -> list[tuple[int, int]]:
        """(request, code) of every error that is not one of the usual good news."""
        return [(call[1], call[3]) for call in self.calls("error") if call[3] not in INFO]


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def contract(symbol: str = "SPY", sec_type: str = "STK", exchange: str = "SMART", currency: str = "USD") -> Contract:
    made = Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, sec_type, exchange, currency
    return made
