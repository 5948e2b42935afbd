"""A recording becomes a tape: each contract under its own name, with its details, and the link's troubles as steps."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.tag_value import TagValue

from messages.ticks import ticks
from services.base.clock import SECOND
from services.simulator.effects import Effect, Send
from services.simulator.market.derived import chain
from services.simulator.recording.capture import CaptureFile
from services.simulator.recording.scrub import Scrubber
from services.simulator.tape.capture_tape import CaptureTape, link_scenario
from services.simulator.tape.tape import instruments
from services.simulator.trouble import scenario
from services.simulator.trouble.scenario import Director
from tests.unit.simulator.conversation import Conversation, contract

VERSIONS = (176, 203, 226)
SECRET = "sk_live_0xdeadbeef"


class Taped(Conversation):
    """A conversation that is recorded from the greeting on."""

    file: CaptureFile | None = None

    def keep_in(self, path: Path) -> None:
        self.file = CaptureFile(path, self.clock.now(), 1 << 30)
        self.scrubber = Scrubber(self.version, set())
        self.file.connected(1, self.version, self.clock.now())

    def say(self, data: bytes) -> None:
        self._keep(data, from_server=False)
        super().say(data)

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._keep(effect.data, from_server=True)
        super().perform(effects)

    def _keep(self, data: bytes, from_server: bool) -> None:
        if self.file is None:
            return
        for payload in _payloads(data):
            self.file.message(1, from_server, *self.scrubber.scrub(payload, from_server), self.clock.now())


def _payloads(data: bytes) -> Iterable[bytes]:
    while data:
        size = int.from_bytes(data[:4], "big")
        yield data[4 : 4 + size]
        data = data[4 + size :]


def call(talk: Conversation) -> Contract:
    """One of AAPL that exists."""
    under = talk.core.master.by_key("AAPL")
    assert under is not None
    today = talk.core.world.hours.local(talk.clock.now()).date()
    one = next(one for one in chain(under, today) if one.right == "C")
    made = contract("AAPL", "OPT")
    made.lastTradeDateOrContractMonth, made.strike, made.right = one.expiry, one.strike, "C"
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stock_its_option_and_one_that_is_asked_for_by_its_id(tmp_path: Path, version: int) -> None:
    path = tmp_path / "r.jsonl"
    talk = Taped(version)
    talk.keep_in(path)
    talk.client.reqContractDetails(1, contract("SPY"))
    by_id = Contract()
    by_id.conId, by_id.exchange = 756733, "SMART"
    one = call(talk)
    for request, wanted in ((2, by_id), (3, contract("AAPL")), (4, one), (5, contract("EUR", "CASH", "IDEALPRO"))):
        talk.client.reqMktData(request, wanted, "", False, False, [])
    talk.turn(2)
    assert talk.file is not None
    talk.file.close()
    tape = CaptureTape(path)
    name = f"AAPL_SMART_USD_OPT_{one.lastTradeDateOrContractMonth}_{one.strike:g}_C"
    assert list(tape.symbols) == ["SPY", "AAPL", name, "EUR_IDEALPRO_USD_CASH"]
    assert tape.unknown == 0
    spy, aapl, option, euro = instruments(tape)
    assert (spy.con_id, spy.name) == (756733, "SPDR S&P 500 ETF TRUST")
    assert (aapl.sec_type, option.sec_type, option.strike, option.right) == ("STK", "OPT", one.strike, "C")
    assert euro.currency == "USD"
    last: dict[str, float] = {}
    while tape.peek() is not None:
        for tick in ticks(tape.take()):
            if tick.field == 1 and isinstance(tick.value, float):
                last[tick.symbol] = tick.value
    assert last.keys() == tape.symbols.keys()
    assert abs(last["AAPL"] - last[option.called]) > 20 and last["EUR_IDEALPRO_USD_CASH"] < 2


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_client_says_in_its_free_options_and_orders_is_not_on_disk(tmp_path: Path, version: int) -> None:
    path = tmp_path / "r.jsonl"
    talk = Taped(version)
    talk.keep_in(path)
    options = [TagValue(SECRET, SECRET)]
    of_prices = options if version >= 206 else []  # the official client sends none in text
    talk.client.reqMktData(1, contract("SPY"), "", False, False, of_prices)
    talk.client.reqRealTimeBars(2, contract("SPY"), 5, "TRADES", False, options)
    talk.client.reqHistoricalData(3, contract("SPY"), "", "1800 S", "1 min", "TRADES", 1, 2, False, options)
    talk.client.reqHistoricalTicks(4, contract("SPY"), "", "20260105-12:00:00", 5, "TRADES", 1, True, options)
    talk.client.reqMktDepth(5, contract("SPY"), 5, False, of_prices)
    order = Order()
    order.action, order.totalQuantity, order.orderType, order.orderRef, order.account = "BUY", 1, "MKT", SECRET, SECRET
    talk.client.placeOrder(6, contract("SPY"), order)
    talk.client.reqAccountSummary(7, SECRET, SECRET)
    talk.turn()
    talk.client.optCapab = SECRET
    talk.client.startApi()
    assert talk.file is not None
    talk.file.close()
    kinds = {(line["from"], line["msg_id"]): "frame" in line for line in _lines(path) if "from" in line}
    assert all(kinds["client", number] for number in (1, 10, 20, 50, 71, 96))
    assert not (kinds["client", 3] or kinds["client", 62])
    found = path.read_bytes() + b"".join(base64.b64decode(line.get("frame", "")) for line in _lines(path))
    assert SECRET.encode() not in found


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_troubles_of_the_link_at_their_times(tmp_path: Path, version: int) -> None:
    path = tmp_path / "r.jsonl"
    talk = Taped(version)
    talk.keep_in(path)
    talk.client.reqMktData(2, contract("SPY"), "", False, False, [])
    first = talk.clock.now()
    director = Director(talk.core)
    talk.perform(
        talk.core.handle_call(lambda: director.do(scenario.parse_step({"do": "farm_down", "farm": "usfarm.nj"})), first)
    )
    talk.turn(2)
    talk.perform(talk.core.handle_call(lambda: director.do(scenario.parse_step({"do": "ib_down"})), talk.clock.now()))
    assert talk.file is not None
    talk.file.disconnected(1, "gateway", talk.clock.now() + SECOND)
    talk.file.close()
    made = link_scenario(path, first - 1)
    assert [(round(step.at, 3), step.do, step.arguments.get("code")) for step in made.steps] == [
        (0.0, "error", 2103), (2.0, "error", 1100), (3.0, "drop", None),
    ]  # fmt: skip
    assert made.steps[0].arguments["message"] == "Market data farm connection is broken:usfarm.nj"
