"""Orders on the wire: what the official client writes is what we read, and what we write is what it reads, in text and
in protobuf, in every server version.
"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibapi.client import EClient
from ibapi.const import UNSET_DECIMAL, UNSET_DOUBLE, UNSET_INTEGER
from ibapi.contract import ComboLeg, Contract, DeltaNeutralContract
from ibapi.order import Order, OrderComboLeg
from ibapi.order_condition import (
    ExecutionCondition,
    MarginCondition,
    PercentChangeCondition,
    PriceCondition,
    TimeCondition,
    VolumeCondition,
)
from ibapi.softdollartier import SoftDollarTier
from ibapi.tag_value import TagValue
from ibapi.wrapper import EWrapper

from services.simulator.protocol import order_versions, requests, versions
from services.simulator.protocol.order_fields import KINDS
from services.simulator.protocol.replies import Replies
from services.simulator.protocol.requested import PlaceOrder
from services.simulator.protocol.rows import OrderRow
from services.simulator.protocol.wire import unwrap
from tests.unit.simulator.test_encodings import ES, SPY, heard

THRESHOLDS = {
    value
    for module in (versions, order_versions)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, int)
}
VERSIONS = sorted({v for t in THRESHOLDS for v in (t - 1, t) if versions.LOWEST <= v <= versions.HIGHEST})
TEXT_VERSIONS = [version for version in VERSIONS if version < versions.PROTOBUF_ORDERS]

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="=;"), max_size=12)
SOME_TEXT = st.just("") | TEXT
INTEGERS = st.integers(0, 10**6)
DOUBLES = st.just(UNSET_DOUBLE) | st.floats(0, 1e6).map(lambda number: round(number, 4))
# Plain fields that a client has not in hand, or that have a shape of their own.
OURS = {"clientId", "orderId", "permId", "filledQuantity", "autoCancelDate", "refFuturesConId", "shareholder",
        "parentPermId", "auctionStrategy", "basisPoints", "basisPointsType", "bondAccruedInterest",
        "submitter"}  # fmt: skip
CONDITIONS = st.lists(st.one_of(
    st.builds(PriceCondition, st.integers(0, 8), INTEGERS, TEXT, st.booleans(), st.floats(0, 1e6)),
    st.builds(TimeCondition, st.booleans(), TEXT.filter(bool)),
    st.builds(MarginCondition, st.booleans(), INTEGERS),
    st.builds(ExecutionCondition, TEXT, TEXT, TEXT),
    st.builds(VolumeCondition, INTEGERS, TEXT, st.booleans(), INTEGERS),
    st.builds(PercentChangeCondition, INTEGERS, TEXT, st.booleans(), st.floats(0, 1e3)),
), max_size=3)  # fmt: skip
TAGS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=3)


@st.composite
def orders(draw: Any) -> Order:
    """An official order with anything in any of its fields."""
    order = Order()
    for name, default in vars(Order()).items():
        if name not in KINDS or name in OURS or draw(st.integers(0, 2)):
            continue
        kind = KINDS[name]
        if isinstance(default, bool) or name in ("usePriceMgmtAlgo", "routeMarketableToBbo", "seekPriceImprovement"):
            value: Any = draw(st.booleans())
        elif name == "totalQuantity":
            value = Decimal(draw(INTEGERS))
        else:
            value = draw({str: SOME_TEXT, int: INTEGERS, float: DOUBLES}[kind])
        setattr(order, name, value)
    if order.totalQuantity == UNSET_DECIMAL:
        order.totalQuantity = Decimal(100)
    order.orderType = draw(st.sampled_from(["LMT", "MKT", "TRAIL", "PEG BENCH", "PEG BEST", "PEG MID"]))
    if draw(st.booleans()):
        order.competeAgainstBestOffset = float("inf")
    order.conditions = draw(CONDITIONS)
    order.algoParams = [TagValue(*pair) for pair in draw(TAGS).items()]
    order.orderMiscOptions = [
        TagValue(*pair) for pair in draw(TAGS.filter(lambda tags: all(map(len, tags.values())))).items()
    ]
    order.softDollarTier = SoftDollarTier(draw(SOME_TEXT), draw(SOME_TEXT), "")
    return order


@st.composite
def contracts(draw: Any, order: Order) -> Contract:
    contract = Contract()
    contract.symbol, contract.currency = "SPY", "USD"
    contract.secType, contract.exchange = (
        draw(st.sampled_from(["STK", "BAG"])),
        draw(st.sampled_from(["SMART", "IBKRATS"])),
    )
    if contract.secType == "BAG":
        for number in range(draw(st.integers(0, 3))):
            leg = ComboLeg()
            leg.conId, leg.ratio, leg.action, leg.exchange = number + 1, 2, "BUY", "SMART"
            contract.comboLegs.append(leg)
        order.orderComboLegs = []
        for _ in contract.comboLegs:
            price = OrderComboLeg()
            price.price = draw(DOUBLES)
            order.orderComboLegs.append(price)
        order.smartComboRoutingParams = [TagValue(*pair) for pair in draw(TAGS).items()]
    if draw(st.booleans()):
        contract.deltaNeutralContract = DeltaNeutralContract()
        contract.deltaNeutralContract.conId, contract.deltaNeutralContract.delta = 7, 0.5
    return contract


@st.composite
def requested(draw: Any) -> tuple[Contract, Order]:
    order = draw(orders())
    return draw(contracts(order)), order


class Wire:
    """Takes what the official client sends."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.client = EClient(EWrapper())
        self.client.conn = self
        self.client.serverVersion_ = version
        self.client.setConnState(EClient.CONNECTED)
        self.sent: list[bytes] = []

    def isConnected(self) -> bool:
        return True

    def sendMsg(self, data: bytes) -> None:
        self.sent.append(data)

    def read(self) -> Any:
        (data,) = self.sent
        return requests.read(unwrap(data[4:], self.version), self.version)


def said_by(contract: Contract, order: Order) -> dict[str, Any]:
    """The fields that the client set, as protobuf would say it."""
    said: dict[str, Any] = {}
    for name in KINDS:
        value = getattr(order, name, None)
        if name in OURS or value is None or value is False or value in ("", UNSET_DOUBLE, UNSET_INTEGER, UNSET_DECIMAL):
            continue
        said[name] = str(value) if name == "totalQuantity" else int(value) if KINDS[name] is int else value
    return said


def plain(value: Any) -> Any:
    return value if value not in (0, False, "", None) else None


@settings(deadline=None)
@given(st.sampled_from(VERSIONS), requested())
def test_what_the_official_client_sends_is_what_is_read(version: int, request: tuple[Contract, Order]) -> None:
    contract, order = request
    if version < order_versions.CASH_QTY:
        order.cashQty = 0  # else the official client sends nothing
    wire = Wire(version)
    wire.client.validateOrderParameters = lambda proto: None  # it refuses what is newer than the version
    wire.client.validateAttachedOrdersParameters = lambda proto: None
    wire.client.placeOrder(17, contract, order)
    if not wire.sent:  # what this version does not know, the official client does not send
        return
    found = wire.read()
    assert isinstance(found, PlaceOrder)
    assert (found.request, found.contract.symbol, found.contract.sec_type) == (17, "SPY", contract.secType)
    expected = said_by(contract, order)
    for name, value in found.said.items():
        if name in KINDS and name not in OURS:
            assert value == expected.get(name, 0), name
    if version >= versions.PROTOBUF_ORDERS:
        assert {name for name in found.said if name in KINDS} >= expected.keys()
    for name in ("action", "orderType", "lmtPrice", "auxPrice", "tif", "ocaGroup", "parentId", "transmit", "whatIf",
                 "trailStopPrice", "trailingPercent", "allOrNone", "totalQuantity", "orderRef", "account"):  # fmt: skip
        assert found.said.get(name) == expected.get(name), name
    assert found.said.get("imbalanceOnly") == (
        expected.get("imbalanceOnly") if version >= order_versions.IMBALANCE_ONLY else None
    )
    assert len(found.said.get("conditions", ())) == (len(order.conditions) if version >= 102 else 0)
    legs = found.said.get("comboLegs", [])
    assert [leg["conId"] for leg in legs] == [leg.conId for leg in contract.comboLegs]
    prices = [leg.price for leg in order.orderComboLegs or ()]
    assert [leg.get("perLegPrice", UNSET_DOUBLE) for leg in legs] == prices
    assert ("deltaNeutralContract" in found.said) == (contract.deltaNeutralContract is not None)


@settings(deadline=None)
@given(requested())
def test_text_and_protobuf_read_alike(request: tuple[Contract, Order]) -> None:
    contract, order = request
    said = []
    for version in (versions.PROTOBUF_ORDERS - 1, versions.PROTOBUF_ORDERS):
        wire = Wire(version)
        wire.client.validateOrderParameters = lambda proto: None
        wire.client.validateAttachedOrdersParameters = lambda proto: None
        wire.client.placeOrder(17, contract, order)
        said.append({name: value for name, value in wire.read().said.items() if plain(value) is not None})
    as_text, as_protobuf = said
    only = {name for name in as_protobuf if name not in as_text}
    for name in as_text:
        if name not in ("softDollarTier", "conditions", "comboLegs", "deltaNeutralContract"):
            assert as_text[name] == as_protobuf[name], name
    # What text has under a condition alone, or not at all.
    assert only <= {
        "deltaNeutralConId", "deltaNeutralOpenClose", "deltaNeutralShortSale", "deltaNeutralShortSaleSlot",
        "deltaNeutralDesignatedLocation", "deltaNeutralSettlingFirm", "deltaNeutralClearingAccount",
        "deltaNeutralClearingIntent", "scalePriceAdjustValue", "scalePriceAdjustInterval", "scaleProfitOffset",
        "scaleAutoReset", "scaleInitPosition", "scaleInitFillQty", "scaleRandomPercent", "hedgeParam", "hedgeMaxSize",
        "algoParams", "referenceContractId", "isPeggedChangeAmountDecrease", "peggedChangeAmount",
        "referenceChangeAmount", "referenceExchangeId", "conditionsCancelOrder", "conditionsIgnoreRth",
        "conditionsIncludeOvernight", "minTradeQty", "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole",
        "midOffsetAtHalf", "bondAccruedInterest", "postOnly", "allowPreOpen", "ignoreOpenAuction", "deactivate",
        "seekPriceImprovement", "whatIfType", "routeMarketableToBbo", "slOrderId", "slOrderType", "ptOrderId",
        "ptOrderType", "deltaNeutralContract",
    }, only  # fmt: skip


NUMBERS = st.floats(0, 1e6).map(lambda number: round(number, 2))
STATE_MONEY = [f"{name}{when}{where}" for name in ("initMargin", "maintMargin", "equityWithLoan")
               for when in ("Before", "Change", "After") for where in ("", "OutsideRTH")]  # fmt: skip
STATES = st.fixed_dictionaries(
    {"status": st.sampled_from(["PreSubmitted", "Submitted", "Filled"])},
    optional={
        **dict.fromkeys((*STATE_MONEY, "commissionAndFees", "minCommissionAndFees", "maxCommissionAndFees"), NUMBERS),
        **dict.fromkeys(("commissionAndFeesCurrency", "marginCurrency", "rejectReason", "warningText"), TEXT),
        "suggestedSize": st.integers(1, 10**6).map(str),
    },
)  # fmt: skip


@st.composite
def said_orders(draw: Any) -> dict[str, Any]:
    """Any fields of an order, as the server would echo them."""
    said: dict[str, Any] = {}
    for name, kind in KINDS.items():
        if draw(st.booleans()):
            made = {str: TEXT.filter(bool), int: INTEGERS, float: NUMBERS, bool: st.just(True)}[kind]
            said[name] = draw(made)
    said["totalQuantity"], said["filledQuantity"] = "100", "40"
    said["orderType"] = draw(st.sampled_from(["LMT", "TRAIL", "PEG BENCH"]))
    said["softDollarTier"] = {"name": draw(TEXT), "value": draw(TEXT), "displayName": draw(TEXT)}
    said["algoParams"], said["smartComboRoutingParams"] = draw(TAGS), draw(TAGS)
    return {name: value for name, value in said.items() if value not in ("", {})}


@settings(deadline=None)
@given(st.sampled_from(VERSIONS), said_orders(), STATES, st.sampled_from([SPY, ES]))
def test_an_open_order_is_read_as_it_was_meant(
    version: int, said: dict[str, Any], state: dict[str, Any], instrument: Any
) -> None:
    said["orderId"] = 17
    row = OrderRow(17, instrument, "SMART", said, state)
    ((name, order_id, contract, order, order_state),) = heard(version, Replies(version).open_order(row))
    assert (name, order_id, contract["conId"], contract["exchange"]) == ("openOrder", 17, instrument.con_id, "SMART")
    gone = {name for name in said if name not in _told(version, said)}
    for field, value in said.items():
        if field in KINDS and field not in gone:
            assert _same(order[field], value), field
    assert order_state["status"] == state["status"]
    for field in ("initMarginAfter", "commissionAndFees", "warningText"):
        assert field not in state or _same(order_state[field], state[field]), field
    if version >= order_versions.FULL_ORDER_PREVIEW_FIELDS:
        for field, value in state.items():
            assert _same(order_state[field], value), field


def _told(version: int, said: dict[str, Any]) -> set[str]:
    """The fields that openOrder has in a version, as the layout says; the test above is of their places and values."""
    from services.simulator.protocol import order_fields as layout

    def inside(parts: Any) -> set[str]:
        found: set[str] = set()
        for part in parts:
            match part:
                case layout.Since(since, inner):
                    found |= inside(inner) if version >= since else set()
                case layout.Until(until, inner):
                    found |= inside(inner) if version < until else set()
                case layout.If(condition, inner):
                    found |= inside(inner) if condition(said) else set()
                case layout.Unset(name) | str(name):
                    found.add(name)
        return found

    if version >= versions.PROTOBUF_ORDERS:
        without_hedge = {"hedgeParam", "hedgeMaxSize"} if "hedgeType" not in said else set()
        algorithm = {"algoParams"} if "algoStrategy" not in said else set()
        never_read = {"scaleTable", "algoId", "overridePercentageConstraints", "transmit", "mifid2DecisionMaker",
                      "mifid2DecisionAlgo", "mifid2ExecutionTrader", "mifid2ExecutionAlgo", "advancedErrorOverride",
                      "manualOrderTime", "auctionStrategy", "basisPoints", "basisPointsType"}  # fmt: skip
        return set(said) - without_hedge - algorithm - never_read
    return inside(layout.OPEN_ORDER)


def _same(read: Any, meant: Any) -> bool:
    if read == "":  # `heard` says so of everything that is empty or 0
        return not meant
    if isinstance(read, bool):
        return read == bool(meant)
    if isinstance(meant, float) and isinstance(read, str):
        return float(read) == pytest.approx(meant)
    if isinstance(meant, str) and not isinstance(read, str):
        return float(read) == float(meant)
    return bool(read == meant)


@settings(deadline=None)
@given(st.sampled_from([v for v in VERSIONS if v >= 150]), said_orders())
def test_a_completed_order_is_read_as_it_was_meant(version: int, said: dict[str, Any]) -> None:
    state = {"status": "Filled", "completedTime": "20260105 12:00:00 US/Eastern", "completedStatus": "Filled Size: 40"}
    ((name, contract, order, found),) = heard(
        version, Replies(version).completed_order(OrderRow(0, SPY, "SMART", said, state))
    )
    assert (name, contract["symbol"]) == ("completedOrder", "SPY")
    assert {field: found[field] for field in state} == state
    for field in ("permId", "filledQuantity", "parentPermId", "lmtPrice", "orderRef", "shareholder", "cashQty",
                  "trailStopPrice", "ocaGroup", "minQty", "action"):  # fmt: skip
        if field in said:
            assert _same(order[field], said[field]), field
    if version >= order_versions.CUSTOMER_ACCOUNT:
        assert order["customerAccount"] == said.get("customerAccount", "")
