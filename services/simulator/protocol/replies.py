"""What the server says, in the shape of one server version: text, protobuf or the mixture between, message by message.

A `Replies` belongs to one client and its negotiated version; every method returns whole frames.
"""

from services.simulator.protocol import versions as v
from services.simulator.protocol.replies_protobuf import ProtobufReplies
from services.simulator.protocol.replies_text import TextReplies

# A reply is protobuf from the version on at which the official client sends its request as protobuf; captured
# gateways agree (accounts 207, order ids and time 213). Errors come first of all.
PROTOBUF_SINCE: dict[str, int] = {
    **dict.fromkeys(("error", "execution", "executions_end", "commission_report"), v.RAW_MESSAGE_IDS),
    **dict.fromkeys(("open_order", "order_status", "order_bound"), v.PROTOBUF_ORDERS),
    **dict.fromkeys(("open_order_end", "completed_order", "completed_orders_end"), v.PROTOBUF_COMPLETED_ORDERS),
    **dict.fromkeys(("contract_details", "contract_details_end"), v.PROTOBUF_CONTRACTS),
    **dict.fromkeys(
        ("market_data_type", "tick_req_params", "reroute_market_data", "reroute_market_depth", "option_computation",
         "tick_snapshot_end", "market_depth"), v.PROTOBUF_MARKET_DATA),
    **dict.fromkeys(
        ("managed_accounts", "account_value", "account_time", "account_download_end", "account_summary",
         "account_summary_end", "account_update_multi", "account_update_multi_end", "position_end",
         "position_multi_end", "position", "position_multi", "portfolio_value"), v.PROTOBUF_ACCOUNTS),
    **dict.fromkeys(
        ("historical_data", "head_timestamp", "histogram", "historical_schedule", "historical_ticks",
         "historical_ticks_bid_ask", "historical_ticks_last", "historical_data_update", "real_time_bar",
         "tick_by_tick_last", "tick_by_tick_bid_ask", "tick_by_tick_midpoint"), v.PROTOBUF_HISTORY),
    **dict.fromkeys(
        ("news_providers", "historical_news", "historical_news_end", "news_article", "tick_news"), v.PROTOBUF_NEWS),
    **dict.fromkeys(("scanner_parameters", "scanner_data", "pnl", "pnl_single"), v.PROTOBUF_SCANNER),
    "receive_fa": v.PROTOBUF_OPTIONS,
    **dict.fromkeys(
        ("option_params", "option_params_end", "soft_dollar_tiers", "family_codes", "symbol_samples",
         "smart_components", "market_rule", "user_info"), v.PROTOBUF_SYMBOLS),
    **dict.fromkeys(
        ("next_valid_id", "current_time", "current_time_in_millis", "display_groups", "display_group_updated",
         "depth_exchanges"),
        v.PROTOBUF_REST),
}  # fmt: skip


class Replies(TextReplies):
    """Text, but for the methods that this version has as protobuf."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        protobuf = ProtobufReplies()
        for name, since in PROTOBUF_SINCE.items():
            if version >= since:
                setattr(self, name, getattr(protobuf, name))
