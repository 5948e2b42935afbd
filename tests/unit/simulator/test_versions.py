"""Every request of the official client, and every answer to it, in every server version where a layout changes."""

from decimal import Decimal

import pytest
from ibapi.execution import ExecutionFilter

from services.base.clock import SECOND
from services.simulator.protocol import versions
from tests.support import some
from tests.unit.simulator.conversation import INFO, MONDAY_NOON, Conversation, contract

THRESHOLDS = {value for name, value in vars(versions).items() if name.isupper() and isinstance(value, int)}
VERSIONS = sorted(
    {v for t in THRESHOLDS for v in (t - 1, t) if versions.LOWEST <= v <= versions.HIGHEST}
    | {116, 123, 137, 140, 145, 146, 149, 177}
)


@pytest.fixture(params=some(VERSIONS, 16))
def talk(request: pytest.FixtureRequest) -> Conversation:
    return Conversation(request.param, history_pacing=False, message_limit=1000)


def test_ready(talk: Conversation) -> None:
    assert talk.calls("managedAccounts", "nextValidId") == [("managedAccounts", "DUSIM01"), ("nextValidId", 1)]
    errors = talk.calls("error")
    assert {error[3] for error in errors} == INFO
    assert all(error[1] == -1 and ":" in error[4] for error in errors)
    if talk.version >= versions.ERROR_TIME:
        assert errors[0][2] == MONDAY_NOON // 1_000_000


def test_market_data(talk: Conversation) -> None:
    talk.client.reqMktData(7, contract(), "233", False, False, [])
    talk.turn(2)
    assert talk.calls("marketDataType")[0] == ("marketDataType", 7, 1)
    assert bool(talk.calls("tickReqParams")) == (talk.version >= 114)
    prices = {call[2]: call[3] for call in talk.calls("tickPrice")}
    assert prices.keys() == {1, 2, 4, 6, 7, 9, 14}
    assert prices[7] <= prices[1] < prices[2] <= prices[6] + 0.1
    strings = {call[2] for call in talk.calls("tickString")}
    assert strings == {32, 33, 45, 48, 84}
    assert ("tickGeneric", 7, 49, 0.0) in talk.calls("tickGeneric")
    sizes = {call[3] for call in talk.calls("tickSize") if call[2] in (0, 3)}
    assert all(isinstance(size, Decimal) for size in sizes)
    assert (max(sizes) >= 100) == (talk.version >= 159)  # before: in round lots
    assert talk.errors() == []


def test_snapshot_ends_and_frees_the_line(talk: Conversation) -> None:
    talk.client.reqMktData(8, contract("AAPL"), "", True, False, [])
    talk.turn()
    assert talk.recorder.calls[-1] == ("tickSnapshotEnd", 8)
    assert {call[2] for call in talk.calls("tickPrice")} >= {1, 2, 4, 9}
    talk.take()
    talk.turn(1)
    assert talk.recorder.calls == []
    assert talk.core.book.lines == 0


def test_contract_details(talk: Conversation) -> None:
    talk.client.reqContractDetails(9, contract("BRK B"))
    (_, request, details), end = talk.calls("contractDetails", "contractDetailsEnd")
    assert (request, end) == (9, ("contractDetailsEnd", 9))
    assert (details.contract.symbol, details.contract.secType) == ("BRK B", "STK")
    assert (details.contract.primaryExchange, details.contract.tradingClass) == ("NYSE", "BRKB")
    assert (details.minTick, details.timeZoneId, details.priceMagnifier) == (0.01, "US/Eastern", 1)
    assert details.longName == "BERKSHIRE HATHAWAY INC-CL B"
    assert details.liquidHours.startswith("20260105:0000-20260106:0000;")
    if talk.version >= 126:
        assert details.marketRuleIds.split(",")[0] == "26"
    if talk.version >= 152:
        assert details.stockType == "COMMON"
    if talk.version >= 164:
        assert (details.minSize, details.sizeIncrement) == (1, 1)


def test_future_details(talk: Conversation) -> None:
    talk.client.reqContractDetails(9, contract("ES", "FUT", "CME"))
    found = [call[2] for call in talk.calls("contractDetails")]
    assert [one.contract.lastTradeDateOrContractMonth for one in found] == [
        "20260320",
        "20260619",
        "20260918",
        "20261218",
    ]
    assert [one.contract.localSymbol for one in found] == ["ESH6", "ESM6", "ESU6", "ESZ6"]
    assert {one.contract.multiplier for one in found} == {"50"}
    if talk.version >= versions.UNDERLYING_INFO:
        assert found[0].underSymbol == "SPX"
    if talk.version >= versions.REAL_EXPIRATION_DATE:
        assert found[0].realExpirationDate == "20260320"


def test_historical_bars(talk: Conversation) -> None:
    talk.client.reqHistoricalData(10, contract(), "", "3600 S", "1 min", "TRADES", 1, 1, False, [])
    bars = [call[2] for call in talk.calls("historicalData")]
    assert len(bars) == 60
    zoned = talk.version >= versions.INSTRUMENT_TIMEZONE
    assert bars[0].date == ("20260105 11:00:00 US/Eastern" if zoned else "20260105  11:00:00")
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    assert talk.recorder.calls[-1][:2] == ("historicalDataEnd", 10)
    volume = sum(bar.volume for bar in bars)
    assert (volume > 100_000) == (talk.version >= versions.HMDS_IN_SHARES)  # before: in round lots
    talk.client.reqHistoricalData(11, contract(), "", "5 D", "1 day", "TRADES", 1, 2, False, [])
    assert [call[2].date for call in talk.calls("historicalData") if call[1] == 11][-1] == "20260105"
    assert talk.errors() == []


def test_errors_in_the_version_s_layout(talk: Conversation) -> None:
    talk.client.reqMktData(11, contract("NOSUCH"), "", False, False, [])
    (error,) = (call for call in talk.calls("error") if call[1] == 11)
    assert error[3] == 200
    assert "No security definition" in error[4]
    if talk.version >= versions.ERROR_TIME:
        assert error[2] == MONDAY_NOON // 1_000_000


def test_everything_that_clients_ask_at_connect_is_answered(talk: Conversation) -> None:
    client = talk.client
    client.reqPositions()
    client.reqOpenOrders()
    client.reqAllOpenOrders()
    client.reqAccountUpdates(True, "DUSIM01")
    client.reqAccountSummary(1, "All", "NetLiquidation,TotalCashValue")
    client.reqExecutions(2, ExecutionFilter())
    client.reqCompletedOrders(False)
    client.reqManagedAccts()
    client.reqIds(1)
    client.reqCurrentTime()
    client.reqMarketDataType(3)
    client.reqNewsBulletins(True)
    client.reqScannerParameters()
    names = {call[0] for call in talk.recorder.calls}
    assert names >= {
        "positionEnd", "openOrderEnd", "updateAccountValue", "accountDownloadEnd", "accountSummary",
        "accountSummaryEnd", "execDetailsEnd", "completedOrdersEnd", "managedAccounts", "nextValidId",
        "currentTime", "scannerParameters",
    }  # fmt: skip
    assert ("currentTime", MONDAY_NOON // SECOND) in talk.recorder.calls
    assert talk.errors() == []


def test_requests_that_came_with_a_version(talk: Conversation) -> None:
    client = talk.client
    asked = {
        103: ("accountUpdateMultiEnd", lambda: client.reqAccountUpdatesMulti(10, "DUSIM01", "", True)),
        103.5: ("positionMultiEnd", lambda: client.reqPositionsMulti(11, "DUSIM01", "")),
        104: ("securityDefinitionOptionParameterEnd", lambda: client.reqSecDefOptParams(1, "SPY", "", "STK", 0)),
        106: ("softDollarTiers", lambda: client.reqSoftDollarTiers(2)),
        107: ("familyCodes", lambda: client.reqFamilyCodes()),
        108: ("symbolSamples", lambda: client.reqMatchingSymbols(3, "SP")),
        112: ("mktDepthExchanges", lambda: client.reqMktDepthExchanges()),
        114: ("smartComponents", lambda: client.reqSmartComponents(4, "9c0001")),
        115: ("newsProviders", lambda: client.reqNewsProviders()),
        118: ("headTimestamp", lambda: client.reqHeadTimeStamp(5, contract(), "TRADES", 1, 1)),
        119: ("histogramData", lambda: client.reqHistogramData(6, contract(), True, "3 days")),
        126: ("marketRule", lambda: client.reqMarketRule(26)),
        127: ("pnl", lambda: client.reqPnL(7, "DUSIM01", "")),
        165: ("historicalSchedule", lambda: client.reqHistoricalData(
            8, contract(), "", "5 D", "1 day", "SCHEDULE", 1, 1, False, [])),
        167: ("userInfo", lambda: client.reqUserInfo(9)),
        197: ("currentTimeInMillis", lambda: client.reqCurrentTimeInMillis()),
    }  # fmt: skip
    for since, (answer, ask) in asked.items():
        talk.take()
        if talk.version >= since:
            ask()
            assert talk.calls(answer), (talk.version, answer)
            assert talk.errors() == []


def test_real_time_bars_and_tick_by_tick(talk: Conversation) -> None:
    talk.client.reqRealTimeBars(1, contract(), 5, "TRADES", True, [])
    if talk.version >= 140:
        for request, kind in enumerate(("Last", "AllLast", "BidAsk", "MidPoint"), 2):
            talk.client.reqTickByTickData(request, contract(), kind, 0, False)
    talk.turn(11)
    bars = talk.calls("realtimeBar")
    assert len(bars) == 2
    assert bars[1][2] - bars[0][2] == 5
    if talk.version >= 140:
        last = [call for call in talk.recorder.calls if call[0].startswith("tickByTick")]
        assert {call[1] for call in last} == {2, 3, 4, 5}
    assert talk.errors() == []
