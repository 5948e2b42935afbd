"""The simulator's account is told from Interactive Brokers' by its name."""

import pytest

from services.base.simulated import SIMULATED_ACCOUNT, is_simulated


@pytest.mark.parametrize("account", [SIMULATED_ACCOUNT, "DUSIM02", "SIMULATOR"])
def test_a_simulators(account: str) -> None:
    assert is_simulated(account)


@pytest.mark.parametrize("account", ["DU1234567", "DUS123456", "U1234567", "DF000001", "dusim01", ""])
def test_not_a_simulators(account: str) -> None:
    assert not is_simulated(account)


def test_programs_take_it_for_a_paper_account() -> None:
    assert SIMULATED_ACCOUNT.startswith("D")
