"""A recorded day over the protocol: every tick that IB sent, in its order, at the pace that was asked for."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ibapi.order import Order

from messages.errors import IbStreamError
from messages.events import ContractQualified
from messages.fields import CURRENCY, MARKET_DATA_TYPE, SOURCE
from services.base.clock import SECOND, iso
from services.simulator.core import Config, Core
from services.simulator.tape.player import ReplayMarket
from services.simulator.tape.tape import Tape, Tapes, find_day, instruments
from services.simulator.trouble.oddities import UNSET_SIZE
from services.simulator.trouble.scenario import Director, parse_step
from tests.blocks import NAN, NOW, TestWriter
from tests.unit.simulator.conversation import MONDAY_NOON, Conversation, contract


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[TestWriter]:
    """Five blocks of two symbols within ten seconds."""
    writer = TestWriter(tmp_path, "ticks")
    own = [("SPY", MARKET_DATA_TYPE, 1.0), ("SPY", SOURCE, 10.0), ("SPY", CURRENCY, 0.0)]
    writer.ticks([*own, ("SPY", 1, 590.92, 300.0), ("SPY", 0, 300.0), ("SPY", 2, 590.93, 100.0)], texts=["USD"])
    writer.ticks([("SPY", 4, 590.92, 50.0), ("SAP_IBIS_EUR", 1, 201.5, 7.0), ("SPY", 8, 314143.0)], NOW + 2 * SECOND)
    writer.ticks([("SPY", 45, 1767623404.0), ("SPY", 49, 0.0), ("SPY", 84, 0.0)], NOW + 4 * SECOND, texts=["PQ"])
    writer.ticks([("SPY", 4, 591.0, 10.0), ("SPY", 0, NAN), ("SPY", 2, -1.0, 0.0)], NOW + 6 * SECOND)
    writer.ticks([("SPY", 1, 591.01, 0.5), ("SAP_IBIS_EUR", 66, 201.6, 3.0)], NOW + 10 * SECOND)
    link = TestWriter(tmp_path, "link")
    stock = {"sec_type": "STK", "exchange": "SMART", "currency": "USD", "primary_exchange": "ARCA", "min_tick": 0.01}
    link.events(ContractQualified(symbol="SPY", con_id=756733, local_symbol="SPY", long_name="S&P", **stock))
    link.journal.close()
    writer.journal.close()
    yield writer


class Replay(Conversation):
    def __init__(self, folder: Path, speed: float, version: int = 200) -> None:
        (day,) = find_day("2026-01-05", folder)
        tape = Tape(day)
        listed = instruments(tape)
        self.market = ReplayMarket(tape, listed, speed)
        super().__init__(version, Core(Config(), MONDAY_NOON, self.market, listed))

    def rows(self) -> list[tuple[str, ...]]:
        """(message id, request, field, value, size of a price) of each tick so far."""
        return [(f[0], *f[2 : 6 if f[0] == "1" else 5]) for f in self.frames if f[0] in ("1", "2", "45", "46")]

    def subscribe(self) -> None:
        self.client.reqMktData(1, contract("SPY"), "", False, False, [])
        self.client.reqMktData(2, contract("SAP", exchange="IBIS", currency="EUR"), "", False, False, [])


ALL = [
    ("1", "1", "1", "590.92", "300"), ("2", "1", "0", "300"), ("1", "1", "2", "590.93", "100"),
    ("1", "1", "4", "590.92", "50"), ("1", "2", "1", "201.5", "7"), ("2", "1", "8", "314143"),
    ("46", "1", "45", "1767623404"), ("45", "1", "49", "0"), ("46", "1", "84", "PQ"),
    ("1", "1", "4", "591", "10"), ("2", "1", "0", UNSET_SIZE), ("1", "1", "2", "-1", "0"),
    ("1", "1", "1", "591.01", "0.5"), ("1", "2", "66", "201.6", "3"),
]  # fmt: skip


@pytest.mark.parametrize("speed", [0.0, 1.0, 10.0])
def test_every_tick_in_its_order(tmp_path: Path, journal: TestWriter, speed: float) -> None:
    talk = Replay(tmp_path, speed)
    talk.subscribe()
    talk.turn(12)
    assert talk.rows() == ALL
    assert talk.market.ended
    assert talk.errors() == []
    assert talk.core.stats.ticks == len(ALL)
    assert talk.core.stats.symbols == {"SPY": 12, "SAP_IBIS_EUR": 2}


@pytest.mark.parametrize(("speed", "seen"), [(1.0, [3, 6, 6, 9, 9, 12]), (2.0, [6, 9, 12, 12, 14, 14])])
def test_the_pace(tmp_path: Path, journal: TestWriter, speed: float, seen: list[int]) -> None:
    talk = Replay(tmp_path, speed)
    talk.subscribe()
    talk.turn(1)
    counts = []
    for _ in range(6):
        talk.turn(1)
        counts.append(len(talk.rows()))
    assert counts == seen


def test_nothing_runs_before_somebody_subscribes_and_all_are_waited_for(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 0.0)
    talk.turn(5)
    talk.client.reqMktData(1, contract("SPY"), "", False, False, [])
    talk.turn(0.9)
    talk.client.reqMktData(2, contract("SAP", exchange="IBIS", currency="EUR"), "", False, False, [])
    talk.turn(0.8)
    assert talk.rows() == []
    talk.turn(0.5)
    assert talk.rows() == ALL


def test_the_fastest_pace_waits_for_the_client(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 0.0)
    talk.subscribe()
    talk.market.backlog = 1_000_000
    talk.turn(3)
    assert talk.rows() == [] and not talk.market.eager
    talk.market.backlog = 0
    assert talk.market.eager
    talk.turn(0.1)
    assert talk.rows() == ALL and not talk.market.eager


def test_who_comes_late_is_told_what_is_known(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 0.0)
    talk.subscribe()
    talk.turn(2)
    talk.frames.clear()
    talk.client.reqMktData(3, contract("SPY"), "", True, False, [])
    talk.turn()
    assert {row[2]: row[3] for row in talk.rows()} == {
        "1": "591.01", "0": UNSET_SIZE, "2": "-1", "4": "591", "8": "314143", "45": "1767623404", "49": "0", "84": "PQ",
    }  # fmt: skip
    assert talk.recorder.calls[-1] == ("tickSnapshotEnd", 3)


def test_contracts_are_as_ib_described_them_or_as_their_names_say(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 1.0)
    talk.client.reqContractDetails(1, contract("SPY"))
    talk.client.reqContractDetails(2, contract("SAP", exchange="IBIS", currency="EUR"))
    talk.client.reqContractDetails(3, contract("QQQ"))
    spy, sap = (call[2] for call in talk.calls("contractDetails"))
    assert (spy.contract.conId, spy.longName, spy.contract.primaryExchange) == (756733, "S&P", "ARCA")
    assert (sap.contract.symbol, sap.contract.currency, sap.minTick) == ("SAP", "EUR", 0.01)
    assert talk.errors() == [(3, 200)]


def test_prices_from_history_are_not_ticks_of_ib(tmp_path: Path) -> None:
    writer = TestWriter(tmp_path, "ticks")
    writer.ticks(
        [("SPY", 1, 590.0, 1.0), ("SPY", SOURCE, 12.0), ("SPY", 4, 580.0), ("SPY", 204, 1.0), ("QQQ", 1, 500.0, 1.0)]
    )
    writer.ticks([("SPY", SOURCE, 10.0), ("SPY", 4, 591.0, 1.0)], NOW + SECOND)
    writer.journal.close()
    talk = Replay(tmp_path, 0.0)
    talk.client.reqMktData(1, contract("SPY"), "", False, False, [])
    talk.turn(2)
    assert [row[3] for row in talk.rows()] == ["590", "591"]


def test_the_delivered_type_is_told(tmp_path: Path) -> None:
    writer = TestWriter(tmp_path, "ticks")
    writer.ticks([("SPY", MARKET_DATA_TYPE, 3.0), ("SPY", 66, 590.0, 1.0)])
    writer.ticks([("SPY", MARKET_DATA_TYPE, 1.0), ("SPY", 1, 591.0, 1.0)], NOW + SECOND)
    writer.journal.close()
    talk = Replay(tmp_path, 0.0)
    talk.client.reqMktData(1, contract("SPY"), "", False, False, [])
    talk.turn(2)
    told = [(c[0], c[2]) for c in talk.calls("marketDataType", "tickPrice")]
    assert told == [
        ("marketDataType", 1),
        ("marketDataType", 3),
        ("tickPrice", 66),
        ("marketDataType", 1),
        ("tickPrice", 1),
    ]


def test_bars_of_what_was_shown(tmp_path: Path) -> None:
    writer = TestWriter(tmp_path, "ticks")
    for second, price in ((0, 590.0), (20, 592.0), (40, 589.0), (60, 591.0), (130, 593.0)):
        writer.ticks([("SPY", 4, price, 10.0)], NOW + second * SECOND)
    writer.journal.close()
    talk = Replay(tmp_path, 0.0)
    talk.client.reqMktData(1, contract("SPY"), "", False, False, [])
    talk.turn(2)
    talk.client.reqHistoricalData(2, contract("SPY"), "", "600 S", "1 min", "TRADES", 1, 2, False, [])
    bars = [
        [c[2].date, c[2].open, c[2].high, c[2].low, c[2].close, int(c[2].volume)] for c in talk.calls("historicalData")
    ]
    start = NOW // SECOND
    assert bars == [
        [str(start), 590.0, 592.0, 589.0, 589.0, 30],
        [str(start + 60), 591.0, 591.0, 591.0, 591.0, 10],
        [str(start + 120), 593.0, 593.0, 593.0, 593.0, 10],
    ]


def test_scenarios_play_on_recorded_prices_too(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 1.0)
    director = Director(talk.core)
    talk.subscribe()
    talk.perform(
        talk.core.handle_call(
            lambda: director.do(parse_step({"do": "starve", "symbol": "SPY", "for": 12})), MONDAY_NOON
        )
    )
    talk.turn(11)
    assert {row[1] for row in talk.rows()} == {"2"}


def test_progress_is_in_the_statistics(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 1.0)
    assert talk.market.progress() == {"replay": {"position": iso(NOW), "rows": 0, "of": 17, "ended": False}}
    talk.subscribe()
    talk.turn(12)
    assert talk.market.progress() == {
        "replay": {"position": iso(NOW + 10 * SECOND), "rows": 17, "of": 17, "ended": True}
    }


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("2020-01-01", "there is no day 2020-01-01"), ("nosuch.sqlite", "neither a file, nor a day"), ("last", None)],
)
def test_which_day(tmp_path: Path, journal: TestWriter, name: str, complaint: str | None) -> None:
    if complaint is None:
        assert [path.stem for path in find_day(name, tmp_path)] == ["2026-01-05"]
        return
    with pytest.raises(IbStreamError, match=complaint):
        find_day(name, tmp_path)


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "ticks" / "2026-01-05.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    with pytest.raises(IbStreamError):
        Tape(*find_day(str(path), tmp_path))


def test_any_kind_of_tick_keeps_its_message(tmp_path: Path) -> None:
    rows: list[Any] = [
        ("SPY", 21, 1e6),
        ("SPY", 37, 590.5),
        ("SPY", 23, 0.2),
        ("SPY", 15, 480.0, 0.0),
        ("SPY", 88, NAN),
    ]
    writer = TestWriter(tmp_path, "ticks")
    writer.ticks(rows)
    writer.journal.close()
    talk = Replay(tmp_path, 0.0)
    talk.client.reqMktData(1, contract("SPY"), "", False, False, [])
    talk.turn(2)
    assert [(row[0], row[2], row[3]) for row in talk.rows()] == [
        ("2", "21", "1000000"), ("1", "37", "590.5"), ("45", "23", "0.2"), ("1", "15", "480"), ("46", "88", ""),
    ]  # fmt: skip


def test_a_day_of_several_gateways_is_one_tape(tmp_path: Path) -> None:
    for name, symbol in (("a", "SPY"), ("b", "QQQ")):
        writer = TestWriter(tmp_path, f"ticks.{name}")
        for second in range(3):
            late = 0 if name == "a" else SECOND // 2
            writer.ticks([(symbol, 4, 100.0 + second, 1.0)], NOW + second * SECOND + late)
        writer.journal.close()
        link = TestWriter(tmp_path, f"link.{name}")
        link.events(ContractQualified(symbol=symbol, con_id=7, sec_type="STK", exchange="SMART", currency="USD"))
        link.journal.close()
    paths = find_day("last", tmp_path)
    assert [path.parent.name for path in paths] == ["ticks.a", "ticks.b"]
    tape = Tapes([Tape(path) for path in paths])
    assert (tape.ticks, list(tape.symbols), tape.contracts.keys()) == (6, ["SPY", "QQQ"], {"SPY", "QQQ"})
    order = []
    while tape.peek() is not None:
        order += tape.take().symbols
    assert order == ["SPY", "QQQ"] * 3
    tape.close()


def test_orders_meet_the_recorded_quote(tmp_path: Path, journal: TestWriter) -> None:
    talk = Replay(tmp_path, 1.0)
    order = Order()
    order.action, order.orderType, order.totalQuantity = "SELL", "MKT", Decimal(10)
    talk.client.placeOrder(1, contract("SPY"), order)  # like a subscription, it lets the tape begin
    talk.turn(0.5)
    assert talk.calls("execDetails") == []  # there is no quote yet
    talk.turn(2)
    ((_, _, _, fill),) = talk.calls("execDetails")
    assert (fill.price, fill.shares, fill.side) == (590.92, 10, "SLD")
    assert talk.errors() == []
