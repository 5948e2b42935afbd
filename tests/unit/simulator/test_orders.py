"""Orders on the paper account, as the official client sees them, in text, in the mixture and in protobuf."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from ibapi.execution import ExecutionFilter
from ibapi.order import Order

from services.simulator.effects import Effect
from services.simulator.protocol.versions import HIGHEST
from services.simulator.trading.order import ZERO
from services.simulator.trouble.scenario import Director, ScenarioError, parse_step
from tests.unit.simulator.conversation import Conversation, contract

VERSIONS = [100, 157, 178, 200, 203, HIGHEST]


def order(action: str = "BUY", kind: str = "MKT", size: float = 100, **fields: Any) -> Order:
    made = Order()
    made.action, made.orderType, made.totalQuantity = action, kind, Decimal(str(size))
    for name, value in fields.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


class Trader(Conversation):
    """A client that has forgotten what it was told at connect."""

    def __init__(self, version: int = HIGHEST, **more: Any) -> None:
        super().__init__(version, **{"message_limit": 100_000, **more})
        self.take()

    others: "tuple[Trader, ...]" = ()

    def perform(self, effects: list[Effect]) -> None:
        """What the core says to others in answer to this one reaches them too."""
        for talk in (self, *self.others):
            Conversation.perform(talk, effects)

    def place(self, order_id: int, made: Order, symbol: str = "SPY", **about: str) -> None:
        if (
            self.version < 111
        ):  # before, the official client sends no order with a quantity in cash, not even an unset one
            made.cashQty = 0
        self.client.placeOrder(order_id, contract(symbol, **about), made)

    def price(self, side: str, symbol: str = "SPY") -> float:
        instrument = self.core.master.by_key(symbol)
        assert instrument is not None
        return float(self.core.market.feed(instrument, self.core.now).quote(side)[0])

    def statuses(self, order_id: int) -> list[str]:
        return [call[2] for call in self.calls("orderStatus") if call[1] == order_id]

    def seconds(self, limit: float = 60.0) -> Any:
        """Turns, until the caller has what it wants."""
        for _ in range(int(limit / 0.25)):
            yield
            self.turn(0.25)
        raise AssertionError("it did not happen")


@pytest.fixture(params=VERSIONS)
def trader(request: pytest.FixtureRequest) -> Trader:
    return Trader(request.param)


def test_a_market_order_is_filled_at_the_ask_and_everything_is_told_in_order(trader: Trader) -> None:
    trader.client.reqPositions()
    trader.take()
    trader.place(1, order(orderRef="mine"))
    assert [call[0] for call in trader.recorder.calls] == ["openOrder", "orderStatus"]
    ask = trader.price("ask")
    trader.turn()
    names = [call[0] for call in trader.recorder.calls]
    assert names[2:7] == ["execDetails", "openOrder", "orderStatus", "commissionAndFeesReport", "position"]
    _, request, about, execution = trader.calls("execDetails")[0]
    assert (request, about.symbol, execution.side, execution.orderId, execution.clientId) == (-1, "SPY", "BOT", 1, 1)
    assert (execution.shares, execution.orderRef) == (100, "mine")
    assert execution.price == pytest.approx(ask, abs=0.5)
    assert trader.statuses(1) == ["Submitted", "Filled"]
    status = trader.calls("orderStatus")[-1]
    assert status[3:6] == (100, 0, execution.price)
    assert trader.calls("openOrder")[-1][4].status == "Filled"
    (report,) = [call[1] for call in trader.calls("commissionAndFeesReport")]
    assert (report.execId, report.commissionAndFees, report.currency) == (execution.execId, 1.0, "USD")
    ((_, account, held, quantity, cost),) = trader.calls("position")
    assert (account, held.symbol, quantity) == ("DUSIM01", "SPY", 100)
    assert cost == pytest.approx(execution.price + 0.01)  # with its commission
    assert trader.errors() == []


def test_a_limit_order_rests_until_its_price_comes_and_never_gets_worse(trader: Trader) -> None:
    trader.place(1, order(kind="LMT", lmtPrice=round(trader.price("bid") - 1, 2)))
    trader.turn(1)
    assert trader.statuses(1) == ["Submitted"]
    trader.client.reqOpenOrders()
    trader.client.reqAllOpenOrders()
    assert [call[1] for call in trader.calls("openOrder")] == [1, 1, 1]
    assert len(trader.calls("openOrderEnd")) == 2
    limit = round(trader.price("ask") + 0.5, 2)
    trader.place(1, order(kind="LMT", lmtPrice=limit))  # the same id: a change
    for _ in trader.seconds():
        if trader.statuses(1)[-1] == "Filled":
            break
    assert all(call[3].price <= limit for call in trader.calls("execDetails"))
    assert trader.errors() == []


def test_a_large_order_is_filled_by_what_is_shown(trader: Trader) -> None:
    trader.place(1, order(size=9_000, kind="LMT", lmtPrice=round(trader.price("ask", "XLF") + 5, 2)), "XLF")
    for _ in trader.seconds(120):
        if trader.statuses(1)[-1] == "Filled":
            break
    fills = [call[3] for call in trader.calls("execDetails")]
    assert len(fills) > 2 and sum(fill.shares for fill in fills) == 9_000
    assert [fill.cumQty for fill in fills] == [sum(one.shares for one in fills[: n + 1]) for n in range(len(fills))]
    charges = sum(call[1].commissionAndFees for call in trader.calls("commissionAndFeesReport"))
    assert charges == pytest.approx(45.0)  # 0.005 a share, over all fills
    trader.take()
    trader.client.reqExecutions(7, ExecutionFilter())
    assert len(trader.calls("execDetails")) == len(fills)
    assert trader.recorder.calls[-1] == ("execDetailsEnd", 7)
    side = ExecutionFilter()
    side.side = "SELL"
    trader.client.reqExecutions(8, side)
    assert [call for call in trader.calls("execDetails") if call[1] == 8] == []


def test_orders_are_refused_with_ib_s_codes(trader: Trader) -> None:
    price = round(trader.price("bid") - 1, 2)
    refused: list[tuple[int, Order, str]] = [
        (200, order(), "NOSUCH"),
        (321, order(action="HOLD"), "SPY"),
        (434, order(size=0), "SPY"),
        (110, order(kind="LMT", lmtPrice=price + 0.001), "SPY"),
        (321, order(kind="LMT"), "SPY"),
        (387, order(kind="MIDPRICE"), "SPY"),
        (10052, order(tif="GTX1"), "SPY"),
        (135, order(parentId=77), "SPY"),
        (201, order(size=1_000_000), "SPY"),
        (321, order(account="U123"), "SPY"),
    ]
    if trader.version > 100:  # whose orders have whole sizes
        refused.append((10243, order(size=1.5), "SPY"))
    for number, (code, made, symbol) in enumerate(refused, 10):
        trader.place(number, made, symbol)
        assert trader.errors()[-1] == (number, code), code
    assert trader.calls("execDetails") == []
    trader.client.reqAllOpenOrders()
    assert trader.calls("openOrder") == []


def test_cancel_and_what_can_not_be_cancelled(trader: Trader) -> None:
    from ibapi.order_cancel import OrderCancel

    trader.place(1, order(kind="LMT", lmtPrice=1.0))
    trader.client.cancelOrder(1, OrderCancel())
    assert trader.statuses(1) == ["Submitted", "Cancelled"]
    trader.client.cancelOrder(1, OrderCancel())
    trader.client.cancelOrder(99, OrderCancel())
    trader.place(1, order(kind="LMT", lmtPrice=1.0))
    trader.place(2, order())
    trader.turn()
    trader.place(2, order(size=200))
    trader.client.cancelOrder(2, OrderCancel())
    assert trader.errors() == [(1, 202), (1, 10148), (99, 10147), (1, 103), (2, 104), (2, 10148)]
    trader.place(3, order(kind="LMT", lmtPrice=1.0))
    trader.place(4, order(kind="LMT", lmtPrice=1.0))
    trader.client.reqGlobalCancel(OrderCancel())
    assert trader.errors()[-2:] == [(3, 202), (4, 202)]
    trader.client.reqCompletedOrders(False)
    done = [(call[2].permId - 1_700_000_000, call[3].status) for call in trader.calls("completedOrder")]
    assert done == [(1, "Cancelled"), (2, "Filled"), (3, "Cancelled"), (4, "Cancelled")] or trader.version < 150


def test_read_only_takes_no_orders() -> None:
    trader = Trader(read_only=True)
    trader.place(1, order())
    trader.turn()
    assert trader.errors() == [(1, 321)]
    assert trader.core.desk.open_orders() == [] and trader.core.desk.account.figures().realized == ZERO


def bracket(trader: Trader, first: int, entry: Order, profit: float, loss: float) -> None:
    """A parent, a profit taker and a stop loss: the last one sends all three."""
    entry.transmit = False
    away = "SELL" if entry.action == "BUY" else "BUY"
    size = float(entry.totalQuantity)
    trader.place(first, entry)
    trader.place(first + 1, order(away, "LMT", size, lmtPrice=profit, parentId=first, transmit=False))
    trader.place(first + 2, order(away, "STP", size, auxPrice=loss, parentId=first))


def test_a_bracket_s_whole_life(trader: Trader) -> None:
    bid = trader.price("bid")
    trader.place(1, order(transmit=False))
    trader.place(2, order("SELL", "LMT", lmtPrice=round(bid + 50, 2), parentId=1, transmit=False))
    trader.turn(1)
    assert trader.recorder.calls == []  # nothing is sent yet
    trader.place(3, order("SELL", "STP", auxPrice=round(bid - 50, 2), parentId=1))
    assert [call[1] for call in trader.calls("orderStatus")] == [1, 2, 3]
    held = {call[1]: (call[2], call[10]) for call in trader.calls("orderStatus")}
    assert held == {1: ("Submitted", ""), 2: ("PreSubmitted", "child"), 3: ("PreSubmitted", "child,trigger")}
    opened = {call[1]: call[3] for call in trader.calls("openOrder")}
    assert {opened[2].ocaGroup, opened[3].ocaGroup} == {str(opened[1].permId)}
    assert (opened[2].ocaType, opened[2].parentId, opened[3].parentId) == (3, 1, 1)
    for _ in trader.seconds():
        if trader.statuses(1)[-1] == "Filled":
            break
    assert trader.statuses(2)[-1] == "Submitted" and trader.statuses(3)[-1] == "PreSubmitted"
    assert trader.calls("orderStatus")[-1][10] == "trigger"
    trader.place(2, order("SELL", "LMT", lmtPrice=round(bid - 5, 2), parentId=1))
    for _ in trader.seconds():
        if trader.statuses(2)[-1] == "Filled":
            break
    assert trader.statuses(3)[-1] == "Cancelled"
    assert trader.errors() == [(3, 202)]
    sold = [call[3] for call in trader.calls("execDetails") if call[3].side == "SLD"]
    assert sum(one.shares for one in sold) == 100
    profit = trader.core.desk.account.figures()
    assert profit.equity == 1_000_000 + profit.realized and profit.unrealized == 0
    assert trader.core.market.feeds() and not trader.core.desk.needs(756733)


def test_a_parent_takes_its_children_with_it(trader: Trader) -> None:
    from ibapi.order_cancel import OrderCancel

    bracket(trader, 1, order(kind="LMT", lmtPrice=1.0), 900.0, 0.5)
    trader.client.cancelOrder(1, OrderCancel())
    assert [trader.statuses(number)[-1] for number in (1, 2, 3)] == ["Cancelled"] * 3
    assert sorted(trader.errors()) == [(1, 202), (2, 202), (3, 202)]


def test_a_stop_triggers_and_a_trailing_one_follows(trader: Trader) -> None:
    trader.place(1, order())
    trader.turn()
    trader.place(2, order("SELL", "STP", auxPrice=round(trader.price("bid") + 1, 2)))  # beyond already
    trader.place(3, order("BUY", "STP LMT", auxPrice=round(trader.price("bid") - 1, 2), lmtPrice=900.0))
    trader.place(4, order("SELL", "TRAIL", auxPrice=0.5))
    if trader.version > 101:  # before, placeOrder has no offset of the limit
        trader.place(5, order("SELL", "TRAIL LIMIT", trailingPercent=1.0, lmtPriceOffset=0.1))
    trader.turn(2)
    assert trader.statuses(2)[:3] == ["PreSubmitted", "Submitted", "Filled"]
    assert trader.statuses(3)[:3] == ["PreSubmitted", "Submitted", "Filled"]
    trader.client.reqOpenOrders()
    stops = {call[1]: call[3] for call in trader.calls("openOrder")}
    last = trader.price("last")
    assert stops[4].trailStopPrice == pytest.approx(last - 0.5, abs=0.5)
    if trader.version > 101:
        assert stops[5].trailStopPrice == pytest.approx(last * 0.99, rel=0.002)
        assert stops[5].lmtPrice == pytest.approx(stops[5].trailStopPrice - 0.1)
    assert trader.errors() == []


def test_ioc_fok_and_oca(trader: Trader) -> None:
    ask = trader.price("ask")
    trader.place(1, order(kind="LMT", lmtPrice=1.0, tif="IOC"))
    trader.place(2, order(size=1_000, kind="LMT", lmtPrice=round(ask + 1, 2), tif="FOK"))
    trader.place(3, order(size=1_400, kind="LMT", lmtPrice=round(ask + 1, 2), tif="IOC"))
    trader.turn(1)
    assert trader.statuses(1)[-1] == trader.statuses(3)[-1] == "Cancelled"
    assert trader.statuses(2)[-1] in ("Cancelled", "Filled")
    assert sum(call[3].orderId == 2 for call in trader.calls("execDetails")) in (0, 1)
    trader.take()
    trader.place(4, order(kind="LMT", lmtPrice=1.0, ocaGroup="mine", ocaType=1))
    trader.place(5, order(kind="LMT", lmtPrice=2.0, ocaGroup="mine", ocaType=1))
    trader.place(6, order(ocaGroup="mine", ocaType=1))
    trader.turn(3)
    assert [trader.statuses(number)[-1] for number in (4, 5)] == ["Cancelled", "Cancelled"]
    trader.place(7, order(size=200, kind="LMT", lmtPrice=1.0, ocaGroup="parts", ocaType=2))
    trader.place(8, order(size=20_000, kind="LMT", lmtPrice=60.0, ocaGroup="parts", ocaType=2), "XLF")
    trader.turn(0.1)
    assert trader.statuses(7) == ["Submitted", "Submitted"]
    assert 0 < trader.calls("orderStatus")[-1][4] < 20_000
    left = next(call for call in reversed(trader.calls("orderStatus")) if call[1] == 7)[4]
    assert 0 < left < 200


def test_what_if_says_what_it_would_cost_and_leaves_nothing(trader: Trader) -> None:
    trader.place(1, order(whatIf=True))
    ((_, order_id, _, asked, state),) = trader.calls("openOrder")
    assert (order_id, asked.whatIf, state.commissionAndFees) == (1, True, 1.0)
    assert float(state.initMarginAfter) == pytest.approx(trader.price("ask") * 50)
    assert float(state.equityWithLoanAfter) == 999_999
    if trader.version >= 142:
        assert float(state.initMarginBefore) == 0 and float(state.initMarginChange) == float(state.initMarginAfter)
    trader.turn(1)
    trader.client.reqAllOpenOrders()
    assert trader.statuses(1) == [] and len(trader.calls("openOrder")) == 1
    trader.place(1, order())  # its id is free
    assert trader.errors() == []


def test_several_clients_and_a_master() -> None:
    first = Trader(client_id=1, master_client_id=9)
    second = Trader(core=first.core, client_id=2, clock=first.clock)
    master = Trader(core=first.core, client_id=9, clock=first.clock)
    first.others = second.others = (master,)
    first.place(1, order(kind="LMT", lmtPrice=1.0))
    second.place(1, order(kind="LMT", lmtPrice=2.0))  # ids are a client's own
    assert [call[1] for call in second.calls("openOrder")] == [1]
    assert [call[3].lmtPrice for call in master.calls("openOrder")] == [1.0, 2.0]
    second.take()
    second.client.reqOpenOrders()
    assert [call[3].lmtPrice for call in second.calls("openOrder")] == [2.0]
    second.take()
    second.client.reqAllOpenOrders()
    assert [call[3].clientId for call in second.calls("openOrder")] == [1, 2]
    assert len({call[3].permId for call in second.calls("openOrder")}) == 2
    again = Trader(core=first.core, client_id=1, clock=first.clock)
    assert again.closed  # the id is in use
    first.core.handle_closed(first.conn, first.clock.now())
    again = Conversation(core=first.core, client_id=1, clock=first.clock)
    assert again.calls("nextValidId") == [("nextValidId", 2)]
    again.client.reqOpenOrders()  # orders outlive the connection
    assert [call[3].lmtPrice for call in again.calls("openOrder")] == [1.0]


def test_manual_orders_belong_to_client_0_once_they_are_bound() -> None:
    own = Trader(client_id=0)
    other = Trader(core=own.core, client_id=3, clock=own.clock)
    director = Director(own.core)

    def by_hand(**entry: Any) -> None:
        effects = own.core.handle_call(lambda: director.do(parse_step(entry)), own.clock.now())
        for talk in (own, other):
            talk.perform(effects)

    by_hand(do="manual_order", symbol="SPY", kind="LMT", limit=1.0)
    assert own.recorder.calls == []
    other.client.reqAllOpenOrders()
    assert [call[1] for call in other.calls("openOrder")] == [0]
    own.client.reqOpenOrders()
    assert own.calls("orderBound")[0][2:] == (0, 1) and own.calls("openOrder")[0][1] == 1
    other.client.reqAutoOpenOrders(True)
    assert other.errors() == [(-1, 321)]
    own.client.reqAutoOpenOrders(True)
    by_hand(do="manual_order", symbol="SPY", kind="LMT", limit=2.0)
    assert own.calls("openOrder")[-1][1] == 2
    own.take()
    other.place(1, order(kind="LMT", lmtPrice=3.0))
    by_hand(do="manual_cancel", symbol="SPY")
    assert (own.errors(), other.errors()[-1]) == ([(1, 202), (2, 202)], (1, 202))
    by_hand(do="reject_orders", symbol="SPY", reason="not today", **{"for": 1.0})
    other.place(2, order())
    assert other.errors()[-1] == (2, 201) and other.statuses(2) == ["Inactive"]
    with pytest.raises(ScenarioError, match="needs a limit price"):
        by_hand(do="manual_order", symbol="SPY", kind="LMT")


def test_the_account_follows_a_round_trip_to_the_cent(trader: Trader) -> None:
    client = trader.client
    client.reqAccountUpdates(True, "DUSIM01")
    client.reqAccountSummary(5, "All", "NetLiquidation,TotalCashValue")
    if trader.version >= 103:
        client.reqPositionsMulti(6, "DUSIM01", "")
    if trader.version >= 135:
        client.reqPnL(7, "DUSIM01", "")
        client.reqPnLSingle(8, "DUSIM01", "", 756733)
    trader.place(1, order())
    trader.turn(3)
    trader.place(2, order("SELL", size=40))
    trader.turn(3)
    values = {(call[1], call[3]): call[2] for call in trader.calls("updateAccountValue")}
    values = {tag: float(values[tag]) for tag in values if values[tag].lstrip("-").replace(".", "").isdigit()}
    (_, _, held, price, value, cost, unrealized, realized, _) = trader.calls("updatePortfolio")[-1]
    assert (held, value) == (60, pytest.approx(60 * price))
    assert cents(values["TotalCashValue", "USD"] + value) == cents(values["NetLiquidation", "USD"])
    assert cents(1_000_000 + unrealized + realized) == cents(values["NetLiquidation", "USD"])
    assert cents(value - 60 * cost) == pytest.approx(cents(unrealized), abs=1)
    bought, sold = (call[3] for call in trader.calls("execDetails")[:2])
    fees = sum(call[1].commissionAndFees for call in trader.calls("commissionAndFeesReport"))
    paid = 100 * bought.price - 40 * sold.price + fees
    assert cents(1_000_000 - paid) == cents(values["TotalCashValue", "USD"])
    profit = trader.calls("commissionAndFeesReport")[-1][1].realizedPNL
    assert cents(profit) == cents(realized) == cents(values["RealizedPnL", "USD"])
    summary = {call[3]: float(call[4]) for call in trader.calls("accountSummary")}
    assert summary == {tag: values[tag, "USD"] for tag in summary}
    if trader.version >= 103:
        assert trader.calls("positionMulti")[-1][5] == 60
    if trader.version >= 135:
        _, _, daily, open_profit, closed = trader.calls("pnl")[-1]
        assert cents(closed) == cents(realized) and cents(daily) == cents(open_profit + closed)
        assert trader.calls("pnlSingle")[-1][2] == 60
    assert trader.errors() == []


def cents(amount: float) -> int:
    return round(amount * 100)


def test_out_of_hours_orders_wait_and_a_day_order_ends_with_its_day(trader: Trader) -> None:
    trader.core.world.hours.schedule = "regular"
    trader.core.world.hours.overrides[date(2026, 1, 5)] = []  # a holiday
    trader.place(1, order(tif="DAY"))
    trader.place(2, order(tif="IOC"))
    trader.turn(1)
    assert trader.errors() == [(1, 399), (2, 399), (2, 202)]
    assert trader.statuses(1) == ["PreSubmitted"] and trader.statuses(2)[-1] == "Cancelled"
    trader.clock.advance(22 * 3600)  # Tuesday at ten
    trader.turn(1)
    assert trader.statuses(1) == ["PreSubmitted", "Submitted", "Filled"]
    trader.place(3, order(kind="LMT", lmtPrice=1.0))
    trader.place(4, order(kind="LMT", lmtPrice=1.0, tif="GTC"))
    trader.clock.advance(7 * 3600)
    trader.turn(1)
    assert (trader.statuses(3)[-1], trader.statuses(4)[-1]) == ("Cancelled", "Submitted")


def test_prices_go_on_for_others_when_an_order_is_done(trader: Trader) -> None:
    if trader.version < 137:
        return  # no tick by tick yet
    trader.client.reqTickByTickData(9, contract(), "BidAsk", 0, False)
    trader.place(1, order())
    trader.turn(1)
    trader.place(2, order("SELL"))
    trader.turn(1)
    assert trader.statuses(2)[-1] == "Filled" and not trader.core.desk.needs(756733)
    trader.take()
    trader.turn(3)
    assert trader.calls("tickByTickBidAsk")
