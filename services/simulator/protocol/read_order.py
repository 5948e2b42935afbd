"""placeOrder (3), as text and as protobuf: both make the same fields of the same order. Raises BadRequest.

A field that says what IB takes for granted (an empty text, false, an unset number) is left out; 0 is kept.
"""

import re
from collections.abc import Sequence
from typing import Any

from services.simulator.protocol import requested as asked
from services.simulator.protocol.order_fields import (
    CONDITIONS,
    DELTA_NEUTRAL,
    INFINITY,
    KINDS,
    LARGEST,
    LEG,
    PLACE_ORDER,
    UNSET_INTEGER,
    Group,
    If,
    Part,
    Since,
    Unset,
    Until,
)
from services.simulator.protocol.read_contract import contract_of_fields, contract_of_protobuf
from services.simulator.protocol.wire import BadRequest, Fields

MOST = 1000  # legs, conditions or parameters of one order: no honest order has so many


def place_order(fields: Fields, version: int) -> asked.PlaceOrder:
    order_id, wanted = fields.number(), contract_of_fields(fields)
    fields.skip(2)  # the type and the number of a security id
    read = _Reading(fields, version, {"secType": wanted.sec_type, "exchange": wanted.exchange})
    read.parts(PLACE_ORDER)
    said = {name: value for name, value in read.said.items() if name not in ("secType", "exchange")}
    return asked.PlaceOrder(order_id, wanted, said)


class _Reading:
    """One order's text fields on their way to what they say."""

    def __init__(self, fields: Fields, version: int, said: dict[str, Any]) -> None:
        self.said = said
        self._fields, self._version = fields, version

    def parts(self, parts: Sequence[Part]) -> None:
        for part in parts:
            match part:
                case Since(version, inner):
                    if self._version >= version:
                        self.parts(inner)
                case Until(version, inner):
                    if self._version < version:
                        self.parts(inner)
                case If(condition, inner):
                    if condition(self.said):
                        self.parts(inner)
                case Group(name):
                    self._keep(getattr(self, f"read_{name}")())
                case Unset(name):
                    self._keep({name: self._value(KINDS[name])})
                case "":
                    self._fields.skip()
                case str(name):
                    self._keep({name: self._value(KINDS[name])})

    def _keep(self, found: dict[str, Any]) -> None:
        self.said.update({name: value for name, value in found.items() if not _is_nothing(value)})

    def _value(self, kind: type) -> Any:
        text = self._fields.text()
        try:
            return value_of(kind, text)
        except (ValueError, OverflowError):
            raise BadRequest(f"{text[:20]!r} is no {'number' if kind is not str else 'text'}") from None

    def _row(self, names: Sequence[tuple[str, type]]) -> dict[str, Any]:
        found = {name: self._value(kind) for name, kind in names}
        return {name: value for name, value in found.items() if not _is_nothing(value)}

    def _count(self) -> int:
        count = self._fields.number(0)
        if not 0 <= count <= MOST:
            raise BadRequest(f"{count} of something that has at most {MOST}")
        return count

    def _tags(self) -> dict[str, str]:
        return {self._fields.text(): self._fields.text() for _ in range(self._count())}

    def read_legs(self) -> dict[str, Any]:
        if self.said["secType"] != "BAG":
            return {}
        legs = [self._row(LEG) for _ in range(self._count())]
        for number in range(self._count()):
            price = self._value(float)
            if price is not None and number < len(legs):
                legs[number]["perLegPrice"] = price
        return {"comboLegs": legs, "smartComboRoutingParams": self._tags()}

    def read_delta_neutral(self) -> dict[str, Any]:
        return {"deltaNeutralContract": self._row(DELTA_NEUTRAL)} if self._fields.flag() else {}

    def read_algoParams(self) -> dict[str, Any]:
        return {"algoParams": self._tags()}

    def read_orderMiscOptions(self) -> dict[str, Any]:
        return {"orderMiscOptions": dict(re.findall(r"([^=;]+)=([^;]*);", self._fields.text()))}

    def read_softDollarTier(self) -> dict[str, Any]:
        return {"softDollarTier": self._row((("name", str), ("value", str)))}

    def read_conditions(self) -> dict[str, Any]:
        found = []
        for _ in range(self._count()):
            kind = self._fields.number()
            if kind not in CONDITIONS:
                raise BadRequest(f"there is no condition of type {kind}")
            also = self._fields.text() == "a"
            found.append({"type": kind, "isConjunctionConnection": also, **self._row(CONDITIONS[kind])})
        if not found:
            return {}
        more = {name: self._fields.flag() for name in ("conditionsIgnoreRth", "conditionsCancelOrder")}
        return {"conditions": found, **more}


def value_of(kind: type, text: str) -> Any:
    """What a text field says; None where it says nothing. Raises ValueError."""
    if kind is str:
        return text
    if kind is bool:
        return text.lower() in ("1", "true")
    if not text:
        return None
    if text == INFINITY:
        return float("inf")
    number = float(text)
    if kind is float:
        return None if number >= LARGEST else number
    return None if number == UNSET_INTEGER else int(number)


def place_order_protobuf(sent: Any) -> asked.PlaceOrder:
    said = {**_plain(sent.order), **_plain(sent.attachedOrders)}
    for name in ("comboLegs", "deltaNeutralContract"):
        said.update({key: value for key, value in _plain(sent.contract).items() if key == name})
    return asked.PlaceOrder(sent.orderId, contract_of_protobuf(sent.contract), said)


def _plain(message: Any) -> dict[str, Any]:
    """What is set in a protobuf message."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            found[field.name] = value
        elif field.message_type.GetOptions().map_entry:
            found[field.name] = dict(value)
        elif hasattr(value, "ListFields"):
            found[field.name] = _plain(value)
        else:
            found[field.name] = [_plain(one) for one in value]
    for one in found.get("conditions", ()):
        one.setdefault("isConjunctionConnection", False)
    return {name: value for name, value in found.items() if not _is_nothing(value)}


def _is_nothing(value: Any) -> bool:
    if isinstance(value, float) and LARGEST <= value < float("inf"):
        return True
    return value is None or value is False or value == "" or value == {} or value == []
