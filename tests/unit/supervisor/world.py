"""A supervisor's core with time in hand: what the tests of this folder tell it, and ask it."""

from collections.abc import Iterable

from messages.events import (
    ControlEvent,
    EventBlock,
    LinkChanged,
    LinkEvent,
    MarketDataType,
    Plan,
    PlannedSymbol,
    StreamStarted,
    SymbolChanged,
)
from messages.fields import SOURCE_STREAM
from messages.topics import kind, shard, sharded
from messages.views import Head, Heartbeat, LockOwner, PriceTime, Status
from services.base.clock import SECOND
from services.base.settings import Settings
from services.supervisor.core import Supervisor
from services.supervisor.facts import Facts

START = 1_700_000_000 * SECOND
OWNER = LockOwner(owner="1@test", since="2026-01-05T14:30:00.000000Z")


class World:
    """`at` is seconds since the start; every service in `running` beats whenever time passes."""

    def __init__(self, *, facts: Facts | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.at = 0.0
        self.core = Supervisor(self.settings, facts or Facts(), OWNER, now=START, at=0.0)
        self.running = {*self.core.watch.gateways, "planner", "sink", "supervisor"}
        self.problems: dict[str, str] = {}
        self.told: dict[str, PriceTime] = {}  # of prices, in every heartbeat of a gateway
        self.gateway_epoch = 1
        self.seq = dict.fromkeys(("control", "link", "plan"), 0)
        self.events: list[ControlEvent] = []

    @property
    def now(self) -> int:
        return START + int(self.at * SECOND)

    @property
    def facts(self) -> Facts:
        return self.core.facts

    def started(self, *symbols: str) -> "World":
        """Wanted, planned, connected, with live prices of all `symbols`."""
        self.control(StreamStarted(project_id=1))
        self.plan(*symbols)
        self.link(LinkChanged(phase="ready"), *(live(symbol) for symbol in symbols))
        self.prices(*symbols)
        return self.passing(0.1)

    def control(self, *events: ControlEvent) -> None:
        self.facts.apply_control(self._block("control", 1, events))

    def link(self, *events: LinkEvent, gateway: str = "") -> None:
        self.facts.apply_link(self._block("link", self.gateway_epoch, events), gateway)

    def plan(self, *symbols: str, started: bool = True, market_data_type: MarketDataType = "realtime") -> Plan:
        self.seq["plan"] += 1
        plan = Plan(
            epoch=1,
            first_seq=self.seq["plan"],
            time=self.now,
            started=started,
            symbols=[PlannedSymbol(symbol, f"rank {i}", i) for i, symbol in enumerate(symbols)],
            project_id=1,
            market_data_type=market_data_type,
        )
        self.facts.apply_plan(plan)
        return plan

    def prices(self, *symbols: str, source: int = SOURCE_STREAM, time: int | None = None) -> None:
        """The next heartbeats of the gateways tell of a price of each symbol, of now unless it is said."""
        self.told = dict.fromkeys(symbols, PriceTime(self.now if time is None else time, source))
        self.core.facts.see_prices(self.told)

    def passing(self, seconds: float) -> "World":
        """Let time pass in tenths of a second, with heartbeats and reviews."""
        for _ in range(round(seconds * 10)):
            self.at = round(self.at + 0.1, 1)
            for name in self.running:
                self.core.hear(self.beat(name), self.at)
            for event in self.core.review(self.now, self.at, settled=True):
                self.events.append(event)
                self.control(event)
        return self

    def beat(self, name: str) -> Heartbeat:
        heads = {sharded("link", shard(name)): Head(self.gateway_epoch, 1, 1)} if kind(name) == "gateway" else {}
        return Heartbeat(
            service=name,
            pid=100,
            time=self.now,
            started_at=START,
            interval=0.5,
            loop_lag_ms=0.1,
            heads=heads,
            prices=self.told if kind(name) == "gateway" else {},
            problem=self.problems.get(name),
        )

    @property
    def word(self) -> tuple[str, str | None]:
        return self.core.verdict.word, self.core.verdict.reason

    @property
    def status(self) -> Status:
        return self.core.status(self.now)

    def _block(self, stream: str, epoch: int, events: Iterable[ControlEvent | LinkEvent]) -> EventBlock:
        kept = list(events)
        block = EventBlock(epoch=epoch, first_seq=self.seq[stream] + 1, time=self.now, events=kept)
        self.seq[stream] += len(kept)
        return block


def live(symbol: str) -> SymbolChanged:
    return SymbolChanged(symbol=symbol, state="live", stale=False, market_data_type="realtime")


def state(symbol: str, word: str, reason: str | None = None, *, stale: bool = True) -> SymbolChanged:
    return SymbolChanged(symbol=symbol, state=word, stale=stale, reason=reason)
