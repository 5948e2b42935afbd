"""Text and protobuf say the same: each reply through the official decoder in both, ticks against the official classes,
and the table of what is protobuf from when against the official client's own.
"""

import inspect
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ibapi import common
from ibapi.decoder import Decoder

from services.simulator.market import ticks
from services.simulator.market.contracts import Instrument
from services.simulator.market.depth import DepthRow, Level
from services.simulator.market.derived import OptionSeries
from services.simulator.market.greeks import Worth
from services.simulator.market.headlines import Headline
from services.simulator.market.past_ticks import PastTick
from services.simulator.market.prices import GENERIC, PRICE, SIZE, STRING, Tick
from services.simulator.protocol import read_protobuf
from services.simulator.protocol.replies import PROTOBUF_SINCE, Replies
from services.simulator.protocol.replies_protobuf import ProtobufReplies
from services.simulator.protocol.replies_text import TextReplies
from services.simulator.protocol.rows import BarRow, ChargeRow, ExecutionRow, Hours, OrderRow, PositionRow, StatusRow
from services.simulator.protocol.versions import HIGHEST, PROTOBUF_REST
from tests.unit.simulator.conversation import Recorder

SPY = Instrument(756733, "SPY", "SPDR \\ “S&P”", 585.0, 0.01, 62_000_000, primary="ARCA", local_symbol="SPY",
                 trading_class="SPY", market_name="SPY", stock_type="ETF", industry="Funds")  # fmt: skip
ES = Instrument(515416632, "ES", "E-mini S&P 500", 5895.0, 0.01, 1_000, "FUT", "CME", tick=0.25, multiplier="50",
                expiry="20261218", local_symbol="ESZ6", trading_class="ES", market_name="ES", under_con_id=11004968,
                under_symbol="SPX", under_sec_type="IND", market_rule=67)  # fmt: skip
BARS = [BarRow("20260402 09:30:00 US/Eastern", 254.2, 254.8, 250.65, 252.53, 2_829_736, 252.266, 13_633)]
PAST = [PastTick(1_787_603_266, "585.01", "585.03", "585.01", 300, 40, 7),
        PastTick(1_787_603_267, "585.02", "585.03", "585.02", 200, 40, 0.25)]  # fmt: skip
HOURS = Hours("US/Eastern", "20260402:0400-20260402:2000", "20260402:0930-20260402:1600")
OPEN = OrderRow(17, SPY, "SMART", {
    "action": "BUY", "totalQuantity": "300", "orderType": "LMT", "lmtPrice": 585.01, "tif": "GTC", "clientId": 3,
    "permId": 1_700_000_001, "account": "DU1", "orderRef": "mine", "ocaGroup": "one", "ocaType": 1, "whatIf": True,
    "volatilityType": 2, "referencePriceType": 1, "triggerPrice": 1.5, "adjustedStopPrice": 2.5,
}, {"status": "PreSubmitted", "commissionAndFees": 1.5, "commissionAndFeesCurrency": "USD"})  # fmt: skip
DONE = OrderRow(
    0,
    ES,
    "CME",
    {
        "action": "SELL",
        "totalQuantity": "2",
        "orderType": "TRAIL",
        "trailStopPrice": 5890.25,
        "permId": 1_700_000_001,
        "filledQuantity": "2",
        "parentPermId": 1_700_000_000,
        "volatilityType": 2,
        "referencePriceType": 1,
    },
    {"status": "Filled", "completedTime": "20260402 09:30:00 US/Eastern", "completedStatus": "Filled Size: 2"},
)
STATUS = StatusRow(17, "Submitted", "100", "200", 585.015, 1_700_000_001, 16, 585.01, 3, "child,trigger")
FILL = ExecutionRow(17, SPY, "SMART", "0000d1a5.1.2.01", "20260402 09:30:00 US/Eastern", "DU1", "ARCA", "BOT", "100",
                    585.01, 1_700_000_001, 3, "100", 585.01, "mine", 2)  # fmt: skip
HELD = PositionRow(ES, "-2", 5895.25, -589_525.0, 294_760.0, 10.5, -3.25)

SAID: list[tuple[str, tuple[Any, ...]]] = [
    ("error", (7, 200, "No “such” thing: \\n is no line", 1_787_603_258_195)),
    ("error", (-1, 2104, "Market data farm connection is OK:usfarm", 1_787_603_258_195)),
    ("next_valid_id", (581,)),
    ("managed_accounts", ("DU1,DU2",)),
    ("current_time", (1_787_603_266,)),
    ("current_time_in_millis", (1_787_603_266_123,)),
    ("user_info", (7,)),
    ("market_data_type", (7, 3)),
    ("tick_req_params", (7, SPY, "9c0001")),
    ("tick_req_params", (7, ES, "9c0001")),
    ("reroute_market_data", (7, 8314, "SMART")),
    ("tick_snapshot_end", (7,)),
    ("reroute_market_depth", (7, 8314, "SMART")),
    ("tick_news", (7, 1767625200000, "SIM-N", "SIM-N$1", "A headline; with anything in it")),
    ("market_depth", (7, DepthRow(3, 1, 0, Level("585.01", 300.0, "NSDQ"), True))),
    ("market_depth", (7, DepthRow(3, 2, 1, Level("585.01", 0.25, "NSDQ"), False))),
    ("option_computation", (7, 13, Worth(12.5, 0.31, -0.48, 0.0125, 0.25, -0.125, 585.25))),
    ("real_time_bar", (7, BARS[0]._replace(time="1787603266"))),
    ("tick_by_tick_last", (7, True, 1_787_603_266, "585.01", 40, "ARCA")),
    ("tick_by_tick_last", (7, False, 1_787_603_266, "585.01", 12_345_678.5, "ARCA")),
    ("tick_by_tick_bid_ask", (7, 1_787_603_266, "585.01", "585.03", 300, 40)),
    ("tick_by_tick_midpoint", (7, 1_787_603_266, 585.02)),
    ("contract_details", (7, SPY, "SMART", HOURS)),
    ("contract_details", (7, ES, "CME", HOURS)),
    ("contract_details_end", (7,)),
    ("symbol_samples", (7, [SPY, ES])),
    ("option_params", (7, 1, OptionSeries("SMART", "SPY", "100", ["20260717", "20260821"], [580.0, 585.0, 587.5]))),
    ("option_params_end", (7,)),
    ("smart_components", (7, [])),
    ("market_rule", (26, "0.01")),
    ("depth_exchanges", ([("NASDAQ", "STK")],)),
    ("historical_data", (7, "20260402 00:00:00", "20260403 00:00:00", BARS, 2, 40)),
    ("head_timestamp", (7, "19801212-14:30:00")),
    ("histogram", (7, [("585.01", 100), ("585.02", 250)])),
    ("historical_schedule", (7, "20260727-09:30:00", "20260727-16:00:00", "US/Eastern",
                             [("20260727-09:30:00", "20260727-16:00:00", "20260727")])),
    ("historical_ticks", (7, PAST)),
    ("historical_ticks", (7, [])),
    ("historical_ticks_bid_ask", (7, PAST)),
    ("historical_ticks_last", (7, PAST, "NASDAQ")),
    ("historical_data_update", (7, BARS[0], 2)),
    ("account_value", ("CashBalance", "1000000.00", "USD", "DU1")),
    ("account_time", ("09:31",)),
    ("account_download_end", ("DU1",)),
    ("account_summary", (7, "DU1", "NetLiquidation", "1000000.00", "USD")),
    ("account_summary_end", (7,)),
    ("account_update_multi", (7, "DU1", "NetLiquidation", "1000000.00", "USD")),
    ("account_update_multi_end", (7,)),
    ("position_end", ()),
    ("position_multi_end", (7,)),
    ("open_order_end", ()),
    ("completed_orders_end", ()),
    ("executions_end", (7,)),
    ("pnl", (7, 12.5, -3.25, 15.75)),
    ("pnl_single", (7, "300", 12.5, -3.25, 15.75, 175_503.0)),
    ("open_order", (OPEN,)),
    ("completed_order", (DONE,)),
    ("order_status", (STATUS,)),
    ("order_bound", (1_700_000_001, 0, 12)),
    ("execution", (7, FILL)),
    ("execution", (-1, FILL._replace(instrument=ES, exchange="CME", side="SLD", liquidity=1))),
    ("commission_report", (ChargeRow("0000d1a5.1.2.01", 1.0, "USD", None),)),
    ("commission_report", (ChargeRow("0000d1a5.1.2.01", 1.0, "USD", -12.34),)),
    ("position", ("DU1", HELD)),
    ("position_multi", (7, "DU1", HELD)),
    ("portfolio_value", ("DU1", HELD)),
    ("family_codes", ("DU1",)),
    ("soft_dollar_tiers", (7,)),
    ("news_providers", ([],)),
    ("news_providers", ([("BRFG", "Briefing.com")],)),
    ("historical_news", (7, Headline("2026-01-05 14:00:00.0", "BRFG", "BRFG$1_2", "A “headline”"))),
    ("historical_news_end", (7, True)),
    ("news_article", (7, "An article")),
    ("scanner_parameters", ("<ScanParameterResponse/>",)),
    ("scanner_data", (7, [])),
    ("scanner_data", (7, [SPY, SPY])),
    ("receive_fa", (1,)),
    ("display_groups", (7, "1|2")),
    ("display_group_updated", (7, "8314@SMART")),
]  # fmt: skip
# The official decoder makes a list of text smart components and a map of protobuf ones: their rows are tested apart.
CANNOT = {"minAlgoSize", "lastPricePrecision", "lastSizePrecision"}  # of contract details: protobuf alone has them


def heard(version: int, data: bytes) -> list[Any]:
    """The callbacks that the official decoder makes of whole frames, with objects as their fields."""
    recorder = Recorder()
    decoder = Decoder(recorder, version)
    while data:
        length, kind = int.from_bytes(data[:4], "big"), data[4:8]
        payload, data = data[4 : 4 + length], data[4 + length :]
        if version < 201:
            first, *fields = payload.split(b"\0")[:-1]
            decoder.interpret(tuple(fields), int(first))
        elif int.from_bytes(kind, "big") > 200:
            decoder.processProtoBuf(payload[4:], int.from_bytes(kind, "big") - 200)
        else:
            decoder.interpret(tuple(payload[4:].split(b"\0")[:-1]), int.from_bytes(kind, "big"))
    return [plain(call) for call in recorder.calls]


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict | set | frozenset):
        return sorted(map(repr, value.items() if isinstance(value, dict) else value))
    if type(value).__module__.startswith("ibapi."):
        return {name: plain(one) or "" for name, one in vars(value).items() if name not in CANNOT}
    return float(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize(("name", "arguments"), SAID)
def test_every_reply_says_the_same_as_text_and_as_protobuf(name: str, arguments: tuple[Any, ...]) -> None:
    as_text = heard(200, getattr(TextReplies(200), name)(*arguments))
    assert as_text
    since = PROTOBUF_SINCE[name]
    for version in (201, since - 1, since, PROTOBUF_REST, HIGHEST):
        data = getattr(Replies(version), name)(*arguments)
        assert (int.from_bytes(data[4:8], "big") > 200) == (version >= since) or version < 201
        assert heard(version, data) == as_text, version


@pytest.mark.parametrize("version", [200, HIGHEST])
def test_smart_components(version: int) -> None:
    ((_, request, found),) = heard(version, Replies(version).smart_components(7, [("NYSE", "N"), ("ARCA", "P")]))
    assert request == 7 and [word in str(found) for word in ("NYSE", "N", "ARCA", "P")] == [True] * 4


def test_no_reply_is_left_out() -> None:
    public = {name for name, _ in inspect.getmembers(TextReplies, inspect.isfunction) if not name.startswith("_")}
    assert public == PROTOBUF_SINCE.keys() == {name for name, _ in SAID}
    for name in public:
        assert inspect.signature(getattr(TextReplies, name)) == inspect.signature(getattr(ProtobufReplies, name))


def test_what_a_client_may_send_as_protobuf_is_what_the_official_client_sends() -> None:
    ask = getattr(common, "getServerVersionForMessage", None) or common.PROTOBUF_MSG_IDS.get
    left_out = {52, 53, 65, 66, 106, 107}  # fundamentals are gone from newer clients; no table names 106 and 107
    for kind in set(range(1, 110)) - left_out:
        since = ask(kind)
        assert read_protobuf.SINCE.get(kind) == (since if isinstance(since, int) else None), kind


TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\0\\"), max_size=300)
PRICES = st.floats(allow_nan=False, allow_infinity=False).map(repr)
SIZES = st.integers(0, 10**9) | st.floats(0, 1e9).map(lambda size: round(size, 4))
FIELDS = st.integers(0, 199)
REQUESTS = st.integers(-(2**31), 2**31 - 1)
TICKS = (
    st.builds(lambda field, text, size, mask: Tick(PRICE, field, text, size, mask), FIELDS, PRICES, SIZES,
              st.integers(0, 7))
    | st.builds(lambda field, size: Tick(SIZE, field, "", size), FIELDS, SIZES)
    | st.builds(lambda field, text: Tick(GENERIC, field, text), FIELDS, PRICES)
    | st.builds(lambda field, text: Tick(STRING, field, text), FIELDS, TEXTS)
)  # fmt: skip


@settings(deadline=None)
@given(REQUESTS, TICKS)
def test_a_tick_is_to_the_byte_what_the_official_classes_write(request: int, tick: Tick) -> None:
    name = {PRICE: "TickPrice", SIZE: "TickSize", GENERIC: "TickGeneric", STRING: "TickString"}[tick.kind]
    official = getattr(import_module(f"ibapi.protobuf.{name}_pb2"), name)(reqId=request, tickType=tick.field)
    if tick.kind == PRICE:
        official.price, official.size, official.attrMask = float(tick.text), str(tick.size), tick.mask
    elif tick.kind == SIZE:
        official.size = str(tick.size)
    else:
        official.value = float(tick.text) if tick.kind == GENERIC else tick.text
    form = ticks.form(HIGHEST)
    encoded = ticks.encode([tick], form, ES, delayed=False)
    assert ticks.frames(ticks.heads(request, form), encoded)[8:] == official.SerializeToString()


@settings(deadline=None)
@given(REQUESTS, TICKS)
def test_a_tick_says_the_same_in_every_form(request: int, tick: Tick) -> None:
    assume(tick.field < 104)  # the official decoder knows no more of them in its older packages
    seen = []
    for version in (200, 201, 205, 206, HIGHEST):
        form = ticks.form(version)
        data = ticks.frames(ticks.heads(request, form), ticks.encode([tick], form, ES, delayed=False))
        seen.append(heard(version, data))
    assert seen[1:] == seen[:-1]
