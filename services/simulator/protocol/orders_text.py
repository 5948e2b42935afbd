"""What the server says about orders, executions, positions and profit as text, in the layout of one server version."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.simulator.market.contracts import Instrument
from services.simulator.protocol import order_versions as v
from services.simulator.protocol.order_fields import (
    ALLOCATION,
    COMPLETED_ORDER,
    CONDITIONS,
    DELTA_NEUTRAL,
    INFINITY,
    KINDS,
    LEG,
    OPEN_ORDER,
    UNSET_INTEGER,
    UNSET_TEXT,
    Group,
    If,
    Part,
    Since,
    Unset,
    Until,
    names,
)
from services.simulator.protocol.replies_plain import PlainReplies
from services.simulator.protocol.rows import ChargeRow, ExecutionRow, OrderRow, PositionRow, StatusRow
from services.simulator.protocol.versions import ORDER_CONTAINER, REALIZED_PNL, UNREALIZED_PNL
from services.simulator.protocol.wire import TextForm

# Whole numbers that an official reader takes for unset if they are empty; all others it takes for 0.
_MAY_BE_EMPTY = frozenset(names(
    "minQty basisPointsType scaleInitLevelSize scaleSubsLevelSize scalePriceAdjustInterval scaleInitPosition "
    "scaleInitFillQty duration postToAts minTradeQty minCompeteSize manualOrderIndicator"
))  # fmt: skip
_MARGINS = ("initMargin", "maintMargin", "equityWithLoan")


class OrderTextReplies(TextForm, PlainReplies):
    def _plain(self, head: tuple[int, ...], message: Any, **fields: object) -> bytes:
        return self._message(*head, *fields.values())

    def open_order(self, row: OrderRow) -> bytes:
        fields: list[object] = [5, 34] if self.version < ORDER_CONTAINER else [5]
        fields += [row.order_id, *_contract(row.instrument, row.exchange)]
        return self._message(*fields, *_Writing(self.version, row).parts(OPEN_ORDER))

    def completed_order(self, row: OrderRow) -> bytes:
        fields = _contract(row.instrument, row.exchange)
        return self._message(101, *fields, *_Writing(self.version, row).parts(COMPLETED_ORDER))

    def order_status(self, row: StatusRow) -> bytes:
        fields: list[object] = [3, 6] if self.version < v.MARKET_CAP_PRICE else [3]
        fields += [row.order_id, row.status, row.filled, row.remaining, repr(row.average), row.perm_id, row.parent_id,
                   repr(row.last), row.client_id, row.why_held]  # fmt: skip
        return self._message(*fields, *([0.0] if self.version >= v.MARKET_CAP_PRICE else []))

    def execution(self, request: int, row: ExecutionRow) -> bytes:
        version = self.version
        fields: list[object] = [11] if version >= v.LAST_LIQUIDITY else [11, 10]
        fields += [request, row.order_id, *_contract(row.instrument, row.exchange), row.exec_id, row.time, row.account,
                   row.venue, row.side, row.size, repr(row.price), row.perm_id, row.client_id, 0, row.cumulative,
                   repr(row.average), row.order_ref, "", ""]  # fmt: skip
        if version >= v.MODELS_SUPPORT:
            fields.append("")
        if version >= v.LAST_LIQUIDITY:
            fields.append(row.liquidity)
        if version >= v.PENDING_PRICE_REVISION:
            fields.append(False)
        if version >= v.SUBMITTER:
            fields.append("")
        return self._message(*fields)

    def commission_report(self, row: ChargeRow) -> bytes:
        realized = UNSET_TEXT if row.realized is None else repr(row.realized)
        return self._message(59, 1, row.exec_id, repr(row.commission), row.currency, realized, UNSET_TEXT, "")

    def order_bound(self, perm_id: int, client_id: int, order_id: int) -> bytes:
        """Empty before 144: the message did not exist yet."""
        return self._message(100, perm_id, client_id, order_id) if self.version >= v.API_BIND_ORDER else b""

    def position(self, account: str, row: PositionRow) -> bytes:
        found = row.instrument
        fields = _contract(found, row.exchange)
        return self._message(61, 3, account, *fields, row.quantity, repr(row.average_cost))

    def position_multi(self, request: int, account: str, row: PositionRow) -> bytes:
        found = row.instrument
        fields = _contract(found, row.exchange)
        return self._message(71, 1, request, account, *fields, row.quantity, repr(row.average_cost), "")

    def portfolio_value(self, account: str, row: PositionRow) -> bytes:
        found = row.instrument
        head = _contract(found, "")
        money = (row.price, row.value, row.average_cost, row.unrealized, row.realized)
        return self._message(7, 8, *head[:7], found.primary, *head[8:], row.quantity, *map(repr, money), account)

    def pnl(self, request: int, daily: float, unrealized: float, realized: float) -> bytes:
        return self._message(94, request, *map(repr, self._profit(daily, unrealized, realized)))

    def pnl_single(
        self, request: int, quantity: str, daily: float, unrealized: float, realized: float, value: float
    ) -> bytes:
        profit = self._profit(daily, unrealized, realized)
        return self._message(95, request, quantity, *map(repr, profit), repr(value))

    def _profit(self, daily: float, unrealized: float, realized: float) -> list[float]:
        count = 1 + (self.version >= UNREALIZED_PNL) + (self.version >= REALIZED_PNL)
        return [daily, unrealized, realized][:count]


class _Writing:
    """One order's fields on their way to text."""

    def __init__(self, version: int, row: OrderRow) -> None:
        self._version, self._said, self._state = version, row.said, row.state

    def parts(self, parts: Sequence[Part]) -> list[object]:
        out: list[object] = []
        for part in parts:
            match part:
                case Since(version, inner):
                    out += self.parts(inner) if self._version >= version else []
                case Until(version, inner):
                    out += self.parts(inner) if self._version < version else []
                case If(condition, inner):
                    out += self.parts(inner) if condition(self._said) else []
                case Group(name):
                    out += getattr(self, f"write_{name}")()
                case Unset(name):
                    value = self._said.get(name)
                    largest = UNSET_TEXT if KINDS[name] is float else UNSET_INTEGER
                    out.append(largest if value is None else text_of(KINDS[name], name, value))
                case "" | int():
                    out.append(part)
                case str(name):
                    out.append(text_of(KINDS[name], name, self._said.get(name)))
        return out

    def _row(self, row: Mapping[str, Any], names: Sequence[tuple[str, type]]) -> list[object]:
        return [text_of(kind, name, row.get(name)) for name, kind in names]

    def _tags(self, name: str) -> list[object]:
        found = self._said.get(name) or {}
        return [len(found), *(part for pair in found.items() for part in pair)]

    def write_legs(self) -> list[object]:
        legs = self._said.get("comboLegs") or ()
        prices = [text_of(float, "perLegPrice", leg.get("perLegPrice")) for leg in legs]
        return ["", len(legs), *(part for leg in legs for part in self._row(leg, LEG)), len(prices), *prices]

    def write_smartComboRoutingParams(self) -> list[object]:
        return self._tags("smartComboRoutingParams")

    def write_algoParams(self) -> list[object]:
        return self._tags("algoParams")

    def write_delta_neutral(self) -> list[object]:
        found = self._said.get("deltaNeutralContract")
        return [0] if found is None else [1, *self._row(found, DELTA_NEUTRAL)]

    def write_softDollarTier(self) -> list[object]:
        tier = self._said.get("softDollarTier") or {}
        return [tier.get(name, "") for name in ("name", "value", "displayName")]

    def write_conditions(self) -> list[object]:
        found = self._said.get("conditions") or ()
        out: list[object] = [len(found)]
        for one in found:
            out += [one["type"], "a" if one["isConjunctionConnection"] else "o"]
            out += self._row(one, CONDITIONS[one["type"]])
        if found:
            out += self._row(self._said, (("conditionsIgnoreRth", bool), ("conditionsCancelOrder", bool)))
        return out

    def write_status(self) -> list[object]:
        return [self._state.get("status", "")]

    def write_completed(self) -> list[object]:
        return [self._state.get("completedTime", ""), self._state.get("completedStatus", "")]

    def write_state(self) -> list[object]:
        state, money = self._state, self._money
        out: list[object] = [state.get("status", "")]
        if self._version >= v.WHAT_IF_EXT_FIELDS:
            out += [*money("Before"), *money("Change")]
        out += money("After")
        out += [text_of(float, name, state.get(name)) for name in (
            "commissionAndFees", "minCommissionAndFees", "maxCommissionAndFees")]  # fmt: skip
        out.append(state.get("commissionAndFeesCurrency", ""))
        if self._version >= v.FULL_ORDER_PREVIEW_FIELDS:
            out.append(state.get("marginCurrency", ""))
            out += [part for when in ("Before", "Change", "After") for part in money(f"{when}OutsideRTH")]
            out += [state.get("suggestedSize", ""), state.get("rejectReason", "")]
            allocations = state.get("orderAllocations") or ()
            out += [len(allocations), *(part for one in allocations for part in self._row(one, ALLOCATION))]
        out.append(state.get("warningText", ""))
        return out

    def _money(self, when: str) -> list[object]:
        return [text_of(float, name, self._state.get(f"{name}{when}")) for name in _MARGINS]


def text_of(kind: type, name: str, value: Any) -> str:
    """A field as text; one that is not set in such a way that an official reader takes it for just that."""
    if kind is bool:
        return "1" if value else "0"
    if value is None:
        if kind is not int or name in _MAY_BE_EMPTY:
            return ""
        return "-1" if name == "exemptCode" else "0"
    if value == float("inf"):
        return INFINITY
    return repr(value) if kind is float else str(value)


def _contract(found: Instrument, exchange: str) -> list[object]:
    """The eleven fields of a contract in all messages about orders and positions."""
    return [found.con_id, found.symbol, found.sec_type, found.expiry, f"{found.strike:g}", found.right,
            found.multiplier, exchange, found.currency, found.local_symbol, found.trading_class]  # fmt: skip
