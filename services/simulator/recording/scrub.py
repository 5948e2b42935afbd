"""What of a conversation may be written to disk. Pure, and an allow-list: a message whose type is not named here is
withheld, and only counted; what carries accounts or free text is made anew, not cleaned.

Kept are prices, bars, contracts, their requests and the state of the link. Never kept, in text or protobuf: orders,
executions, positions, account values, news, configuration, user information, anything of a type or a text version
that is not known here, and fields of protobuf messages that the installed official client does not know.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from services.simulator.protocol import ib
from services.simulator.protocol.versions import ADVANCED_ORDER_REJECT, ERROR_TIME, HIGHEST, RAW_MESSAGE_IDS
from services.simulator.protocol.wire import Envelope, Garbage, message, protobuf_message, raw_message, unwrap
from services.simulator.recording.errors import sentence

ACCOUNT: Final = "DU0000000"  # stands for every account
FIRST_ORDER_ID: Final = 1
_NEWS_TICK: Final = 62
_HIGHEST_ID: Final = 999
_SHORTEST: Final = 4  # characters of an account name that is looked for in what is kept

Fields = list[str]
Rule = Callable[[Fields, int], "Fields | None"]
"""The fields to keep of a text message, without its id, at a server version; None to withhold it."""

_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?|-?Infinity|NaN")

_WHOLE = re.compile(r"-?[0-9]{1,10}")


def _numbers(fields: Fields, version: int) -> Fields | None:
    return fields if all(_NUMBER.fullmatch(field) for field in fields) else None


def _as_is(fields: Fields, version: int) -> Fields | None:
    return fields


def _without_options(fields: Fields, version: int) -> Fields | None:
    """A request that ends in free options of its client."""
    return [*fields[:-1], ""] if fields else None


def _tick_string(fields: Fields, version: int) -> Fields | None:
    return fields if len(fields) == 4 and fields[2] != str(_NEWS_TICK) and _numbers(fields[:3], version) else None


def _accounts(fields: Fields, version: int) -> Fields | None:
    return [fields[0], _placeholders(fields[1])] if len(fields) == 2 and _numbers(fields[:1], version) else None


def _order_id(fields: Fields, version: int) -> Fields | None:
    return [fields[0], str(FIRST_ORDER_ID)] if len(fields) == 2 and _numbers(fields[:1], version) else None


def _start_api(fields: Fields, version: int) -> Fields | None:
    return [*fields[:2], ""] if len(fields) >= 2 and _numbers(fields[:2], version) else None


def _error(fields: Fields, version: int) -> Fields | None:
    start = 0 if version >= ERROR_TIME else 1
    if len(fields) < start + 3 or not all(_WHOLE.fullmatch(field) for field in fields[: start + 2]):
        return None
    code, text = fields[start + 1], fields[start + 2]
    kept = [*fields[: start + 2], sentence(int(code), text)]
    if version >= ADVANCED_ORDER_REJECT:
        kept.append("")
    if version >= ERROR_TIME:
        kept += [one for one in fields[start + 4 : start + 5] if one.isdigit()]
    return kept


TEXT_FROM_SERVER: dict[int, Rule] = {
    **dict.fromkeys((1, 2, 21, 45, 49, 50, 52, 57, 58, 76, 109), _numbers),
    **dict.fromkeys((10, 17, 18, 75, 81, 88, 89, 90, 91, 92, 93, 96, 97, 98, 99, 106, 108), _as_is),
    4: _error,
    9: _order_id,
    15: _accounts,
    46: _tick_string,
}
TEXT_FROM_CLIENT: dict[int, Rule] = {
    **dict.fromkeys((2, 8, 11, 17, 25, 49, 51, 56, 57, 59, 89, 90, 91, 98, 105), _numbers),
    **dict.fromkeys((9, 78, 87, 88, 97), _as_is),
    **dict.fromkeys((1, 10, 20, 50, 96), _without_options),
    71: _start_api,
}

# The official client's classes, and the fields of each that are left out.
PROTOBUF_FROM_SERVER: dict[int, str] = {
    1: "TickPrice", 2: "TickSize", 4: "ErrorMessage", 9: "NextValidId", 10: "ContractData", 15: "ManagedAccounts",
    17: "HistoricalData", 18: "ContractData", 21: "TickOptionComputation", 45: "TickGeneric", 46: "TickString",
    49: "CurrentTime", 50: "RealTimeBarTick", 52: "ContractDataEnd", 57: "TickSnapshotEnd", 58: "MarketDataType",
    75: "SecDefOptParameter", 76: "SecDefOptParameterEnd", 81: "TickReqParams", 88: "HeadTimestamp",
    89: "HistogramData", 90: "HistoricalDataUpdate", 91: "RerouteMarketDataRequest", 92: "RerouteMarketDepthRequest",
    93: "MarketRule", 96: "HistoricalTicks", 97: "HistoricalTicksBidAsk", 98: "HistoricalTicksLast",
    99: "TickByTickData", 106: "HistoricalSchedule", 108: "HistoricalDataEnd", 109: "CurrentTimeInMillis",
}  # fmt: skip
PROTOBUF_FROM_CLIENT: dict[int, str] = {
    1: "MarketDataRequest", 2: "CancelMarketData", 8: "IdsRequest", 9: "ContractDataRequest", 10: "MarketDepthRequest",
    11: "CancelMarketDepth", 17: "ManagedAccountsRequest", 20: "HistoricalDataRequest", 25: "CancelHistoricalData",
    49: "CurrentTimeRequest", 50: "RealTimeBarsRequest", 51: "CancelRealTimeBars", 59: "MarketDataTypeRequest",
    71: "StartApiRequest", 78: "SecDefOptParamsRequest", 87: "HeadTimestampRequest", 88: "HistogramDataRequest",
    89: "CancelHistogramData", 90: "CancelHeadTimestamp", 91: "MarketRuleRequest", 96: "HistoricalTicksRequest",
    97: "TickByTickRequest", 98: "CancelTickByTick", 105: "CurrentTimeInMillisRequest",
}  # fmt: skip
LEFT_OUT = (
    "advancedOrderRejectJson", "chartOptions", "marketDataOptions", "marketDepthOptions", "miscOptions",
    "optionalCapabilities", "realTimeBarsOptions",
)  # fmt: skip


class Scrubber:
    """Of one connection at one server version. `accounts` are shared by all connections of a recording: the names that
    gateways have told so far, for a second look at what is kept."""

    def __init__(self, version: int, accounts: set[str]) -> None:
        self._version = version
        self._accounts = accounts

    def scrub(self, payload: bytes, from_server: bool) -> tuple[int, bytes | None]:
        """The message's id, -1 where it has none or no sensible one, and the frame to keep, with its length; None to
        withhold it."""
        try:
            envelope = unwrap(payload, self._version)
        except Garbage:
            return -1, None
        if from_server and envelope.kind == 15:
            self._learn(envelope)
        kept = self._text(envelope, from_server) if envelope.body is None else _protobuf(envelope, from_server)
        if kept is not None and any(name.encode() in kept for name in self._accounts):
            kept = None
        return envelope.kind if 0 <= envelope.kind <= _HIGHEST_ID else -1, kept

    def _text(self, envelope: Envelope, from_server: bool) -> bytes | None:
        rules = TEXT_FROM_SERVER if from_server else TEXT_FROM_CLIENT
        rule = rules.get(envelope.kind)
        fields = rule(envelope.fields, self._version) if rule is not None and self._version <= HIGHEST else None
        if fields is None:
            return None
        return (raw_message if self._version >= RAW_MESSAGE_IDS else message)(envelope.kind, *fields)

    def _learn(self, envelope: Envelope) -> None:
        listed = envelope.fields[-1] if envelope.body is None and envelope.fields else ""
        if envelope.body is not None:
            told = _parsed("ManagedAccounts", envelope.body)
            listed = told.accountsList if told is not None else ""
        self._accounts.update(name for name in listed.split(",") if len(name) >= _SHORTEST and name != ACCOUNT)


def _protobuf(envelope: Envelope, from_server: bool) -> bytes | None:
    """The message without what is left out and what its class does not know."""
    assert envelope.body is not None
    name = (PROTOBUF_FROM_SERVER if from_server else PROTOBUF_FROM_CLIENT).get(envelope.kind)
    told = _parsed(name, envelope.body) if name is not None else None
    if told is None:
        return None
    told.DiscardUnknownFields()
    known = told.DESCRIPTOR.fields_by_name
    for field in LEFT_OUT:
        if field in known:
            told.ClearField(field)
    if name == "ManagedAccounts":
        told.accountsList = _placeholders(told.accountsList)
    elif name == "NextValidId":
        told.orderId = FIRST_ORDER_ID
    elif name == "ErrorMessage":
        told.errorMsg = sentence(told.errorCode, told.errorMsg)
    elif name == "TickString" and told.tickType == _NEWS_TICK:
        return None
    return protobuf_message(envelope.kind, told.SerializeToString())


def _parsed(name: str, body: bytes) -> Any:
    made = getattr(ib, name)()
    try:
        made.ParseFromString(body)
    except DecodeError:
        return None
    return made


def _placeholders(listed: str) -> str:
    """As many accounts as there are, by a name that is nobody's."""
    return ",".join(ACCOUNT for name in listed.split(",") if name)
