"""What a market data line carries beside bid, ask and last, from the user's plan to the file, at today's server
version and at an old one: real processes on the simulator."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from messages.control import RefreshPlan
from messages.events import OptionsCentred, OptionsListed, TickBlock
from messages.ticks import Tick, ticks
from messages.topics import TICKS
from services.simulator.market.contracts import Instrument
from services.simulator.market.derived import expirations, monthly, option_series, weekly
from services.simulator.market.listed import usual
from tests.process.pipeline import Pipeline
from tests.process.user_database import UserDatabase
from tests.support import eventually

VERSIONS = [226, 176]


@pytest.fixture
def planned(pipeline: Callable[..., Pipeline], tmp_path: Path) -> Callable[..., Pipeline]:
    """A pipeline whose plan is made of a project's configuration: `planned(version, configuration)`."""

    def make(version: int, config: dict[str, Any], *simulator: str, **env: object) -> Pipeline:
        user = UserDatabase("sqlite", None, tmp_path)
        user.project()
        user.config(config)
        built = pipeline(start=False, database_url=user.url, project_id=1, refresh_interval=5, **env)
        built.arguments["simulator"] += ["--server-version", str(version), *simulator]
        return built.__enter__()

    return make


def field(pipeline: Pipeline, symbol: str, *names: str) -> Any:
    """What stands under these names in the symbol's file, once it is there."""

    def probe() -> Any:
        found: Any = pipeline.quote(symbol)
        for name in names:
            found = (found or {}).get(name)
        return found

    return eventually(probe, 40.0, f"{symbol}: {'.'.join(names)}")


@pytest.mark.parametrize("version", VERSIONS)
def test_generic_ticks_by_project_and_symbol(planned: Callable[..., Pipeline], version: int) -> None:
    all_of_a_stock = "100,101,104,106,165,221,225,232,233,236,256,258,292,293,294,295,318,375,411,456,586,595,619"
    running = planned(
        version, {"symbols": "SPY,AAPL,SIM0001", "generic_ticks": {"*": "", "AAPL": all_of_a_stock, "SIM0001": [586]}}
    )
    report = field(running, "AAPL", "generic", "rt_volume")
    assert report["price"] > 0 and report["vwap"] > 0 and report["time"].endswith("Z") and report["single"] is True
    generic = field(running, "AAPL", "generic")
    assert generic["dividends"].keys() == {"past_12_months", "next_12_months", "next_date", "next_amount"}
    assert generic["fundamentals"]["CURRENCY"] == "USD" and "TTMNPMGN" not in generic["fundamentals"]
    assert generic["news"]["headline"].endswith("simulated headline; no news at all")
    assert generic["low_52_week"] < generic["high_52_week"] and generic["shortable_shares"] == 85_888_008
    assert {"mark_price", "auction_imbalance", "trade_rate", "last_rth_trade", "option_implied_vol"} <= generic.keys()
    assert field(running, "SIM0001", "generic").keys() == {"estimated_ipo_midpoint", "final_ipo_last"}
    assert "generic" not in (running.quote("SPY") or {})

    running.await_status("connected")
    status = running.status()
    assert status is not None
    # IB refuses the whole list for 256, which it does not know any more: the others are asked for again.
    assert status.symbols["AAPL"].message == "IB does not take generic ticks 256 for STK"
    journalled = [tick for block in running.blocks(TICKS) if isinstance(block, TickBlock) for tick in ticks(block)]
    dividends = next(tick.parts for tick in journalled if tick.symbol == "AAPL" and tick.field == 59)
    assert dividends is not None
    assert not {tick.field for tick in journalled if tick.symbol == "SPY"} & {37, 46, 47, 48, 59, 77}


def test_generic_ticks_of_a_start(pipeline: Callable[..., Pipeline]) -> None:
    running = pipeline()
    running.await_status("connected")
    assert running.cli("stop").returncode == 0
    refused = running.cli("start", "--symbols", "SPY", "--generic-ticks", "vwap")
    assert refused.stderr.endswith("as 233,236; not 'vwap' [invalid_request]\n")
    assert running.cli("start", "--symbols", "SPY", "--generic-ticks", "233,236").returncode == 0
    assert field(running, "SPY", "generic", "rt_volume", "vwap") > 0
    assert field(running, "SPY", "generic", "shortable") == 3.0


# --- kinds of contracts ---


class Kind(NamedTuple):
    """What a user writes, the file's name, and what stands in the file: fields that it has and has not."""

    text: str
    name: str
    has: set[str]
    without: frozenset[str] = frozenset()


TODAY = datetime.now(ZoneInfo("US/Eastern")).date()
EXPIRY = expirations(TODAY)[1]
FRONT = next(one for one in usual(TODAY) if one.symbol == "ES")
MONTH = FRONT.expiry[:6]
WARRANT = next(one for one in usual(TODAY) if one.sec_type == "WAR")
TRADED = {"bid", "ask", "last", "bid_size", "ask_size", "close"}
KINDS = [
    Kind(f"AAPL  {EXPIRY[2:]}C00245000", f"AAPL{EXPIRY[2:]}C00245000", TRADED | {"greeks", "multiplier", "volume"}),
    Kind(f"SPX:SMART:USD:OPT:{EXPIRY}:5850:P", f"SPX_SMART_USD_OPT_{EXPIRY}_5850_P", TRADED | {"greeks", "multiplier"}),
    Kind(f"ES:CME:USD:FOP:{FRONT.expiry}:5900:C", f"ES_CME_USD_FOP_{FRONT.expiry}_5900_C", TRADED | {"greeks"}),
    Kind(f"SAP:FWB:EUR:WAR:{WARRANT.expiry}:240:C", f"SAP_FWB_EUR_WAR_{WARRANT.expiry}_240_C", TRADED | {"multiplier"}),
    Kind(
        "912810ZZ9:SMART:USD:BOND",
        "912810ZZ9_SMART_USD_BOND",
        {"bid", "ask", "last"},
        frozenset({"bid_size", "volume"}),
    ),
    Kind("VINIX:FUNDSERV:USD:FUND", "VINIX_FUNDSERV_USD_FUND", {"last", "close"}, frozenset({"bid", "ask"})),
    Kind("AAPL:SMART:USD:CFD", "AAPL_SMART_USD_CFD", TRADED),
    Kind("BTC:PAXOS:USD:CRYPTO", "BTC_PAXOS_USD_CRYPTO", TRADED),
    Kind("SPX:CBOE:USD:IND", "SPX_CBOE_USD_IND", {"last", "close", "high", "low"}, frozenset({"bid", "ask"})),
    Kind("EUR:IDEALPRO:USD:CASH", "EUR_IDEALPRO_USD_CASH", {"bid", "ask", "bid_size"}, frozenset({"last", "volume"})),
    Kind("XAUUSD:SMART:USD:CMDTY", "XAUUSD_SMART_USD_CMDTY", {"bid", "ask", "bid_size"}, frozenset({"last", "volume"})),
    Kind(f"ES:CME:USD:FUT:{MONTH}", f"ES_CME_USD_FUT_{MONTH}", TRADED | {"multiplier", "volume"}),
    Kind(
        f"{FRONT.local_symbol}:CME:USD:FUT",
        f"{FRONT.local_symbol}_CME_USD_FUT",
        TRADED | {"multiplier", "volume", "local_symbol", "contract_month"},
    ),
    Kind("SPY", "SPY", TRADED | {"volume"}, frozenset({"multiplier", "greeks"})),
    Kind("SAP:IBIS:EUR", "SAP_IBIS_EUR", TRADED),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_contract_from_the_plan_to_its_file(planned: Callable[..., Pipeline], version: int) -> None:
    refused = ["SPY:SMART:USD:BAG", "ES:CME:USD:CONTFUT", f"AAPL:SMART:USD:OPT:{EXPIRY}:245"]
    running = planned(version, {"symbols": [*(kind.text for kind in KINDS), *refused]})
    for kind in KINDS:
        for name in kind.has:
            field(running, kind.name, name)
    running.await_status("connected")
    for kind in KINDS:
        found = running.quote(kind.name) or {}
        assert found["symbol"] == kind.name and not kind.without & found.keys(), found
    status = running.status()
    assert status is not None
    assert len(status.symbols) == len(KINDS)
    assert [warning.partition(" is not a symbol: ")[2] for warning in status.warnings] == [
        "BAG is not served: a combination is priced by its legs; name each leg",
        "CONTFUT is not served: a continuous future has bars and no market data; name its month",
        "expected SYMBOL:EXCHANGE:CURRENCY:OPT:EXPIRY:STRIKE:RIGHT[:CLASS]",
    ]
    greeks = field(running, KINDS[0].name, "greeks")
    assert greeks.keys() >= {"bid", "ask", "last", "model"}
    model = greeks["model"]
    assert 0 < model["implied_volatility"] < 2 and 0 < model["delta"] < 1 and 200 < model["underlying"] < 300
    assert (running.quote(KINDS[0].name) or {})["multiplier"] == 100


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_follows_its_underlying_inside_the_line_budget(planned: Callable[..., Pipeline], version: int) -> None:
    running = planned(
        version, {"symbols": "QQQ", "options": {"AAPL": "3 strikes around the price, next 2 expiries"}}, max_symbols=9
    )

    def options() -> list[str]:
        status = running.status()
        names = status.symbols if status is not None else {}
        return sorted(name for name, one in names.items() if one.why == "options of AAPL" and one.streaming)

    assert len(eventually(lambda: len(options()) == 7 and options(), 40.0)) == 7  # of twelve: nine lines for all
    first, second = expirations(TODAY)[:2]
    expiries = [name[4:10] for name in options()]
    assert (expiries.count(first[2:]), expiries.count(second[2:])) == (6, 1)
    model = field(running, options()[0], "greeks", "model")
    underlying = field(running, "AAPL", "last")
    assert abs(model["underlying"] - underlying) < underlying / 50
    (listed,) = [event for event in running.link_events() if isinstance(event, OptionsListed)]
    centres = [event.strike for event in running.link_events() if isinstance(event, OptionsCentred)]
    assert listed.symbol == "AAPL" and abs(centres[-1] - underlying) < 8


def days_of(under: Instrument) -> list[str]:
    """The next three expiries of options on a future."""
    return sorted(weekly(under, TODAY) + monthly(under, TODAY))[:3]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_on_a_future_rolls_with_it(pipeline: Callable[..., Pipeline], tmp_path: Path, version: int) -> None:
    line = "ES:CME:USD:FUT:front"
    chains = {line: "3 strikes around the price, next 3 expiries", "EUR:IDEALPRO:USD:CASH": "1 strike, 1 expiry"}
    config: dict[str, Any] = {"symbols": "QQQ", "options": chains, "contracts": {line: {"roll_days": 0}}}
    user = UserDatabase("sqlite", None, tmp_path)
    user.project()
    user.config(config)
    months = [one for one in usual(TODAY) if one.symbol == "ES"]
    count = 6 * len(days_of(months[0]))
    built = pipeline(start=False, database_url=user.url, project_id=1, max_symbols=count)
    built.arguments["simulator"] += ["--server-version", str(version)]
    running = built.__enter__()

    def options(under: Instrument) -> dict[str, Any]:
        """Those in the plan, once they are all that are to be on this future and no others."""
        status = running.status()
        found = {name: one for name, one in status.symbols.items() if "_FOP_" in name} if status is not None else {}
        days = days_of(under)
        whole = {name.split("_")[4] for name in found} == set(days) and len(found) == 6 * len(days)
        return found if whole else {}

    found = eventually(lambda: options(months[0]), 60.0)
    assert sum(one.streaming for one in found.values()) == count - 2  # two lines are of what is named
    assert all(one.why == "options of ES_CME_USD_FUT_FRONT" for one in found.values() if one.streaming)
    name = min(name for name in found if found[name].streaming)
    model = field(running, name, "greeks", "model")
    assert abs(model["underlying"] - field(running, "ES_CME_USD_FUT_FRONT", "last")) < 100
    assert (field(running, name, "multiplier"), "bid" in (running.quote(name) or {})) == (50, True)
    listed = [event for event in running.link_events() if isinstance(event, OptionsListed)]
    series = [one.trading_class for one in option_series(months[0], TODAY)]
    assert [one.trading_class for one in listed[-1].classes] == series and listed[-1].exchange == "CME"
    status = running.status()
    assert status is not None and "CASH has no chain that is served" in status.warnings[0]

    days = (datetime.strptime(months[0].expiry, "%Y%m%d").date() - TODAY).days + 1
    user.config(config | {"contracts": {line: {"roll_days": days}}}, "2026-01-06 09:00:00")
    running.ask(RefreshPlan())
    eventually(lambda: options(months[1]), 60.0)
    running.await_status("connected")


# --- tick by tick and bars of five seconds ---


@pytest.mark.parametrize("version", VERSIONS)
def test_tick_by_tick_and_five_second_bars_in_journal_and_client(
    planned: Callable[..., Pipeline], version: int
) -> None:
    wishes = {"SPY": "AllLast", "QQQ": "BidAsk", "AAPL": "MidPoint", "MSFT": "Last"}
    running = planned(
        version, {"symbols": "SPY,QQQ,AAPL,MSFT,NVDA", "tick_by_tick": wishes, "real_time_bars": {"NVDA": "TRADES"}}
    )

    def rows(symbol: str) -> dict[str, Tick]:
        blocks = [block for block in running.blocks(TICKS) if isinstance(block, TickBlock)]
        return {
            tick.name: tick for block in blocks for tick in ticks(block) if tick.symbol == symbol and tick.field > 210
        }

    bar = {"bar_time", "bar_open", "bar_high", "bar_low", "bar_close", "bar_volume", "bar_vwap", "bar_trades"}
    expected = {
        "SPY": {"trade_time", "trade", "trade_venue"},
        "QQQ": {"quote_time", "quote_bid", "quote_ask"},
        "AAPL": {"quote_time", "midpoint"},
        "NVDA": bar,
    }
    for symbol, names in expected.items():
        eventually(lambda s=symbol, n=names: rows(s).keys() == n, 40.0, symbol)
    trade = rows("SPY")["trade"]
    assert isinstance(trade.value, float) and 400 < trade.value < 900 and trade.size
    found = rows("NVDA")
    assert found["bar_low"].value <= found["bar_close"].value <= found["bar_high"].value
    assert int(found["bar_time"].value) % 5 == 0
    # IB allows three tick by tick, by the number of lines: the least important of four has none, and its prices.
    assert not rows("MSFT") and field(running, "MSFT", "last") > 0
    running.await_status("connected")
