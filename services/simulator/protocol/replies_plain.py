"""What the server says in the same fields and in the same order as text and as protobuf: each such message once.

`TextReplies` and `ProtobufReplies` stand on it, and say how a message is written.
"""

from abc import ABC, abstractmethod
from typing import Any

from services.simulator.protocol import ib


class PlainReplies(ABC):
    @abstractmethod
    def _plain(self, head: tuple[int, ...], message: Any, **fields: object) -> bytes:
        """As text its fields follow `head`: the message's id and, where it has one, a version of its own."""

    # --- connection ---

    def next_valid_id(self, order: int) -> bytes:
        return self._plain((9, 1), ib.NextValidId, orderId=order)

    def managed_accounts(self, accounts: str) -> bytes:
        return self._plain((15, 1), ib.ManagedAccounts, accountsList=accounts)

    def current_time(self, seconds: int) -> bytes:
        return self._plain((49, 1), ib.CurrentTime, currentTime=seconds)

    def current_time_in_millis(self, milliseconds: int) -> bytes:
        return self._plain((109,), ib.CurrentTimeInMillis, currentTimeInMillis=milliseconds)

    def user_info(self, request: int) -> bytes:
        return self._plain((107,), ib.UserInfo, reqId=request, whiteBrandingId="")

    # --- market data ---

    def market_data_type(self, request: int, kind: int) -> bytes:
        return self._plain((58, 1), ib.MarketDataType, reqId=request, marketDataType=kind)

    def reroute_market_data(self, request: int, con_id: int, exchange: str) -> bytes:
        return self._plain((91,), ib.RerouteMarketDataRequest, reqId=request, conId=con_id, exchange=exchange)

    def reroute_market_depth(self, request: int, con_id: int, exchange: str) -> bytes:
        return self._plain((92,), ib.RerouteMarketDepthRequest, reqId=request, conId=con_id, exchange=exchange)

    def tick_snapshot_end(self, request: int) -> bytes:
        return self._plain((57, 1), ib.TickSnapshotEnd, reqId=request)

    # --- contracts and history ---

    def contract_details_end(self, request: int) -> bytes:
        return self._plain((52, 1), ib.ContractDataEnd, reqId=request)

    def option_params_end(self, request: int) -> bytes:
        return self._plain((76,), ib.SecDefOptParameterEnd, reqId=request)

    def head_timestamp(self, request: int, moment: str) -> bytes:
        return self._plain((88,), ib.HeadTimestamp, reqId=request, headTimestamp=moment)

    # --- accounts, and the ends of what is said about orders ---

    def account_value(self, key: str, value: str, currency: str, account: str) -> bytes:
        return self._plain((6, 2), ib.AccountValue, key=key, value=value, currency=currency, accountName=account)

    def account_time(self, clock: str) -> bytes:
        return self._plain((8, 1), ib.AccountUpdateTime, timeStamp=clock)

    def account_download_end(self, account: str) -> bytes:
        return self._plain((54, 1), ib.AccountDataEnd, accountName=account)

    def account_summary(self, request: int, account: str, tag: str, value: str, currency: str) -> bytes:
        return self._plain(
            (63, 1), ib.AccountSummary, reqId=request, account=account, tag=tag, value=value, currency=currency
        )

    def account_summary_end(self, request: int) -> bytes:
        return self._plain((64, 1), ib.AccountSummaryEnd, reqId=request)

    def account_update_multi(self, request: int, account: str, key: str, value: str, currency: str) -> bytes:
        fields = {"reqId": request, "account": account, "modelCode": "", "key": key, "value": value}
        return self._plain((73, 1), ib.AccountUpdateMulti, **fields, currency=currency)

    def account_update_multi_end(self, request: int) -> bytes:
        return self._plain((74, 1), ib.AccountUpdateMultiEnd, reqId=request)

    def position_end(self) -> bytes:
        return self._plain((62, 1), ib.PositionEnd)

    def position_multi_end(self, request: int) -> bytes:
        return self._plain((72, 1), ib.PositionMultiEnd, reqId=request)

    def open_order_end(self) -> bytes:
        return self._plain((53, 1), ib.OpenOrdersEnd)

    def completed_orders_end(self) -> bytes:
        return self._plain((102,), ib.CompletedOrdersEnd)

    def executions_end(self, request: int) -> bytes:
        return self._plain((55, 1), ib.ExecutionDetailsEnd, reqId=request)

    # --- news and the rest ---

    def historical_news_end(self, request: int, more: bool) -> bytes:
        return self._plain((87,), ib.HistoricalNewsEnd, reqId=request, hasMore=more)

    def news_article(self, request: int, text: str) -> bytes:
        return self._plain((83,), ib.NewsArticle, reqId=request, articleType=0, articleText=text)

    def scanner_parameters(self, xml: str) -> bytes:
        return self._plain((19, 1), ib.ScannerParameters, xml=xml)

    def receive_fa(self, kind: int) -> bytes:
        return self._plain((16, 1), ib.ReceiveFA, faDataType=kind, xml="")

    def display_groups(self, request: int, groups: str) -> bytes:
        return self._plain((67, 1), ib.DisplayGroupList, reqId=request, groups=groups)

    def display_group_updated(self, request: int, contract: str) -> bytes:
        return self._plain((68, 1), ib.DisplayGroupUpdated, reqId=request, contractInfo=contract)
