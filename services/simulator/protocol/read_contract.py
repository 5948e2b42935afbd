"""The contract that a request is about, as text fields and as protobuf."""

from typing import Any

from services.simulator.market.contracts import Wanted, known_strike
from services.simulator.protocol.wire import Fields


def contract_of_fields(fields: Fields, with_primary: bool = True) -> Wanted:
    """The twelve contract fields, in the order that nearly every request has."""
    con_id = fields.number(0)
    symbol, sec_type, expiry = fields.text(), fields.text(), fields.text()
    strike, right = fields.decimal(), fields.text()
    fields.skip()  # multiplier
    exchange, primary, currency = fields.text(), fields.text() if with_primary else "", fields.text()
    local_symbol, trading_class = fields.text(), fields.text()
    return Wanted(con_id, symbol, sec_type, expiry, exchange, primary, currency, local_symbol, trading_class,
                  known_strike(strike), right[:1].upper())  # fmt: skip


def contract_of_protobuf(sent: Any) -> Wanted:
    return Wanted(
        sent.conId, sent.symbol, sent.secType, sent.lastTradeDateOrContractMonth, sent.exchange, sent.primaryExch,
        sent.currency, sent.localSymbol, sent.tradingClass, known_strike(sent.strike), sent.right[:1].upper(),
        sent.includeExpired,
        (sent.secIdType.upper(), sent.secId.upper()),
    )  # fmt: skip
