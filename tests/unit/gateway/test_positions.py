"""Positions as gateways of old and today's versions send them: which contract is held, and nothing that is private."""

import pytest
from structlog.testing import capture_logs

from messages.events import HeldContract
from services.gateway.core.interface import IbErrorSeen, PositionSeen, PositionsEnd, PositionUnreadable
from services.gateway.wire.official_client import OfficialClient
from tests import protobuf

ACCOUNT = "DU7654321"
PROTOBUF = 207  # from this server version on, what is told of accounts is protobuf
AAPL = HeldContract(265598, "AAPL", "STK", "USD", "NASDAQ", local_symbol="AAPL", trading_class="NMS")
CALL = HeldContract(
    7, "SPX", "OPT", "USD", "", "SPXW  261218C05900000", "20261218", strike=5900.0, right="C", trading_class="SPXW"
)


def text(held: HeldContract, quantity: object, cost: object = 151.25, right: str = "") -> tuple[object, ...]:
    return (
        3, ACCOUNT, held.con_id, held.symbol, held.sec_type, held.last_trade_date, held.strike, right or held.right,
        "", held.exchange, held.currency, held.local_symbol, held.trading_class, quantity, cost,
    )  # fmt: skip


def sent(version: int, held: HeldContract, quantity: str) -> bytes:
    if version < 201:
        return b"61\0" + protobuf.text(0, *text(held, quantity))[4:]
    if version < PROTOBUF:
        return protobuf.text(61, *text(held, quantity))
    contract: list[protobuf.Field] = [(1, held.con_id), (2, held.symbol), (3, held.sec_type)]
    contract += [(4, held.last_trade_date)] * bool(held.last_trade_date)
    contract += [(5, held.strike)] * bool(held.strike) + [(6, held.right)] * bool(held.right)
    contract += [(8, held.exchange), (10, held.currency), (11, held.local_symbol), (12, held.trading_class)]
    return protobuf.message(61, (1, ACCOUNT), (2, protobuf.encode(contract)), (3, quantity), (4, 151.25))


def end(version: int) -> bytes:
    if version < 201:
        return b"62\0" + b"1\0"
    return protobuf.text(62, 1) if version < PROTOBUF else protobuf.message(62)


@pytest.mark.parametrize("version", [100, 153, 176, 200, 201, 206, 207, 225])
def test_what_is_held_is_told_in_the_encoding_of_each_version(version: int) -> None:
    client = OfficialClient(1, version)
    for held, quantity in ((AAPL, "100"), (CALL, "-2"), (AAPL, "0")):
        client.interpret(sent(version, held, quantity))
    client.interpret(end(version))
    assert client.inputs == [
        PositionSeen(ACCOUNT, AAPL, True), PositionSeen(ACCOUNT, CALL, True), PositionSeen(ACCOUNT, AAPL, False),
        PositionsEnd(),
    ]  # fmt: skip
    assert (client.malformed, client.unknown) == (0, 0)


@pytest.mark.parametrize(("version", "kind"), [(100, 61), (176, 61), (206, 61), (207, 261), (225, 261)])
def test_they_are_asked_for_in_the_encoding_of_the_version(version: int, kind: int) -> None:
    client = OfficialClient(1, version)
    client.positions()
    client.cancel_positions()
    ids = [int(f[4:].split(b"\0")[0]) if version < 201 else int.from_bytes(f[4:8], "big") for f in client.take_frames()]
    assert ids == [kind, kind + 3]


@pytest.mark.parametrize("right", ["0", "?", ""])
def test_a_stock_has_no_right_however_that_is_written(right: str) -> None:
    client = OfficialClient(1, 176)
    client.interpret(b"61\0" + protobuf.text(0, *text(AAPL, "0.5", right=right))[4:])
    assert client.inputs == [PositionSeen(ACCOUNT, AAPL, True)]


BAD = {
    "too short": text(AAPL, "100")[:9],
    "no quantity": (*text(AAPL, "")[:-2], "", "1"),
    "no number": text(AAPL, f"{ACCOUNT}x"),
    "not a number": text(AAPL, "NaN"),
    "no contract": text(HeldContract(0, "AAPL", "STK", "USD"), "100"),
    "no account": (3, "", *text(AAPL, "100")[2:]),
    "a shift": (3, "x", *text(AAPL, "100")[1:]),
}


@pytest.mark.parametrize("name", BAD)
def test_one_that_cannot_be_read_is_said_so_and_nothing_of_it_is_logged(name: str) -> None:
    client = OfficialClient(1, 176)
    with capture_logs() as logs:
        client.interpret(b"61\0" + protobuf.text(0, *BAD[name])[4:])
    assert client.inputs == [PositionUnreadable()]
    assert client.malformed == 1 and ACCOUNT not in str(logs)


@pytest.mark.parametrize("body", [((1, ACCOUNT), (3, "100")), ((1, ACCOUNT), (2, b""), (3, "1")), ((2, b"\xff"),)])
def test_a_protobuf_one_without_a_contract_is_unreadable(body: tuple[protobuf.Field, ...]) -> None:
    client = OfficialClient(1, 225)
    client.interpret(protobuf.message(61, *body))
    assert client.inputs == [PositionUnreadable()]


@pytest.mark.parametrize("version", [176, 225])
def test_no_error_names_an_account_of_the_gateway(version: int) -> None:
    client = OfficialClient(1, version)
    accounts = f"{ACCOUNT},{ACCOUNT}A"
    said = f"No position of {ACCOUNT}A, {ACCOUNT}"
    if version < 201:
        client.interpret(b"15\0" + b"1\0" + accounts.encode() + b"\0")
        client.interpret(b"4\0" + protobuf.text(0, 2, -1, 321, said, "")[4:])
    else:
        client.interpret(protobuf.message(15, (1, accounts)))
        client.interpret(protobuf.message(4, (1, -1), (2, 0), (3, 321), (4, said)))
    (error,) = [one for one in client.inputs if isinstance(one, IbErrorSeen)]
    assert (error.code, error.message) == (321, "No position of (account), (account)")
