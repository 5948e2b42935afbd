"""What IB's sizes and volumes count, from the kind of tick, the server version and the contract details together."""

import msgspec
import pytest

from messages.events import ContractQualified
from services.gateway.core.interface import ContractSeen
from services.gateway.core.units import units
from services.gateway.wire.official_client import OfficialClient
from tests import captures

AAPL = ContractQualified(
    symbol="AAPL", con_id=265598, sec_type="STK", exchange="SMART", currency="USD", primary_exchange="NASDAQ"
)


def details_of(capture: str) -> ContractQualified:
    for frame in captures.frames(capture):
        if frame.from_server and frame.message_id == 10:
            client = OfficialClient(1, frame.server_version)
            client.interpret(frame.payload)
            (seen,) = client.inputs
            assert isinstance(seen, ContractSeen)
            return seen.details
    raise AssertionError("no contract details")


@pytest.mark.parametrize(
    ("capture", "version", "raw", "shares"),
    [
        ("sv200_contract_details_aapl_stk", 200, 312_894, 31_289_400),  # 2 April 2026: a usual day of AAPL
        ("grounded_contract_details_aapl", 225, 812_670, 32_506_800),  # 24 August
        ("grounded_contract_details_aapl", 211, 456_676, 18_267_040),  # 13 July, till noon: bars say the same
    ],
)
def test_the_delayed_volume_of_captures(capture: str, version: int, raw: int, shares: int) -> None:
    found = units(details_of(capture), version)
    assert raw * found.delayed_volume == shares
    assert (found.size, found.bars) == (1, 1)


@pytest.mark.parametrize(
    ("version", "lot", "expected"),
    [
        (157, 100, (100, 100, 100, 100)),
        (157, 0, (0, 0, 0, 0)),
        (159, 100, (1, 100, 100, 100)),
        (176, 100, (1, 100, 100, 1)),
        (200, 40, (1, 40, 40, 1)),
        (219, 40, (1, 40, 40, 1)),
        (220, 40, (1, 1, 40, 1)),
        (226, 0, (1, 1, 0, 1)),
    ],
)
def test_a_us_stock(version: int, lot: float, expected: tuple[float, ...]) -> None:
    assert units(msgspec.structs.replace(AAPL, suggested_size_increment=lot), version) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sec_type": "FUT", "primary_exchange": "", "exchange": "CME"}, (1, 1, 1, 1)),
        ({"sec_type": "CASH", "exchange": "IDEALPRO"}, (1, 0, 0, 0)),
        ({"sec_type": "CRYPTO", "exchange": "PAXOS"}, (1, 0, 0, 0)),
        ({"currency": "GBP", "primary_exchange": "LSE", "suggested_size_increment": 1.0}, (1, 1, 1, 1)),
        ({"currency": "HKD", "primary_exchange": "SEHK", "suggested_size_increment": 500.0}, (1, 0, 0, 0)),
        ({"currency": "USD", "primary_exchange": "LSEETF", "suggested_size_increment": 10.0}, (1, 0, 0, 0)),
    ],
)
def test_what_is_no_us_stock(changes: dict[str, object], expected: tuple[float, ...]) -> None:
    assert units(msgspec.structs.replace(AAPL, **changes), 200) == expected


def test_without_details_no_volume_has_a_unit() -> None:
    assert units(None, 225) == (1, 0, 0, 0)
    assert units(None, 157) == (0, 0, 0, 0)


def test_old_versions_tell_the_round_lot_in_another_field() -> None:
    fields = [
        "10",
        "8",
        "7",
        "SPY",
        "STK",
        "-",
        "0",
        "-",
        "SMART",
        "USD",
        "SPY",
        "SPY",
        "SPY",
        "756733",
        "0.01",
        "100",
        "-",
        "LMT",
        "SMART",
        "1",
        "0",
        "ETF",
        "ARCA",
    ]
    payload = "".join(f"{'' if field == '-' else field}\0" for field in [*fields, *["-"] * 20]).encode()
    client = OfficialClient(1, 157)
    client.interpret(payload)
    (seen,) = client.inputs
    assert isinstance(seen, ContractSeen)
    assert (seen.details.suggested_size_increment, seen.details.min_tick) == (100, 0.01)
