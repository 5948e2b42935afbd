"""nautilus-trader's adapter in a process of its own: a trading node with data and execution on PORT, at its default
settings, which quotes AAPL. Prints its log, and one line of JSON at the end.
"""

import asyncio
import json
import logging
import os
import sys
from typing import Any

from nautilus_trader.adapters.interactive_brokers.common import IB
from nautilus_trader.adapters.interactive_brokers.config import (
    InteractiveBrokersDataClientConfig,
    InteractiveBrokersExecClientConfig,
    InteractiveBrokersInstrumentProviderConfig,
)
from nautilus_trader.adapters.interactive_brokers.factories import (
    IB_CLIENTS,
    InteractiveBrokersLiveDataClientFactory,
    InteractiveBrokersLiveExecClientFactory,
)
from nautilus_trader.config import LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

APPLE = InstrumentId.from_str("AAPL.NASDAQ")
ENOUGH = {"quotes": 5, "trades": 1, "bars": 1}


class Watcher(Strategy):
    """Counts what comes, and ends the node when all kinds have."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.seen = dict.fromkeys(ENOUGH, 0)
        self.isin = ""
        self.done = asyncio.Event()

    def on_start(self) -> None:
        instrument = self.cache.instrument(APPLE)
        self.isin = instrument.isin if instrument is not None else ""
        self.subscribe_quote_ticks(APPLE)
        self.subscribe_trade_ticks(APPLE)
        self.subscribe_bars(BarType.from_str(f"{APPLE}-5-SECOND-LAST-EXTERNAL"))

    def on_quote_tick(self, tick: Any) -> None:
        self.count("quotes")

    def on_trade_tick(self, tick: Any) -> None:
        self.count("trades")

    def on_bar(self, bar: Any) -> None:
        self.count("bars")

    def count(self, kind: str) -> None:
        self.seen[kind] += 1
        if all(self.seen[one] >= enough for one, enough in ENOUGH.items()):
            self.done.set()


async def session(port: int) -> None:
    provider = InteractiveBrokersInstrumentProviderConfig(load_ids=frozenset({str(APPLE)}))
    node = TradingNode(
        TradingNodeConfig(
            trader_id="TESTER-001",
            logging=LoggingConfig(log_level="WARNING"),
            data_clients={IB: InteractiveBrokersDataClientConfig(ibg_port=port, instrument_provider=provider)},
            exec_clients={
                IB: InteractiveBrokersExecClientConfig(
                    ibg_port=port,
                    account_id="DUSIM01",
                    instrument_provider=provider,
                )
            },
        )
    )
    watcher = Watcher()
    node.trader.add_strategy(watcher)
    node.add_data_client_factory(IB, InteractiveBrokersLiveDataClientFactory)
    node.add_exec_client_factory(IB, InteractiveBrokersLiveExecClientFactory)
    node.build()
    running = asyncio.create_task(node.run_async())
    await asyncio.wait_for(watcher.done.wait(), 60)
    (client,) = IB_CLIENTS.values()
    assert not running.done()
    result = {"version": client._eclient.serverVersion(), "isin": [watcher.isin], "seen": watcher.seen}
    print(json.dumps(result), flush=True)
    os._exit(0)  # the node takes ten seconds to stop


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(session(int(sys.argv[1])))
