"""Each step of a scenario, as the official client sees it."""

import itertools
from typing import Any

import pytest

from services.simulator.effects import Close, Listen, Send
from services.simulator.protocol.versions import HIGHEST
from services.simulator.trouble.oddities import UNSET_SIZE
from services.simulator.trouble.registry import STEPS
from services.simulator.trouble.scenario import Director, ScenarioError, parse_step
from tests.unit.simulator.conversation import Conversation, contract
from tests.unit.simulator.test_scenarios import README


class Stage(Conversation):
    """A conversation with a director: `play` carries out a step now."""

    def __init__(self, version: int = 200, symbols: str = "SPY,AAPL", data_type: int = 1, **config: Any) -> None:
        super().__init__(version, **config)
        self.director = Director(self.core)
        if data_type != 1:
            self.client.reqMarketDataType(data_type)
        self.ids = dict(enumerate(filter(None, symbols.split(",")), 1))
        for request, symbol in self.ids.items():
            self.client.reqMktData(request, contract(symbol), "", False, False, [])
        self.turn(1)
        self.take()

    def play(self, do: str, **arguments: Any) -> list[Any]:
        entry = {("for" if key == "lasts" else key): value for key, value in arguments.items()}
        effects = self.core.handle_call(lambda: self.director.do(parse_step({"do": do, **entry})), self.clock.now())
        self.perform(effects)
        return effects

    def codes(self) -> list[int]:
        return [call[3] for call in self.calls("error")]

    def ticking(self, seconds: float = 2) -> set[str]:
        """The symbols whose prices move in the next seconds."""
        self.take()
        self.turn(seconds)
        return {self.ids[call[1]] for call in self.calls("tickSize", "tickPrice")}


def test_all_tick_when_nothing_is_wrong() -> None:
    stage = Stage()
    assert stage.ticking() == {"SPY", "AAPL"}
    assert stage.codes() == []


def test_farm_down_stops_its_symbols_only() -> None:
    stage = Stage()
    stage.play("farm_down", farm="usfarm", lasts=3)
    assert stage.calls("error")[0][3:5] == (2103, "Market data farm connection is broken:usfarm")
    assert stage.ticking() == {"SPY"}
    stage.turn(1)
    assert stage.codes() == [2104]
    assert stage.ticking() == {"SPY", "AAPL"}
    assert not stage.closed


def test_farm_back_without_ticks_needs_a_new_line() -> None:
    stage = Stage()
    stage.play("farm_down", farm="usfarm", ticks=False, lasts=1)
    stage.turn(1.1)
    assert stage.codes()[-1] == 2104
    assert stage.ticking() == {"SPY"}
    stage.client.cancelMktData(2)
    stage.client.reqMktData(3, contract("AAPL"), "", False, False, [])
    stage.ids[3] = "AAPL"
    assert stage.ticking() == {"SPY", "AAPL"}


def test_a_broken_history_farm_answers_162() -> None:
    stage = Stage()
    stage.play("farm_down", farm="ushmds")
    stage.client.reqHistoricalData(9, contract(), "", "1 D", "1 hour", "TRADES", 1, 1, False, [])
    assert stage.codes() == [2105, 162]
    stage.play("farm_up", farm="ushmds")
    stage.play("farm_idle", farm="ushmds")
    assert stage.codes() == [2105, 162, 2106, 2107]


@pytest.mark.parametrize(("ticks", "after"), [(True, {"SPY", "AAPL"}), (False, set())])
def test_1100_and_1102(ticks: bool, after: set[str]) -> None:
    stage = Stage()
    stage.play("ib_down", data="kept", ticks=ticks, lasts=5)
    assert stage.codes() == [1100]
    assert stage.ticking() == set()
    stage.turn(3)
    assert stage.codes() == [1102]
    assert stage.ticking() == after


def test_1101_loses_the_lines_and_frees_them() -> None:
    stage = Stage(line_limit=2)
    stage.play("ib_down", data="lost", lasts=1)
    stage.turn(1.1)
    assert stage.codes() == [1100, 1101]
    assert stage.ticking() == set()
    stage.client.cancelMktData(1)  # of a line that is gone: no error
    stage.client.reqMktData(3, contract("QQQ"), "", False, False, [])
    stage.client.reqMktData(4, contract("SPY"), "", False, False, [])
    stage.ids |= {3: "QQQ", 4: "SPY"}
    assert stage.ticking() == {"SPY", "QQQ"}
    assert stage.errors() == []


def test_starving_is_silent() -> None:
    stage = Stage()
    stage.play("starve", symbol="SPY", lasts=3)
    assert stage.ticking() == {"AAPL"}
    stage.play("starve")
    assert stage.ticking(1.5) == set()
    stage.play("feed")
    assert stage.ticking() == {"SPY", "AAPL"}
    assert stage.codes() == []


def test_a_starved_line_tells_everything_when_it_flows_again() -> None:
    stage = Stage(symbols="SPY")
    stage.play("starve", symbol="SPY", lasts=2)
    stage.turn(3)
    assert {call[2] for call in stage.calls("tickPrice")} >= {1, 2, 4, 6, 7, 9, 14}


def test_a_snapshot_of_a_starved_symbol_ends_after_eleven_seconds_with_nothing() -> None:
    stage = Stage(symbols="")
    stage.play("starve", symbol="SPY")
    stage.client.reqMktData(7, contract(), "", True, False, [])
    stage.turn(10.5)
    assert stage.calls("tickPrice", "tickSnapshotEnd") == []
    stage.turn(1)
    assert stage.calls("tickPrice", "tickSnapshotEnd") == [("tickSnapshotEnd", 7)]


def test_a_killed_line_is_mended_by_subscribing_anew() -> None:
    stage = Stage()
    stage.play("kill_line", symbol="SPY")
    assert stage.ticking() == {"AAPL"}
    stage.client.reqMktData(3, contract("SPY"), "", False, False, [])
    stage.ids[3] = "SPY"
    assert stage.ticking() == {"SPY", "AAPL"}


def test_a_competing_session() -> None:
    stage = Stage()
    stage.play("competing", lasts=5)
    assert [(call[1], call[3]) for call in stage.calls("error")] == [(1, 10197), (2, 10197)]
    assert stage.ticking() == set()
    stage.client.reqMktData(3, contract("QQQ"), "", False, False, [])
    stage.ids[3] = "QQQ"
    assert stage.errors() == [(3, 10197)]
    stage.turn(3)
    assert stage.ticking() == {"SPY", "AAPL", "QQQ"}


@pytest.mark.parametrize(
    ("data_type", "step", "codes", "fields"),
    [
        (1, {"code": 354}, [354], set()),
        (2, {"code": 10089}, [10089], set()),
        (3, {"code": 354}, [10167], {66, 67, 68, 72, 73, 75, 76}),
        (4, {"code": 10089}, [10167], {66, 67, 68, 72, 73, 75, 76}),
        (3, {"code": 354, "delayed": False}, [10168], set()),
        (1, {"code": 10090}, [10090], {4, 6, 7, 9, 14}),
        (3, {"code": 10091}, [10091], {4, 6, 7, 9, 14}),
    ],
)
def test_entitlement(data_type: int, step: dict[str, Any], codes: list[int], fields: set[int]) -> None:
    for before in (True, False):
        stage = Stage(symbols="" if before else "SPY", data_type=data_type)
        stage.play("not_entitled", symbol="SPY", **step)
        if before:
            stage.client.reqMktData(1, contract(), "", False, False, [])
        stage.turn(2)
        assert stage.codes() == codes
        assert {call[2] for call in stage.calls("tickPrice")} == fields
        if 66 in fields:
            assert ("marketDataType", 1, 3) in stage.recorder.calls
            assert {call[2] for call in stage.calls("tickSize")} == {69, 70, 71, 74}
            assert {call[2] for call in stage.calls("tickString")} == {88}
        assert stage.core.book.lines == bool(fields)


def test_reject_and_accept() -> None:
    stage = Stage()
    stage.play("reject", symbol="SPY", lasts=3)
    assert stage.errors() == [(1, 200)]
    assert stage.ticking() == {"AAPL"}
    stage.client.reqContractDetails(5, contract("SPY"))
    assert stage.errors() == [(5, 200)]
    stage.turn(2)
    stage.client.reqMktData(3, contract("SPY"), "", False, False, [])
    stage.ids[3] = "SPY"
    assert stage.ticking() == {"SPY", "AAPL"}


def test_halt_and_resume() -> None:
    stage = Stage()
    stage.play("halt", symbol="SPY", kind=2, lasts=3)
    assert stage.calls("tickGeneric") == [("tickGeneric", 1, 49, 2.0)]
    assert stage.ticking() == {"AAPL"}
    stage.client.reqMktData(3, contract("SPY"), "", False, False, [])
    stage.ids[3] = "SPY"
    assert ("tickGeneric", 3, 49, 2.0) in stage.calls("tickGeneric")
    stage.turn(1.5)
    assert ("tickGeneric", 1, 49, 0.0) in stage.calls("tickGeneric")
    assert "SPY" in stage.ticking()


def test_a_bust_event() -> None:
    stage = Stage()
    stage.play("bust", symbol="SPY")
    assert stage.errors() == [(1, 10225)]
    assert stage.ticking() == {"AAPL"}


def test_odd_values_come_between_honest_ones() -> None:
    stage = Stage(symbols="SPY")
    stage.play("odd", symbol="SPY", lasts=2)
    stage.turn(1)
    prices = [call[2:4] for call in stage.calls("tickPrice")]
    assert (1, -1.0) in prices and (4, 0.0) in prices
    assert any(field == 1 and price > 100 for field, price in prices)
    sizes = {str(call[3]) for call in stage.calls("tickSize")}
    assert UNSET_SIZE in sizes
    assert ("tickString", 1, 45, "0") in stage.calls("tickString")
    ticks = [frame for frame in stage.frames if frame[0] == "2"]
    assert any(a == b for a, b in itertools.pairwise(ticks))
    stage.turn(1.5)
    stage.take()
    stage.turn(2)
    assert all(call[3] > 0 for call in stage.calls("tickPrice"))


def test_lines_and_message_limit() -> None:
    stage = Stage()
    stage.play("lines", limit=2)
    stage.client.reqMktData(3, contract("QQQ"), "", False, False, [])
    assert stage.errors() == [(3, 101)]
    stage.play("message_limit", limit=5)
    for _ in range(6):
        stage.client.reqCurrentTime()
    assert stage.errors() == [(3, 101), (-1, 100)]


def test_ids_taken() -> None:
    stage = Stage()
    stage.play("ids_taken", lasts=2)
    assert Conversation(core=stage.core, client_id=8).errors() == [(-1, 326)]
    stage.turn(2.1)
    assert Conversation(core=stage.core, client_id=8).errors() == []


def test_deaf_and_hear() -> None:
    stage = Stage()
    stage.play("deaf", lasts=2)
    late = Conversation(core=stage.core, client_id=8)
    assert late.sent == [] and not late.closed
    assert stage.ticking(1) == {"SPY", "AAPL"}
    effects = [e for _ in range(30) for e in stage.core.handle_turn(stage.clock.advance(0.05))]
    assert Close(late.conn) in effects
    assert Conversation(core=stage.core, client_id=9).errors() == []


def test_silence_holds_answers_back() -> None:
    stage = Stage()
    stage.play("silence", lasts=3)
    stage.client.reqCurrentTime()
    stage.turn(2)
    assert stage.recorder.calls == []
    stage.turn(1.2)
    assert stage.calls("currentTime")
    assert stage.ticking() == {"SPY", "AAPL"}


def test_dribble_sends_single_bytes_and_loses_none() -> None:
    stage = Stage()
    stage.play("dribble", lasts=2)
    stage.sent.clear()
    before = stage.core.stats.ticks
    stage.turn(1.9)
    assert {len(data) for data in stage.sent} == {1}
    stage.turn(0.3)
    ticks = [frame for frame in stage.frames if frame[0] in ("1", "2", "45", "46")]
    assert len(ticks) == stage.core.stats.ticks > before
    assert stage.ticking() == {"SPY", "AAPL"}


@pytest.mark.parametrize("version", [100, 157, 200, 203, HIGHEST])
@pytest.mark.parametrize("size", [4096, 8192, 1000])
def test_a_burst_is_exact_and_whole(version: int, size: int) -> None:
    stage = Stage(version)
    stage.play("burst", size=size, silence=2)
    stage.sent.clear()
    before = stage.core.stats.ticks
    stage.turn(2)
    assert [len(data) for data in stage.sent] == [size]
    assert stage.core.stats.ticks > before
    stage.turn(1)
    assert stage.ticking() == {"SPY", "AAPL"}
    ticks = [frame for frame in stage.frames if frame[0] in ("1", "2", "45", "46")]
    assert len(ticks) == stage.core.stats.ticks == sum(stage.core.stats.symbols.values())


@pytest.mark.parametrize("step", [{"do": "garbage"}, {"do": "garbage", "kind": "fields", "count": 3},
                                  {"do": "absurd_length"}, {"do": "unknown_message"}], ids=str)  # fmt: skip
@pytest.mark.parametrize("version", [200, 203, HIGHEST])
def test_bad_bytes_are_sent_as_they_are(step: dict[str, Any], version: int) -> None:
    stage = Stage(version)
    effects = stage.core.handle_call(lambda: stage.director.do(parse_step(step)), stage.clock.now())
    sends = [effect for effect in effects if isinstance(effect, Send)]
    assert len(sends) == step.get("count", 1)
    announced = int.from_bytes(sends[0].data[:4], "big")
    assert (announced == len(sends[0].data) - 4) == (step["do"] != "absurd_length")


@pytest.mark.parametrize("version", [200, 203, HIGHEST])
def test_a_drop_in_the_middle_of_a_frame(version: int) -> None:
    stage = Stage(version)
    effects = stage.core.handle_call(
        lambda: stage.director.do(parse_step({"do": "drop", "how": "mid_frame"})), stage.clock.now()
    )
    sent, closed = (effect for effect in effects if isinstance(effect, Send | Close))
    assert isinstance(sent, Send) and len(sent.data) - 4 < int.from_bytes(sent.data[:4], "big")
    assert closed == Close(stage.conn, False)


def test_restart_refuses_connections_until_it_is_over() -> None:
    stage = Stage()
    effects = stage.play("restart", lasts=2)
    assert Close(stage.conn, True) in effects
    assert Listen(False) in effects
    later = [e for _ in range(42) for e in stage.core.handle_turn(stage.clock.advance(0.05))]
    assert Listen(True) in later


def test_move_port_tells_the_new_port_and_closes() -> None:
    stage = Stage()
    assert Listen(True, 0) in stage.play("move_port")
    assert not stage.closed
    stage.perform(stage.core.handle_listening(12345, stage.clock.now()))
    (told,) = [call for call in stage.calls("error") if call[3] == 1300]
    assert told[4].endswith(" 12345")
    assert stage.closed


def test_a_session_that_closes_withdraws_the_quotes_and_stops_the_prices() -> None:
    stage = Stage(symbols="SPY")
    stage.play("session", closes_in=30)
    stage.client.reqContractDetails(5, contract())
    (details,) = stage.calls("contractDetails")
    assert details[2].liquidHours.split(";")[0] == "20260105:0000-20260105:1201"
    assert stage.ticking(2) == {"SPY"}
    stage.turn(60)
    prices = {call[2]: call[3] for call in stage.calls("tickPrice")}
    assert (prices[1], prices[2]) == (-1, -1) and prices[4] > 0
    assert stage.ticking(5) == set()
    assert stage.codes() == []


def test_a_market_that_opens_again_says_so_in_its_hours() -> None:
    stage = Stage(symbols="SPY")
    stage.play("session", closes_in=1, opens_again_in=61)
    stage.client.reqContractDetails(5, contract())
    first, second = stage.calls("contractDetails")[0][2].liquidHours.split(";")[:2]
    assert (first, second) == ("20260105:0000-20260105:1201", "20260105:1202-20260106:0000")
    stage.turn(62)
    assert stage.ticking(2) == set()
    stage.turn(58)
    assert stage.ticking(2) == {"SPY"}


@pytest.mark.parametrize(("asked", "told"), [(1, 1), (2, 2)])
def test_a_holiday(asked: int, told: int) -> None:
    stage = Stage(symbols="SPY", data_type=asked)
    stage.play("holiday")
    stage.client.reqContractDetails(5, contract())
    assert stage.calls("contractDetails")[0][2].liquidHours.startswith("20260105:CLOSED;20260106:0000-")
    stage.client.reqMktData(3, contract("AAPL"), "", False, False, [])
    assert ("marketDataType", 3, told) in stage.calls("marketDataType")
    prices = {call[2]: call[3] for call in stage.calls("tickPrice") if call[1] == 3}
    frozen = prices[1] > 0 and prices[2] > 0
    assert (frozen if told == 2 else (prices[1], prices[2]) == (-1, -1)) and prices[4] > 0 and prices[9] > 0


def test_any_error() -> None:
    stage = Stage()
    stage.play("error", code=2119, message="Market data farm is connecting:usfarm")
    stage.play("error", code=420, message="Invalid", symbol="AAPL")
    stage.play("server_broken")
    assert stage.errors() == [(-1, 2119), (2, 420), (-1, 2110)]


def test_calm_ends_everything() -> None:
    stage = Stage(symbols="SPY")
    trouble = [
        {"do": "farm_down", "farm": "usfarm"}, {"do": "farm_down", "farm": "usfarm.nj"}, {"do": "ib_down"},
        {"do": "competing"}, {"do": "starve"}, {"do": "starve", "symbol": "SPY"}, {"do": "odd"}, {"do": "ids_taken"},
        {"do": "reject", "symbol": "QQQ"}, {"do": "not_entitled", "symbol": "IWM"}, {"do": "halt", "symbol": "SPY"},
        {"do": "holiday"}, {"do": "deaf"}, {"do": "silence"}, {"do": "stop_listening"},
    ]  # fmt: skip
    for entry in trouble:
        stage.play(**entry)
    effects = stage.play("calm")
    assert Listen(True) in effects
    stage.turn(1)
    assert {2104, 1102} <= set(stage.codes())
    assert stage.ticking() == {"SPY"}
    other = Conversation(core=stage.core, client_id=4)
    for request, symbol in enumerate(("QQQ", "IWM"), 1):
        other.client.reqMktData(request, contract(symbol), "", False, False, [])
    assert other.errors() == []


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({}, "do is None"),
        ({"do": "explode"}, "expected one of absurd_length, accept"),
        ({"do": "starve", "who": "SPY"}, "starve has no 'who'; it takes symbol"),
        ({"do": "starve", "symbol": 7}, "symbol is 7"),
        ({"do": "halt"}, "halt needs 'symbol'"),
        ({"do": "halt", "symbol": "SPY", "kind": 3}, "kind is 3"),
        ({"do": "starve", "at": -1}, "at is -1; expected seconds"),
        ({"do": "starve", "for": "long"}, "for is 'long'; expected seconds"),
    ],
)
def test_a_wrong_step_is_one_sentence(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_step(entry)
    assert complaint in str(caught.value)


def test_unknown_symbols_and_farms_are_named() -> None:
    director = Director(Conversation().core)
    with pytest.raises(ScenarioError, match="no symbol 'NOSUCH'"):
        director.do(parse_step({"do": "starve", "symbol": "SPY, NOSUCH"}))
    with pytest.raises(ScenarioError, match="no farm 'nofarm'"):
        director.do(parse_step({"do": "farm_down", "farm": "nofarm"}))


@pytest.mark.parametrize("version", [100, 176, 207, HIGHEST])
def test_what_the_account_holds_can_be_made_so_and_refused(version: int) -> None:
    stage = Stage(version)
    stage.client.reqPositions()
    stage.turn()
    assert stage.calls("position") == [] and len(stage.calls("positionEnd")) == 1
    stage.take()
    stage.play("hold", symbol="SPY", quantity=-7)
    stage.play("hold", symbol="ESZ6")
    told = [(call[2].symbol, call[2].exchange, int(call[3])) for call in stage.calls("position")]
    assert told == [("SPY", "ARCA", -7), ("ES", "", 100)]  # of futures IB names no exchange
    stage.take()
    stage.play("hold", symbol="SPY,ESZ6", quantity=0)
    assert {int(call[3]) for call in stage.calls("position")} == {0}
    stage.play("refuse_positions", code=10999, message="not allowed")
    stage.take()
    stage.client.reqPositions()
    stage.turn()
    assert stage.codes() == [10999] and stage.calls("positionEnd") == []
    stage.play("refuse_positions", silent=True, lasts=1)
    stage.take()
    stage.client.reqPositions()
    assert stage.codes() == [] and stage.calls("positionEnd") == []
    stage.turn(2)
    stage.client.reqPositions()
    stage.turn()
    assert len(stage.calls("positionEnd")) == 1


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_documented_in_its_own_words(name: str) -> None:
    said = " ".join((STEPS[name].__doc__ or "").split())
    rows = [line for line in README.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert any(row.endswith(f"| {said} |") for row in rows)
