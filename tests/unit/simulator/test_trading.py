"""The order desk and the ledger by themselves: whatever clients do and the market does, the account adds up to the
cent, and nothing is left of what is done.
"""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.base.clock import SECOND
from services.simulator.market.contracts import Instrument
from services.simulator.refused import Refused
from services.simulator.trading.account import BASE_CURRENCY, CASH, Account, in_base
from services.simulator.trading.commissions import commission
from services.simulator.trading.desk import Desk
from services.simulator.trading.events import Charged, Executed, OrderTold, Told
from services.simulator.trading.ledger import ON_MARGIN, factor
from services.simulator.trading.matching import Quote
from services.simulator.trading.order import ZERO, order_of
from tests.unit.simulator.test_encodings import ES, SPY

SAP = Instrument(14204, "SAP", "SAP SE", 238.0, 0.01, 1_000_000, exchange="IBIS", currency="EUR", tick=0.02)
YEN = Instrument(
    15016059, "USD", "US dollar", 157.0, 0.01, 0, "CASH", "IDEALPRO", currency="JPY", tick=0.005, decimals=3
)
BITCOIN = Instrument(479624278, "BTC", "Bitcoin", 94_000.0, 0.03, 1_000, "CRYPTO", "PAXOS", tick=0.25)
CORN = Instrument(700, "ZC", "Corn", 452.5, 0.01, 1_000, "FUT", "CBOT", tick=0.25, multiplier="5000", magnifier=100)
ALL = [SPY, ES, SAP, YEN, BITCOIN, CORN]


class Street:
    """A venue whose prices the test makes."""

    def __init__(self) -> None:
        self.now = 1_767_632_400 * SECOND
        self.ticks = {one.con_id: round(one.price / one.tick) for one in ALL}
        self.watched: set[int] = set()
        self.size = Decimal(300)

    def quote(self, instrument: Instrument) -> Quote:
        tick, level = Decimal(instrument.tick_text), self.ticks[instrument.con_id]
        return Quote(tick * level, self.size, tick * (level + 1), self.size, tick * level)

    def day_end(self, instrument: Instrument) -> int:
        return self.now + 3600 * SECOND

    def moment(self, text: str) -> int:
        return int(text)

    def watch(self, instrument: Instrument) -> None:
        self.watched.add(instrument.con_id)

    def release(self, instrument: Instrument) -> None:
        self.watched.discard(instrument.con_id)


def adds_up(account: Account, earlier: Decimal = ZERO) -> None:
    """In each currency: cash + cost = what it began with + realized profit; and in all, what is shown agrees.
    `earlier`: what was realized before this day, in the base currency."""
    ledger = account.ledger
    for currency in ledger.currencies:
        held = [one for one in ledger.positions.values() if one.instrument.currency == currency]
        lent = sum((one.cost - one.fees for one in held if one.instrument.sec_type in ON_MARGIN), ZERO)
        began = CASH if currency == BASE_CURRENCY else ZERO
        cost = sum((one.cost for one in held), ZERO)
        assert ledger.cash(currency) - lent + cost == began + ledger.realized(currency), currency
    figures, tags = account.figures(), {(one.tag, one.currency): one.value for one in account.everything()}
    added = sum((in_base(ledger.cash(one) + _worth(account, one), one) for one in ledger.currencies), ZERO)
    assert figures.equity == added == Decimal(tags["NetLiquidation", BASE_CURRENCY])
    assert Decimal(tags["NetLiquidationByCurrency", "BASE"]) == figures.equity
    assert abs(figures.equity - CASH - figures.realized - figures.unrealized) <= Decimal("0.01") * len(
        ledger.currencies
    )
    profit = account.profit()
    assert abs(earlier + profit.realized + profit.unrealized - (figures.equity - CASH)) <= Decimal("0.01") * 2 * len(
        ALL
    )
    for one in ledger.positions.values():
        assert one.quantity or (one.cost, one.fees) == (ZERO, ZERO)


def _worth(account: Account, currency: str) -> Decimal:
    held = [one for one in account.held() if one.instrument.currency == currency]
    return sum((account.ledger.worth(one, account.price(one)) for one in held), ZERO)


TRADES = st.lists(
    st.tuples(st.sampled_from(ALL), st.integers(-500, 500).filter(bool), st.integers(-40, 40)), max_size=40
)


@settings(deadline=None)
@given(TRADES)
def test_whatever_is_traded_the_account_adds_up(trades: list[tuple[Instrument, int, int]]) -> None:
    street = Street()
    account = Account(lambda instrument: street.quote(instrument).last)
    charged: dict[str, Decimal] = {}
    paid: dict[str, Decimal] = {}
    for instrument, size, step in trades:
        street.ticks[instrument.con_id] += step
        price = street.quote(instrument).ask
        assert price is not None
        fee = commission(instrument, Decimal(abs(size)), abs(size) * price * factor(instrument))
        account.ledger.trade(instrument, Decimal(size), price, fee)
        charged[instrument.currency] = charged.get(instrument.currency, ZERO) + fee
        paid[instrument.currency] = paid.get(instrument.currency, ZERO) + size * price * factor(instrument)
        adds_up(account)
    for one in account.held():  # close everything: what is left is what was earned and paid
        price = account.price(one)
        paid[one.instrument.currency] -= one.quantity * price * factor(one.instrument)
        charged[one.instrument.currency] += Decimal("1.23")
        account.ledger.trade(one.instrument, -one.quantity, price, Decimal("1.23"))
        adds_up(account)
    for currency, fees in charged.items():
        cash = account.ledger.cash(currency) - (CASH if currency == BASE_CURRENCY else ZERO)
        assert abs(cash + paid[currency] + fees) <= Decimal("0.01") * (len(trades) + len(ALL))
        assert account.ledger.realized(currency) == cash


KINDS = st.sampled_from(["MKT", "LMT", "LMT", "STP", "STP LMT", "TRAIL", "MIT"])
ACTIONS = st.one_of(
    st.tuples(st.just("place"), st.integers(1, 3), st.sampled_from(ALL), KINDS, st.sampled_from(["BUY", "SELL"]),
              st.integers(1, 900), st.integers(-6, 6), st.sampled_from(["DAY", "GTC", "IOC", "FOK"]),
              st.sampled_from(["", "", "a", "b"]), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("cancel"), st.integers(1, 3), st.integers(1, 12)),
    st.tuples(st.just("change"), st.integers(1, 3), st.integers(1, 12), st.integers(1, 900), st.integers(-6, 6)),
    st.tuples(st.just("move"), st.sampled_from(ALL), st.integers(-8, 8)),
    st.tuples(st.just("wait"), st.sampled_from([0.05, 1.0, 4000.0])),
    st.tuples(st.just("cancel all")), st.tuples(st.just("new day")),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(ACTIONS, min_size=20, max_size=60))
def test_whatever_clients_do_the_desk_keeps_its_rules(actions: list[tuple[Any, ...]]) -> None:
    street = Street()
    desk = Desk(street)
    placed: dict[tuple[int, int], tuple[dict[str, Any], Instrument]] = {}
    executions, told = [], {}
    earlier = ZERO
    for what, *arguments in actions:
        if what == "place":
            client, instrument, kind, side, size, away, tif, group, oca_type, transmit = arguments
            said = _said(street, instrument, kind, side, size, away)
            said |= {"tif": tif, "ocaGroup": group, "ocaType": oca_type, "transmit": transmit}
            number = desk.next_id(client)
            placed[client, number] = (said, instrument)
            desk.place(client, number, said, instrument, instrument.exchange)
            desk.turn()
        elif what == "change" and tuple(arguments[:2]) in placed:
            client, number, size, away = arguments
            said, instrument = placed[client, number]
            said = said | _said(street, instrument, said["orderType"], said["action"], size, away)
            desk.place(client, number, said, instrument, instrument.exchange)
            desk.turn()
        elif what == "cancel":
            desk.cancel(*arguments)
        elif what == "move":
            street.ticks[arguments[0].con_id] += arguments[1]
        elif what == "wait":
            street.now += int(arguments[0] * SECOND)
            desk.turn()
        elif what == "cancel all":
            desk.cancel_all()
        elif what == "new day":
            desk.new_day()
            earlier = desk.account.figures().realized
        for event in desk.events:
            if isinstance(event, Executed):
                executions.append(event.execution)
                _check_fill(event.execution)
            if isinstance(event, OrderTold):
                told[event.of.perm_id] = event.standing
        charges = [event.execution for event in desk.events if isinstance(event, Charged)]
        assert charges == [event.execution for event in desk.events if isinstance(event, Executed)]
        desk.events.clear()
        adds_up(desk.account, earlier)
    for instrument in ALL:
        signed = sum((one.of.order.sign * one.size for one in executions if one.of.instrument is instrument), ZERO)
        position = desk.account.ledger.positions.get(instrument.con_id)
        assert signed == (position.quantity if position else ZERO)
        assert (instrument.con_id in street.watched) == desk.needs(instrument.con_id)
    for one in desk.open_orders():
        assert told[one.perm_id] == one.standing and ZERO <= one.filled < one.quantity
    desk.cancel_all()  # nothing is left behind that would grow
    assert desk.open_orders() == [] and not desk._open and not desk._groups and not desk._shown and not desk._fresh
    desk.new_day()
    assert not desk._orders and not desk._done


def test_an_order_that_is_filled_ends_the_last_one_of_another_contract_in_the_same_turn() -> None:
    street = Street()
    desk = Desk(street)
    for number, (instrument, away) in enumerate(((SPY, -4), (SAP, -4)), 1):
        said = _said(street, instrument, "LMT", "BUY", 10, away)
        said |= {"ocaGroup": "a", "ocaType": 1, "tif": "GTC", "transmit": True}
        desk.place(1, number, said, instrument, instrument.exchange)
    desk.turn()
    street.ticks[SPY.con_id] -= 40
    desk.turn()
    assert [(one.of.instrument, one.size) for one in desk.executions] == [(SPY, 10)]
    assert desk.open_orders() == []


def _said(street: Street, instrument: Instrument, kind: str, side: str, size: int, away: int) -> dict[str, Any]:
    price = float((street.ticks[instrument.con_id] + away) * Decimal(instrument.tick_text))
    return {"orderType": kind, "action": side, "totalQuantity": str(size), "lmtPrice": price,
            "auxPrice": price if kind != "TRAIL" else 1.5}  # fmt: skip


def _check_fill(one: Any) -> None:
    order = one.of.order
    assert one.size > 0 and one.cumulative <= one.of.quantity
    if order.kind in ("LMT", "STP LMT"):
        assert one.price <= one.of.limit if order.side == "BUY" else one.price >= one.of.limit
    if order.tif == "FOK":
        assert one.size == one.of.quantity


def test_an_order_of_what_is_not_done_is_refused() -> None:
    whole = {"orderType": "LMT", "action": "BUY", "totalQuantity": "1", "lmtPrice": 1.0}
    assert order_of(whole).quantity == 1
    for wrong, code in [
        ({"algoStrategy": "Adaptive"}, 321), ({"conditions": [{"type": 3}]}, 321), ({"totalQuantity": "x"}, 321),
        ({"totalQuantity": "0"}, 434), ({"totalQuantity": "-1"}, 321), ({"orderType": "MOC"}, 387),
        ({"tif": "GTD"}, 391),
        ({"tif": "IOC", "orderType": "STP", "auxPrice": 1.0}, 111), ({"triggerMethod": 5}, 321), ({"ocaType": 4}, 321),
        ({"lmtPrice": float("inf")}, 321), ({"orderType": "TRAIL"}, 321), ({"orderType": "STP"}, 321),
    ]:  # fmt: skip
        try:
            order_of(whole | wrong)
        except Refused as refusal:
            assert refusal.code == code, wrong
        else:
            raise AssertionError(wrong)


def test_a_refusal_is_told_once_and_leaves_nothing() -> None:
    desk = Desk(Street())
    desk.place(
        1,
        5,
        {"orderType": "LMT", "action": "BUY", "totalQuantity": "1", "lmtPrice": 1.001, "transmit": True},
        SPY,
        "SMART",
    )
    assert [event.code for event in desk.events if isinstance(event, Told)] == [110]
    assert desk.next_id(1) == 1 and desk.open_orders() == [] == desk.completed_orders()
