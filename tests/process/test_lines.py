"""What a market data line carries beside bid, ask and last, from the user's plan to the file, at today's server
version and at an old one: real processes on the simulator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from messages.events import TickBlock
from messages.ticks import ticks
from messages.topics import TICKS
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
