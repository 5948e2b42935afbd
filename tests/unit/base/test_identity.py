"""Identifiers of contracts, and what is none."""

import pytest

from messages.errors import IbStreamError
from services.base import identity
from services.base.symbols import identified, override, parse


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("ISIN", "US0378331005"),  # Apple
        ("ISIN", "DE0007164600"),  # SAP
        ("ISIN", "IE00B5BMR087"),  # iShares Core S&P 500
        ("CUSIP", "037833100"),
        ("CUSIP", "084670702"),  # Berkshire Hathaway, class B
        ("FIGI", "BBG000B9XRY4"),
        ("FIGI", "BBG000BPH459"),
    ],
)
def test_a_real_one_is_taken_and_one_with_two_digits_swapped_is_not(kind, code):
    assert identity.sec_id(kind, f" {code.lower()} ") == f"{kind}:{code}"
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    with pytest.raises(IbStreamError, match="last digit would be") as refused:
        identity.sec_id(kind, wrong)
    assert refused.value.code == "invalid_symbol"


@pytest.mark.parametrize(
    ("kind", "code"), [("ISIN", "US037833100"), ("ISIN", "1S0378331005"), ("CUSIP", "03783310"), ("FIGI", "BBB0")]
)
def test_what_is_none_is_told_so(kind, code):
    with pytest.raises(IbStreamError, match=f"is not a {kind}"):
        identity.sec_id(kind, code)


@pytest.mark.parametrize("text", ["0", "-1", "2147483648", "1e3", "x", "99999999999"])
def test_a_contract_id_is_a_whole_number(text):
    with pytest.raises(IbStreamError, match="is not a contract id"):
        identity.con_id(text)


def test_the_surest_counts_and_the_others_must_be_right_too():
    spy = parse("SPY")
    known = {"con_id": "756733", "isin": "US78462F1030"}
    assert (identified(spy, known).con_id, identified(spy, known).sec_id) == (756733, "")
    assert identified(spy, {"isin": "US78462F1030", "cusip": "78462F103"}).sec_id == "ISIN:US78462F1030"
    assert identified(spy, {}) == spy
    with pytest.raises(IbStreamError):
        identified(spy, {"con_id": "756733", "isin": "US78462F1031"})


def test_an_override_may_say_what_identifies_a_contract():
    assert override(parse("APPLE"), {"isin": "US0378331005"}).sec_id == "ISIN:US0378331005"
    assert override(parse("APPLE"), {"con_id": 265598, "exchange": "SMART"}).con_id == 265598
    with pytest.raises(IbStreamError, match="con_id, currency"):
        override(parse("APPLE"), {"isni": "US0378331005"})
