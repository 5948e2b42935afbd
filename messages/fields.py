"""Tick fields: IB's tick ids as they are on the wire, and our own from 200 on.

Source: TWS API documentation, "Available Tick Types". Delayed ids (66 to 90) fold into the same quote
field as their live twin; what was delivered stays visible in the journal and in `market_data_type`.
"""

from typing import Final

BID_SIZE: Final = 0
BID: Final = 1
ASK: Final = 2
ASK_SIZE: Final = 3
LAST: Final = 4
LAST_SIZE: Final = 5
HIGH: Final = 6
LOW: Final = 7
VOLUME: Final = 8
CLOSE: Final = 9
OPEN: Final = 14
LAST_TIME: Final = 45
HALTED: Final = 49
NEWS: Final = 62  # a text made of message 84: time in ms, provider, article, headline, with semicolons between
DELAYED_BID: Final = 66
DELAYED_ASK: Final = 67
DELAYED_LAST: Final = 68
DELAYED_BID_SIZE: Final = 69
DELAYED_ASK_SIZE: Final = 70
DELAYED_LAST_SIZE: Final = 71
DELAYED_HIGH: Final = 72
DELAYED_LOW: Final = 73
DELAYED_VOLUME: Final = 74
DELAYED_CLOSE: Final = 75
DELAYED_OPEN: Final = 76
DELAYED_LAST_TIME: Final = 88
DELAYED_HALTED: Final = 90

# Ours. Written by the gateway into the same stream, so that a quote is a fold of one stream alone.
MARKET_DATA_TYPE: Final = 200  # value: 1 realtime, 2 frozen, 3 delayed, 4 delayed_frozen, as IB said per request
SOURCE: Final = 201  # value: one of SOURCES below
CURRENCY: Final = 202  # text
EXCHANGE: Final = 203  # text
PRICE_TIME: Final = 204  # value: Unix seconds of the prices just before it, which are older than their block
FIELDS_SINCE: Final = 205  # value: Unix seconds; what IB sent of the symbol before is of another source than SOURCE's
PRICE_MAGNIFIER: Final = 206  # value: IB's prices of the symbol, as they stand here, are so many times too large
MULTIPLIER: Final = 207  # value: what one contract is worth in units of its price
# How many shares or contracts one of IB's sizes and volumes stands for; 0: nobody knows.
SIZE_UNIT: Final = 208
VOLUME_UNIT: Final = 209
DELAYED_VOLUME_UNIT: Final = 210
# Tick by tick, where the plan asks for it: a time (Unix seconds), then what happened at that time.
TRADE_TIME: Final = 211
TRADE: Final = 212  # value: the price, with its size as IB counts it
TRADE_VENUE: Final = 213  # text: exchange and special conditions, with a semicolon between
QUOTE_TIME: Final = 214
QUOTE_BID: Final = 215  # with its size
QUOTE_ASK: Final = 216
MIDPOINT: Final = 217
# Bars of five seconds, where the plan asks for them: the start (Unix seconds), then the others.
BAR_TIME: Final = 220
BAR_OPEN: Final = 221
BAR_HIGH: Final = 222
BAR_LOW: Final = 223
BAR_CLOSE: Final = 224
BAR_VOLUME: Final = 225
BAR_VWAP: Final = 226
BAR_TRADES: Final = 227

LOCAL_SYMBOL: Final = 228  # text, of a future
CONTRACT_MONTH: Final = 229  # text, of a future: YYYYMM

SOURCE_STREAM: Final = 0
SOURCE_SNAPSHOT: Final = 1
SOURCE_HISTORY: Final = 2
SOURCE_MOCK: Final = 10  # added to one of the three: the same, but invented by a simulator

SOURCES: Final = {
    SOURCE_STREAM: "ib_stream",
    SOURCE_SNAPSHOT: "ib_snapshot",
    SOURCE_HISTORY: "ib_history",
    SOURCE_MOCK + SOURCE_STREAM: "mock",
    SOURCE_MOCK + SOURCE_SNAPSHOT: "mock",
    SOURCE_MOCK + SOURCE_HISTORY: "mock",
}

MARKET_DATA_TYPES: Final = {1: "realtime", 2: "frozen", 3: "delayed", 4: "delayed_frozen"}
UNDELAYED: Final = frozenset({1, 2})
"""Market data types beside which a delayed tick is none of what was delivered."""

DELAYED_TWIN: Final = {
    BID: DELAYED_BID, ASK: DELAYED_ASK, LAST: DELAYED_LAST, BID_SIZE: DELAYED_BID_SIZE, ASK_SIZE: DELAYED_ASK_SIZE,
    LAST_SIZE: DELAYED_LAST_SIZE, HIGH: DELAYED_HIGH, LOW: DELAYED_LOW, VOLUME: DELAYED_VOLUME, CLOSE: DELAYED_CLOSE,
    OPEN: DELAYED_OPEN, LAST_TIME: DELAYED_LAST_TIME, HALTED: DELAYED_HALTED,
}  # fmt: skip
"""The field that says the same of delayed data."""

DELAYED_FIELDS: Final = frozenset(DELAYED_TWIN.values())

_LIVE: Final = {
    BID_SIZE: "bid_size", BID: "bid", ASK: "ask", ASK_SIZE: "ask_size", LAST: "last", LAST_SIZE: "last_size",
    HIGH: "high", LOW: "low", VOLUME: "volume", CLOSE: "close", OPEN: "open", LAST_TIME: "exchange_time",
    HALTED: "halted",
}  # fmt: skip
_OWN: Final = {
    MARKET_DATA_TYPE: "market_data_type", SOURCE: "source", CURRENCY: "currency", EXCHANGE: "exchange",
    FIELDS_SINCE: "since", PRICE_MAGNIFIER: "price_magnifier", MULTIPLIER: "multiplier", LOCAL_SYMBOL: "local_symbol",
    CONTRACT_MONTH: "contract_month",
}  # fmt: skip

QUOTE_FIELD: Final[dict[int, str]] = _LIVE | {DELAYED_TWIN[field]: name for field, name in _LIVE.items()} | _OWN
"""The quote field that a tick field sets. Other ticks are journalled, and leave the quote alone."""

SIZE_FIELD: Final[dict[int, str]] = {
    field: f"{QUOTE_FIELD[field]}_size" for price in (BID, ASK, LAST) for field in (price, DELAYED_TWIN[price])
}
"""The size field that travels with a price tick."""

NUMERIC_STRING_FIELDS: Final = frozenset({LAST_TIME, DELAYED_LAST_TIME})
"""tickString fields whose text is a number (Unix seconds); the text of every other one is kept as text."""

TEXT_FIELDS: Final = frozenset({CURRENCY, EXCHANGE, TRADE_VENUE, LOCAL_SYMBOL, CONTRACT_MONTH})
"""Our own fields whose value is a text."""

COMPUTED_FIELDS: Final = frozenset({10, 11, 12, 13, 53, 80, 81, 82, 83})
"""Option computations: a text of implied volatility, delta, price, present value of dividends, gamma, vega, theta and
the underlying's price, with semicolons between; what IB did not compute is empty."""

WIRE_TEXT_FIELDS: Final = frozenset({32, 33, 47, 48, 59, 62, 77, 84, 85, 109, 110, *range(38, 45)}) | COMPUTED_FIELDS
"""IB's fields whose value is a text: exchanges, ratios, RT volume, dividends, news, EFPs, and their like."""

_NAMES: Final = """
    bid_size bid ask ask_size last last_size high low volume close bid_option_computation ask_option_computation
    last_option_computation model_option open low_13_week high_13_week low_26_week high_26_week low_52_week
    high_52_week avg_volume open_interest option_historical_vol option_implied_vol option_bid_exch option_ask_exch
    option_call_open_interest option_put_open_interest option_call_volume option_put_volume index_future_premium
    bid_exch ask_exch auction_volume auction_price auction_imbalance mark_price bid_efp_computation
    ask_efp_computation last_efp_computation open_efp_computation high_efp_computation low_efp_computation
    close_efp_computation last_timestamp shortable not_used rt_volume halted bid_yield ask_yield last_yield
    cust_option_computation trade_count trade_rate volume_rate last_rth_trade rt_historical_vol ib_dividends
    bond_factor_multiplier regulatory_imbalance news_tick short_term_volume_3_min short_term_volume_5_min
    short_term_volume_10_min delayed_bid delayed_ask delayed_last delayed_bid_size delayed_ask_size
    delayed_last_size delayed_high delayed_low delayed_volume delayed_close delayed_open rt_trd_volume
    creditman_mark_price creditman_slow_mark_price delayed_bid_option delayed_ask_option delayed_last_option
    delayed_model_option last_exch last_reg_time futures_open_interest avg_opt_volume delayed_last_timestamp
    shortable_shares delayed_halted reuters_2_mutual_funds etf_nav_close etf_nav_prior_close etf_nav_bid etf_nav_ask
    etf_nav_last etf_frozen_nav_last etf_nav_high etf_nav_low social_market_analytics estimated_ipo_midpoint
    final_ipo_last delayed_yield_bid delayed_yield_ask odd_lot_bid odd_lot_ask odd_lot_bid_size odd_lot_ask_size
    odd_lot_bid_exch odd_lot_ask_exch
"""

_FINE: Final = {
    TRADE_TIME: "trade_time", TRADE: "trade", TRADE_VENUE: "trade_venue", QUOTE_TIME: "quote_time",
    QUOTE_BID: "quote_bid", QUOTE_ASK: "quote_ask", MIDPOINT: "midpoint", BAR_TIME: "bar_time", BAR_OPEN: "bar_open",
    BAR_HIGH: "bar_high", BAR_LOW: "bar_low", BAR_CLOSE: "bar_close", BAR_VOLUME: "bar_volume", BAR_VWAP: "bar_vwap",
    BAR_TRADES: "bar_trades",
}  # fmt: skip

TICK_NAME: Final[dict[int, str]] = dict(enumerate(_NAMES.split())) | QUOTE_FIELD | _FINE
"""What a tick is called: the quote field that it sets, or the name that IB's client has for it."""
