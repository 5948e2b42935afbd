"""Requests and rare messages by way of the official client: in the encoding of each version, and never fatal."""

import pytest
from ibapi import common, message

from messages.events import PlannedSymbol
from services.gateway.core.interface import (
    BarsEnd,
    BarsSeen,
    ContractSeen,
    GreetingSeen,
    History,
    IbErrorSeen,
    MarketDataTypeSeen,
    Ready,
)
from services.gateway.wire.official_client import NEWEST_VERSION, BadFrame, OfficialClient
from tests import captures, protobuf

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


def test_a_message_that_cannot_be_read_is_counted() -> None:
    client = OfficialClient(1, 225)
    client.interpret(b"\0\0\0\xd2\x0a\xff")  # details that end in the middle
    client.interpret(protobuf.message(9, (1, 4)))
    assert client.malformed == 1


@pytest.mark.parametrize("version", [176, 225])
def test_bytes_without_a_message_id_are_no_message(version: int) -> None:
    with pytest.raises(BadFrame):
        OfficialClient(1, version).interpret(b"abc")
