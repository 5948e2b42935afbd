"""What the server says about orders, executions, positions and profit as protobuf: each method stands in for the one
of the same name in `OrderTextReplies`.
"""

from collections.abc import Mapping
from typing import Any

from services.simulator.market.contracts import Instrument
from services.simulator.protocol import ib
from services.simulator.protocol.order_fields import LARGEST
from services.simulator.protocol.replies_plain import PlainReplies
from services.simulator.protocol.rows import ChargeRow, ExecutionRow, OrderRow, PositionRow, StatusRow
from services.simulator.protocol.wire import protobuf_message


def frame_of(kind: int, made: Any) -> bytes:
    return protobuf_message(kind, made.SerializeToString())


class OrderProtobufReplies(PlainReplies):
    def _plain(self, head: tuple[int, ...], message: Any, **fields: object) -> bytes:
        return frame_of(head[0], message(**fields))

    def open_order(self, row: OrderRow) -> bytes:
        return frame_of(5, _order(ib.OpenOrder(orderId=row.order_id), row))

    def completed_order(self, row: OrderRow) -> bytes:
        return frame_of(101, _order(ib.CompletedOrder(), row))

    def order_status(self, row: StatusRow) -> bytes:
        made = ib.OrderStatus(orderId=row.order_id, status=row.status, filled=row.filled, remaining=row.remaining,
                              avgFillPrice=row.average, permId=row.perm_id, parentId=row.parent_id,
                              lastFillPrice=row.last, clientId=row.client_id, whyHeld=row.why_held,
                              mktCapPrice=0.0)  # fmt: skip
        return frame_of(3, made)

    def execution(self, request: int, row: ExecutionRow) -> bytes:
        made = ib.ExecutionDetails(reqId=request)
        fill_contract(made.contract, row.instrument, row.exchange)
        _set(made.execution, {
            "orderId": row.order_id, "execId": row.exec_id, "time": row.time, "acctNumber": row.account,
            "exchange": row.venue, "side": row.side, "shares": row.size, "price": row.price, "permId": row.perm_id,
            "clientId": row.client_id, "isLiquidation": False, "cumQty": row.cumulative, "avgPrice": row.average,
            "orderRef": row.order_ref, "lastLiquidity": row.liquidity, "isPriceRevisionPending": False,
        })  # fmt: skip
        return frame_of(11, made)

    def commission_report(self, row: ChargeRow) -> bytes:
        realized = LARGEST if row.realized is None else row.realized
        made = ib.CommissionAndFeesReport(execId=row.exec_id, commissionAndFees=row.commission, currency=row.currency,
                                          realizedPNL=realized, bondYield=LARGEST)  # fmt: skip
        return frame_of(59, made)

    def order_bound(self, perm_id: int, client_id: int, order_id: int) -> bytes:
        return frame_of(100, ib.OrderBound(permId=perm_id, clientId=client_id, orderId=order_id))

    def position(self, account: str, row: PositionRow) -> bytes:
        made = ib.Position(account=account, position=row.quantity, avgCost=row.average_cost)
        fill_contract(made.contract, row.instrument, row.exchange)
        return frame_of(61, made)

    def position_multi(self, request: int, account: str, row: PositionRow) -> bytes:
        made = ib.PositionMulti(reqId=request, account=account, position=row.quantity, avgCost=row.average_cost)
        fill_contract(made.contract, row.instrument, row.exchange)
        return frame_of(71, made)

    def portfolio_value(self, account: str, row: PositionRow) -> bytes:
        made = ib.PortfolioValue(position=row.quantity, marketPrice=row.price, marketValue=row.value,
                                 averageCost=row.average_cost, unrealizedPNL=row.unrealized, realizedPNL=row.realized,
                                 accountName=account)  # fmt: skip
        fill_contract(made.contract, row.instrument, "")
        _set(made.contract, {"primaryExch": row.instrument.primary})
        return frame_of(7, made)

    def pnl(self, request: int, daily: float, unrealized: float, realized: float) -> bytes:
        return frame_of(94, ib.PnL(reqId=request, dailyPnL=daily, unrealizedPnL=unrealized, realizedPnL=realized))

    def pnl_single(
        self, request: int, quantity: str, daily: float, unrealized: float, realized: float, value: float
    ) -> bytes:
        made = ib.PnLSingle(reqId=request, position=quantity, dailyPnL=daily, unrealizedPnL=unrealized,
                            realizedPnL=realized, value=value)  # fmt: skip
        return frame_of(95, made)


def _order(made: Any, row: OrderRow) -> Any:
    fill_contract(made.contract, row.instrument, row.exchange)
    said = dict(row.said)
    _set(made.contract, {name: said.pop(name, None) for name in ("comboLegs", "deltaNeutralContract")})
    _set(made.order, said)
    _set(made.orderState, row.state)
    return made


def _set(made: Any, values: Mapping[str, Any]) -> None:
    """Fields by their names; an empty one stays absent, and so does one that the installed classes do not have."""
    for name, value in values.items():
        if value is None or value == "" or name not in made.DESCRIPTOR.fields_by_name:
            continue
        kind = made.DESCRIPTOR.fields_by_name[name].message_type
        if kind is None:
            setattr(made, name, value)
        elif isinstance(value, list):
            for one in value:
                _set(getattr(made, name).add(), one)
        elif kind.GetOptions().map_entry:
            getattr(made, name).update(value)
        else:
            _set(getattr(made, name), value)


def fill_contract(made: Any, found: Instrument, exchange: str) -> None:
    _set(made, {
        "conId": found.con_id, "symbol": found.symbol, "secType": found.sec_type, "strike": found.strike,
        "lastTradeDateOrContractMonth": found.expiry, "right": found.right, "exchange": exchange,
        "currency": found.currency, "localSymbol": found.local_symbol, "tradingClass": found.trading_class,
        "multiplier": float(found.multiplier) if found.multiplier else None,
    })  # fmt: skip
