"""What exists at the simulator: the listed, by name and by their real ids, and any other US stock."""

import itertools
from datetime import date
from functools import partial

import pytest
from ibapi.contract import Contract

from services.base.identity import isin_digit
from services.simulator.market.contracts import Instrument, Master, Wanted
from services.simulator.market.derived import chain, derive, ends_at, expirations, strikes
from services.simulator.market.greeks import worth
from services.simulator.market.identity import (
    INVENTED_IDS,
    invented_id,
    invented_isin,
    invented_ticker,
    is_ticker,
)
from services.simulator.market.invented import invent
from services.simulator.market.listed import usual
from services.simulator.market.prices import walk
from services.simulator.protocol.versions import HIGHEST
from tests.unit.simulator.conversation import MONDAY_NOON, Conversation, contract

TODAY = date(2026, 1, 5)
NAMES = ["A", "Z", "GE", "IBMX", "ZZZZZ", "BF A", "BF B", "BAC PRL", "BAC PR", "ACHR WS", "XYZ RT"]
NO_NAMES = ["", "TOOLONG", "BRK.B", "BRK-B", "IBM1", "ibm", "A  B", "ABC PRLX", "BRK BB", "Ä"]


def master(**more: object) -> Master:
    return Master(usual(TODAY), invent=invent, derive=partial(derive, TODAY), **more)  # type: ignore[arg-type]


def wanted(symbol: str = "", sec_type: str = "STK", exchange: str = "SMART", primary: str = "", currency: str = "USD",
           con_id: int = 0) -> Wanted:  # fmt: skip
    return Wanted(con_id, symbol, sec_type, "", exchange, primary, currency, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_an_id_gives_its_name_back(name: str) -> None:
    assert is_ticker(name)
    assert invented_ticker(invented_id(name)) == name
    assert INVENTED_IDS < invented_id(name) < 2**31


def test_ids_of_different_names_differ_and_other_ids_are_nobody_s() -> None:
    assert len({invented_id(name) for name in NAMES}) == len(NAMES)
    assert [invented_ticker(one) for one in (-1, 0, 265598, INVENTED_IDS, 2**31 - 1)] == [None] * 5


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_ticker(name: str) -> None:
    assert not is_ticker(name)


@pytest.mark.parametrize("isin", ["US0378331005", "US5949181045", "DE0007164600", "KYG875721634", "NL0010273215"])
def test_the_check_digit_is_the_registrars(isin: str) -> None:
    assert isin_digit(isin[:-1]) == isin[-1]


def test_every_isin_checks() -> None:
    isins = [one.isin for one in master() if one.sec_type == "STK"] + [invented_isin(name) for name in NAMES]
    assert isins and all(len(isin) == 12 and isin_digit(isin[:-1]) == isin[-1] for isin in isins)


def test_real_ids_find_the_well_known() -> None:
    ids = {4391: "AMD", 265598: "AAPL", 756733: "SPY", 8314: "IBM", 272093: "MSFT", 416904: "SPX", 14204: "SAP"}
    for con_id, symbol in ids.items():
        (found,) = master().find(wanted(con_id=con_id, sec_type="", exchange="", currency=""))
        assert found.symbol == symbol
    assert master().find(wanted(con_id=12345)) == []


def test_an_invented_stock_is_the_same_in_every_run_and_by_its_id() -> None:
    (one,), (again,) = master().find(wanted("GEV")), master().find(wanted("GEV"))
    assert one == again
    assert master().find(wanted(con_id=one.con_id, sec_type="", currency="")) == [one]
    assert master().by_key("GEV") == one


@pytest.mark.parametrize("name", NAMES)
def test_an_invented_stock_could_be_true(name: str) -> None:
    stock = invent(name)
    assert 2 < stock.price <= 900 and 150_000 <= stock.volume <= 30_000_000 and 0 < stock.daily < 0.05
    assert stock.primary in ("NYSE", "NASDAQ") and stock.name.startswith(name)


def test_an_invented_stock_is_listed_where_the_client_says() -> None:
    for primary in ("NYSE", "NASDAQ", "ARCA"):
        (found,) = master().find(wanted("GEV", primary=primary))
        assert (found.primary, found.con_id) == (primary, invented_id("GEV"))
    assert master().find(wanted("GEV", primary="ISLAND"))[0].primary == "NASDAQ"


@pytest.mark.parametrize(
    "unknown",
    [wanted(name) for name in NO_NAMES if name != "ibm"]
    + [
        wanted("GEV", currency="EUR"), wanted("GEV", exchange="IBIS"), wanted("GEV", primary="LSE"),
        wanted("GEV", sec_type="FUT"), wanted("GEV", sec_type="IND"), wanted("SPX"), wanted("SPY", primary="NYSE"),
    ],
)  # fmt: skip
def test_what_is_no_us_stock_is_unknown(unknown: Wanted) -> None:
    assert master().find(unknown) == []


def test_nothing_is_invented_where_only_the_known_exists() -> None:
    assert Master(usual(date(2026, 1, 5))).find(wanted("GEV")) == []
    talk = Conversation(known_only=True)
    talk.client.reqMktData(1, contract("GEV"), "", False, False, [])
    talk.client.reqMktData(2, contract("IBM"), "", False, False, [])
    assert talk.errors() == [(1, 200)]


def test_a_stock_without_exchange_and_currency_is_ambiguous() -> None:
    talk = Conversation()
    talk.client.reqContractDetails(1, contract("AMD", exchange="", currency=""))
    rows = [call[2].contract for call in talk.calls("contractDetails")]
    assert {row.conId for row in rows} > {4391} and len(rows) > 10
    assert {(row.exchange, row.currency) for row in rows} > {("SMART", "USD"), ("NYSE", "USD"), ("MEXI", "MXN")}
    talk.client.reqMktData(2, contract("AMD", exchange="", currency=""), "", False, False, [])
    assert talk.errors() == [(2, 200)]
    assert "ambiguous" in talk.calls("error")[-1][4]


def test_a_stock_by_its_id_alone_is_one_row() -> None:
    talk = Conversation()
    one = contract("", "", "", "")
    one.conId = 265598
    talk.client.reqContractDetails(1, one)
    ((_, _, details),) = talk.calls("contractDetails")
    assert (details.contract.symbol, details.contract.exchange, details.contract.currency) == ("AAPL", "SMART", "USD")


@pytest.mark.parametrize("version", [100, 163, 176, 200])
def test_details_bring_isin_and_magnifier(version: int) -> None:
    talk = Conversation(version)
    talk.client.reqContractDetails(1, contract("AAPL"))
    talk.client.reqContractDetails(2, contract("GEV"))
    talk.client.reqContractDetails(3, contract("ZC", "FUT", "CBOT"))
    rows = {call[1]: call[2] for call in talk.calls("contractDetails")}
    assert [(one.tag, one.value) for one in rows[1].secIdList] == [("ISIN", "US0378331005")]
    assert rows[2].secIdList[0].value == invented_isin("GEV") and rows[2].priceMagnifier == 1
    assert rows[3].priceMagnifier == 100 and not rows[3].secIdList


@pytest.mark.parametrize(
    "asked",
    [contract("GEV"), contract("SAP", "STK", "IBIS", "EUR"), contract("BTC", "CRYPTO", "PAXOS"),
     contract("VUSD", "STK", "LSEETF")],
    ids=lambda asked: asked.symbol,
)  # fmt: skip
def test_it_streams(asked: Contract) -> None:
    talk = Conversation()
    talk.client.reqMktData(1, asked, "", False, False, [])
    assert {call[2] for call in talk.calls("tickPrice")} >= {1, 2, 4}
    talk.take()
    talk.turn(10)
    assert talk.errors() == []
    assert len(talk.calls("tickSize", "tickPrice")) > 5


def test_search_names_the_known_first_and_the_invented_last() -> None:
    found = master().search("apple")
    assert (found[0].symbol, found[-1].symbol) == ("AAPL", "APPLE")
    assert [one.symbol for one in master().search("GEV")] == ["GEV"]


def option(symbol: str, expiry: str = "", strike: float = 0.0, right: str = "", local_symbol: str = "") -> Contract:
    made = contract(symbol, "OPT")
    made.lastTradeDateOrContractMonth, made.right, made.localSymbol = expiry, right, local_symbol
    if strike:
        made.strike = strike
    return made


@pytest.mark.parametrize("version", [157, 176, 200, HIGHEST])
@pytest.mark.parametrize("symbol", ["AAPL", "GEV", "BRK B"])
def test_the_announced_option_chain_exists_and_ticks(version: int, symbol: str) -> None:
    talk = Conversation(version)
    talk.client.reqSecDefOptParams(1, symbol, "", "STK", 265598)
    ((_, _, _, _, _, multiplier, days, prices),) = talk.calls("securityDefinitionOptionParameter")
    assert (len(days), len(prices), multiplier) == (3, 21, "100")
    day, strike = min(days), sorted(prices)[10]
    talk.client.reqContractDetails(2, option(symbol, day))
    assert len([call for call in talk.calls("contractDetails") if call[1] == 2]) == 42
    talk.client.reqContractDetails(3, option(symbol, day, strike, "C"))
    (found,) = [call[2].contract for call in talk.calls("contractDetails") if call[1] == 3]
    assert (found.strike, found.right, found.multiplier) == (strike, "C", "100")
    assert found.lastTradeDateOrContractMonth == day and len(found.localSymbol) == 21
    talk.client.reqMktData(4, option("", local_symbol=found.localSymbol), "", False, False, [])
    talk.client.reqMktData(5, option(symbol, day, strike, "PUT"), "", False, False, [])
    talk.turn(2)
    for request in (4, 5):
        told = {call[2]: call[3] for call in talk.calls("tickPrice") if call[1] == request}
        assert 0 < told[1] < told[2]
    assert talk.errors() == []
    talk.client.reqMktData(6, option(symbol, day), "", False, False, [])
    talk.client.reqContractDetails(7, option(symbol, day, strike + 0.01, "C"))
    assert talk.errors() == [(6, 200), (7, 200)]


def test_an_option_is_found_by_its_id_in_a_later_run() -> None:
    (found,) = master().find(wanted("AAPL", "OPT")._replace(expiry="20260220", strike=240.0, right="C"))
    assert master().find(wanted(con_id=found.con_id, sec_type="", exchange="", currency="")) == [found]
    assert master().find(wanted(con_id=found.con_id + 1, sec_type="")) == []


def test_calls_and_puts_agree_with_each_other_and_with_their_underlying() -> None:
    (spy,) = master().find(wanted("SPY"))
    made = {(one.expiry, one.strike, one.right): one for one in chain(spy, TODAY)}
    assert len(made) == 3 * 21 * 2 and len({one.con_id for one in made.values()}) == len(made)
    level = walk(1, spy).at(MONDAY_NOON)

    def price(one: Instrument, now: int = MONDAY_NOON) -> float:
        return walk(1, one).at(now)

    near, far = expirations(TODAY)[0], expirations(TODAY)[-1]
    for strike in strikes(spy):
        call, put = made[near, strike, "C"], made[near, strike, "P"]
        assert price(call) - price(put) == pytest.approx(level - strike, abs=1e-6)
        assert price(made[far, strike, "C"]) > price(call) >= max(0.0, level - strike)
        assert price(call, ends_at(call)) == max(0.0, walk(1, spy).at(ends_at(call)) - strike)
    assert chain(master().find(wanted("SAP", exchange="IBIS", currency="EUR"))[0], TODAY) == []


def test_a_continuous_future_is_the_next_one_under_its_id() -> None:
    (endless,) = master().find(wanted("ES", "CONTFUT", "CME"))
    (front, *_) = master().find(wanted("ES", "FUT", "CME"))
    assert (endless.con_id, endless.expiry, endless.sec_type) == (front.con_id, front.expiry, "CONTFUT")
    assert master().find(wanted(con_id=front.con_id, sec_type="CONTFUT", exchange="")) == [endless]
    talk = Conversation()
    talk.client.reqMktData(1, contract("ES", "CONTFUT", "CME"), "", False, False, [])
    assert {call[2] for call in talk.calls("tickPrice")} >= {1, 2, 4} and talk.errors() == []


@pytest.mark.parametrize("version", [145, 157, 176, 200, HIGHEST])
def test_an_option_ticks_with_greeks_that_agree_with_its_prices(version: int) -> None:
    talk = Conversation(version)
    day = expirations(TODAY)[0]
    for request, right in ((1, "C"), (2, "P")):
        talk.client.reqMktData(request, option("SPY", day, 585.0, right), "", False, False, [])
    talk.turn(5)
    told = {call[1]: call[-8:] for call in talk.calls("tickOptionComputation")}
    asks = {call[1]: call[3] for call in talk.calls("tickPrice") if call[2] == 2}
    for request in (1, 2):
        volatility, delta, price, dividend, gamma, vega, theta, under = told[request]
        assert abs(price - asks[request]) < 0.2 and dividend == 0
        assert 0 < gamma < 1 and vega > 0 > theta and 0.05 < volatility < 0.5 and 500 < under < 680
        assert (0 < delta < 1) if request == 1 else (-1 < delta < 0)
    assert told[1][1] - told[2][1] == pytest.approx(1, abs=0.05)  # deltas of call and put
    talk.client.reqMktData(3, option("SPY", day, 585.0, "C"), "", True, False, [])
    talk.turn()
    of_snapshot = [call[0] for call in talk.recorder.calls if call[1:2] == (3,)]
    assert of_snapshot[-2:] == ["tickOptionComputation", "tickSnapshotEnd"]


def test_greeks_are_the_slopes_of_the_price() -> None:
    for is_call, strike, years in itertools.product((True, False), (80.0, 100.0, 130.0), (0.02, 0.5)):
        at = partial(worth, strike=strike, is_call=is_call)
        here = at(100.0, volatility=0.3, years=years)
        up, down = (at(100.0 + step, volatility=0.3, years=years) for step in (0.01, -0.01))
        assert here.delta == pytest.approx((up.price - down.price) / 0.02, abs=1e-4)
        assert here.gamma == pytest.approx((up.delta - down.delta) / 0.02, abs=1e-4)
        vega = (at(100.0, volatility=0.301, years=years).price - here.price) / 0.1
        theta = at(100.0, volatility=0.3, years=years - 1e-5).price - here.price
        assert here.vega == pytest.approx(vega, abs=1e-3)
        assert here.theta == pytest.approx(theta / 1e-5 / 365, abs=1e-3)
    assert worth(90.0, 100.0, False, 0.3, 0.0)[:3] == (10.0, 0.3, -1.0)
    assert worth(90.0, 100.0, True, 0.3, 0.0)[:3] == (0.0, 0.3, 0.0)
