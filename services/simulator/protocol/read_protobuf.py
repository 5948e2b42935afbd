"""Requests as protobuf: one reader a message, on the official client's own message classes. Raises BadRequest.

A field that is absent reads as empty, 0 or false, as for the official client.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from services.simulator.market.scans import Scan
from services.simulator.protocol import ib
from services.simulator.protocol import requested as asked
from services.simulator.protocol import versions as v
from services.simulator.protocol.read_contract import contract_of_protobuf as contract
from services.simulator.protocol.read_order import place_order_protobuf
from services.simulator.protocol.read_text import READERS as TEXT_READERS
from services.simulator.protocol.wire import BadRequest

# From which server version on a client may send a message as protobuf: the official client's own table.
SINCE: dict[int, int] = {
    7: v.RAW_MESSAGE_IDS,
    **dict.fromkeys((3, 4, 58), v.PROTOBUF_ORDERS),
    **dict.fromkeys((5, 15, 16, 99), v.PROTOBUF_COMPLETED_ORDERS),
    9: v.PROTOBUF_CONTRACTS,
    **dict.fromkeys((1, 2, 10, 11, 59), v.PROTOBUF_MARKET_DATA),
    **dict.fromkeys((6, 17, 61, 62, 63, 64, 74, 75, 76, 77), v.PROTOBUF_ACCOUNTS),
    **dict.fromkeys((20, 25, 50, 51, 87, 88, 89, 90, 96, 97, 98), v.PROTOBUF_HISTORY),
    **dict.fromkeys((12, 13, 84, 85, 86, 100, 101, 102, 103), v.PROTOBUF_NEWS),
    **dict.fromkeys((22, 23, 24, 52, 53, 92, 93, 94, 95), v.PROTOBUF_SCANNER),
    **dict.fromkeys((18, 19, 21, 54, 55, 56, 57), v.PROTOBUF_OPTIONS),
    **dict.fromkeys((78, 79, 80, 81, 83, 91, 104), v.PROTOBUF_SYMBOLS),
    **dict.fromkeys((8, 14, 49, 67, 68, 69, 70, 71, 82, 105), v.PROTOBUF_REST),
    **dict.fromkeys((106, 107), v.CANCEL_CONTRACT_DATA),
}


class Reader:
    """Parses `body` as a `message`, and makes the request of it."""

    def __init__(self, message: Any, make: Callable[[Any], Any]) -> None:
        self._message, self._make = message, make

    def __call__(self, body: bytes) -> Any:
        parsed = self._message()
        try:
            parsed.ParseFromString(body)
        except DecodeError:
            raise BadRequest(f"not a {self._message.DESCRIPTOR.name}") from None
        return self._make(parsed)


def scan(sent: Any) -> Scan:
    return Scan(
        sent.scanCode, sent.instrument, sent.locationCode, sent.numberOfRows, sent.abovePrice, sent.belowPrice,
        sent.aboveVolume, dict(sent.scannerSubscriptionFilterOptions),
    )  # fmt: skip


def request_id(body: bytes) -> int:
    """The id of any request, or -1. Raises BadRequest."""
    found: int = BY_ID(body).request
    return found


# The id is the first field of every request that has one; the others are left unread.
BY_ID = Reader(ib.CancelMarketData, lambda m: asked.ById(m.reqId if m.HasField("reqId") else -1))
NOTHING = Reader(ib.CancelMarketData, lambda m: asked.Nothing())

READERS: dict[int, Callable[[bytes], Any]] = {
    **{
        kind: NOTHING if read.__name__ == "nothing" else BY_ID
        for kind, read in TEXT_READERS.items()
    },
    1: Reader(ib.MarketDataRequest, lambda m: asked.MarketData(
        m.reqId, contract(m.contract), m.genericTickList, m.snapshot, m.regulatorySnapshot)),
    3: Reader(ib.PlaceOrderRequest, place_order_protobuf),
    6: Reader(ib.AccountDataRequest, lambda m: asked.AccountUpdates(m.subscribe, m.acctCode)),
    7: Reader(ib.ExecutionRequest, lambda m: asked.Executions(
        m.reqId, m.executionFilter.clientId, m.executionFilter.acctCode, m.executionFilter.time,
        m.executionFilter.symbol, m.executionFilter.secType, m.executionFilter.exchange, m.executionFilter.side,
        m.executionFilter.lastNDays, tuple(m.executionFilter.specificDates))),
    9: Reader(ib.ContractDataRequest, lambda m: asked.OfContract(m.reqId, contract(m.contract))),
    10: Reader(ib.MarketDepthRequest, lambda m: asked.MarketDepth(
        m.reqId, contract(m.contract), m.numRows, m.isSmartDepth)),
    15: Reader(ib.AutoOpenOrdersRequest, lambda m: asked.AutoOpenOrders(m.autoBind)),
    20: Reader(ib.HistoricalDataRequest, lambda m: asked.HistoricalData(
        m.reqId, contract(m.contract), m.endDateTime, m.barSizeSetting, m.duration, m.whatToShow, m.formatDate or 1,
        m.keepUpToDate)),
    22: Reader(ib.ScannerSubscriptionRequest, lambda m: asked.Scanner(m.reqId, scan(m.scannerSubscription))),
    50: Reader(ib.RealTimeBarsRequest, lambda m: asked.RealTimeBars(
        m.reqId, contract(m.contract), m.barSize, m.whatToShow)),
    **dict.fromkeys((54, 55), Reader(
        ib.CalculateOptionPriceRequest, lambda m: asked.OfContract(m.reqId, contract(m.contract)))),
    59: Reader(ib.MarketDataTypeRequest, lambda m: asked.MarketDataType(m.marketDataType)),
    62: Reader(ib.AccountSummaryRequest, lambda m: asked.AccountSummary(m.reqId, m.tags)),
    68: Reader(ib.SubscribeToGroupEventsRequest, lambda m: asked.DisplayGroup(m.reqId, m.groupId)),
    69: Reader(ib.UpdateDisplayGroupRequest, lambda m: asked.DisplayGroupContract(m.reqId, m.contractInfo)),
    71: Reader(ib.StartApiRequest, lambda m: asked.StartApi(m.clientId)),
    **dict.fromkeys((74, 76, 92), Reader(
        ib.PositionsMultiRequest, lambda m: asked.OfAccount(m.reqId, m.account))),
    78: Reader(ib.SecDefOptParamsRequest, lambda m: asked.OptionParams(
        m.reqId, m.underlyingSymbol, m.futFopExchange, m.underlyingSecType, m.underlyingConId)),
    81: Reader(ib.MatchingSymbolsRequest, lambda m: asked.MatchingSymbols(m.reqId, m.pattern)),
    84: Reader(ib.NewsArticleRequest, lambda m: asked.NewsArticle(m.reqId, m.providerCode, m.articleId)),
    86: Reader(ib.HistoricalNewsRequest, lambda m: asked.HistoricalNews(
        m.reqId, m.conId, m.providerCodes, m.startDateTime, m.endDateTime, m.totalResults)),
    87: Reader(ib.HeadTimestampRequest, lambda m: asked.HeadTimestamp(
        m.reqId, contract(m.contract), m.whatToShow, m.formatDate or 1)),
    88: Reader(ib.HistogramDataRequest, lambda m: asked.Histogram(m.reqId, contract(m.contract), m.timePeriod)),
    91: Reader(ib.MarketRuleRequest, lambda m: asked.MarketRule(m.marketRuleId)),
    94: Reader(ib.PnLSingleRequest, lambda m: asked.ProfitOf(m.reqId, m.account, m.conId)),
    96: Reader(ib.HistoricalTicksRequest, lambda m: asked.HistoricalTicks(
        m.reqId, contract(m.contract), m.startDateTime, m.endDateTime, m.numberOfTicks, m.whatToShow)),
    97: Reader(ib.TickByTickRequest, lambda m: asked.TickByTick(
        m.reqId, contract(m.contract), m.tickType, m.numberOfTicks)),
    99: Reader(ib.CompletedOrdersRequest, lambda m: asked.CompletedOrders(m.apiOnly)),
}  # fmt: skip
