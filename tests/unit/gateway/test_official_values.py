"""A planned symbol as IB is asked for it."""

from datetime import date

from messages.events import PlannedSymbol
from services.base import symbols
from services.gateway.wire.official_values import contract_of
from services.simulator.market.contracts import Master, Wanted
from services.simulator.market.listed import usual


def planned(text: str) -> PlannedSymbol:
    return symbols.planned(symbols.parse(text), "test")


def test_a_future_by_its_local_symbol_is_asked_for_by_that_alone() -> None:
    listed = [one for one in usual(date(2026, 1, 5)) if one.symbol == "ES" and one.sec_type == "FUT"]
    local = listed[0].local_symbol
    asked = contract_of(planned(f"{local}:CME:USD:FUT"), 0)
    assert (asked.symbol, asked.localSymbol, asked.secType, asked.exchange) == ("", local, "FUT", "CME")
    wanted = Wanted(
        0, asked.symbol, asked.secType, "", asked.exchange, "", asked.currency, asked.localSymbol, asked.tradingClass
    )
    assert [one.local_symbol for one in Master(listed, 0).find(wanted)] == [local]


def test_a_future_by_its_month_and_a_stock_are_asked_for_by_their_symbol() -> None:
    future, stock = contract_of(planned("ES:CME:USD:FUT:202612"), 0), contract_of(planned("brk b"), 7)
    assert (future.symbol, future.localSymbol, future.lastTradeDateOrContractMonth) == ("ES", "", "202612")
    assert (stock.symbol, stock.conId, stock.secType) == ("BRK B", 7, "STK")
