"""Streams that go silent, and gateways that never come to an end: what proves that a price still stands."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from messages.events import PlannedSymbol, SymbolChanged
from messages.fields import ASK, BID, LAST
from tests.gateway_loop import GatewayLoop
from tests.process.bad_gateway import BadGateway
from tests.process.scripted_gateway import REQUEST_DETAILS, REQUEST_MARKET_DATA, Request
from tests.process.test_versions import Market

AAPL = PlannedSymbol(symbol="AAPL", reason="test", priority=0)
VERSIONS = [157, 226]
UNSET = 1.7976931348623157e308
NO_CONTRACT = 200
Answer = Callable[[Market, Request], None]


class Served:
    """A gateway that answers each request by `answer`, and what it was asked for."""

    def __init__(self, folder: Path, version: int, answer: Answer, stale_after: float = 15.0) -> None:
        self.asked: list[Request] = []

        def play(market: Market) -> None:
            market.greet()
            while True:
                request = market.read()
                self.asked.append(request)
                answer(market, request)

        self.server = BadGateway(lambda peer: play(Market(peer, version)))
        self.loop = GatewayLoop(folder, [AAPL], self.server.port, stale_after=stale_after)

    def close(self) -> None:
        self.loop.service.close()
        self.server.close()

    def states(self) -> list[str]:
        return [event.state for event in self.loop.events() if isinstance(event, SymbolChanged)]

    def of_kind(self, kind: int) -> list[Request]:
        return [request for request in self.asked if request.kind == kind]


def image(stream: dict[int, float], snapshot: dict[int, float]) -> Answer:
    """Each subscription brings one picture and no more; a snapshot another one, and its end."""

    def answer(market: Market, request: Request) -> None:
        if request.kind != REQUEST_MARKET_DATA:
            return
        market.data_type(request.req_id, 1)
        for field, price in (snapshot if request.snapshot else stream).items():
            market.price(request.req_id, field, price, 0 if price in (-1.0, UNSET) else 100)
        if request.snapshot:
            market.send(57, [(1, request.req_id)], [1, request.req_id], since=206)

    return answer


@pytest.mark.parametrize("version", VERSIONS)
def test_negative_prices_are_verified_as_others_are(tmp_path: Path, version: int) -> None:
    spread = {BID: -5.5, ASK: -5.25, LAST: -0.25}
    with closing(Served(tmp_path, version, image(spread, spread), stale_after=1.5)) as served:
        served.loop.run_until(lambda: "quiet" in served.states())
        assert "snapshot" not in served.states()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("none", [-1.0, UNSET])
def test_what_there_is_none_of_is_the_same_in_a_snapshot_however_it_is_told(
    tmp_path: Path, version: int, none: float
) -> None:
    answer = image({BID: -1.0, ASK: 20.1, LAST: 20.05}, {BID: none, ASK: 20.1, LAST: 20.05})
    with closing(Served(tmp_path, version, answer, stale_after=1.5)) as served:
        served.loop.run_until(lambda: "quiet" in served.states())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bid_that_a_snapshot_withdraws_is_not_verified(tmp_path: Path, version: int) -> None:
    answer = image({BID: 20.0, ASK: 20.1, LAST: 20.05}, {BID: -1.0, ASK: 20.1, LAST: 20.05})
    with closing(Served(tmp_path, version, answer, stale_after=1.5)) as served:
        served.loop.run_until(lambda: len([one for one in served.of_kind(REQUEST_MARKET_DATA) if not one.snapshot]) > 1)
        assert "quiet" not in served.states()


@pytest.mark.parametrize("version", VERSIONS)
def test_prices_that_are_none_make_no_symbol_live(tmp_path: Path, version: int) -> None:
    def answer(market: Market, request: Request) -> None:
        if request.kind == REQUEST_MARKET_DATA:
            for field in (BID, ASK):
                market.price(request.req_id, field, -1.0, 0)
            market.price(request.req_id, LAST, UNSET, 0)

    with closing(Served(tmp_path, version, answer)) as served:
        served.loop.run_until(lambda: [tick for tick in served.loop.ticks() if tick.field == LAST])
        assert served.states()[-1] == "pending"


def test_reroutes_without_end_are_not_followed_at_once_each_time(tmp_path: Path) -> None:
    def answer(market: Market, request: Request) -> None:
        if request.kind == REQUEST_MARKET_DATA:
            con_id = 1000 + request.req_id % 1000
            market.send(91, [], [request.req_id, con_id, "SMART"], since=300)

    with closing(Served(tmp_path, 176, answer)) as served:
        served.loop.run_until(lambda: len(served.of_kind(REQUEST_MARKET_DATA)) >= 3)
        served.loop.run_for(1.0)
        assert len(served.of_kind(REQUEST_MARKET_DATA)) <= 5


def test_a_contract_whose_id_is_another_each_time_is_refused_and_waits(tmp_path: Path) -> None:
    def answer(market: Market, request: Request) -> None:
        if request.kind == REQUEST_MARKET_DATA:
            market.send(4, [], [2, request.req_id, NO_CONTRACT, "No security definition has been found", ""], since=300)
        elif request.kind == REQUEST_DETAILS:
            fields: list[object] = [8, request.req_id, "AAPL", "STK", "", 0, "", "SMART", "USD", "AAPL", "NMS", "NMS"]
            fields += [
                1000 + request.req_id % 1000,
                0.01,
                100,
                "",
                "LMT",
                "SMART",
                1,
                0,
                "APPLE INC",
                "NASDAQ",
                "",
                "",
                "",
            ]
            market.send(
                10, [], [*fields, "", "US/Eastern", "", "", "", "", 0, 1, "", "", "", "", "COMMON", 0], since=300
            )
            market.send(52, [], [1, request.req_id], since=300)

    with closing(Served(tmp_path, 157, answer)) as served:
        served.loop.run_until(lambda: len(served.of_kind(REQUEST_DETAILS)) >= 3)
        served.loop.run_for(1.0)
        assert served.states()[-1] == "rejected"
        assert len(served.of_kind(REQUEST_MARKET_DATA)) <= 4
