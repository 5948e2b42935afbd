"""A small world for the gateway's core: an IB gateway with everything that can go wrong, and a clock that we turn.

It plays the adapter: it carries effects out, and tells the core what happens. It keeps the rules as IB does,
and fails the test when the core breaks one. Hours of it pass in a second.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from messages.events import (
    Bar,
    BarsReceived,
    ContractQualified,
    Event,
    FarmChanged,
    GapClosed,
    GapFilled,
    GapOpened,
    HeldContract,
    IbError,
    LinkChanged,
    Plan,
    PlannedSymbol,
    SymbolChanged,
)
from messages.fields import ASK, BID, LAST, PRICE_TIME, SOURCE, SOURCES, VOLUME
from services.base.settings import Settings
from services.gateway.core import interface as fx
from services.gateway.core.core import GatewayCore
from services.gateway.core.memory import Memory
from tests.simulation.quote_check import QuoteCheck

SECOND = 1_000_000_000
STEP = SECOND // 4
START = 1_789_997_400 * SECOND  # Monday 2026-09-21 13:30 UTC: New York opens
ZONE = "America/New_York"
OPEN_DAYS = ";".join(f"202609{day}:0930-202609{day}:1600" for day in (21, 22, 23, 24, 25))


class RuleBroken(AssertionError):
    """The core did what IB forbids."""


@dataclass
class Request:
    symbol: str
    snapshot: bool
    delayed: bool = False
    values: dict[int, float] = field(default_factory=dict)
    news: dict[int, float] = field(default_factory=dict)  # what it brings in this turn


class World:
    """`up`, `answers` ... are knobs: turn them, then `run`."""

    def __init__(
        self,
        symbols: Iterable[str] = ("SPY", "QQQ"),
        seed: int = 1,
        *,
        quotes: bool = False,
        start: int = START,
        **settings: object,
    ) -> None:
        self.settings = Settings(**{"api_mode": "ib", **settings})  # type: ignore[arg-type]
        self.rng = random.Random(seed)
        self.now = start
        self.pace = STEP  # of the clock
        self.memory = Memory()
        self.core = GatewayCore(self.settings, random.Random(seed), self.memory)
        self.quotes = QuoteCheck() if quotes else None  # holds quotes against what brought them, at each step
        self.sizes: dict[str, dict[int, float]] = {}  # what a stream brings beside prices and volume, by field
        self.day_volume: dict[str, float] = {}  # of the day's bar, in shares
        self.month_volumes: dict[int, dict[int, float]] = {}  # of months of a future, by contract id: days' bars
        self.partial: set[str] = set()  # of these only the last price comes, by whatever way
        # knobs
        self.up = True  # the port accepts
        self.answers = True  # and the API behind it
        self.endpoints_up: dict[int, bool] = {}  # by port, where that differs from `up`
        self.client_id_taken = False
        self.ib_link = True
        self.competing = False
        self.line_limit = 100
        self.snapshots_take_lines = False
        self.gone = False  # the other end is gone, and TCP does not know
        self.snapshot_delay = 0.5
        self.starved: set[str] = set()  # their streams bring nothing, snapshots do
        self.starved_until_renewed: set[str] = set()
        self.mute: set[str] = set()  # nothing at all is known of them
        self.quiet: set[str] = set()  # nothing happens in them
        self.farms_down: dict[str, set[str]] = {}
        self.unknown: set[str] = set()
        self.ambiguous: set[str] = set()  # several contracts, unless asked for by id
        self.listings: dict[str, list[ContractQualified]] = {}  # what details say of a symbol, where that is unusual
        self.sec_def_down = False  # nothing is known of any contract
        self.reroutes: dict[str, int] = {}  # symbol -> contract id under which its data comes
        self.details_silent = False
        self.refused: dict[str, int] = {}  # symbol -> error for live data
        self.delayed_refused: set[str] = set()
        self.halted: set[str] = set()
        self.hours: dict[str, str] = {}
        self.history_broken = False
        self.history_silent = False  # history is asked and does not answer
        self.history_refusal: str | None = None  # the text of 162
        self.history_behind = 0  # seconds that its newest bar is old
        self.clock_ahead = 0  # seconds
        self.picture_only: set[str] = set()  # prices come when they are subscribed, and then none; snapshots are empty
        self.market_open: Callable[[str], bool] = lambda symbol: True
        self.positions: dict[tuple[str, HeldContract], float] = {}  # quantities, by account
        self.positions_answer: fx.Event | None = None  # in place of what is held
        self.positions_silent = False
        # the gateway's side
        self.port: int | None = None
        self.ready = False
        self.requests: dict[int, Request] = {}
        self.data_type = 1
        self.used_ids: set[int] = set()
        self.later: list[tuple[int, fx.Event]] = []
        self.message_times: deque[int] = deque()
        self.history_times: deque[tuple[int, tuple[str, int, int, str, str]]] = deque()
        self.history_open: set[int] = set()
        self.price: Counter[str] = Counter()  # moves at each turn of a symbol that is not quiet
        # what the core said and did
        self.events: list[tuple[int, Event]] = []
        self.effects: list[tuple[int, fx.Effect]] = []
        self.rows: list[tuple[int, str, int, float]] = []
        self.said: dict[str, SymbolChanged] = {}
        self.link: LinkChanged | None = None
        self.sources: dict[str, str] = {}
        self.priced: dict[str, int] = {}  # time of the newest price from bars
        self.delivered: dict[str, int] = {}  # when a stream brought a tick
        self.known: dict[str, int] = {}  # the price that reached the core last, by whatever way
        self.outdated: dict[str, int] = {}  # since when the core does not know the price
        self.contracts: dict[str, PlannedSymbol] = {}  # of symbols that are no plain stock
        self.plan_count = 0
        self.symbols: list[str] = []
        self.plan(symbols)

    # --- what tests do ---

    def plan(self, symbols: Iterable[str], started: bool = True, **rest: object) -> None:
        self.symbols = list(symbols)
        self.plan_count += 1
        planned = [
            self.contracts.get(name) or PlannedSymbol(name, "test", rank) for rank, name in enumerate(self.symbols)
        ]
        plan = Plan(1, self.plan_count, self.now, started, planned, **rest)  # type: ignore[arg-type]
        if not started:
            self.symbols = []
        self.tell(fx.PlanChanged(plan))

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.step()

    def rest(self, seconds: float, pace: int = 5 * SECOND) -> None:
        """Nobody turns a knob for so long: time passes in longer steps."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.pace = min(pace, end - self.now)
            self.step()
        self.pace = STEP

    def until(self, condition: Callable[[], object], within: float) -> float:
        """Seconds until the condition held. Fails when it did not in time."""
        start = self.now
        while not condition():
            assert self.now - start < within * SECOND, f"not within {within} s: {self.explain()}"
            self.step()
        return (self.now - start) / SECOND

    def state(self, symbol: str) -> str:
        return self.said[symbol].state

    def all_live(self) -> bool:
        return all(self.state(symbol) == "live" for symbol in self.symbols)

    def error(self, code: int, message: str = "", req_id: int = -1) -> None:
        if code == 1101:
            self.requests.clear()  # that is what it means
        self.tell(fx.IbErrorSeen(req_id, code, message))

    def farm(self, name: str, up: bool, symbols: Iterable[str] = ()) -> None:
        if up:
            self.farms_down.pop(name, None)
            self.error(2104, f"Market data farm connection is OK:{name}")
        else:
            self.farms_down[name] = set(symbols)
            self.error(2103, f"Market data farm connection is broken:{name}")

    def kill(self) -> None:
        """The gateway dies: the socket closes, the port is gone."""
        self.up = False
        self.close("reset")

    def close(self, reason: str = "eof") -> None:
        if self.port is not None:
            self._drop()
            self.tell(fx.SocketClosed(reason))

    def restart_core(self) -> None:
        """A new process, which knows what the journal tells."""
        memory = Memory()
        for time, event in self.events:
            memory.apply(event, time)
        memory.note_streamed_until(max(self.delivered.values(), default=0))
        self._drop()
        self.message_times.clear()  # IB counts per session
        self.core = GatewayCore(self.settings, random.Random(2), memory)
        self.said = {}
        self.known, self.outdated = {}, {}
        self.plan(self.symbols)

    def of(self, kind: type, since: int = 0) -> list:
        """Events or effects of a kind, oldest first."""
        return [each for time, each in [*self.events, *self.effects] if isinstance(each, kind) and time >= since]

    def streams(self, symbol: str) -> list[int]:
        return [req for req, request in self.requests.items() if request.symbol == symbol and not request.snapshot]

    def explain(self) -> str:
        return f"{self.link} {[(s.symbol, s.state, s.reason) for s in self.said.values()]}"

    # --- time ---

    def step(self) -> None:
        self.now += self.pace
        self._trade()
        due = [event for at, event in self.later if at <= self.now]
        self.later = [(at, event) for at, event in self.later if at > self.now]
        for event in due:
            if isinstance(event, fx.SocketClosed):
                self._drop()
            if isinstance(event, fx.BarsEnd | fx.IbErrorSeen):
                self.history_open.discard(event.req_id)
            if isinstance(event, fx.SnapshotEnd):
                self.requests.pop(event.req_id, None)
            self.ready = self.ready or isinstance(event, fx.Ready)
            if isinstance(event, fx.TicksSeen):
                self._bring(event.req_ids)
            self.tell(event)
        self.tell(fx.Timer())
        self.check()

    def _trade(self) -> None:
        for symbol in self.symbols:
            if symbol not in self.quiet and symbol not in self.halted and self.market_open(symbol):
                self.price[symbol] += 1
        ticked = self._stream() if self._linked() else set()
        if ticked:
            self._bring(ticked)
            self.tell(fx.TicksSeen(ticked))
        for symbol in self.symbols:
            if self.known.get(symbol) == self.price[symbol]:
                self.outdated.pop(symbol, None)
            else:
                self.outdated.setdefault(symbol, self.now)

    def _stream(self) -> set[int]:
        """What streams bring in this turn, and the requests that it came for."""
        ticked: set[int] = set()
        silent = self.mute.union(self.starved, self.starved_until_renewed, *self.farms_down.values())
        for req_id, request in self.requests.items():
            symbol = request.symbol
            if request.snapshot or symbol in silent or (symbol in self.picture_only and request.values):
                continue
            values = self._values(symbol)
            if request.values != values:
                request.news = self._changed(symbol, request.values, values)
                request.values = {**request.values, **request.news}
                ticked.add(req_id)
                self.delivered[symbol] = self.now
                self.known[symbol] = self.price[symbol]
        return ticked

    def _linked(self) -> bool:
        return self.ready and not self.gone and self.ib_link and not self.competing

    def _ib_has(self, symbol: str) -> bool:
        """Whether IB has its price, be there a stream that brings it or not."""
        away = symbol in self.mute or any(symbol in served for served in self.farms_down.values())
        return self._linked() and not away

    def _changed(self, symbol: str, before: dict[int, float], now: dict[int, float]) -> dict[int, float]:
        """What a request brings: not always all of it."""
        if symbol in self.partial:
            return {LAST: now[LAST]}
        return {number: value for number, value in now.items() if before.get(number) != value}

    def _bring(self, req_ids: Iterable[int]) -> None:
        if self.quotes is not None:
            for req_id in req_ids:
                if req_id in self.requests:
                    self.quotes.bring(req_id, self.requests[req_id].news, self.now)

    def _values(self, symbol: str) -> dict[int, float]:
        price = self.price[symbol]
        base = 100 + price * 0.01
        values = {BID: base, ASK: base + 0.01, LAST: base, VOLUME: 1000.0 + price}
        return values | self.sizes[symbol] if symbol in self.sizes else values

    # --- the adapter ---

    def tell(self, event: fx.Event) -> None:
        queue = [event]
        while queue:
            for effect in self.core.handle(queue.pop(0), self.now):
                self.effects.append((self.now, effect))
                answer = self._carry_out(effect)
                if answer is not None:
                    queue.append(answer)
        if self.quotes is not None:
            self.quotes.turn(self.now)

    def _carry_out(self, effect: fx.Effect) -> fx.Event | None:
        match effect:
            case fx.Emit(event):
                self._emitted(event)
            case fx.EmitTicks(symbol, rows):
                if self.quotes is not None:
                    self.quotes.say(symbol, rows, self.now)
                for number, value, _, _ in rows:
                    self.rows.append((self.now, symbol, number, value))
                    if number == PRICE_TIME:
                        self._check_newer(symbol, int(value * SECOND))
                    if number == SOURCE:
                        self.sources[symbol] = SOURCES[int(value)]
            case fx.Connect(_, port):
                return self._connect(port)
            case fx.Disconnect():
                self._drop()
            case fx.Forget():
                pass  # it sends nothing
            case fx.ReadStream(req_id):
                return fx.StreamRead(req_id, dict(self.requests[req_id].values) if req_id in self.requests else {})
            case fx.ProbeEndpoint(_, port):
                self._soon(0.25, fx.EndpointSeen(self._up(port)))
            case _:
                self._message()
                return self._request(effect)
        return None

    def _emitted(self, event: Event) -> None:
        self.events.append((self.now, event))
        if isinstance(event, SymbolChanged):
            assert event != self.said.get(event.symbol), "said twice"
            self.said[event.symbol] = event
            if event.state == "removed":
                del self.said[event.symbol]
        elif isinstance(event, LinkChanged):
            assert event != self.link, "said twice"
            self.link = event

    def _up(self, port: int) -> bool:
        return self.endpoints_up.get(port, self.up)

    def _connect(self, port: int) -> fx.Event | None:
        assert self.port is None, "two connections at once"
        if not self._up(port):
            return fx.SocketFailed("refused")
        self.port = port
        self._soon(0.25, fx.SocketOpened())
        if self.client_id_taken:
            self._soon(0.5, fx.IbErrorSeen(-1, 326, "Unable to connect as the client id is already in use."))
            self.later.append((self.now + SECOND, fx.SocketClosed("eof")))
        elif self.answers:
            self._soon(0.5, fx.Ready(176, ("DU1",)))
        return None

    def _drop(self) -> None:
        self.port = None
        self.ready = False
        self.requests.clear()
        self.later.clear()
        self.history_open.clear()
        self.data_type = 1

    def _soon(self, seconds: float, event: fx.Event) -> None:
        self.later.append((self.now + int(seconds * SECOND), event))

    # --- the rules ---

    def _message(self) -> None:
        if self.port is None:
            raise RuleBroken("a request without a connection")
        self.message_times.append(self.now)
        while self.message_times[0] <= self.now - SECOND:
            self.message_times.popleft()
        if len(self.message_times) > self.settings.ib_message_rate:
            raise RuleBroken(f"{len(self.message_times)} messages in a second")

    def _request(self, effect: fx.Effect) -> fx.Event | None:
        req_id = getattr(effect, "req_id", -1)
        if self.gone:
            return None
        if isinstance(effect, fx.CancelMktData | fx.CancelHistory):
            if req_id not in self.requests and req_id not in self.history_open:
                return fx.IbErrorSeen(req_id, 300, "Can't find EId")
            self.requests.pop(req_id, None)
            self.history_open.discard(req_id)
            return None
        if isinstance(effect, fx.CancelTickByTick | fx.CancelRealTimeBars):
            if req_id not in self.used_ids:
                raise RuleBroken(f"a cancel of request {req_id}, which was never made")
            return None
        if req_id != -1:
            if req_id in self.used_ids:
                raise RuleBroken(f"request id {req_id} was used before")
            self.used_ids.add(req_id)
        match effect:
            case fx.Subscribe() | fx.Snapshot() | fx.ContractDetails() if self.sec_def_down:
                return fx.IbErrorSeen(req_id, 200, "No security definition has been found for the request")
            case fx.Subscribe(_, planned, con_id) | fx.Snapshot(_, planned, con_id) if (
                self.reroutes.get(planned.symbol, con_id) != con_id
            ):
                return fx.RerouteSeen(req_id, self.reroutes[planned.symbol], "SMART")
            case fx.ContractDetails() if self.details_silent:
                return None
            case fx.SetMarketDataType(data_type):
                self.data_type = data_type
            case fx.AskTime():
                self._soon(0.1, fx.CurrentTimeSeen((self.now + SECOND // 10) // SECOND + self.clock_ahead))
            case fx.Subscribe(_, planned, 0) | fx.Snapshot(_, planned, 0) if planned.symbol in self.ambiguous:
                return fx.IbErrorSeen(req_id, 200, "The contract description is ambiguous")
            case fx.Subscribe(_, planned, _):
                return self._subscribe(req_id, planned.symbol, snapshot=False)
            case fx.Snapshot(_, planned, _, _):
                return self._subscribe(req_id, planned.symbol, snapshot=True)
            case fx.ContractDetails(_, planned):
                self._details(req_id, planned)
            case fx.History():
                self._history(effect)
            case fx.AskPositions():
                self._positions()
            case _:
                pass
        return None

    def hold(self, account: str, contract: HeldContract, quantity: float) -> None:
        """A trade somewhere else: whoever has asked for positions is told."""
        self.positions[account, contract] = quantity
        if self.ready and self.ib_link and self.of(fx.AskPositions):
            self.tell(fx.PositionSeen(account, contract, quantity != 0))

    def _positions(self) -> None:
        if self.positions_silent:
            return
        if self.positions_answer is not None:
            self._soon(0.25, self.positions_answer)
            return
        for (account, contract), quantity in self.positions.items():
            if quantity:
                self._soon(0.25, fx.PositionSeen(account, contract, True))
        self._soon(0.5, fx.PositionsEnd())

    def _subscribe(self, req_id: int, symbol: str, snapshot: bool) -> fx.Event | None:
        if symbol in self.unknown:
            return fx.IbErrorSeen(req_id, 200, "No security definition has been found for the request")
        lines = sum(not request.snapshot or self.snapshots_take_lines for request in self.requests.values())
        if (not snapshot or self.snapshots_take_lines) and lines >= self.line_limit:
            return fx.IbErrorSeen(req_id, 101, "Max number of tickers has been reached")
        code = self.refused.get(symbol)
        if code is not None and self.data_type < 3:
            return fx.IbErrorSeen(req_id, code, "Requested market data is not subscribed.")
        if code is not None and symbol in self.delayed_refused:
            return fx.IbErrorSeen(req_id, 10186, "Delayed market data is not available")
        self.requests[req_id] = Request(symbol, snapshot, delayed=code is not None)
        if self.quotes is not None:
            self.quotes.ask(req_id, symbol, "ib_snapshot" if snapshot else "ib_stream", self.now)
        if not snapshot:
            self.starved_until_renewed.discard(symbol)
        if self.competing:
            return fx.IbErrorSeen(req_id, 10197, "No market data during competing live session")
        self._soon(0.1, fx.MarketDataTypeSeen(req_id, 3 if code is not None else 1))
        if symbol in self.halted:
            self._soon(0.2, fx.HaltSeen(req_id, 1))
        if snapshot:
            self._snapshot(req_id, symbol)
        return None

    def _snapshot(self, req_id: int, symbol: str) -> None:
        stream = next(iter(self.streams(symbol)), None)
        if not self._ib_has(symbol) or not self.market_open(symbol) or symbol in self.picture_only:
            self._soon(11, fx.SnapshotEnd(req_id, {}, {}))
            return
        values = self._changed(symbol, {}, self._values(symbol))
        self.requests[req_id].news = values
        streamed = dict(self.requests[stream].values) if stream is not None else {}
        self.known[symbol] = self.price[symbol]
        self.outdated.pop(symbol, None)
        self._soon(self.snapshot_delay, fx.TicksSeen({req_id}))
        self._soon(self.snapshot_delay, fx.SnapshotEnd(req_id, values, streamed))

    def _details(self, req_id: int, planned: PlannedSymbol) -> None:
        if planned.symbol in self.unknown:
            self._soon(0.1, fx.IbErrorSeen(req_id, 200, "No security definition has been found for the request"))
            return
        if planned.symbol in self.listings:
            for listing in self.listings[planned.symbol]:
                self._soon(0.2, fx.ContractSeen(req_id, listing))
            self._soon(0.2, fx.ContractEnd(req_id))
            return
        hours = self.hours.get(planned.symbol, OPEN_DAYS)
        con_id = sum(map(ord, planned.symbol))
        info = ContractQualified("", con_id, "STK", "SMART", "USD", "ARCA", time_zone=ZONE, liquid_hours=hours)
        self._soon(0.2, fx.ContractSeen(req_id, info))
        self._soon(0.2, fx.ContractEnd(req_id))

    def _history(self, effect: fx.History) -> None:
        key = (effect.planned.symbol, effect.con_id, effect.end, effect.duration, effect.what_to_show)
        while self.history_times and self.history_times[0][0] <= self.now - 600 * SECOND:
            self.history_times.popleft()
        for at, other in self.history_times:
            if other == key and at > self.now - 15 * SECOND:
                raise RuleBroken("an identical history request within 15 s")
        recent = [1 for at, o in self.history_times if o[0] == key[0] and at > self.now - 2 * SECOND]
        if len(recent) >= 5 or len(self.history_times) >= 60 or len(self.history_open) >= 50:
            raise RuleBroken("history pacing")
        self.history_times.append((self.now, key))
        self.history_open.add(effect.req_id)
        if self.history_silent:
            return
        if self.history_refusal is not None:
            self._soon(1, fx.IbErrorSeen(effect.req_id, 162, self.history_refusal))
            return
        if self.history_broken or not self.ib_link:
            self._soon(1, fx.IbErrorSeen(effect.req_id, 162, "Historical Market Data Service: no data permissions"))
            return
        end = min(effect.end or self.now, self.now - self.history_behind * SECOND)
        span, unit = effect.duration.split()
        start = end - int(span) * (SECOND if unit == "S" else 86400 * SECOND)
        minute = 60 * SECOND
        if effect.bar_size == "1 day":
            volume = self.day_volume.get(effect.planned.symbol, 0.0)
            days = self.month_volumes.get(effect.con_id, {self.now - self.now % (86400 * SECOND): volume})
            bars = [Bar(day, 1.0, 1.0, 1.0, 1.0, traded) for day, traded in days.items() if day <= end]
            self._soon(0.5, fx.BarsSeen(effect.req_id, bars))
            self._soon(0.5, fx.BarsEnd(effect.req_id))
            return
        bars = [Bar(t, 1.0, 1.0, 1.0, 99.0, 5.0) for t in range(start - start % minute, end, minute) if t >= start]
        self._soon(0.5, fx.BarsSeen(effect.req_id, bars))
        self._soon(0.5, fx.BarsEnd(effect.req_id))

    # --- what must hold at every moment ---

    def check(self) -> None:
        """Never silently blind: all clear is said only of a symbol whose price is known to be current."""
        for symbol in self.symbols:
            said = self.said.get(symbol)
            assert said is not None, f"nothing was said of {symbol}"
            if said.state in ("live", "quiet", "closed") and said.reason is None:
                self._check_clear(said)
            else:
                assert said.reason, said
            if self.quotes is not None and not said.stale and said.state != "closed":
                self.quotes.check(symbol)

    def _check_newer(self, symbol: str, time: int) -> None:
        """An older price never replaces a newer one."""
        assert self.delivered.get(symbol, 0) - SECOND < time <= self.now, f"an old price of {symbol}"
        assert time > self.priced.get(symbol, 0), f"the same price of {symbol} again"
        self.priced[symbol] = time

    def _check_clear(self, said: SymbolChanged) -> None:
        limit = self.settings.stale_after + 1
        if said.state == "live":
            silence = (self.now - self.delivered.get(said.symbol, 0)) / SECOND
            assert silence <= limit, f"{said.symbol} is called live after {silence} s of silence"
        elif said.state == "quiet":
            blind = (self.now - self.outdated.get(said.symbol, self.now)) / SECOND
            assert blind <= 4 * limit, f"{said.symbol} is called quiet, and its price is unknown for {blind} s"
        else:
            assert not self.market_open(said.symbol), f"{said.symbol} is called closed in an open market"

    def counts(self, symbol: str) -> Counter[str]:
        """How often the symbol went to each state."""
        return Counter(e.state for _, e in self.events if isinstance(e, SymbolChanged) and e.symbol == symbol)


__all__ = [
    "ASK", "PRICE_TIME", "SECOND", "START", "BarsReceived", "ContractQualified", "FarmChanged", "GapClosed",
    "GapFilled", "GapOpened", "IbError", "LinkChanged", "RuleBroken", "World", "fx",
]  # fmt: skip
