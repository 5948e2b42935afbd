"""The steps for what users of real gateways report, as the official client sees them in text and in protobuf; where
the client cannot see it, as bytes."""

import itertools
from copy import deepcopy
from typing import Any

import pytest
from ibapi.contract import Contract

from services.simulator.protocol.versions import HIGHEST
from services.simulator.trouble.scenario import ScenarioError
from tests.unit.simulator.conversation import Conversation, contract
from tests.unit.simulator.test_steps import Stage

VERSIONS = [145, 176, 200, HIGHEST]


@pytest.fixture(params=VERSIONS)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(request.param, history_pacing=False)


def beside(stage: Stage, client_id: int) -> Conversation:
    """Another client of the same gateway."""
    return Conversation(stage.version, stage.core, client_id, stage.clock)


def ask(stage: Conversation, request: int, symbol: str = "SPY", snapshot: bool = False) -> None:
    stage.client.reqMktData(request, contract(symbol), "", snapshot, False, [])
    stage.turn()


def history(
    stage: Conversation, request: int, asked: Contract | None = None, end: str = "", what: str = "TRADES"
) -> None:
    stage.client.reqHistoricalData(request, asked or contract(), end, "1 D", "1 hour", what, 1, 1, False, [])


def prices(stage: Conversation, request: int) -> dict[int, float]:
    return {call[2]: call[3] for call in stage.calls("tickPrice") if call[1] == request}


def test_rerouted_market_data_comes_under_the_other_contract_alone(stage: Stage) -> None:
    stage.play("reroute", symbol="NVDA", to="AMD")
    ask(stage, 9, "NVDA")
    ask(stage, 10, "NVDA", snapshot=True)
    assert stage.calls("rerouteMktDataReq") == [
        ("rerouteMktDataReq", 9, 4391, "SMART"),
        ("rerouteMktDataReq", 10, 4391, "SMART"),
    ]
    stage.turn(2)
    assert not prices(stage, 9) and not stage.errors()
    stage.client.cancelMktData(9)  # no error
    other = Contract()
    other.conId, other.exchange = 4391, "SMART"
    stage.client.reqMktData(11, other, "", False, False, [])
    assert prices(stage, 11).keys() >= {1, 2, 4}
    stage.play("no_reroute", symbol="NVDA")
    ask(stage, 12, "NVDA")
    assert prices(stage, 12).keys() >= {1, 2, 4} and not stage.errors()


def test_a_cfd_is_always_rerouted_to_its_stock(stage: Stage) -> None:
    stage.client.reqMktData(9, contract("IBM", "CFD"), "", False, False, [])
    assert stage.calls("rerouteMktDataReq") == [("rerouteMktDataReq", 9, 8314, "SMART")]
    stage.client.reqMktDepth(11, contract("IBM", "CFD"), 5, False, [])
    assert stage.calls("rerouteMktDepthReq") == [("rerouteMktDepthReq", 11, 8314, "SMART")]
    stage.client.reqMktDepth(12, contract("IBM"), 5, False, [])
    stage.client.reqMktDepth(13, contract("NOSUCHNAME"), 5, False, [])
    assert stage.calls("updateMktDepth")
    assert stage.errors() == [(13, 200)]
    stage.client.reqContractDetails(10, contract("IBM", "CFD"))
    ((_, _, details),) = stage.calls("contractDetails")
    assert (details.contract.secType, details.underConId) == ("CFD", 8314)


def advised(stage: Stage, before: bool, code: int) -> list[Any]:
    stage.play("advisory", symbol="SPY", code=code, before=before)
    stage.take()
    stage.client.reqMarketDataType(3)
    ask(stage, 9)
    stage.turn(2)
    kept = stage.calls("marketDataType", "error", "tickPrice")
    return [call[3] if call[0] == "error" else call[0] for call in kept if call[1] == 9]


@pytest.mark.parametrize("code", [10089, 10091])
def test_an_advisory_comes_beside_delayed_prices(stage: Stage, code: int) -> None:
    heard = advised(stage, before=False, code=code)
    assert heard[: heard.index("tickPrice")] == ["marketDataType", code, 10167]
    assert prices(stage, 9).keys() >= {66, 67, 68}


def test_an_advisory_may_come_first_and_live_prices_are_refused(stage: Stage) -> None:
    stage.play("advisory", symbol="SPY", before=True)
    assert stage.errors() == [(1, 354)]
    heard = advised(stage, before=True, code=10089)
    assert heard[:4] == [10089, "marketDataType", 10167, "tickPrice"]


def test_the_reset_window_refuses_all_and_takes_it_back(stage: Stage) -> None:
    stage.play("refuse_in_reset", lasts=5)
    assert stage.closed
    again = beside(stage, 2)
    assert 2157 in [call[3] for call in again.calls("error")]
    again.take()
    ask(again, 1)
    ask(again, 2, snapshot=True)
    history(again, 3)
    again.client.reqContractDetails(4, contract())
    assert again.errors() == [(1, 200), (2, 200), (3, 200), (4, 200)]
    again.turn(5)
    assert again.calls("error")[-1][3:5] == (2158, "Sec-def data farm connection is OK:secdefil")
    again.take()
    again.client.reqContractDetails(5, contract())
    ask(again, 6)
    assert again.calls("contractDetails") and prices(again, 6) and not again.errors()


def test_1102_alone_says_how_the_farms_are(stage: Stage) -> None:
    stage.play("ib_down")
    stage.play("farms_in_1102", broken="usfarm")
    assert stage.codes() == [1100, 1102]
    text = stage.calls("error")[-1][4]
    assert text.endswith("The following farms are not connected: usfarm.")
    assert "farms are connected: usfarm.nj; cashfarm; " in text
    assert stage.ticking() == {"SPY"}
    stage.play("farms_in_1102")
    assert stage.codes() == [1102]
    assert "All data farms are connected: usfarm; usfarm.nj; " in stage.calls("error")[-1][4]
    assert stage.ticking() == {"SPY", "AAPL"}
    with pytest.raises(ScenarioError, match="no farm 'nofarm'"):
        stage.play("farms_in_1102", broken="usfarm, nofarm")


@pytest.mark.parametrize("first", [True, False])
def test_two_listings_are_ambiguous_in_either_order(stage: Stage, first: bool) -> None:
    stage.play("two_listings", symbol="KO", first=first)
    ask(stage, 9, "KO")
    assert stage.errors() == [(9, 200)] and "KO is ambiguous" in stage.calls("error")[-1][4]
    stage.client.reqContractDetails(10, contract("KO"))
    rows = [call[2].contract for call in stage.calls("contractDetails")]
    assert [row.primaryExchange for row in rows] == (["EBS", "NYSE"] if first else ["NYSE", "EBS"])
    assert len({row.conId for row in rows}) == 2 and {row.currency for row in rows} == {"USD"}
    named = contract("KO")
    named.primaryExchange = "NYSE"
    stage.client.reqMktData(11, named, "", False, False, [])
    assert prices(stage, 11)
    stage.play("calm")
    stage.take()
    ask(stage, 12, "KO")
    assert prices(stage, 12) and not stage.errors()


GREETED = ("managedAccounts", "nextValidId")


@pytest.mark.parametrize(("missing", "told"), [("accounts", ["nextValidId"]), ("order_id", ["managedAccounts"]),
                                               ("both", [])])  # fmt: skip
@pytest.mark.parametrize("version", VERSIONS)
def test_half_a_greeting(version: int, missing: str, told: list[str]) -> None:
    stage = Stage(version)
    stage.play("half_greeting", missing=missing, late=8.0)
    other = beside(stage, 2)
    assert [call[0] for call in other.calls(*GREETED)] == told
    other.turn(7.9)
    assert [call[0] for call in other.calls(*GREETED)] == told
    other.turn(0.2)
    assert {call[0] for call in other.calls(*GREETED)} == set(GREETED)
    stage.play("whole_greeting")
    last = beside(stage, 3)
    assert [call[0] for call in last.calls(*GREETED)] == list(GREETED)


def tick_frames(version: int, do: str, **arguments: Any) -> list[list[str]]:
    stage = Stage(version)
    stage.play(do, symbol="SPY", **arguments)
    stage.frames.clear()
    ask(stage, 9)
    return [frame for frame in stage.frames if frame[0] == "1" and frame[2] == "9"]


def test_a_field_more_and_a_field_less_in_text() -> None:
    (whole, *_) = tick_frames(176, "straight")
    (more, *_) = tick_frames(176, "extra_field")
    (empty, *_) = tick_frames(176, "missing_field")
    (short, *_) = tick_frames(176, "missing_field", how="short")
    assert (len(more), more[-1]) == (len(whole) + 1, "")
    assert (len(empty), empty[-1]) == (len(whole), "") and whole[-1] != ""
    assert len(short) == len(whole) - 1


@pytest.mark.parametrize(("do", "arguments"), [("extra_field", {}), ("missing_field", {})])
def test_a_field_more_or_less_in_protobuf_is_nothing_to_the_official_client(do: str, arguments: dict[str, str]) -> None:
    plain, bent = Stage(HIGHEST), Stage(HIGHEST)
    bent.play(do, symbol="SPY", **arguments)
    for stage in (plain, bent):
        stage.sent.clear()
        ask(stage, 9)
    assert prices(bent, 9).keys() == prices(plain, 9).keys() >= {1, 2, 4}
    more = sum(map(len, bent.sent)) - sum(map(len, plain.sent))
    assert more > 0 if do == "extra_field" else more < 0


@pytest.mark.parametrize("of", ["snapshot", "stream"])
def test_an_image_with_some_fields(stage: Stage, of: str) -> None:
    stage.play("partial_image", symbol="SPY", fields="last, close", of=of)
    stage.play("starve", symbol="AAPL")
    ask(stage, 9, snapshot=of == "snapshot")
    ask(stage, 10, "QQQ", snapshot=of == "snapshot")
    assert prices(stage, 9).keys() == {4, 9} and prices(stage, 10).keys() >= {1, 2, 4}
    assert [call[1] for call in stage.calls("tickSnapshotEnd")] == ([9, 10] if of == "snapshot" else [])
    stage.play("whole_image", symbol="SPY", of=of)
    ask(stage, 11, snapshot=of == "snapshot")
    assert prices(stage, 11).keys() >= {1, 2, 4, 9}
    with pytest.raises(ScenarioError, match="no field 'mid'"):
        stage.play("partial_image", symbol="SPY", fields="mid")


def test_a_snapshot_that_ends_empty(stage: Stage) -> None:
    stage.play("partial_image", symbol="SPY", fields="")
    ask(stage, 9, snapshot=True)
    assert not prices(stage, 9) and stage.calls("tickSnapshotEnd") == [("tickSnapshotEnd", 9)]


def test_a_stream_that_brings_its_first_image_only(stage: Stage) -> None:
    stage.play("image_only", symbol="SPY")
    assert stage.ticking() == {"AAPL"}
    ask(stage, 9)
    assert prices(stage, 9).keys() >= {1, 2, 4}
    stage.take()
    stage.turn(3)
    assert not prices(stage, 9)
    ask(stage, 10, snapshot=True)
    assert not prices(stage, 10) and stage.calls("tickSnapshotEnd") == [("tickSnapshotEnd", 10)]
    stage.play("more_than_image", symbol="SPY")
    stage.ids[11] = "SPY"
    ask(stage, 11)
    assert stage.ticking() == {"SPY", "AAPL"}


def test_a_quiet_symbol_answers_snapshots_until_its_farm_breaks(stage: Stage) -> None:
    stage.play("quiet", symbol="AAPL")
    assert stage.ticking() == {"SPY"}
    ask(stage, 9, "AAPL", snapshot=True)
    first = prices(stage, 9)
    assert first.keys() >= {1, 2, 4}
    ask(stage, 10, "AAPL", snapshot=True)
    assert prices(stage, 10) == first
    stage.play("farm_down", farm="usfarm")
    stage.ids[11] = "AAPL"
    ask(stage, 11, "AAPL", snapshot=True)
    stage.turn(2)
    assert not prices(stage, 11) and ("tickSnapshotEnd", 11) not in stage.calls("tickSnapshotEnd")
    stage.play("farm_up", farm="usfarm")
    stage.play("lively", symbol="AAPL")
    assert stage.ticking() == {"SPY", "AAPL"}


def test_withdrawn_prices(stage: Stage) -> None:
    stage.play("withdraw", symbol="SPY")
    told = [call for call in stage.calls("tickPrice") if call[1] == 1]
    assert [(call[2], call[3]) for call in told] == [(1, -1.0), (2, -1.0)]
    stage.take()
    stage.turn(5)
    assert not {1, 2} & prices(stage, 1).keys()
    ask(stage, 9)
    assert (prices(stage, 9)[1], prices(stage, 9)[2]) == (-1.0, -1.0) and prices(stage, 9)[4] > 0
    stage.play("offer", symbol="SPY")
    stage.turn(1)
    assert 0 < prices(stage, 1)[1] < prices(stage, 1)[2]


def test_wrong_prices_that_look_like_any_other(stage: Stage) -> None:
    stage.play("cross", symbol="SPY")
    stage.take()
    stage.turn(5)
    bids = [call[3] for call in stage.calls("tickPrice") if call[1] == 1 and call[2] == 1]
    assert bids and min(bids) > prices(stage, 1)[4]
    stage.play("uncross", symbol="SPY")
    stage.play("outliers", symbol="SPY", factor=1.2)
    stage.take()
    stage.turn(5)
    lasts = [call[3] for call in stage.calls("tickPrice") if call[1] == 1 and call[2] == 4]
    wrong, true = lasts[-2:]
    assert wrong == pytest.approx(1.2 * true, rel=0.01)
    assert 0 < prices(stage, 1)[1] < prices(stage, 1)[2]
    stage.play("stick", symbol="SPY")
    stage.take()
    stage.turn(5)
    assert not [call for call in stage.calls("tickPrice") if call[1] == 1]
    assert [call for call in stage.calls("tickSize") if call[1] == 1]
    stage.play("calm")
    stage.take()
    stage.turn(5)
    assert 0 < prices(stage, 1)[1] < prices(stage, 1)[2]


def test_prices_in_cents_and_the_magnifier_that_says_so(stage: Stage) -> None:
    ask(stage, 9)
    dollars = prices(stage, 9)[4]
    stage.play("magnify", symbol="SPY", lasts=20)
    stage.turn(2)
    assert prices(stage, 1)[4] == pytest.approx(100 * dollars, rel=0.02)
    stage.client.reqContractDetails(10, contract())
    assert stage.calls("contractDetails")[-1][2].priceMagnifier == 100
    stage.turn(20)
    stage.client.reqContractDetails(11, contract())
    assert stage.calls("contractDetails")[-1][2].priceMagnifier == 1
    ask(stage, 12)
    assert prices(stage, 12)[4] == pytest.approx(dollars, rel=0.02)


@pytest.mark.parametrize("code", [430, 2188, 10299, 10339, 99_999])
def test_an_error_of_any_code_answers_a_request_or_goes_beside_it(stage: Stage, code: int) -> None:
    stage.play("answer", to="history", symbol="SPY", code=code, message="who knows")
    history(stage, 9)
    assert stage.errors() == [(9, code)] and not stage.calls("historicalData", "historicalDataEnd")
    stage.play("answer", to="history", symbol="SPY", code=code, instead=False)
    history(stage, 10)
    assert stage.errors()[-1] == (10, code) and len(stage.calls("historicalData")) == 13
    stage.play("no_answer", to="history", symbol="SPY")
    history(stage, 11)
    assert stage.errors()[-1] == (10, code)


def test_an_error_for_streams_snapshots_or_details(stage: Stage) -> None:
    for to in ("stream", "snapshot", "details"):
        stage.play("answer", to=to, symbol="SPY", code=10358, lasts=5)
    ask(stage, 9)
    ask(stage, 10, snapshot=True)
    stage.client.reqContractDetails(11, contract())
    ask(stage, 12, "QQQ")
    stage.turn(2)
    assert stage.errors() == [(9, 10358), (10, 10358), (11, 10358)]
    assert not prices(stage, 9) and prices(stage, 12) and not stage.calls("contractDetails", "tickSnapshotEnd")
    stage.turn(5)
    ask(stage, 13)
    assert prices(stage, 13)


def test_details_that_name_zone_and_exchange_otherwise(stage: Stage) -> None:
    stage.play("odd_details", symbol="QQQ", zone="CST (China Standard Time)", primary="ISLAND")
    stage.client.reqContractDetails(9, contract("QQQ"))
    ((_, _, details),) = stage.calls("contractDetails")
    assert (details.timeZoneId, details.contract.primaryExchange) == ("CST (China Standard Time)", "ISLAND")
    assert details.tradingHours and details.longName == "INVESCO QQQ TRUST SERIES 1"
    named = contract("QQQ")
    named.primaryExchange = "ISLAND"
    stage.client.reqMktData(10, named, "", False, False, [])
    assert prices(stage, 10) and not stage.errors()
    with pytest.raises(ScenarioError, match="one of bare, zone"):
        stage.play("odd_details", symbol="QQQ")


def test_details_without_hours(stage: Stage) -> None:
    stage.play("odd_details", symbol="SPY", bare=True)
    stage.client.reqContractDetails(9, contract())
    ((_, _, details),) = stage.calls("contractDetails")
    assert (details.timeZoneId, details.tradingHours, details.liquidHours) == ("", "", "")
    assert details.contract.conId == 756733
    stage.play("even_details", symbol="SPY")
    stage.client.reqContractDetails(10, contract())
    assert stage.calls("contractDetails")[-1][2].timeZoneId == "US/Eastern"


@pytest.mark.parametrize("version", [152, 176, 200, HIGHEST])
def test_a_long_name_that_is_no_valid_escape_goes_as_it_is(version: int) -> None:
    stage = Stage(version)
    stage.play("odd_details", symbol="SPY", long_name="C\\xzz\\")
    stage.sent.clear()
    stage.client.reqContractDetails(9, contract())
    assert b"C\\xzz\\" in b"".join(stage.sent)
    names = [call[2].longName for call in stage.calls("contractDetails")]
    assert names == ([] if 153 <= version < HIGHEST else ["C\\xzz\\"])  # the official client fails to undo it


def test_an_expired_future(stage: Stage) -> None:
    future = contract("ES", "FUT", "CME")
    future.lastTradeDateOrContractMonth = "202603"
    stage.client.reqMktData(9, future, "", False, False, [])
    assert prices(stage, 9) and not stage.errors()
    stage.play("expire", symbol="ESH6")
    assert stage.errors() == [(9, 200)]
    stage.client.reqContractDetails(10, future)
    assert stage.errors()[-1] == (10, 200)
    future.includeExpired = True
    stage.client.reqContractDetails(11, future)
    assert stage.calls("contractDetails")[-1][2].contract.localSymbol == "ESH6"
    stage.play("unexpire", symbol="ESH6")
    stage.client.reqMktData(12, future, "", False, False, [])
    assert prices(stage, 12)


def test_crypto_wants_aggtrades(stage: Stage) -> None:
    bitcoin = contract("BTC", "CRYPTO", "PAXOS")
    history(stage, 9, bitcoin)
    assert stage.errors() == [(9, 10299)] and "AGGTRADES" in stage.calls("error")[-1][4]
    history(stage, 10, bitcoin, what="AGGTRADES")
    assert stage.calls("historicalData") and len(stage.errors()) == 1


def test_a_continuous_future_takes_no_end(stage: Stage) -> None:
    endless = contract("ES", "CONTFUT", "CME")
    history(stage, 9, endless, end="20260105 10:00:00 US/Eastern")
    assert stage.errors() == [(9, 10339)]
    history(stage, 10, endless)
    assert stage.calls("historicalData") and len(stage.errors()) == 1


def test_a_clock_that_is_ahead(stage: Stage) -> None:
    stage.play("clock", offset=90.0)
    stage.client.reqCurrentTime()
    assert stage.calls("currentTime") == [("currentTime", stage.clock.now() // 10**9 + 90)]
    if stage.version >= 194:
        stage.play("server_broken")
        assert stage.calls("error")[-1][2] == stage.clock.now() // 10**6 + 90_000
    other = beside(stage, 2)
    assert b"20260105 12:01:31" in other.sent[0]
    stage.play("clock_right")
    stage.client.reqCurrentTime()
    assert stage.calls("currentTime")[-1][1] == stage.clock.now() // 10**9


def test_a_chatty_gateway_says_it_in_one_burst(stage: Stage) -> None:
    stage.play("chatter", count=833)
    assert stage.codes() == [1100] * 833
    assert stage.ticking() == {"SPY", "AAPL"}


def test_raw_fields_go_to_every_line_under_its_own_id() -> None:
    stage = Stage(176)
    stage.play("raw", text="1|6|ID|4|450.25|1|0|", symbol="SPY")
    assert [call[1:4] for call in stage.calls("tickPrice") if call[3] == 450.25] == [(1, 4, 450.25)]
    stage.play("raw", text="4|2|-1|1300|any text||")
    assert stage.errors() == [(-1, 1300)]
    stage.take()
    stage.play("raw", text="1|6|ID|4|451.25|1|0|")
    assert {call[1] for call in stage.calls("tickPrice") if call[3] == 451.25} == {1, 2}


def test_raw_text_is_framed_as_the_version_frames_text() -> None:
    stage = Stage(HIGHEST)
    stage.play("raw", text="4|-1|1300|any text||1767632400000")
    assert stage.errors() == [(-1, 1300)]


@pytest.mark.parametrize(("given", "sent"), [({"hex": "00 00 00 02 37 00"}, b"\0\0\0\x027\0"),
                                             ({"base64": "AAAAAjcA"}, b"\0\0\0\x027\0")])  # fmt: skip
def test_raw_bytes_go_as_they_are(given: dict[str, str], sent: bytes) -> None:
    talk = Stage(176)
    talk._decoder = None  # nothing decodes what comes
    talk._unread = b""
    talk.sent.clear()
    talk._read = lambda data: None  # type: ignore[method-assign]
    talk.play("raw", **given)
    assert sent in talk.sent


@pytest.mark.parametrize("given", [{"hex": "0"}, {"hex": "xy"}, {"base64": "?"}, {"base64": "AA"}])
def test_raw_bytes_that_are_none_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ScenarioError, match="hex or base64"):
        Stage(176).play("raw", **given)


def test_calm_tells_whole_prices_again(stage: Stage) -> None:
    ask(stage, 9)
    plain = prices(stage, 9)
    for do in ("magnify", "withdraw"):
        stage.play(do, symbol="SPY")
        stage.turn(2)
        stage.play("calm")
        stage.take()
        stage.turn(2)
        told = prices(stage, 9)
        assert told.keys() >= {1, 2, 4, 9, 14} and told[9] == plain[9] and told[1] > 0


def test_calm_ends_all_of_it() -> None:
    stage = Stage()
    for do, arguments in EVERYTHING:
        before = deepcopy(stage.core.world.faults)
        stage.play(do, **arguments)
        assert stage.core.world.faults != before, do
    stage.play("calm")
    assert stage.core.world.faults == FRESH
    stage.take()
    for request, symbol in zip(itertools.count(20), ("SPY", "QQQ", "KO", "ESH6"), strict=False):
        asked = contract(symbol) if symbol != "ESH6" else contract("", "FUT", "CME")
        asked.localSymbol = "ESH6" if symbol == "ESH6" else ""
        stage.client.reqMktData(request, asked, "", False, False, [])
        assert prices(stage, request).keys() >= {1, 2, 4}
    assert stage.errors() == []


FRESH = Conversation().core.world.faults
EVERYTHING: list[tuple[str, dict[str, Any]]] = [
    ("reroute", {"symbol": "SPY", "to": "AMD"}), ("two_listings", {"symbol": "KO"}),
    ("half_greeting", {}), ("localised", {}), ("clock", {}), ("expire", {"symbol": "ESH6"}),
    ("answer", {"to": "stream", "symbol": "QQQ", "code": 10358}), ("odd_details", {"symbol": "SPY", "bare": True}),
    ("magnify", {"symbol": "SPY"}), ("partial_image", {"symbol": "QQQ", "of": "stream"}),
    ("image_only", {"symbol": "QQQ"}), ("quiet", {"symbol": "QQQ"}), ("withdraw", {"symbol": "QQQ"}),
    ("extra_field", {"symbol": "QQQ"}), ("refuse_in_reset", {"drop": False}),
]  # fmt: skip
