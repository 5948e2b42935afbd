"""The gateway's loop against frames that real gateways sent: the journal holds every tick, and the file what they say.

A captured conversation is played as it went: what the gateway said to its client's n-th market data request is said to
our n-th one, at its server version, and the connection ends where it ended.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from messages.events import ContractQualified, IbError, LinkChanged, PlannedSymbol, SymbolChanged
from messages.fields import NUMERIC_STRING_FIELDS, QUOTE_FIELD
from messages.views import Quote
from services.base.clock import SECOND, iso
from tests import captures, protobuf
from tests.gateway_loop import GatewayLoop
from tests.process.bad_gateway import BadGateway, Peer
from tests.process.scripted_gateway import REQUEST_DETAILS, REQUEST_MARKET_DATA, VersionedPeer
from tests.unit.gateway import official

AAPL = PlannedSymbol(symbol="AAPL", reason="test", priority=0)
IBM_CFD = PlannedSymbol(symbol="IBM", reason="test", priority=0, sec_type="CFD")
TICKS = (1, 2, 45, 46)
ABOUT_A_REQUEST = (*TICKS, 10, 52, 57, 58, 81, 91)
FAMILIAR = {"bid", "ask", "last", "close", "open", "high", "low", "bid_size", "ask_size", "last_size", "exchange_time"}


class Replay:
    """Scripts for the connections of one capture; `details` are the frames that answer questions for details."""

    def __init__(self, name: str, details: list[captures.Frame]) -> None:
        self.frames = list(captures.frames(name))
        self.details = details

    def scripts(self) -> list[Any]:
        legs = sorted({frame.leg for frame in self.frames})
        return [lambda peer, leg=leg: self._play(peer, leg, leg == legs[-1]) for leg in legs]

    def _play(self, peer: Peer, leg: int, last: bool) -> None:
        frames = [frame for frame in self.frames if frame.leg == leg]
        server = VersionedPeer(peer, frames[0].server_version)
        server.greet()
        ids: dict[int, int] = {}  # the captured request -> ours
        if not any(not frame.from_server and frame.message_id == 1 for frame in frames):
            ids[1001] = self._next_request(server)  # a capture of the gateway's frames alone
        for frame in frames:
            if not frame.from_server and frame.message_id == 1:
                ids[protobuf.decode(frame.payload[4:])[1][0]] = self._next_request(server)  # type: ignore[index]
            elif frame.from_server and frame.message_id in ABOUT_A_REQUEST:
                server.send_payload(captures.with_request(frame, ids.get(captures.request_of(frame), 0)))
            elif frame.from_server and frame.message_id == 4:
                asked = captures.request_of(frame)
                server.send_payload(captures.with_request(frame, ids.get(asked, asked)))
        if not last:
            server.hang_up()
        while True:
            self._next_request(server)

    def _next_request(self, server: VersionedPeer) -> int:
        while (request := server.read()).kind != REQUEST_MARKET_DATA:
            if request.kind == REQUEST_DETAILS:
                for frame in self.details:
                    server.send_payload(captures.with_request(frame, request.req_id))
        return request.req_id


def expected(frames: list[captures.Frame], lot: float | None) -> dict[str, Any]:
    """What the file must say, by the official decoder's callbacks; without a lot nobody knows the volume."""
    found: dict[str, Any] = {}
    for frame in frames:
        for name, _, field, value in official.calls(frame.payload, frame.server_version) or []:
            known = QUOTE_FIELD.get(field)
            if name == "string" and field in NUMERIC_STRING_FIELDS:
                found["exchange_time"] = iso(int(value) * SECOND)
            elif known == "volume":
                fits = lot is not None and float(value) >= 0
                found["volume"] = float(value) * lot if fits and lot is not None else None
            elif known is not None:
                found[known] = float(value)
    return found


@pytest.fixture
def servers() -> Iterator[list[BadGateway]]:
    started: list[BadGateway] = []
    yield started
    for one in started:
        one.close()


def details(name: str) -> list[captures.Frame]:
    return [frame for frame in captures.frames(name) if frame.from_server and frame.message_id in (10, 52)]


AAPL_225 = "grounded_contract_details_aapl"


@pytest.mark.parametrize(
    ("name", "details_of", "lot"),
    [
        ("sv200_quote_snapshot_aapl", "sv200_contract_details_aapl_stk", 100),  # no 81
        ("quote_snapshot", AAPL_225, 40),  # 58 before 81; a volume that overflowed
        ("quote_stream_reconnect", AAPL_225, 40),  # no 81; the connection ends
        ("quote_stream_genericticks", AAPL_225, 40),  # 81 before 58, then 10167
        ("set_type_switch_while_streaming", AAPL_225, 40),  # ticks go on after type and cancel
        ("option_calculations_aapl", AAPL_225, 40),  # 10089 alone, then 58, 10167, 81
        ("quote_stream_disconnect", None, None),  # no details: no volume
    ],
)
def test_a_capture_leaves_the_file_that_its_ticks_say(
    tmp_path: Path, servers: list[BadGateway], name: str, details_of: str | None, lot: float | None
) -> None:
    replay = Replay(name, details(details_of) if details_of else [])
    servers.append(BadGateway(*replay.scripts()))
    sent = [frame for frame in replay.frames if frame.from_server and frame.message_id in TICKS]
    with GatewayLoop(tmp_path, [AAPL], servers[0].port) as gateway:
        wanted = expected(sent, lot)

        def arrived() -> Quote | None:
            known = any(isinstance(event, ContractQualified) for event in gateway.events()) or not details_of
            return gateway.quote("AAPL") if known and len(gateway.ticks()) == len(sent) else None

        quote = gateway.run_until(arrived)
        gateway.service.turn()
        assert isinstance(quote, Quote)
        assert {field: getattr(quote, field) for field in FAMILIAR | {"volume"}} == (
            dict.fromkeys(FAMILIAR | {"volume"}) | wanted
        )
        assert quote.market_data_type == "delayed"
        assert quote.source == ("ib_stream" if "last" in wanted else None)
        states = [event.state for event in gateway.events() if isinstance(event, SymbolChanged)]
        assert "rejected" not in states
    metrics = gateway.service.metrics
    counts = ("frames_malformed_total", "frames_unknown_total", "ticks_odd_total", "ticks_unknown_total")
    assert [metrics.get(count, 0) for count in counts] == [0, 0, 0, 0]


def test_a_cfd_whose_data_is_its_stocks(tmp_path: Path, servers: list[BadGateway]) -> None:
    replay = Replay("cfd_quote_reroute", [])
    servers.append(BadGateway(*replay.scripts()))
    with GatewayLoop(tmp_path, [IBM_CFD], servers[0].port) as gateway:
        quote = gateway.run_until(lambda: len(gateway.ticks()) == 4 and gateway.quote("IBM"))
        assert isinstance(quote, Quote)
        assert (quote.high, quote.low, quote.close) == (234.43, 229.51, 231.04)
        assert (quote.volume, quote.volume_raw) == (None, 29966)  # its stock's, of which no details say the lot


def test_what_a_gateway_says_at_the_start_is_no_error_of_ours(tmp_path: Path, servers: list[BadGateway]) -> None:
    """Farm notices of any number, 2103 among them, then 200 for details, without an end of details."""
    notices = Replay("contract_details_not_found", [])

    def script(peer: Peer) -> None:
        server = VersionedPeer(peer, 225)
        server.greet()
        told = False
        while True:
            for frame in notices.frames:
                if frame.from_server and frame.message_id == 4 and captures.request_of(frame) == -1 and not told:
                    server.send_payload(frame.payload)
            told = True
            request = server.read()
            if request.kind == REQUEST_DETAILS:
                (refusal,) = [f for f in notices.frames if f.message_id == 4 and captures.request_of(f) == 1]
                server.send_payload(captures.with_request(refusal, request.req_id))
            elif request.kind == REQUEST_MARKET_DATA:
                server.send_payload(protobuf.message(58, (1, request.req_id), (2, 1)))
                server.send_payload(protobuf.tick_price(request.req_id, 1, 10.5, "100"))

    servers.append(BadGateway(script))
    with GatewayLoop(tmp_path, [AAPL], servers[0].port) as gateway:
        gateway.run_until(lambda: gateway.quote("AAPL"))
        errors = [event for event in gateway.events() if isinstance(event, IbError)]
        assert {error.code for error in errors} >= {2103, 2104, 2106, 2158}
        gateway.run_until(lambda: any(isinstance(e, IbError) and e.code == 200 for e in gateway.events()))
        assert gateway.quote("AAPL") is not None
        assert [event.phase for event in gateway.events() if isinstance(event, LinkChanged)][-1] == "ready"
