"""One scripted market at every server version, in the encoding and units that it has there: one quote at the end."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from messages.events import ContractQualified, PlannedSymbol
from messages.views import Quote
from tests import protobuf
from tests.gateway_loop import GatewayLoop
from tests.process.bad_gateway import BadGateway, Peer
from tests.process.scripted_gateway import REQUEST_DETAILS, REQUEST_MARKET_DATA, VersionedPeer

VERSIONS = [157, 176, 200, 203, 206, 208, 213, 220, 222, 225, 226]
LOT = 100
AAPL = PlannedSymbol(symbol="AAPL", reason="test", priority=0)
HOURS = ";20260105:0930-20260105:1600;20260106:0930-20260106:1600"  # IB may begin with an empty segment


class Market(VersionedPeer):
    """Ticks in the units and the encoding of a version. Sizes and volumes are given in shares."""

    def price(self, req_id: int, field: int, price: float, shares: int) -> None:
        size = self.size(shares)
        fields = [(1, req_id), (2, field), (3, price), (4, size), (5, 0)]
        self.send(1, fields, [6, req_id, field, price, size, 0], since=206)

    def volume(self, req_id: int, field: int, shares: int) -> None:
        in_shares = field == 8 and self.version >= 220
        number = str(shares if in_shares else shares // LOT)
        self.send(2, [(1, req_id), (2, field), (3, number)], [6, req_id, field, number], since=206)

    def size(self, shares: int) -> str:
        return str(shares if self.version >= 159 else shares // LOT)

    def number(self, req_id: int, field: int, value: float) -> None:
        self.send(45, [(1, req_id), (2, field), (3, value)], [6, req_id, field, value], since=206)

    def string(self, req_id: int, field: int, value: str) -> None:
        self.send(46, [(1, req_id), (2, field), (3, value)], [6, req_id, field, value], since=206)

    def data_type(self, req_id: int, kind: int) -> None:
        self.send(58, [(1, req_id), (2, kind)], [1, req_id, kind], since=206)

    def details(self, req_id: int) -> None:
        contract = [(1, 265598), (2, "AAPL"), (3, "STK"), (8, "SMART"), (9, "NASDAQ"), (10, "USD"), (11, "AAPL")]
        rest = [(1, "NMS"), (2, "0.01"), (5, 1), (7, "APPLE INC"), (12, "US/Eastern"), (13, HOURS), (14, HOURS)]
        more = [(24, "0.0001"), (25, "0.0001"), (26, str(LOT))]
        if self.version >= 205:
            body = [(1, req_id), (2, protobuf.encode(contract)), (3, protobuf.encode([*rest, *more]))]
            self.send(10, body, [], since=205)
            self.send(52, [(1, req_id)], [], since=205)
            return
        fields: list[object] = [] if self.version >= 164 else [8]
        fields += [req_id, "AAPL", "STK", "", *([""] if self.version >= 182 else []), 0, "", "SMART", "USD", "AAPL"]
        fields += ["NMS", "NMS", 265598, 0.01, *([LOT] if self.version < 164 else []), "", "LMT", "SMART", 1, 0]
        fields += ["APPLE INC", "NASDAQ", "", "", "", "", "US/Eastern", HOURS, HOURS, "", "", 0, 1, "", "", "", ""]
        fields += ["COMMON", *(["0.0001", "0.0001", LOT] if self.version >= 164 else []), 0]
        self.send(10, [], fields, since=205)
        self.send(52, [], [1, req_id], since=205)


def play(version: int, peer: Peer) -> None:
    """Some of a morning: first images, a change, a withdrawn ask that comes back, a halt that ends."""
    market = Market(peer, version)
    market.greet()
    req_id = market.read_until(REQUEST_MARKET_DATA).req_id
    market.data_type(req_id, 1)
    market.price(req_id, 9, 255.45, 0)
    market.price(req_id, 14, 256.0, 0)
    market.price(req_id, 6, 257.25, 0)
    market.price(req_id, 7, 254.5, 0)
    market.price(req_id, 1, 256.01, 300)
    market.price(req_id, 2, 256.03, 200)
    market.price(req_id, 4, 256.02, 100)
    market.string(req_id, 45, "1767625200")
    market.volume(req_id, 8, 1_200_300)
    market.number(req_id, 49, 1.0)
    market.number(req_id, 49, 0.0)
    market.price(req_id, 2, -1.0, 0)
    market.price(req_id, 2, 256.04, 500)
    market.volume(req_id, 8, 1_234_500)
    market.price(req_id, 1, 256.02, 400)
    market.details(market.read_until(REQUEST_DETAILS).req_id)
    market.swallow()


@pytest.fixture
def servers() -> Iterator[list[BadGateway]]:
    started: list[BadGateway] = []
    yield started
    for one in started:
        one.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_market_leaves_the_same_quote(tmp_path: Path, servers: list[BadGateway], version: int) -> None:
    servers.append(BadGateway(lambda peer: play(version, peer)))
    with GatewayLoop(tmp_path, [AAPL], servers[0].port) as gateway:
        quote = gateway.run_until(
            lambda: (found := gateway.quote("AAPL")) and found.bid == 256.02 and found.volume and found
        )
        assert isinstance(quote, Quote)
        (details,) = {event.con_id for event in gateway.events() if isinstance(event, ContractQualified)}
        assert details == 265598
        gateway.service.turn()
    assert quote.timestamp is not None and quote.since is not None
    timeless = msgspec.structs.replace(quote, timestamp=None, since=None, epoch=0, seq=0)
    assert msgspec.json.decode(msgspec.json.encode(timeless)) == {
        "symbol": "AAPL",
        "source": "ib_stream",
        "bid": 256.02,
        "ask": 256.04,
        "last": 256.02,
        "close": 255.45,
        "open": 256.0,
        "high": 257.25,
        "low": 254.5,
        "bid_size": 400.0,
        "ask_size": 500.0,
        "last_size": 100.0,
        "volume": 1_234_500.0,
        "currency": "USD",
        "exchange": "NASDAQ",
        "market_data_type": "realtime",
        "exchange_time": "2026-01-05T15:00:00.000000Z",
        "halted": False,
        "stale": False,
        "epoch": 0,
        "seq": 0,
    }
    metrics = gateway.service.metrics
    assert (metrics["frames_malformed_total"], metrics["frames_unknown_total"]) == (0, 0)
