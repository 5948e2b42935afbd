"""The prices of the close, by choice: what the file has of them on a holiday, at an old server version and today's."""

from collections.abc import Callable
from typing import Any

import pytest

from messages.events import SymbolChanged
from tests.process.pipeline import Pipeline
from tests.support import eventually


@pytest.mark.parametrize("version", [226, 176])
def test_the_closes_bid_and_ask_remain_and_are_marked(pipeline: Callable[..., Pipeline], version: int) -> None:
    running = pipeline(start=False)
    running.arguments["simulator"] += ["--server-version", str(version), "--scenario", "holiday"]

    def closed(kind: str) -> Any:
        quote = running.quote("SPY")
        whole = quote is not None and not quote["stale"] and "last" in quote and quote["market_data_type"] == kind
        return quote if whole else None

    with running:
        assert "bid" not in eventually(lambda: closed("realtime"), 40.0)
        assert running.cli("stop").returncode == 0
        done = running.cli("start", "--symbols", "SPY", "--market-data-type", "frozen")
        assert done.returncode == 0, done.stderr
        quote = eventually(lambda: closed("frozen"), 40.0)
        assert quote["bid"] < quote["ask"] and quote["bid"] - 5 < quote["last"] < quote["ask"] + 5
        said = [event for event in running.link_events() if isinstance(event, SymbolChanged)]
        states = {event.state for event in said if event.market_data_type == "frozen"}
        assert "closed" in states and not states & {"live", "quiet"}, states
