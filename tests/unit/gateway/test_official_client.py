"""Requests and rare messages by way of the official client: in the encoding of each version, and never fatal."""

import pytest
from ibapi import common, message
from ibapi.ticktype import TickTypeEnum
from structlog.testing import capture_logs

from messages.events import PlannedSymbol
from messages.fields import COMPUTED_FIELDS, QUOTE_FIELD, TICK_NAME
from services.gateway.core.interface import (
    BarsEnd,
    BarsSeen,
    ContractEnd,
    ContractSeen,
    CurrentTimeSeen,
    GreetingSeen,
    History,
    IbErrorSeen,
    MarketDataTypeSeen,
    Ready,
)
from services.gateway.wire.official_client import NEWEST_VERSION, BadFrame, OfficialClient
from services.gateway.wire.official_values import bar_time
from tests import captures, protobuf

UNSET = str(2**127 - 1)
SPY = PlannedSymbol(symbol="SPY", reason="test", priority=0)
FIRST_PROTOBUF = {  # by IB's own names of the versions
    message.OUT.REQ_MKT_DATA: 206,
    message.OUT.CANCEL_MKT_DATA: 206,
    message.OUT.REQ_MARKET_DATA_TYPE: 206,
    message.OUT.REQ_CONTRACT_DATA: 205,
    message.OUT.REQ_HISTORICAL_DATA: 208,
    message.OUT.CANCEL_HISTORICAL_DATA: 208,
    message.OUT.REQ_CURRENT_TIME: 213,
    message.OUT.START_API: 213,
}


def asked(version: int) -> list[bytes]:
    """One of each request, without the length in front."""
    client = OfficialClient(7, version)
    client.start_api()
    client.ask_time()
    client.set_market_data_type(3)
    client.subscribe(1_200_000_000, SPY, 0, snapshot=False)
    client.cancel_market_data(1_200_000_000)
    client.contract_details(2, SPY)
    client.history(History(3, SPY, 1_700_000_000 * 10**9, "1800 S", con_id=756733))
    client.cancel_history(3)
    assert client.inputs == []
    return [frame[4:] for frame in client.take_frames()]


def test_it_offers_what_the_installed_client_knows() -> None:
    assert NEWEST_VERSION >= 225
    assert common.PROTOBUF_MSG_ID == 200


@pytest.mark.parametrize("version", [200, 201, 203, 205, 206, 207, 208, 211, 213, 220, 225])
def test_each_request_is_in_the_encoding_of_its_version(version: int) -> None:
    for frame in asked(version):
        if version < 201:
            assert int(frame.split(b"\0")[0]) in FIRST_PROTOBUF
            continue
        sent = int.from_bytes(frame[:4], "big")
        wanted = FIRST_PROTOBUF[sent % 200]
        assert (sent > 200) == (version >= wanted), (sent, version)


@pytest.mark.parametrize("name", captures.names())
def test_every_captured_frame_is_read(name: str) -> None:
    clients: dict[int, OfficialClient] = {}
    for frame in captures.frames(name):
        if frame.from_server and frame.message_id not in (1, 2, 45, 46):
            client = clients.setdefault(frame.server_version, OfficialClient(1, frame.server_version))
            client.interpret(frame.payload)
            assert (client.malformed, client.unknown) == (0, 0), frame


def inputs_of(name: str, version: int) -> list[object]:
    client = OfficialClient(1, version)
    client._bars[1] = []
    for frame in captures.frames(name):
        if frame.from_server and frame.server_version == version:
            client.interpret(frame.payload)
    return list(client.inputs)


def test_what_a_bootstrap_says() -> None:
    half, ready, *farms = inputs_of("grounded_bootstrap", 225)
    assert half == GreetingSeen("nextValidId")
    assert ready == Ready(225, ("DU9000001",))
    assert [(farm.req_id, farm.code) for farm in farms if isinstance(farm, IbErrorSeen)] == [
        (-1, 2104),
        (-1, 2106),
        (-1, 2158),
    ]


def test_details_bars_and_types_of_data() -> None:
    (details,) = [e for e in inputs_of("grounded_contract_details_aapl", 225) if isinstance(e, ContractSeen)]
    assert (details.details.con_id, details.details.long_name) == (265598, "APPLE INC")
    *_, bars, end = inputs_of("historical_bars_sv208", 208)
    assert isinstance(bars, BarsSeen) and [bar.volume for bar in bars.bars][:2] == [7492200, 4255043]
    assert bars.bars[0].time == 1783949400 * 10**9  # 09:30 in New York
    assert isinstance(end, BarsEnd)
    assert MarketDataTypeSeen(1, 3) in inputs_of("quote_stream_disconnect", 225)


def test_a_message_that_the_installed_client_does_not_know_is_counted() -> None:
    client = OfficialClient(1, 225)
    client.interpret(protobuf.message(190, (1, 5)))
    client.interpret(protobuf.text(180, 1, 5))
    assert (client.unknown, client.malformed, client.inputs) == (2, 0, [])
    client = OfficialClient(1, 176)
    client.interpret(b"150\x001\0")
    assert (client.unknown, client.malformed, client.inputs) == (1, 0, [])


def test_messages_that_come_again_and_again_are_logged_once() -> None:
    client = OfficialClient(1, 225)
    with capture_logs() as logs:
        for kind in range(1000):
            client.interpret(protobuf.message(190, (1, kind)))
            client.interpret(b"\0\0\0\xd2\x0a\xff")
        assert [entry["event"] for entry in logs] == ["message_unknown", "message_malformed"]
        for kind in range(1000):
            client.interpret(protobuf.message(1000 + kind, (1, 5)))
    assert (client.unknown, client.malformed, len(logs)) == (2000, 1000, 100)


def test_a_message_that_cannot_be_read_is_counted() -> None:
    client = OfficialClient(1, 225)
    client.interpret(b"\0\0\0\xd2\x0a\xff")  # details that end in the middle
    client.interpret(protobuf.message(9, (1, 4)))
    assert client.malformed == 1


@pytest.mark.parametrize("version", [176, 225])
def test_bytes_without_a_message_id_are_no_message(version: int) -> None:
    with pytest.raises(BadFrame):
        OfficialClient(1, version).interpret(b"abc")


# --- messages that are not as documented -------------------------------------------------------------------


def text(message_id: int, *fields: object) -> bytes:
    parts = (field if isinstance(field, bytes) else str(field).encode() for field in (message_id, *fields))
    return b"".join(part + b"\0" for part in parts)


def said(version: int, *payloads: bytes) -> tuple[list[object], OfficialClient]:
    client = OfficialClient(1, version)
    for payload in payloads:
        client.interpret(payload)
    return list(client.inputs), client


@pytest.mark.parametrize(
    ("version", "payload"),
    [
        (152, text(4, 2, 7, 354, "Not subscribed", "one more")),
        (176, text(4, 2, 7, 354, "Not subscribed")),
        (176, text(4, 2, 7, 354, "Not subscribed", "{}", "one more")),
        (200, text(4, 7, 354, "Not subscribed")),
        (200, text(4, 7, 354, "Not subscribed", "")),
        (200, text(4, 7, 354, "Not subscribed", "", "soon")),
        (203, protobuf.text(4, 7, 354, "Not subscribed")),
        (225, protobuf.message(4, (1, 7), (3, 354), (4, "Not subscribed"))),
        (225, protobuf.message(4, (1, 7), (2, 1), (3, 354), (4, "Not subscribed"), (9, "news"))),
    ],
)
def test_an_error_is_read_with_a_field_more_or_less(version: int, payload: bytes) -> None:
    inputs, client = said(version, payload)
    assert inputs == [IbErrorSeen(7, 354, "Not subscribed")]
    assert client.malformed == 0


def test_an_error_without_a_code_is_no_error_of_ours() -> None:
    inputs, client = said(225, protobuf.message(4, (1, 7), (4, "Something")), protobuf.message(4, (3, 1100), (4, "x")))
    assert inputs == [IbErrorSeen(7, 0, "Something"), IbErrorSeen(0, 1100, "x")]
    assert client.malformed == 0


@pytest.mark.parametrize(
    ("version", "payload", "what"),
    [
        (176, text(58, 1, 7, 3, "more"), MarketDataTypeSeen(7, 3)),
        (200, text(52, 1, 7, ""), ContractEnd(7)),
        (157, text(49, 1, 1700000000, 0), CurrentTimeSeen(1700000000)),
        (203, protobuf.text(58, 1, 7, 3, ""), MarketDataTypeSeen(7, 3)),
        (225, protobuf.message(58, (1, 7), (2, 3), (3, "more")), MarketDataTypeSeen(7, 3)),
    ],
)
def test_a_field_more_costs_no_message(version: int, payload: bytes, what: object) -> None:
    inputs, client = said(version, payload)
    assert (inputs, client.malformed) == ([what], 0)


def test_a_field_less_is_counted() -> None:
    inputs, client = said(176, text(58, 1, 7))
    assert (inputs, client.malformed) == ([], 1)


def details_text(long_name: bytes, min_tick: bytes = b"0.01") -> bytes:
    (frame,) = [f for f in captures.frames("sv200_contract_details_aapl_stk") if f.message_id == 10]
    fields = frame.payload.split(b"\0")
    fields[fields.index(b"APPLE INC")] = long_name
    fields[fields.index(b"0.01")] = min_tick
    return b"\0".join(fields)


@pytest.mark.parametrize(
    ("payload", "long_name", "min_tick"),
    [
        (details_text(b"C\\xzz"), "C\\xzz", 0.01),
        (details_text(b"ends in \\"), "ends in \\", 0.01),
        (details_text(b"caf\\xe9"), "caf\u00e9", 0.01),
        (details_text(b"APPLE INC", b"cheap"), "APPLE INC", 0.0),
        (details_text(b"APPLE INC", b""), "APPLE INC", 0.0),
    ],
)
def test_a_bad_field_of_details_does_not_cost_the_others(payload: bytes, long_name: str, min_tick: float) -> None:
    (seen,), client = said(200, payload)
    assert isinstance(seen, ContractSeen) and client.malformed == 0
    assert (seen.details.con_id, seen.details.long_name, seen.details.min_tick) == (265598, long_name, min_tick)
    assert seen.details.liquid_hours.startswith("20260405:CLOSED;20260406:0930")


@pytest.mark.parametrize(
    ("version", "payload", "tick"),
    [
        (176, text(1, 6, 7, 4, "10.5", "100", 0, ""), (7, 4, 10.5, 100.0)),
        (176, text(1, 6, 7, 6, "10.5", "0", 0, ""), (7, 6, 10.5, None)),
        (176, text(2, 6, 7, 8, "123", ""), (7, 8, 123.0, None)),
        (176, text(2, 6, 7, 210, "123"), (7, 210, 123.0, None)),
        (176, text(2, 6, 7, -1, "123"), (7, -1, 123.0, None)),
        (176, text(45, 6, 7, 49, "1", "1"), (7, 49, 1.0, None)),
        (176, text(46, 6, 7, 84, "K", ""), (7, 84, "K", None)),
        (176, text(46, 6, 7, 84, "a\\x41"), (7, 84, "aA", None)),
        (203, protobuf.text(1, 6, 7, 1, "10.5", "100", 0, ""), (7, 1, 10.5, 100.0)),
        (225, protobuf.message(1, (2, 4), (1, 7), (3, 10.5), (4, "100")), (7, 4, 10.5, 100.0)),
        (225, protobuf.message(1, (1, 7), (2, 4), (3, 10.5), (4, UNSET)), (7, 4, 10.5, None)),
        (225, protobuf.message(2, (1, 7), (2, 500), (3, "5")), (7, 500, 5.0, None)),
    ],
)
def test_a_tick_that_is_not_as_documented_is_taken(version: int, payload: bytes, tick: tuple[object, ...]) -> None:
    ticks: list[tuple[object, ...]] = []
    client = OfficialClient(1, version, lambda *row: ticks.append(row))
    client.interpret(payload)
    assert [(*row[:3], None if row[3] != row[3] else row[3]) for row in ticks] == [tick]
    assert (client.malformed, client.unknown) == (0, 0)


def test_a_tick_that_cannot_be_read_is_counted() -> None:
    _, client = said(176, text(1, 6, 7, 4, "cheap", "100", 0), text(1, 6, 7, 1, "10.4", "100", ""))
    assert client.malformed == 1  # empty attributes are read as none
    _, client = said(225, protobuf.message(2, (1, 7), (2, 8), (3, "")))
    assert client.malformed == 1


# --- what captures showed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "expiry", "multiplier", "zone"),
    [
        ("sv200_contract_details_es_fut", 200, "20261218", 50.0, "US/Central"),  # as `20261218 08:30:00 US/Central`
        ("option_calculations_aapl", 211, "20260713", 100.0, "US/Eastern"),
        ("contract_details_eurusd_cash", 225, "", 1.0, "US/Eastern"),
    ],
)
def test_expiry_multiplier_and_zone(name: str, version: int, expiry: str, multiplier: float, zone: str) -> None:
    (seen,) = [event for event in inputs_of(name, version) if isinstance(event, ContractSeen)]
    assert seen.details.last_trade_date == expiry
    assert (seen.details.multiplier, seen.details.time_zone) == (multiplier, zone)


def test_a_multiplier_of_a_hundredth() -> None:
    contract = [(1, 5), (2, "BFF"), (3, "FUT"), (7, 0.01), (8, "CME"), (10, "USD")]
    details = [(2, "5"), (5, 1), (12, "US/Central")]
    payload = protobuf.message(10, (1, 7), (2, protobuf.encode(contract)), (3, protobuf.encode(details)))
    (seen,), client = said(225, payload)
    assert isinstance(seen, ContractSeen) and client.malformed == 0
    assert (seen.details.multiplier, seen.details.min_tick) == (0.01, 5.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1783949400", 1783949400),
        ("20260713 09:30:00 US/Eastern", 1783949400),
        ("20260713 08:30:00 US/Central", 1783949400),
        ("20260713 21:30:00 Hongkong", 1783949400),
        ("20260713-13:30:00", 1783949400),
        ("20260713-13:30:00Z", 1783949400),
        ("20260713 13:30:00 UTC", 1783949400),
        ("20260713", 1783900800),
    ],
)
def test_times_of_bars(text: str, seconds: int) -> None:
    assert bar_time(text) == seconds * 10**9


def test_a_bar_that_cannot_be_read_costs_no_other() -> None:
    client = OfficialClient(1, 225)
    client.history(History(1, SPY, 0, "1800 S"))
    bars = [[(1, time), (2, 10.5), (3, 11.0), (4, 10.0), (5, 10.75), (6, volume)] for time, volume in BARS]
    client.interpret(protobuf.message(17, (1, 1), *((2, protobuf.encode(bar)) for bar in bars)))
    client.interpret(protobuf.message(108, (1, 1)))
    seen, _ = client.inputs
    assert isinstance(seen, BarsSeen)
    assert [(bar.time, bar.volume) for bar in seen.bars] == [(1783949400 * 10**9, 7.5), (1783949520 * 10**9, 0)]
    assert client.malformed == 1


BARS = [("1783949400", "7.5"), ("20260713 09:31:00 Mars/Olympus", "8"), ("1783949520", UNSET)]


def test_history_that_ends_with_an_error_is_forgotten_in_time() -> None:
    client = OfficialClient(1, 225)
    for req_id in range(5000):
        client.history(History(req_id, SPY, 0, "1800 S"))
        client.interpret(protobuf.message(4, (1, req_id), (3, 162), (4, "no data")))
    assert len(client._bars) <= 200


# --- kinds of ticks ----------------------------------------------------------------------------------------


def test_every_tick_that_the_official_client_names_has_its_name() -> None:
    named = {number: name.lower() for number, name in TickTypeEnum.idx2name.items() if name not in IN_NO_TICK}
    assert {number: TICK_NAME[number] for number in named if number not in QUOTE_FIELD} == {
        number: name for number, name in named.items() if number not in QUOTE_FIELD
    }


IN_NO_TICK = ("NOT_SET",)


@pytest.mark.parametrize(
    ("name", "version", "message_id", "tick"),
    [
        ("sv206_market_data_singles", 206, 21, (20603, 10, "0.379")),
        ("option_calculations_aapl", 211, 21, (5, 53, "0.3;0.517")),
        ("sv200_reference_singles", 200, 21, (6, 53, "0.3;0.557")),
    ],
)
def test_option_computations_are_texts(name: str, version: int, message_id: int, tick: tuple[int, int, str]) -> None:
    ticks: list[tuple[object, ...]] = []
    client = OfficialClient(1, version, lambda *row: ticks.append(row))
    for frame in captures.frames(name):
        if frame.from_server and frame.message_id == message_id:
            client.interpret(frame.payload)
    request, field, text, _ = ticks[0]
    assert (request, field) == tick[:2]
    assert isinstance(text, str) and text.count(";") == 7
    assert field in COMPUTED_FIELDS


@pytest.mark.parametrize("version", [176, 225])
def test_generic_ticks_are_asked_for_with_streams(version: int) -> None:
    client = OfficialClient(1, version)
    client.subscribe(7, SPY, 0, snapshot=False, generic_ticks="233,787")
    client.subscribe(8, SPY, 0, snapshot=True)
    stream, snapshot = client.take_frames()
    assert b"233,787" in stream and b"233" not in snapshot


def test_precisions_of_last_prices_and_sizes() -> None:
    (seen,) = [event for event in inputs_of("grounded_contract_details_aapl", 225) if isinstance(event, ContractSeen)]
    assert (seen.details.last_price_precision, seen.details.last_size_precision) == (1e-6, 1e-6)
