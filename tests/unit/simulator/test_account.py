"""The account's figures, as the official client asks for them, in text and in protobuf."""

import pytest

from services.simulator.protocol.versions import HIGHEST
from services.simulator.trading.account import Account
from tests.unit.simulator.conversation import Conversation

account = Account(lambda instrument: None)
VERSIONS = [100, 176, 200, HIGHEST]
TAGS = (
    "AccountType,NetLiquidation,TotalCashValue,SettledCash,AccruedCash,BuyingPower,EquityWithLoanValue,"
    "PreviousDayEquityWithLoanValue,GrossPositionValue,RegTEquity,RegTMargin,SMA,InitMarginReq,MaintMarginReq,"
    "AvailableFunds,ExcessLiquidity,Cushion,FullInitMarginReq,FullMaintMarginReq,FullAvailableFunds,"
    "FullExcessLiquidity,LookAheadNextChange,LookAheadInitMarginReq,LookAheadMaintMarginReq,LookAheadAvailableFunds,"
    "LookAheadExcessLiquidity,HighestSeverity,DayTradesRemaining,Leverage"
)


def summary(version: int, tags: str) -> dict[tuple[str, str], str]:
    talk = Conversation(version)
    talk.client.reqAccountSummary(5, "All", tags)
    assert talk.calls("accountSummaryEnd") == [("accountSummaryEnd", 5)]
    rows = talk.calls("accountSummary")
    assert all(row[1:3] == (5, "DUSIM01") for row in rows)
    assert len(rows) == len({(row[3], row[5]) for row in rows})
    return {(row[3], row[5]): row[4] for row in rows}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_tag_has_its_row(version: int) -> None:
    found = summary(version, TAGS)
    assert {tag for tag, _ in found} == set(TAGS.split(","))
    assert summary(version, "ExcessLiquidity, MaintMarginReq") == {
        ("ExcessLiquidity", "USD"): "1000000.00", ("MaintMarginReq", "USD"): "0.00",
    }  # fmt: skip
    assert summary(version, "NoSuchTag") == {}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("tags", "currencies"),
    [("$LEDGER", {"BASE"}), ("$LEDGER:EUR", {"EUR"}), ("$LEDGER:USD", {"USD"}), ("$LEDGER:ALL", {"BASE", "USD", "EUR"}),
     ("$LEDGER:XXX", set())],
)  # fmt: skip
def test_the_ledger_comes_for_the_currencies_that_are_asked_for(version: int, tags: str, currencies: set[str]) -> None:
    found = summary(version, tags)
    assert {currency for _, currency in found} == currencies
    for currency in currencies:
        assert found["Currency", currency] == currency
        assert float(found["CashBalance", currency]) == (0 if currency == "EUR" else 1_000_000)
        assert float(found["ExchangeRate", currency]) > 0


def test_the_figures_agree_with_each_other() -> None:
    by_tag = {value.tag: float(value.value) for value in account.values() if value.currency}
    assert by_tag["NetLiquidation"] == by_tag["TotalCashValue"] + by_tag["GrossPositionValue"]
    assert by_tag["AvailableFunds"] == by_tag["EquityWithLoanValue"] - by_tag["InitMarginReq"]
    assert by_tag["ExcessLiquidity"] == by_tag["EquityWithLoanValue"] - by_tag["MaintMarginReq"]
    ledgers = {one: {value.tag: value.value for value in account.ledger_of(one)} for one in ("BASE", "USD", "EUR")}
    total = sum(float(ledgers[one]["CashBalance"]) * float(ledgers[one]["ExchangeRate"]) for one in ("USD", "EUR"))
    assert total == float(ledgers["BASE"]["CashBalance"]) == by_tag["NetLiquidation"]


@pytest.mark.parametrize("version", VERSIONS)
def test_account_updates_tell_all_of_it(version: int) -> None:
    talk = Conversation(version)
    talk.client.reqAccountUpdates(True, "DUSIM01")
    told = {(call[1], call[3]): call[2] for call in talk.calls("updateAccountValue")}
    assert told == {(value.tag, value.currency): value.value for value in account.everything()}
    assert told["ExcessLiquidity", "USD"] == told["CashBalance", "BASE"] == "1000000.00"
