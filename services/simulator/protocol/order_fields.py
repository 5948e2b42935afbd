"""The fields of orders by IB's names, and in which order they stand in text messages, by server version: in placeOrder
(3) as the official client writes it, in openOrder (5) and completedOrder (101) as it reads them.

A layout is a list of parts. Most are names of fields; `Since` are fields that a newer version has, `If` fields that
stand there on a condition alone, `Until` fields that older ones had. A number or a text is itself: a field that means
nothing any more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from services.simulator.protocol import ib
from services.simulator.protocol import order_versions as v
from services.simulator.protocol.versions import ADVANCED_ORDER_REJECT, CME_TAGGING_FIELDS, ORDER_CONTAINER

Fields = Mapping[str, Any]

INFINITY: Final = "Infinity"
LARGEST: Final = 1.7976931348623157e308  # stands for a number that is not set
UNSET_TEXT: Final = "1.7976931348623157E308"
UNSET_INTEGER: Final = 2**31 - 1

_TYPES: Final = {1: int, 2: int, 5: float, 7: bool, 9: str}
_EXTRA: Final = {"auctionStrategy": int, "basisPoints": float, "basisPointsType": int}  # text alone has them
KINDS: Final[dict[str, type]] = {
    **{field.name: _TYPES[field.cpp_type] for field in ib.Order.DESCRIPTOR.fields if field.cpp_type in _TYPES},
    **_EXTRA,
}
"""The type of every plain field. Quantities are text, as in protobuf."""


class Since(NamedTuple):
    version: int
    parts: "Sequence[Part]"


class Until(NamedTuple):
    """Before this version."""

    version: int
    parts: "Sequence[Part]"


class If(NamedTuple):
    condition: Callable[[Fields], bool]
    parts: "Sequence[Part]"


class Group(NamedTuple):
    """Fields that are no plain ones, by the name of what reads or writes them."""

    name: str


class Unset(NamedTuple):
    """A number that an official reader takes for 0 if it is empty: what is not set is written as the largest one."""

    name: str


Part = str | int | Since | Until | If | Group | Unset


def names(text: str) -> list[Part]:
    return list(text.split())


def has(name: str) -> Callable[[Fields], bool]:
    return lambda said: bool(said.get(name))


def is_of(*kinds: str) -> Callable[[Fields], bool]:
    return lambda said: said.get("orderType") in kinds


def _scales(said: Fields) -> bool:
    return bool(0 < said.get("scalePriceIncrement", 0) < LARGEST)


_PEG_BENCH = is_of("PEG BENCH", "PEGBENCH")
_PEG_BEST = is_of("PEG BEST", "PEGBEST")


def _mid_offsets(said: Fields) -> bool:
    up_to_mid = said.get("competeAgainstBestOffset") == float("inf")
    return is_of("PEG MID", "PEGMID")(said) or (_PEG_BEST(said) and up_to_mid)


_SCALE: list[Part] = [
    *names("scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"),
    If(_scales, names("scalePriceAdjustValue scalePriceAdjustInterval scaleProfitOffset scaleAutoReset "
                      "scaleInitPosition scaleInitFillQty scaleRandomPercent")),
]  # fmt: skip
_PEG: list[Part] = [
    If(_PEG_BENCH, names("referenceContractId isPeggedChangeAmountDecrease peggedChangeAmount referenceChangeAmount "
                         "referenceExchangeId")),
    Group("conditions"),
]  # fmt: skip
_BOX = names("startingPrice stockRefPrice delta stockRangeLower stockRangeUpper")
_HEDGE: list[Part] = ["hedgeType", If(has("hedgeType"), names("hedgeParam"))]
_DELTA_NEUTRAL = If(has("deltaNeutralOrderType"), names(
    "deltaNeutralConId deltaNeutralSettlingFirm deltaNeutralClearingAccount deltaNeutralClearingIntent "
    "deltaNeutralOpenClose deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation"
))  # fmt: skip
_MANAGED: list[Part] = [
    Since(v.AUTO_PRICE_FOR_HEDGE, names("dontUseAutoPriceForHedge")),
    Since(ORDER_CONTAINER, names("isOmsContainer")),
    Since(v.D_PEG_ORDERS, names("discretionaryUpToLimitPrice")),
    Since(v.PRICE_MGMT_ALGO, names("usePriceMgmtAlgo")),
    Since(v.DURATION, names("duration")),
    Since(v.POST_TO_ATS, names("postToAts")),
    Since(v.AUTO_CANCEL_PARENT, names("autoCancelParent")),
]
_CUSTOMER: list[Part] = [
    Since(v.CUSTOMER_ACCOUNT, names("customerAccount")),
    Since(v.PROFESSIONAL_CUSTOMER, names("professionalCustomer")),
]
_PEG_OFFSETS = names("minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf")

PLACE_ORDER: Final[list[Part]] = [
    *names("action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef transmit "
           "parentId blockOrder sweepToFill displaySize triggerMethod outsideRth hidden"),
    Group("legs"), "", *names("discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage"),
    Until(v.FA_PROFILE_DESUPPORT, [""]),
    Since(v.MODELS_SUPPORT, names("modelCode")),
    *names("shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset"),
    "", "", "", "auctionStrategy", *_BOX,
    *names("overridePercentageConstraints volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"),
    _DELTA_NEUTRAL,
    *names("continuousUpdate referencePriceType trailStopPrice trailingPercent"), *_SCALE,
    *names("scaleTable activeStartTime activeStopTime"), *_HEDGE,
    *names("optOutSmartRouting clearingAccount clearingIntent notHeld"), Group("delta_neutral"), "algoStrategy",
    If(has("algoStrategy"), [Group("algoParams")]), *names("algoId whatIf"), Group("orderMiscOptions"),
    *names("solicited randomizeSize randomizePrice"),
    Since(v.PEGGED_TO_BENCHMARK, [*_PEG, *names(
        "adjustedOrderType triggerPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice "
        "adjustedTrailingAmount adjustableTrailingUnit")]),
    Since(v.EXT_OPERATOR, names("extOperator")),
    Since(v.SOFT_DOLLAR_TIER, [Group("softDollarTier")]),
    Since(v.CASH_QTY, names("cashQty")),
    Since(v.DECISION_MAKER, names("mifid2DecisionMaker mifid2DecisionAlgo")),
    Since(v.MIFID_EXECUTION, names("mifid2ExecutionTrader mifid2ExecutionAlgo")),
    *_MANAGED,
    Since(ADVANCED_ORDER_REJECT, names("advancedErrorOverride")),
    Since(v.MANUAL_ORDER_TIME, names("manualOrderTime")),
    Since(v.PEGBEST_PEGMID_OFFSETS, [
        If(lambda said: said.get("exchange") == "IBKRATS", names("minTradeQty")),
        If(_PEG_BEST, names("minCompeteSize competeAgainstBestOffset")),
        If(_mid_offsets, names("midOffsetAtWhole midOffsetAtHalf")),
    ]),
    *_CUSTOMER,
    Since(v.RFQ_FIELDS, [Until(v.UNDO_RFQ_FIELDS, ["", ""])]),
    Since(v.INCLUDE_OVERNIGHT, names("includeOvernight")),
    Since(CME_TAGGING_FIELDS, names("manualOrderIndicator")),
    Since(v.IMBALANCE_ONLY, names("imbalanceOnly")),
]  # fmt: skip

_MAIN = names("action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef")
_FA: list[Part] = [*names("faGroup faMethod faPercentage"), Until(v.FA_PROFILE_DESUPPORT, [""])]
_SHORT = names("percentOffset settlingFirm shortSaleSlot designatedLocation exemptCode")
_VOLATILITY: list[Part] = [
    *names("volatility"),
    Unset("volatilityType"),
    *names("deltaNeutralOrderType deltaNeutralAuxPrice"),
]
_TRAIL: list[Part] = [*names("continuousUpdate"), Unset("referencePriceType"), *names("trailStopPrice trailingPercent")]
_NEUTRAL: list[Part] = [
    Group("delta_neutral"),
    "algoStrategy",
    If(has("algoStrategy"), [Group("algoParams")]),
    "solicited",
]

OPEN_ORDER: Final[list[Part]] = [
    *_MAIN, *names("clientId permId outsideRth hidden discretionaryAmt goodAfterTime"), "", *_FA,
    Since(v.MODELS_SUPPORT, names("modelCode")), *names("goodTillDate rule80A"), *_SHORT, "auctionStrategy", *_BOX,
    *names("displaySize blockOrder sweepToFill allOrNone minQty ocaType"), 0, 0, "",
    *names("parentId triggerMethod"), *_VOLATILITY,
    _DELTA_NEUTRAL,
    *_TRAIL, *names("basisPoints basisPointsType"), Group("legs"), Group("smartComboRoutingParams"), *_SCALE,
    *_HEDGE,
    *names("optOutSmartRouting clearingAccount clearingIntent notHeld"), *_NEUTRAL, "whatIf", Group("state"),
    *names("randomizeSize randomizePrice"),
    Since(v.PEGGED_TO_BENCHMARK, [
        *_PEG, "adjustedOrderType", Unset("triggerPrice"), Unset("trailStopPrice"), Unset("lmtPriceOffset"),
        Unset("adjustedStopPrice"), Unset("adjustedStopLimitPrice"), Unset("adjustedTrailingAmount"),
        "adjustableTrailingUnit",
    ]),
    Since(v.SOFT_DOLLAR_TIER, [Group("softDollarTier")]),
    Since(v.CASH_QTY, [Unset("cashQty")]),
    *_MANAGED,
    Since(v.PEGBEST_PEGMID_OFFSETS, _PEG_OFFSETS),
    *_CUSTOMER,
    Since(v.BOND_ACCRUED_INTEREST, names("bondAccruedInterest")),
    Since(v.INCLUDE_OVERNIGHT, names("includeOvernight")),
    Since(v.CME_TAGGING_FIELDS_IN_OPEN_ORDER, names("extOperator manualOrderIndicator")),
    Since(v.SUBMITTER, names("submitter")),
    Since(v.IMBALANCE_ONLY, names("imbalanceOnly")),
]  # fmt: skip

COMPLETED_ORDER: Final[list[Part]] = [
    *_MAIN, *names("permId outsideRth hidden discretionaryAmt goodAfterTime"), *_FA,
    Since(v.MODELS_SUPPORT, names("modelCode")), *names("goodTillDate rule80A"), *_SHORT, *_BOX,
    *names("displaySize sweepToFill allOrNone minQty ocaType triggerMethod"), *_VOLATILITY,
    If(has("deltaNeutralOrderType"), names(
        "deltaNeutralConId deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation")),
    *_TRAIL, Group("legs"), Group("smartComboRoutingParams"), *_SCALE,
    *_HEDGE, *names("clearingAccount clearingIntent notHeld"),
    *_NEUTRAL, Group("status"), *names("randomizeSize randomizePrice"), *_PEG,
    Unset("trailStopPrice"), Unset("lmtPriceOffset"), Unset("cashQty"),
    *names("dontUseAutoPriceForHedge isOmsContainer autoCancelDate filledQuantity refFuturesConId autoCancelParent "
           "shareholder imbalanceOnly routeMarketableToBbo parentPermId"), Group("completed"),
    Since(v.PEGBEST_PEGMID_OFFSETS, _PEG_OFFSETS),
    *_CUSTOMER,
    Since(v.SUBMITTER, names("submitter")),
]  # fmt: skip

# What stands in a condition, by its type: price, time, margin, execution, volume, percent change.
CONDITIONS: Final[dict[int, tuple[tuple[str, type], ...]]] = {
    1: (("isMore", bool), ("price", float), ("conId", int), ("exchange", str), ("triggerMethod", int)),
    3: (("isMore", bool), ("time", str)),
    4: (("isMore", bool), ("percent", int)),
    5: (("secType", str), ("exchange", str), ("symbol", str)),
    6: (("isMore", bool), ("volume", int), ("conId", int), ("exchange", str)),
    7: (("isMore", bool), ("changePercent", float), ("conId", int), ("exchange", str)),
}
LEG: Final = (
    ("conId", int), ("ratio", int), ("action", str), ("exchange", str), ("openClose", int), ("shortSalesSlot", int),
    ("designatedLocation", str), ("exemptCode", int),
)  # fmt: skip
DELTA_NEUTRAL: Final = (("conId", int), ("delta", float), ("price", float))
ALLOCATION: Final = (
    ("account", str), ("position", str), ("positionDesired", str), ("positionAfter", str), ("desiredAllocQty", str),
    ("allowedAllocQty", str), ("isMonetary", bool),
)  # fmt: skip
