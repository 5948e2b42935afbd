"""What a gateway's heartbeat tells of prices: what is new, once, and now and then all, for who missed some."""

from pathlib import Path

from messages.events import PlannedSymbol
from messages.fields import SOURCE_MOCK, SOURCE_STREAM
from messages.views import PriceTime
from services.gateway.service import TELL_ALL_EVERY
from services.simulator.testing import SimulatedGateway
from tests.gateway_loop import GatewayLoop


def test_a_new_price_is_told_once_and_all_are_told_now_and_then(tmp_path: Path) -> None:
    planned = [PlannedSymbol("SPY", "test", 0), PlannedSymbol("QQQ", "test", 1)]
    with SimulatedGateway() as ib, GatewayLoop(tmp_path, planned, ib.port) as gateway:
        beat = gateway.service.new_prices
        told: dict[str, PriceTime] = {}
        gateway.run_until(lambda: told.update(beat()) or told.keys() == {"SPY", "QQQ"})  # type: ignore[func-returns-value]
        assert {price.source for price in told.values()} <= {SOURCE_STREAM, SOURCE_STREAM + SOURCE_MOCK}
        gateway.run_for(0.2)  # what came with the first image
        beat()
        later = [beat() for _ in range(2 * TELL_ALL_EVERY)]
        assert [sorted(prices) for prices in later if prices] == [["QQQ", "SPY"]] * 2, "no price came meanwhile"
