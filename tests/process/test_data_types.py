"""Live, delayed and frozen prices on one subscription, at server versions of each encoding: none passes for another.

The type that IB says of a request, and the kind of tick that comes, may contradict each other, come in any order, and
change in the midst of a stream.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from messages.events import PlannedSymbol, SymbolChanged
from messages.fields import ASK, BID, DELAYED_ASK, DELAYED_BID, DELAYED_HALTED, DELAYED_LAST, LAST
from messages.views import Quote
from tests.gateway_loop import GatewayLoop
from tests.process.bad_gateway import BadGateway
from tests.process.scripted_gateway import REQUEST_MARKET_DATA
from tests.process.test_versions import Market

AAPL = PlannedSymbol(symbol="AAPL", reason="test", priority=0)
VERSIONS = [157, 226]
NOT_ENTITLED = 354
DELAYED = ((DELAYED_BID, 10.0), (DELAYED_ASK, 10.1), (DELAYED_LAST, 10.05))
LIVE = ((BID, 20.0), (ASK, 20.1), (LAST, 20.05))
Prices = tuple[tuple[int, float], ...]


def outcome(
    folder: Path, version: int, says: Callable[[Market, int], None], done: Callable[[Quote], bool]
) -> tuple[Quote, SymbolChanged]:
    """The quote and the last word on the symbol, once the quote is as wanted."""

    def play(market: Market) -> None:
        market.greet()
        says(market, market.read_until(REQUEST_MARKET_DATA).req_id)
        market.swallow()

    with (
        closing(BadGateway(lambda peer: play(Market(peer, version)))) as server,
        GatewayLoop(folder, [AAPL], server.port) as gateway,
    ):
        quote = gateway.run_until(lambda: (found := gateway.quote("AAPL")) and done(found) and found)
        assert isinstance(quote, Quote)
        return quote, [event for event in gateway.events() if isinstance(event, SymbolChanged)][-1]


def tell(market: Market, req_id: int, prices: Prices) -> None:
    for field, price in prices:
        market.price(req_id, field, price, 100)


def prices(quote: Quote) -> tuple[float | None, float | None, float | None]:
    return quote.bid, quote.ask, quote.last


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("said", [None, 1])
def test_delayed_ticks_of_which_ib_does_not_say_so_are_called_delayed(
    tmp_path: Path, version: int, said: int | None
) -> None:
    def says(market: Market, req_id: int) -> None:
        if said is not None:
            market.data_type(req_id, said)
        tell(market, req_id, DELAYED)

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.last == 10.05)
    assert (*prices(quote), quote.market_data_type) == (10.0, 10.1, 10.05, "delayed")
    assert (word.state, word.reason, word.market_data_type) == ("delayed", "no_entitlement", "delayed")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("said", [None, 1])
def test_delayed_ticks_beside_live_ones_are_no_part_of_the_quote(
    tmp_path: Path, version: int, said: int | None
) -> None:
    def says(market: Market, req_id: int) -> None:
        if said is not None:
            market.data_type(req_id, said)
        tell(market, req_id, LIVE + DELAYED + ((BID, 20.02),))

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.bid == 20.02)
    assert (*prices(quote), quote.market_data_type) == (20.02, 20.1, 20.05, "realtime")
    assert (word.state, word.market_data_type) == ("live", "realtime")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("first", "before", "second", "after"),
    [
        (2, LIVE, 1, (LAST, 21.0)),
        (3, DELAYED, 1, (LAST, 21.0)),
        (1, LIVE, 3, (DELAYED_LAST, 9.0)),
        (4, DELAYED, 3, (DELAYED_LAST, 9.0)),
    ],
)
def test_prices_of_another_type_do_not_stand_beside_those_of_the_new_one(
    tmp_path: Path, version: int, first: int, before: Prices, second: int, after: tuple[int, float]
) -> None:
    read = Event()

    def says(market: Market, req_id: int) -> None:
        market.data_type(req_id, first)
        tell(market, req_id, before)
        assert read.wait(10)
        market.data_type(req_id, second)
        tell(market, req_id, (after,))

    def done(quote: Quote) -> bool:
        if quote.last == before[2][1]:
            read.set()
        return quote.last == after[1]

    quote, word = outcome(tmp_path, version, says, done)
    assert prices(quote) == (None, None, after[1])
    assert quote.market_data_type == word.market_data_type == {1: "realtime", 3: "delayed"}[second]
    assert not word.stale


@pytest.mark.parametrize("version", VERSIONS)
def test_a_delayed_halt_beside_live_prices_halts_nothing(tmp_path: Path, version: int) -> None:
    def says(market: Market, req_id: int) -> None:
        market.data_type(req_id, 1)
        tell(market, req_id, LIVE)
        market.number(req_id, DELAYED_HALTED, 1.0)
        tell(market, req_id, ((BID, 20.02),))

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.bid == 20.02)
    assert (word.state, quote.halted) == ("live", None)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_still_comes_of_a_stream_that_ib_refused_is_no_part_of_the_next_one(tmp_path: Path, version: int) -> None:
    def says(market: Market, req_id: int) -> None:
        fields = [(1, req_id), (3, NOT_ENTITLED), (4, "not subscribed")]
        text = [req_id, NOT_ENTITLED, "not subscribed", "", 0]
        market.send(4, fields, text if version >= 194 else [2, *text[:-1]], since=201)
        second = market.read_until(REQUEST_MARKET_DATA).req_id
        market.data_type(second, 3)
        tell(market, second, DELAYED)
        tell(market, req_id, LIVE)
        tell(market, second, ((DELAYED_BID, 10.02),))

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.bid == 10.02)
    assert (*prices(quote), quote.market_data_type) == (10.02, 10.1, 10.05, "delayed")
    assert word.state == "delayed"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_last_prices_stay_when_the_market_closes(tmp_path: Path, version: int) -> None:
    def says(market: Market, req_id: int) -> None:
        market.data_type(req_id, 1)
        tell(market, req_id, LIVE)
        market.data_type(req_id, 2)

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.market_data_type == "frozen")
    assert prices(quote) == (20.0, 20.1, 20.05)
    assert word.stale


@pytest.mark.parametrize("version", VERSIONS)
def test_a_type_that_nobody_knows_is_not_trusted(tmp_path: Path, version: int) -> None:
    def says(market: Market, req_id: int) -> None:
        market.data_type(req_id, 7)
        tell(market, req_id, LIVE)

    quote, word = outcome(tmp_path, version, says, lambda quote: quote.last == 20.05)
    assert quote.market_data_type is None
    assert word.stale
