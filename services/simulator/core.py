"""The simulated gateway: a pure core. Events go in with their time (a connection, bytes, a turn, a scenario step),
effects come out (bytes to send, connections to close). No sockets, no clock, no global randomness.

`handle_*` methods are called by the loop in server.py, and by tests, which so run hours of trouble in a moment.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from services.base.clock import SECOND
from services.simulator.client import Client
from services.simulator.effects import Close, Effect, Listen, Log, Send
from services.simulator.market import market_data
from services.simulator.market.contracts import Instrument, Master
from services.simulator.market.derived import derive
from services.simulator.market.invented import invent
from services.simulator.market.listed import usual
from services.simulator.market.market import Market, Source
from services.simulator.protocol import requests, requests_history, requests_orders
from services.simulator.protocol.message_limits import MessageRate
from services.simulator.protocol.replies import Replies
from services.simulator.protocol.requested import StartApi
from services.simulator.protocol.requests_account import ACCOUNT
from services.simulator.protocol.versions import HIGHEST, LOWEST
from services.simulator.protocol.wire import BadRequest, Envelope, Garbage, frame, parse_versions, unwrap
from services.simulator.stats import Stats
from services.simulator.trading.desk import Desk
from services.simulator.trouble.languages import localised
from services.simulator.trouble.world import HISTORY_FARM, MARKET_FARMS, SEC_DEF_FARM, World
from services.simulator.venue import CoreVenue

START_API = 71
DRIBBLE = 40  # bytes a turn, each in a write of its own
MOST_HELD = 1_000_000


@dataclass(frozen=True)
class Config:
    """How this server differs from an ordinary gateway. `rate`: ticks a second over all that is subscribed,
    0 for the natural pace. `server_version`: what the gateway calls itself. `known_only`: no stock is invented.
    `read_only`: orders are refused. `master_client_id`: of the client that hears of all orders."""

    seed: int = 1
    rate: int = 0
    symbols: int = 1000
    server_version: int = HIGHEST
    line_limit: int = 100
    message_limit: int = 50
    strikes_allowed: int = 3
    history_pacing: bool = True
    known_only: bool = False
    read_only: bool = False
    master_client_id: int | None = None


class Core:
    """`market` and `listed` replace the invented prices and their instruments: a replay."""

    def __init__(
        self, config: Config, now: int, market: Source | None = None, listed: Iterable[Instrument] | None = None
    ) -> None:
        self.config = config
        self.world = World(
            line_limit=config.line_limit,
            message_limit=config.message_limit,
            strikes_allowed=config.strikes_allowed,
            history_pacing=config.history_pacing,
        )
        self.market: Source = market or Market(config.seed, config.rate, self.world.hours)
        self.master = self._master(now) if listed is None else Master(listed, 0)
        self.book = market_data.Book()
        self.desk = Desk(CoreVenue(self))
        self.account_told_at = self.profit_told_at = now
        self.stats = Stats()
        self.clients: dict[int, Client] = {}
        self.groups: dict[int, str] = {}  # the contract of each display group
        self.now = now
        self.lag = 0.0
        self._last_turn = now
        self._listening = True
        self.on_listening: Callable[[int], None] | None = None
        self.on_request: Callable[[Client, Envelope], None] | None = None  # for who watches: each message of a client
        self.on_error: Callable[[int, str], None] | None = None  # and each error that is sent
        self._out: dict[int, list[bytes]] = {}
        self._ticks: dict[int, int] = {}
        self._effects: list[Effect] = []
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._timer_count = 0

    def _master(self, now: int) -> Master:
        today = self.world.hours.local(now).date()
        invention = None if self.config.known_only else invent
        return Master(usual(today), self.config.symbols, invention, partial(derive, today))

    # --- events ---

    def handle_connected(self, conn: int, now: int) -> list[Effect]:
        self.now = now
        self.clients[conn] = Client(conn, MessageRate(self.world.message_limit), deaf=self.world.deaf)
        self.stats.connected(conn, now)
        return self._flush()

    def handle_bytes(self, conn: int, data: bytes, now: int) -> list[Effect]:
        self.now = now
        client = self.clients.get(conn)
        if client is None or client.is_closing() or client.deaf:
            return self._flush()
        try:
            for payload in client.reader.feed(data):
                self._received(client, payload)
                if client.is_closing():
                    break
        except Garbage as error:
            self.stats.garbage += 1
            self.log("garbage from a client", conn=conn, client_id=client.client_id, what=str(error))
            self.close(client, "garbage")
        return self._flush()

    def handle_closed(self, conn: int, now: int, unsent_ticks: int = 0, reason: str = "closed by the client") -> None:
        """The connection is gone; `unsent_ticks` were counted as sent and never left this process."""
        self.now = now
        client = self.clients.pop(conn, None)
        if client is not None:
            market_data.forget_all(self, client)
            self.stats.closed(conn, now, unsent_ticks, reason)

    def handle_listening(self, port: int, now: int) -> list[Effect]:
        """The effect Listen was carried out, on this port."""
        self.now = now
        waiting, self.on_listening = self.on_listening, None
        if waiting is not None:
            waiting(port)
        return self._flush()

    def handle_turn(self, now: int, lag: float = 0.0) -> list[Effect]:
        """Call about every 50 ms. `lag`: how late the loop was lately, in seconds."""
        self.now, self.lag = now, lag
        for client in self.clients.values():
            if client.held:
                self._release(client)
        due: list[Callable[[], None]] = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        for action in due:  # one that sets itself up anew waits for the next turn
            action()
        market_data.turn(self)
        requests_orders.turn(self)
        if self.world.hours.local(now).date() != self.world.hours.local(self._last_turn).date():
            self.desk.new_day()
        if now // (5 * SECOND) != self._last_turn // (5 * SECOND):
            requests_history.send_real_time_bars(self)
            requests_history.send_kept_bars(self)
        self._last_turn = now
        return self._flush()

    def handle_call(self, action: Callable[[], None], now: int) -> list[Effect]:
        """Something that somebody asked for, such as a scenario's step."""
        self.now = now
        action()
        return self._flush()

    # --- what requests, market data and scenarios are written in ---

    def send(self, client: Client, data: bytes, ticks: int = 0) -> None:
        if data and not client.is_closing():
            self._out.setdefault(client.conn, []).append(data)
            if ticks:
                self._ticks[client.conn] = self._ticks.get(client.conn, 0) + ticks

    def send_raw(self, client: Client, data: bytes, ticks: int = 0) -> None:
        """A write of its own, after what is pending."""
        self._effects += self._drain(client.conn)
        self._effects.append(self._sent(client.conn, data, ticks))

    def error(self, client: Client, request: int, code: int, text: str) -> None:
        self.stats.errors[code] += 1
        if self.on_error is not None:
            self.on_error(code, text)
        text = localised(self.world.faults.language, code, text)
        self.send(client, client.replies.error(request, code, text, self.clock // 1_000_000))

    @property
    def clock(self) -> int:
        """What the gateway takes for the time."""
        return self.now + int(self.world.faults.clock_offset * SECOND)

    def tell_all(self, code: int, text: str) -> None:
        """A system message to every client that is ready."""
        for client in self.ready_clients():
            self.error(client, -1, code, text)

    def ready_clients(self) -> list[Client]:
        return [client for client in self.clients.values() if client.phase == "ready"]

    def close(self, client: Client, reason: str, abort: bool = False) -> None:
        if not client.is_closing():
            self._effects += self._drain(client.conn)
            client.phase = "closing"
            self._effects.append(Close(client.conn, abort))
            self.stats.note(client.conn, reason)

    def listen(self, on: bool, port: int | None = None) -> None:
        """Accept connections, on another port if one is given, or refuse them."""
        if on != self._listening or port is not None:
            self._listening = on
            self._effects.append(Listen(on, port))

    def log(self, event: str, **values: object) -> None:
        self._effects.append(Log(event, values))

    def release(self, instrument: Instrument) -> None:
        """Let an instrument stand still that nobody looks at, and that no order or position needs."""
        con_id = instrument.con_id
        if con_id not in self.book.by_instrument and not self.desk.needs(con_id) and not self._looked_at(con_id):
            self.market.deactivate(instrument)

    def _looked_at(self, con_id: int) -> bool:
        """Whether a client has it tick by tick, or its depth."""
        by_tick = (one.con_id for client in self.clients.values() for one, _ in client.tick_by_tick.values())
        depth = (line.instrument.con_id for client in self.clients.values() for line in client.depth.values())
        return con_id in by_tick or con_id in depth

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in the first turn after `seconds`."""
        self._timer_count += 1
        heapq.heappush(self._timers, (self.now + int(seconds * SECOND), self._timer_count, action))

    # --- the conversation ---

    def _received(self, client: Client, payload: bytes) -> None:
        if client.phase == "greeting":
            self._greet(client, payload)
            return
        envelope = unwrap(payload, client.replies.version)
        if client.rate.breached(self.now, self.lag):
            self._strike(client)
            if client.is_closing():
                return
        self.stats.requests[envelope.kind] += 1
        if self.on_request is not None:
            self.on_request(client, envelope)
        if client.phase == "ready":
            requests.dispatch(self, client, envelope)
        elif envelope.kind == START_API:
            try:
                self._start(client, requests.read(envelope, client.replies.version))
            except BadRequest as error:
                raise Garbage(f"startApi: {error}") from None

    def _greet(self, client: Client, payload: bytes) -> None:
        low, high = parse_versions(payload)
        version = min(self.config.server_version, high)
        if version < max(low, LOWEST):
            self.log("client speaks no version of ours", conn=client.conn, client=f"{low}..{high}")
            self.close(client, "no common version")
            return
        client.replies = Replies(version)
        client.phase = "versioned"
        clock = f"{self.world.hours.local(self.clock):%Y%m%d %H:%M:%S} US/Eastern"
        self.send(client, frame(f"{version}\0{clock}\0".encode()))

    def _start(self, client: Client, asked: StartApi) -> None:
        client_id = asked.client_id
        taken = any(other.client_id == client_id for other in self.ready_clients())
        if taken or self.world.ids_taken:
            self.error(client, -1, 326, "Unable to connect as the client id is already in use: use a unique client id.")
            self.close(client, "client id in use")
            return
        client.client_id, client.phase = client_id, "ready"
        self.stats.started(client.conn, client_id, client.replies.version)
        self.log("client ready", conn=client.conn, client_id=client_id, version=client.replies.version)
        self._introduce(client)
        for code, text in self._farm_notices():
            self.error(client, -1, code, text)

    def _farm_notices(self) -> list[tuple[int, str]]:
        """What a new client hears of the farms: none at all, where a scenario names none."""
        farms, chosen = self.world.farms, self.world.notices
        if chosen is None:
            chosen = tuple((farm, farms[farm]) for farm in MARKET_FARMS)
        notices = [farm_message("market data", farm, state) for farm, state in chosen]
        if notices:
            notices.append(farm_message("HMDS data", HISTORY_FARM, farms[HISTORY_FARM]))
            notices.append(farm_message("Sec-def data", SEC_DEF_FARM, farms[SEC_DEF_FARM]))
        return notices

    def _introduce(self, client: Client) -> None:
        """The accounts and the first order id: what makes a client ready, all of it or only a part."""
        parts = {
            "accounts": client.replies.managed_accounts(ACCOUNT),
            "order_id": client.replies.next_valid_id(self.desk.next_id(client.client_id)),
        }
        greeting = self.world.faults.greeting
        for name, data in parts.items():
            if greeting is None or greeting.missing not in (name, "both"):
                self.send(client, data)
            elif greeting.late:
                self.after(greeting.late, partial(self.send, client, data))

    def _strike(self, client: Client) -> None:
        self.stats.strikes += 1
        limit = client.rate.limit
        self.error(client, -1, 100, f"Max rate of messages per second has been exceeded: max={limit}")
        self.log("pacing strike", client_id=client.client_id, strikes=client.rate.strikes)
        if client.rate.strikes >= self.world.strikes_allowed:
            self.close(client, "pacing")

    # --- effects ---

    def _flush(self) -> list[Effect]:
        for conn in list(self._out):
            self._effects += self._drain(conn)
        effects, self._effects = self._effects, []
        return effects

    def _drain(self, conn: int) -> Iterable[Effect]:
        parts = self._out.pop(conn, None)
        ticks = self._ticks.pop(conn, 0)
        if not parts:
            return ()
        client = self.clients.get(conn)
        if client is not None and (client.held or max(client.silent_until, client.dribble_until) > self.now):
            client.held += b"".join(parts)
            client.held_ticks += ticks
            return ()
        return (self._sent(conn, b"".join(parts), ticks),)

    def _release(self, client: Client) -> None:
        """Let go of what silence or dribbling kept back: a few single bytes, or all once that is over."""
        if client.silent_until > self.now:
            return
        if client.dribble_until > self.now and len(client.held) < MOST_HELD:
            for _ in range(min(DRIBBLE, len(client.held))):
                self._effects.append(self._sent(client.conn, bytes((client.held.pop(0),)), 0))
            return
        self._effects.append(self._sent(client.conn, bytes(client.held), client.held_ticks))
        client.held.clear()
        client.held_ticks = 0

    def _sent(self, conn: int, data: bytes, ticks: int) -> Send:
        self.stats.sent(conn, ticks)
        return Send(conn, data, ticks)


def farm_message(kind: str, farm: str, state: str) -> tuple[int, str]:
    """The code and text of a farm's state; the farm's name follows the colon."""
    codes = {"market data": (2104, 2108, 2103), "HMDS data": (2106, 2107, 2105), "Sec-def data": (2158, 2158, 2157)}
    ok, idle, broken = codes[kind]
    if state == "broken":
        return broken, f"{kind[0].upper()}{kind[1:]} farm connection is broken:{farm}"
    if state == "idle":
        return (
            idle,
            f"{kind[0].upper()}{kind[1:]} farm connection is inactive but should be available upon demand.{farm}",
        )
    return ok, f"{kind[0].upper()}{kind[1:]} farm connection is OK:{farm}"
