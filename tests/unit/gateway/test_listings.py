"""Which of several contracts is meant: never the first that came."""

from itertools import permutations

import pytest

from messages.events import ContractQualified, PlannedSymbol
from services.gateway.core.listings import AMBIGUOUS, NOT_OFFERED, choose, same_exchange


def row(
    con_id: int, primary: str, currency: str = "USD", exchange: str = "SMART", name: str = "A"
) -> ContractQualified:
    return ContractQualified("", con_id, "STK", exchange, currency, primary, name)


def planned(primary: str = "", currency: str = "USD", exchange: str = "SMART") -> PlannedSymbol:
    return PlannedSymbol("A", "test", 0, exchange=exchange, currency=currency, primary_exchange=primary)


@pytest.mark.parametrize("rows", list(permutations([row(1, "EBS"), row(2, "NASDAQ"), row(3, "LSEETF")])))
def test_a_plain_dollar_symbol_is_the_listing_at_home(rows: tuple[ContractQualified, ...]) -> None:
    choice = choose(rows, planned())
    assert choice.contract is not None and choice.contract.con_id == 2
    assert "NASDAQ" in choice.message and "EBS" in choice.message


@pytest.mark.parametrize(("wanted", "offered"), [("ISLAND", "NASDAQ"), ("NASDAQ", "ISLAND"), ("NASDAQ", "NASDAQ")])
def test_an_exchange_has_two_names(wanted: str, offered: str) -> None:
    for rows in ([row(1, "EBS"), row(2, offered)], [row(2, offered), row(1, "EBS")]):
        choice = choose(rows, planned(wanted))
        assert choice.contract is not None and choice.contract.con_id == 2
    assert same_exchange(wanted, offered) and not same_exchange("NYSE", "NASDAQ")


def test_a_demand_that_nothing_meets_names_what_is_on_offer() -> None:
    choice = choose([row(1, "EBS"), row(2, "NASDAQ")], planned("LSE"))
    assert choice.contract is None and choice.refusal == NOT_OFFERED
    assert "EBS" in choice.message and "NASDAQ" in choice.message and "LSE" in choice.message
    assert choose([row(1, "NYSE", "EUR")], planned()).refusal == NOT_OFFERED


def test_a_tie_that_no_rule_settles_is_named() -> None:
    choice = choose([row(1, "NYSE"), row(2, "NASDAQ")], planned())
    assert choice.contract is None and choice.refusal == AMBIGUOUS
    assert "NYSE" in choice.message and "NASDAQ" in choice.message


def test_one_contract_on_several_exchanges_is_one() -> None:
    rows = [row(1, "ARCA", exchange="ARCA"), row(1, "ARCA"), row(1, "ARCA", exchange="BATS")]
    choice = choose(rows, planned())
    assert choice.contract is not None and choice.contract.exchange == "SMART" and choice.message == ""


def test_an_answer_without_a_primary_exchange_meets_the_demand() -> None:
    choice = choose([row(1, "")], planned("NYSE"))
    assert choice.contract is not None


def test_the_symbol_s_own_name_goes_before_others() -> None:
    choice = choose([row(1, "NYSE", name="AX"), row(2, "NASDAQ", name="A")], planned())
    assert choice.contract is not None and choice.contract.con_id == 2


def test_a_contract_id_settles_it_whatever_else_is_written() -> None:
    rows = [row(1, "EBS", "CHF"), row(2, "NASDAQ")]
    wanted = PlannedSymbol("A", "test", 0, con_id=1)
    choice = choose(rows, wanted)
    assert choice.contract is not None and choice.contract.con_id == 1
    choice = choose(rows, PlannedSymbol("A", "test", 0, con_id=3))
    assert choice.refusal == NOT_OFFERED and "the id 3" in choice.message
