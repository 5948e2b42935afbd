"""One of several gateways: it serves the symbols that the plan assigns to it, and is there when it has none."""

import random

import pytest

from messages.events import CutSymbol, GapClosed, GapOpened, LinkChanged, Plan, PlannedSymbol, SymbolChanged
from services.base.clock import SECOND
from services.base.settings import Settings
from services.gateway.core import interface as fx
from services.gateway.core.core import GatewayCore
from services.gateway.core.memory import Memory
from tests.simulation.ib_world import START


def plan(started: bool = True, time: int = START, **gateways: str) -> Plan:
    symbols = [PlannedSymbol(name, "test", rank, gateway=where) for rank, (name, where) in enumerate(gateways.items())]
    return Plan(1, 1, time, started, symbols)


class Rig:
    def __init__(self, name: str = "a", memory: Memory | None = None) -> None:
        self.core = GatewayCore(Settings(api_mode="ib"), random.Random(1), memory, name=name)
        self.now = START
        self.effects: list[fx.Effect] = []

    def tell(self, *events: fx.Event) -> None:
        for event in events:
            self.now += SECOND // 10
            self.effects += self.core.handle(event, self.now)

    def connected(self, first: Plan, account: str = "DU1") -> "Rig":
        self.tell(fx.PlanChanged(first), fx.SocketOpened(), fx.Ready(200, [account]), fx.Timer())
        return self

    def subscribed(self) -> list[str]:
        return [effect.planned.symbol for effect in self.effects if isinstance(effect, fx.Subscribe)]

    def said(self, kind: type) -> list:
        emitted = [effect.event for effect in self.effects if isinstance(effect, fx.Emit)]
        return [event for event in emitted if isinstance(event, kind)]

    def phase(self) -> str:
        changes = self.said(LinkChanged)
        return changes[-1].phase if changes else ""


def test_it_takes_its_own_symbols_only() -> None:
    first = plan(SPY="a", QQQ="b", IWM="a")
    cut = PlannedSymbol("DIA", "test", 3, gateway="b")
    rig = Rig().connected(Plan(1, 1, START, True, first.symbols, [CutSymbol("DIA", "over the limit", 3, cut)]))
    assert rig.subscribed() == ["SPY", "IWM"]
    assert {event.symbol for event in rig.said(SymbolChanged)} == {"SPY", "IWM"}


def test_one_gateway_takes_what_is_assigned_to_nobody() -> None:
    assert Rig("").connected(plan(SPY="", QQQ="b")).subscribed() == ["SPY"]


def test_symbols_come_and_go_with_the_plan_and_no_stream_is_renewed() -> None:
    rig = Rig().connected(plan(SPY="a", QQQ="b"))
    rig.tell(fx.PlanChanged(plan(SPY="a", QQQ="a")), fx.Timer())
    assert rig.subscribed() == ["SPY", "QQQ"]
    rig.tell(fx.PlanChanged(plan(SPY="a", QQQ="b")), fx.Timer())
    assert len([effect for effect in rig.effects if isinstance(effect, fx.CancelMktData)]) == 1
    assert rig.subscribed() == ["SPY", "QQQ"]


def test_without_a_symbol_it_stands_by_until_the_stream_is_stopped() -> None:
    rig = Rig().connected(plan(SPY="a"))
    rig.tell(fx.PlanChanged(plan(SPY="b")), *([fx.Timer()] * 50))
    assert rig.phase() == "ready"
    rig.tell(fx.PlanChanged(plan(started=False)), *([fx.Timer()] * 50))
    assert rig.phase() == "idle"
    assert Rig().connected(plan(SPY="b")).phase() == "ready"
    alone = Rig("")
    alone.tell(fx.PlanChanged(plan()), fx.Timer())
    assert alone.phase() == "idle", "one gateway alone rests without symbols"


def test_the_gap_that_its_death_tore_ends_when_another_took_over() -> None:
    memory = Memory()
    died, moved = START - 60 * SECOND, START - 58 * SECOND
    for name in ("SPY", "QQQ", "IWM"):
        memory.apply(SymbolChanged(name, "live", False), died)
    memory.apply(GapOpened("IWM", died - SECOND, "farm_down"), died)
    memory.note_streamed_until(died)
    rig = Rig("a", memory).connected(plan(time=moved, SPY="b", QQQ="a", IWM="b"))
    gaps = {event.symbol: (event.start, event.end, event.reason) for event in rig.said(GapClosed)}
    assert gaps == {"SPY": (died, moved, "gateway_restarted"), "IWM": (died - SECOND, moved, "farm_down")}


def test_a_first_price_that_came_with_the_refusal_of_its_stream_says_its_source() -> None:
    rig = Rig().connected(plan(SPY="a"))
    (stream,) = [effect.req_id for effect in rig.effects if isinstance(effect, fx.Subscribe)]
    rig.core.requests.governor.line_limit = 1
    rig.core.requests.governor.snapshots_take_lines = True
    rig.effects.clear()
    now = rig.now + SECOND
    cut = fx.PlanChanged(Plan(1, 2, now, True, [], [CutSymbol("SPY", "cut", 0, plan(SPY="a").symbols[0])]))
    effects = rig.core.handle(cut, now) + rig.core.handle(fx.TicksSeen({stream}), now)
    rows = [row for effect in effects if isinstance(effect, fx.EmitTicks) for row in effect.rows]
    assert [row[0] for row in rows if row[0] == 201] == [201]


@pytest.mark.parametrize(("account", "mock"), [("DUSIM01", True), ("SIMULATOR", True), ("DU1234567", False)])
def test_the_account_tells_invented_prices_from_real_ones_in_ib_mode(account: str, mock: bool) -> None:
    assert Rig().connected(plan(SPY="a"), account).core.context.mock is mock
