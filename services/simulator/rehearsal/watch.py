"""What a program does, seen from the gateway's side of the wire: which lines it has, for how long it is blind, and
which of IB's rules it breaks. Pure: it looks at the core in each turn, and is told each request and each error.

Not to be seen from here: what the program makes of what it receives.
"""

from collections import Counter, deque
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from services.base.clock import MINUTE, SECOND
from services.simulator.client import Client, Subscription
from services.simulator.core import Core
from services.simulator.market.contracts import Instrument
from services.simulator.protocol import ib
from services.simulator.protocol.requested import MarketData
from services.simulator.protocol.requests import read
from services.simulator.protocol.versions import ORDER_CONTAINER
from services.simulator.protocol.wire import BadRequest, Envelope
from services.simulator.rehearsal.trials import ERROR_CODES, PACING

MARKET_DATA, PLACE_ORDER = 1, 3
LOOP, LOOP_WINDOW = 10, MINUTE  # requests for one contract's stream in a minute before it is a loop
STORM, STORM_WINDOW = 20, 10 * SECOND  # connections in ten seconds before it is one
MOST_ORDERS = 10_000  # remembered of one trial


class Fault(NamedTuple):
    """A rule that was broken: what was seen, the rule, and where it stands."""

    seen: str
    rule: str
    source: str


class Stream(NamedTuple):
    """Something that flows to a program: market data, tick by tick, or bars of a symbol."""

    kind: str
    symbol: str


class Watch:
    """Of one trial. `wanted` are the streams that the program had before the trouble, which it is to have again."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.on_request, core.on_error = self._on_request, self._on_error
        self.wanted: Counter[Stream] = Counter()
        self.whole_since = 0  # UTC ns since when every wanted stream has been flowing; 0: one is not
        self.steady_since = 0  # UTC ns since when the streams have been the same ones; 0: there is none
        self.peak = 0  # most messages of one connection in a second
        self._last: Counter[Stream] = Counter()
        self._faults: dict[str, Fault] = {}
        self._times: dict[int, deque[int]] = {}
        self._asked: dict[str, deque[int]] = {}
        self._orders: dict[bytes, tuple[int, int]] = {}  # connection and id of each order, by its content
        self._strikes = 0

    # --- what is told ---

    def look(self, now: int) -> None:
        """Call it in every turn."""
        streams = self.streams(flowing=False)
        if streams != self._last or not streams:
            self._last, self.steady_since = streams, now if streams else 0
        flowing = self.streams(flowing=True)
        if flowing and all(stream in flowing for stream in self.wanted):
            self.whole_since = self.whole_since or now
        else:
            self.whole_since = 0
        if self._core.stats.strikes > self._strikes:
            self._strikes = self._core.stats.strikes
            self._fault("rate", f"more than {self._core.world.message_limit} messages in a second",
                        "100: at most 50 messages a second; the third breach ends the session.", PACING)  # fmt: skip
        self._look_for_storm(now)

    def want(self) -> None:
        """The streams of now are those that the program is to have again."""
        self.wanted = self.streams(flowing=False)
        self._faults_of_twice()

    def _on_request(self, client: Client, envelope: Envelope) -> None:
        now = self._core.now
        times = self._times.setdefault(client.conn, deque())
        times.append(now)
        while times[0] <= now - SECOND:
            times.popleft()
        self.peak = max(self.peak, len(times))
        if envelope.kind == MARKET_DATA:
            self._note_stream(client, envelope, now)
        elif envelope.kind == PLACE_ORDER:
            self._note_order(client, envelope)

    def _on_error(self, code: int, text: str) -> None:
        if code == 162 and "pacing violation" in text:
            self._fault("history", text.rpartition("pacing violation: ")[2],
                        "162: bars of 30 seconds or less are paced: 60 in ten minutes, none identical within 15 "
                        "seconds, fewer than 6 for one contract within two.", PACING)  # fmt: skip
        elif code == 322:
            rule = "322: a request id that is in use is refused; take a fresh one."
            self._fault("id", "an id was used for two requests", rule, ERROR_CODES)
        elif code == 101:
            rule = "101: no more lines than the user's account has, 100 by default."
            self._fault("lines", f"more than {self._core.world.line_limit} market data lines", rule, PACING)

    # --- what can be asked ---

    def streams(self, flowing: bool) -> Counter[Stream]:
        """What is open, how often; with `flowing` only that on which something can come."""
        found: Counter[Stream] = Counter()
        core = self._core
        for client in core.ready_clients():
            if flowing and client.silent_until > core.now:
                continue
            for kind, instrument, line in _open(client):
                dead = line is not None and line.dead
                if not (flowing and (dead or not core.world.flows(instrument))):
                    found[Stream(kind, instrument.key)] += 1
        return found

    def farms(self) -> set[str]:
        """The farms that serve the wanted streams."""
        symbols = {stream.symbol for stream in self.wanted}
        return {one.farm for symbol in symbols if (one := self._core.master.by_key(symbol)) is not None}

    def missing(self) -> list[Stream]:
        """What of the wanted does not flow now."""
        flowing = self.streams(flowing=True)
        return sorted(stream for stream in self.wanted if stream not in flowing)

    def faults(self) -> list[Fault]:
        """Every rule that was broken so far, and by the lines that are open now."""
        for stream, count in self.streams(flowing=False).items():
            before = self.wanted.get(stream, count)
            if count > before:
                seen = f"{count} lines of {stream.symbol} ({stream.kind}) are open where there were {before}"
                rule = "Each open line counts against the limit of 100; cancel the old one, and end old connections."
                self._fault("leak", seen, rule, PACING)
        return list(self._faults.values())

    # --- what breaks a rule ---

    def _faults_of_twice(self) -> None:
        for client in self._core.ready_clients():
            lines = Counter(
                (line.instrument.key, line.generic)
                for line in client.subscriptions.values() if line.asked == "stream"
            )  # fmt: skip
            for (symbol, _), count in lines.items():
                if count > 1:
                    rule = "Each open line counts against the limit of 100, the same contract's second one too."
                    self._fault("twice", f"{symbol} is asked for {count} times on one connection", rule, PACING)

    def _note_stream(self, client: Client, envelope: Envelope, now: int) -> None:
        asked = _read(client, envelope)
        if not isinstance(asked, MarketData) or asked.snapshot:
            return
        name = asked.contract.symbol or str(asked.contract.con_id)
        times = self._asked.setdefault(name, deque(maxlen=LOOP + 1))
        times.append(now)
        if len(times) > LOOP and times[0] > now - LOOP_WINDOW:
            rule = "A line that brings nothing is asked for again with a pause that grows."
            self._fault("loop", f"{name} was asked for more than {LOOP} times in a minute", rule, PACING)

    def _note_order(self, client: Client, envelope: Envelope) -> None:
        """The same order under another id, on another connection, is the same intent a second time."""
        placed = order(envelope, client.replies.version)
        if placed is None:
            return
        number, content = placed
        before = self._orders.get(content)
        if before is None and len(self._orders) < MOST_ORDERS:
            self._orders[content] = (client.conn, number)
        elif before is not None and before[0] != client.conn and before[1] != number:
            rule = "Orders outlive the connection: ask for open orders before one is placed again."
            seen = "an order was placed again, under another id, after a new connection"
            self._fault("order", seen, rule, "TWS API documentation, retrieving currently active orders")

    def _look_for_storm(self, now: int) -> None:
        recent = [one for one in self._core.stats.connections.values() if one.since > now - STORM_WINDOW]
        if len(recent) > STORM:
            rule = "Connect again with a pause: an id can stay in use for minutes."
            self._fault("storm", f"{len(recent)} connections in ten seconds", rule, ERROR_CODES)

    def _fault(self, key: str, seen: str, rule: str, source: str) -> None:
        self._faults[key] = Fault(seen, rule, source)


def order(envelope: Envelope, version: int) -> tuple[int, bytes] | None:
    """The id of an order, and all else of it: what makes it the same one. None where it cannot be read."""
    if envelope.body is None:
        place = 0 if version >= ORDER_CONTAINER else 1
        number, *content = envelope.fields[place:] or [""]
        return (int(number), "\0".join(content).encode()) if number.isdigit() else None
    request = ib.PlaceOrderRequest()
    try:
        request.ParseFromString(envelope.body)
    except DecodeError:
        return None
    number = request.orderId
    request.ClearField("orderId")
    for name in ("orderId", "permId", "clientId"):
        request.order.ClearField(name)
    return number, request.SerializeToString(deterministic=True)


def _open(client: Client) -> list[tuple[str, Instrument, Subscription | None]]:
    lines: list[tuple[str, Instrument, Subscription | None]] = [
        ("market data", line.instrument, line) for line in client.subscriptions.values() if line.asked == "stream"
    ]
    lines += [(f"tick by tick, {kind}", one, None) for one, kind in client.tick_by_tick.values()]
    lines += [(f"5 second bars, {what}", one, None) for one, what in client.real_time_bars.values()]
    lines += [(f"bars kept up to date, {kept.what}", kept.instrument, None) for kept in client.kept_bars.values()]
    return lines


def _read(client: Client, envelope: Envelope) -> Any:
    try:
        return read(envelope, client.replies.version)
    except BadRequest:
        return None
