"""Which month of a future is meant on a day: the rule of days before the last trade date, over any calendar."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.events import ContractQualified, PlannedSymbol
from services.gateway.core.deadlines import NEVER
from services.gateway.core.listings import AMBIGUOUS, NOT_OFFERED
from services.gateway.core.rolling import choose_month, rolls, rolls_at

SECOND = 1_000_000_000
FRONT = PlannedSymbol("ES_CME_USD_FUT_FRONT", "test", 0, "FUT", "CME", ib_symbol="ES", roll="front")
NEXT = PlannedSymbol("ES_CME_USD_FUT_SECOND", "test", 0, "FUT", "CME", ib_symbol="ES", roll="second")
LAST_DAYS = st.lists(st.dates(date(2020, 1, 1), date(2040, 12, 31)), min_size=2, max_size=20, unique=True)


def month(last: date, con_id: int = 0, kind: str = "ES", exchange: str = "CME", told: str = "") -> ContractQualified:
    return ContractQualified(
        "",
        con_id or last.toordinal(),
        "FUT",
        exchange,
        "USD",
        local_symbol=f"{kind}{last:%y%m}",
        trading_class=kind,
        last_trade_date=told or f"{last:%Y%m%d}",
        contract_month=f"{last:%Y%m}",
    )


def at(day: date, seconds: int = 0) -> int:
    return (int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + seconds) * SECOND


@given(LAST_DAYS, st.integers(0, 60), st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.integers(0, 86_399), st.data())
def test_front_is_the_first_month_that_has_more_days_left_than_the_rule_says(
    lasts: list[date], days: int, today: date, second: int, data: st.DataObject
) -> None:
    offered = data.draw(st.permutations([month(last) for last in lasts]))
    now = at(today, second)
    left = sorted(last for last in lasts if last - timedelta(days=days) > today)
    for planned, place in ((FRONT, 0), (NEXT, 1)):
        found = choose_month(offered, planned, days, now)
        if len(left) <= place:
            assert (found.choice.contract, found.choice.refusal) == (None, NOT_OFFERED)
            continue
        assert found.choice.contract == month(left[place])
        assert left[place] > today  # never one that has expired, nor one on its last day
        assert found.until == at(left[0] - timedelta(days=days)) > now


@given(LAST_DAYS, st.integers(0, 60), st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_it_is_the_same_month_until_the_time_that_is_told_and_the_next_one_from_then_on(
    lasts: list[date], days: int, today: date
) -> None:
    offered = [month(last) for last in lasts]
    found = choose_month(offered, FRONT, days, at(today))
    second = choose_month(offered, NEXT, days, at(today))
    if second.choice.contract is None:
        return
    assert choose_month(offered, FRONT, days, found.until - 1) == found
    rolled = choose_month(offered, FRONT, days, found.until)
    assert rolled.choice.contract == second.choice.contract
    assert second.until == found.until < rolled.until


def test_of_several_kinds_under_one_symbol_none_is_taken_for_another() -> None:
    last = date(2026, 12, 18)
    dax = [month(last, 1, "FDAX", "EUREX"), month(last, 2, "FDXM", "EUREX")]
    planned = PlannedSymbol("DAX", "test", 0, "FUT", "EUREX", roll="front")
    found = choose_month(dax, planned, 5, at(date(2026, 11, 1)))
    assert found.choice.refusal == AMBIGUOUS and "FDAX, FDXM" in found.choice.message
    named = PlannedSymbol("DAX", "test", 0, "FUT", "EUREX", roll="front", trading_class="FDXM")
    chosen = choose_month(dax, named, 5, at(date(2026, 11, 1))).choice.contract
    assert chosen is not None and chosen.con_id == 2
    weekly = [month(date(2026, 12, 9), 3, "VX50", "CFE"), month(date(2026, 12, 16), 4, "VIX", "CFE")]
    vix = PlannedSymbol("VIX_CFE_USD_FUT_FRONT", "test", 0, "FUT", "CFE", ib_symbol="VIX", roll="front")
    chosen = choose_month(weekly, vix, 5, at(date(2026, 11, 1))).choice.contract
    assert chosen is not None and chosen.con_id == 4


def test_two_that_end_on_one_day_are_named() -> None:
    twins = [month(date(2026, 12, 18), 1), month(date(2026, 12, 18), 2)]
    found = choose_month(twins, FRONT, 5, at(date(2026, 11, 1)))
    assert (found.choice.contract, found.choice.refusal, found.until) == (None, AMBIGUOUS, NEVER)


@pytest.mark.parametrize(("told", "counts"), [("20261218 08:30:00 US/Central", True), ("202612", False), ("", False)])
def test_the_last_trade_date_as_ib_tells_it(told: str, counts: bool) -> None:
    contract = ContractQualified("", 1, "FUT", "CME", "USD", last_trade_date=told)
    assert rolls_at(contract, 5) == (at(date(2026, 12, 13)) if counts else 0)


def test_ibs_own_id_is_that_contract_and_does_not_roll() -> None:
    assert rolls(FRONT) and not rolls(PlannedSymbol("ES", "test", 0, "FUT", "CME", roll="front", con_id=7))
