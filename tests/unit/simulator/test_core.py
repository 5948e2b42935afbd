"""The simulated gateway's manners: handshake, limits, errors and bad clients. No sockets, no clock."""

import struct

import pytest

from services.simulator.effects import Send
from services.simulator.market.contracts import Wanted
from services.simulator.protocol.versions import HIGHEST
from tests.unit.simulator.conversation import Conversation, contract, framed


def subscribe(talk: Conversation, request: int, symbol: str = "SPY", snapshot: bool = False) -> None:
    talk.client.reqMktData(request, contract(symbol), "", snapshot, False, [])


def test_answers_the_lower_of_both_versions() -> None:
    assert Conversation(999).version == HIGHEST
    assert Conversation(212).version == 212
    assert Conversation(157).version == 157
    assert Conversation(225, server_version=120).version == 120


def test_a_client_that_is_too_old_or_too_new_is_let_go() -> None:
    assert Conversation(99).closed
    talk = Conversation(200, server_version=150)
    assert not talk.closed
    core = talk.core
    core.handle_connected(50, 0)
    effects = core.handle_bytes(50, b"API\0" + framed(b"v176..178"), 0)
    assert [type(effect).__name__ for effect in effects] == ["Log", "Close"]


def test_nothing_is_answered_before_start_api() -> None:
    core = Conversation().core
    core.handle_connected(50, 0)
    core.handle_bytes(50, b"API\0" + framed(b"v100..200"), 0)
    assert core.handle_bytes(50, framed(b"49\x001\0"), 0) == []


def test_a_client_id_in_use_is_326_and_the_end() -> None:
    first = Conversation()
    second = Conversation(core=first.core)
    assert second.errors() == [(-1, 326)]
    assert second.closed and not first.closed
    first.core.handle_closed(first.conn, first.clock.now())
    assert not Conversation(core=first.core).closed


def test_a_client_that_names_no_client_id_is_client_0() -> None:
    core = Conversation().core
    core.handle_connected(50, 0)
    core.handle_bytes(50, b"API\0" + framed(b"v100..193"), 0)
    core.handle_bytes(50, framed(b"71\0" + b"2\0" + b"\0" + b"\0"), 0)
    assert [client.client_id for client in core.ready_clients()] == [1, 0]


@pytest.mark.parametrize(("rule", "increment"), [(26, 0.01), (67, 0.25), (635, 0.0001), (2806, 0.25)])
def test_a_market_rule_that_clients_know_has_its_increment(rule: int, increment: float) -> None:
    talk = Conversation()
    talk.client.reqMarketRule(rule)
    (told,) = talk.calls("marketRule")
    assert told[1] == rule and [step.increment for step in told[2]] == [increment]


@pytest.mark.parametrize("kind", [0, 33, 110, 205, 999_999])
def test_an_unknown_request_is_an_error_message(kind: int) -> None:
    talk = Conversation()
    talk.say(framed(f"{kind}\x00garbage\0".encode()))
    assert talk.errors() == [(-1, 321)]
    subscribe(talk, 1)
    assert talk.calls("tickPrice")


@pytest.mark.parametrize(
    ("kind", "fields", "request_id"),
    [
        (1, "11\x007\0many\0SPY\0", 7),  # a contract id that is no number
        (20, "8\0x\0", 8),  # history: the id comes first
        (2, "1\0seven\0", -1),
        (59, "1\0three\0", -1),
        (54, "3\x009\0", 9),  # cut short
        (108, "1\x0010\0", 10),  # nobody knows it here
    ],
)
def test_an_error_of_a_bad_request_carries_its_id(kind: int, fields: str, request_id: int) -> None:
    talk = Conversation()
    talk.say(framed(f"{kind}\0{fields}".encode()))
    assert [error[0] for error in talk.errors()] == [request_id]
    modern = Conversation(HIGHEST)
    modern.say(framed(struct.pack(">I", kind) + fields.encode()))
    assert [error[0] for error in modern.errors()] == [request_id]


def test_protobuf_before_its_version_or_malformed_is_an_error_message() -> None:
    talk = Conversation(205)
    talk.say(framed(struct.pack(">I", 201) + b"\x08\x07"))  # market data: from 206 on
    talk.say(framed(struct.pack(">I", 209) + b"\xff\xff"))
    talk.say(framed(struct.pack(">I", 308) + b"\x08\x0a"))  # nobody knows it here
    assert talk.errors() == [(7, 320), (-1, 320), (10, 321)]
    subscribe(talk, 1)
    assert talk.calls("tickPrice")


def test_a_request_cut_short_is_an_error_message() -> None:
    talk = Conversation()
    for kind in list(range(1, 26)) + list(range(49, 108)):
        talk.say(framed(f"{kind}\0".encode()))
        talk.say(framed(f"{kind}\x001\x00x\0".encode()))
        talk.turn(0.2)
    assert not talk.closed
    assert {code for _, code in talk.errors()} <= {320, 321, 200, 366, 300, 309, 430, 10147, 10172, 10276}


@pytest.mark.parametrize(
    "bad",
    [b"GET / HTTP/1.1\r\n\r\n", b"API\0" + framed(b"v1x"), b"API\0\xff\xff\xff\xff", b"API\0\0\0\0\0", b"\x16\x03\x01"],
)
def test_garbage_ends_the_connection_and_nothing_else(bad: bytes) -> None:
    talk = Conversation()
    core = talk.core
    core.handle_connected(50, 0)
    effects = core.handle_bytes(50, bad, 0)
    assert type(effects[-1]).__name__ == "Close"
    assert core.stats.garbage == 1
    subscribe(talk, 1)
    assert talk.calls("tickPrice")


def test_bytes_may_come_one_at_a_time() -> None:
    core = Conversation().core
    core.handle_connected(50, 0)
    stream = b"API\0" + framed(b"v100..200") + framed(b"71\x002\x0077\x00\0")
    answers = [
        e for n in range(len(stream)) for e in core.handle_bytes(50, stream[n : n + 1], 0) if isinstance(e, Send)
    ]
    assert answers[0].data[4:].startswith(b"200\0")
    assert b"DUSIM01" in answers[1].data


def test_contract_errors() -> None:
    talk = Conversation()
    subscribe(talk, 1, "NOSUCH")
    talk.client.reqMktData(2, contract("ES", "FUT", "CME"), "", False, False, [])  # which month?
    talk.client.reqMktData(3, contract("SPY", exchange="LSE"), "", False, False, [])
    talk.client.reqContractDetails(4, contract("NOSUCH"))
    assert talk.errors() == [(1, 200), (2, 200), (3, 200), (4, 200)]
    assert not talk.calls("contractDetailsEnd", "tickPrice")


def test_request_ids_are_watched() -> None:
    talk = Conversation()
    subscribe(talk, 1)
    subscribe(talk, 1, "QQQ")
    talk.client.cancelMktData(2)
    talk.client.cancelHistoricalData(3)
    assert talk.errors() == [(1, 322), (2, 300), (3, 366)]


def test_cancel_stops_the_ticks_and_frees_the_line() -> None:
    talk = Conversation(line_limit=1)
    subscribe(talk, 1)
    talk.client.cancelMktData(1)
    talk.take()
    talk.turn(1)
    assert talk.recorder.calls == []
    subscribe(talk, 1, "QQQ")
    assert talk.errors() == []


def test_the_line_limit_counts_all_clients() -> None:
    first = Conversation(line_limit=3)
    second = Conversation(core=first.core, client_id=2)
    subscribe(first, 1)
    subscribe(first, 2, "QQQ")
    subscribe(second, 1, "IWM")
    subscribe(second, 2, "DIA")
    assert second.errors() == [(2, 101)]
    first.core.handle_closed(first.conn, 0)
    subscribe(second, 3, "DIA")
    assert second.errors() == [(2, 101)]


def test_more_than_fifty_messages_a_second_is_a_strike_and_the_third_is_the_end() -> None:
    talk = Conversation()
    for _ in range(49):  # startApi was the first
        talk.client.reqCurrentTime()
    assert talk.errors() == []
    talk.client.reqCurrentTime()
    assert talk.errors() == [(-1, 100)]
    for _ in range(101):
        talk.client.reqCurrentTime()
    assert not talk.closed
    talk.client.reqCurrentTime()
    assert talk.errors() == [(-1, 100)] * 3
    assert talk.closed
    assert talk.core.stats.strikes == 3


def test_forty_five_messages_a_second_are_never_a_strike() -> None:
    talk = Conversation()
    for _ in range(20):
        for _ in range(45):
            talk.client.reqCurrentTime()
        talk.turn(1)
    assert talk.errors() == []


def test_history_pacing() -> None:
    talk = Conversation()

    def ask(request: int, symbol: str = "SPY", bar: str = "30 secs", what: str = "TRADES") -> None:
        talk.client.reqHistoricalData(request, contract(symbol), "", "600 S", bar, what, 1, 1, False, [])

    ask(1)
    ask(2)  # identical, within 15 seconds
    ask(3, bar="1 min")
    ask(4, bar="1 min")  # no rule for longer bars
    assert talk.errors() == [(2, 162)]
    talk.turn(16)
    ask(5)
    for n, bar in enumerate(("1 sec", "1 secs", "5 secs", "10 secs", "15 secs"), 6):
        ask(n, bar=bar)
    assert talk.errors() == [(2, 162), (10, 162)]  # the sixth for one contract within two seconds


def test_live_prices_whatever_type_an_entitled_client_asks_for() -> None:
    for kind in (1, 2, 3, 4):
        talk = Conversation()
        talk.client.reqMarketDataType(kind)
        subscribe(talk, 1)
        assert talk.calls("marketDataType") == [("marketDataType", 1, 1)]
        assert {call[2] for call in talk.calls("tickPrice")} == {1, 2, 4, 6, 7, 9, 14}


def test_prices_carry_their_size_and_repeat_it() -> None:
    talk = Conversation()
    subscribe(talk, 1)
    talk.turn(5)
    for here, after in zip(talk.frames, talk.frames[1:], strict=False):
        if here[0] == "1" and here[3] in ("1", "2", "4"):
            twin = {"1": "0", "2": "3", "4": "5"}[here[3]]
            assert (after[0], after[3]) == ("2", twin)
            assert here[5] == after[4]


def test_two_clients_see_the_same_prices() -> None:
    first = Conversation()
    second = Conversation(core=first.core, client_id=2)
    subscribe(first, 1)
    subscribe(second, 300)
    first.take(), second.take()
    for _ in range(40):
        effects = first.core.handle_turn(first.clock.advance(0.05))
        first.perform(effects)
        second.perform(effects)
    seen = [[call[2:4] for call in talk.calls("tickPrice")] for talk in (first, second)]
    assert seen[0] == seen[1] != []


def test_synthetic_symbols_exist_on_demand() -> None:
    talk = Conversation(symbols=3)
    for number in range(1, 5):
        subscribe(talk, number, f"SIM{number:04d}")
    assert talk.errors() == [(4, 200)]
    subscribe(talk, 5, "SIM1")
    assert talk.errors() == [(4, 200), (5, 200)]


def test_the_rate_is_kept() -> None:
    talk = Conversation(rate=5000, line_limit=200)
    for number in range(1, 41):
        subscribe(talk, number, f"SIM{number:04d}")
    talk.turn(1)
    before = talk.core.stats.ticks
    talk.turn(4)
    assert 19_500 <= talk.core.stats.ticks - before <= 20_500


def test_statistics_count_every_tick_message() -> None:
    talk = Conversation()
    subscribe(talk, 1)
    subscribe(talk, 2, "EUR.USD")
    talk.client.reqMktData(3, contract("EUR", "CASH", "IDEALPRO"), "", False, False, [])
    talk.turn(3)
    ticks = [frame for frame in talk.frames if frame[0] in ("1", "2", "45", "46")]
    stats = talk.core.stats.as_json(0)
    assert stats["ticks"]["total"] == len(ticks) == sum(stats["ticks"]["by_symbol"].values())
    assert stats["ticks"]["by_client_id"] == {"1": len(ticks)}
    assert set(stats["ticks"]["by_symbol"]) == {"SPY", "EUR.USD"}


def test_a_contract_is_found_by_id_by_local_symbol_and_by_old_exchange_names() -> None:
    master = Conversation().core.master
    empty = Wanted(0, "", "", "", "", "", "", "", "")
    (spy,) = master.find(empty._replace(symbol="SPY", sec_type="STK", exchange="SMART"))
    assert master.find(empty._replace(con_id=spy.con_id)) == [spy]
    assert [one.symbol for one in master.find(empty._replace(local_symbol="EUR.USD", sec_type="CASH"))] == ["EUR"]
    assert master.find(empty._replace(symbol="AAPL", sec_type="STK", exchange="SMART", primary="ISLAND"))
    assert not master.find(empty._replace(symbol="AAPL", sec_type="STK", exchange="SMART", primary="NYSE"))
    assert len(master.find(empty._replace(symbol="ES", sec_type="FUT", expiry="202603"))) == 1
