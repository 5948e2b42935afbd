"""Which month of a future is meant on a day: the rule of days before the last trade date, over any calendar."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.events import ContractQualified, MonthsTraded, MonthVolume, PlannedSymbol
from services.gateway.core.deadlines import NEVER
from services.gateway.core.listings import AMBIGUOUS, NOT_OFFERED
from services.gateway.core.rolling import LATER_MONTHS, LEAST, ByVolume, choose_month, rolls, rolls_at

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


# --- by volume ---

VOLUMES = st.floats(0, 1e7, allow_nan=False)
QUARTERS = [date(2026, 12, 18), date(2027, 3, 19), date(2027, 6, 18), date(2027, 9, 17), date(2027, 12, 17)]


def traded(day: date, volumes: dict[date, float]) -> MonthsTraded:
    return MonthsTraded(
        "ES", f"{day:%Y%m%d}", [MonthVolume(last.toordinal(), "", "", volume) for last, volume in volumes.items()]
    )


@given(st.lists(st.lists(VOLUMES | st.none(), min_size=5, max_size=5), min_size=1, max_size=120), st.integers(0, 20))
def test_by_volume_it_never_goes_back_and_never_stays_longer_than_the_days_allow(
    days: list[list[float | None]], rule: int
) -> None:
    """Whatever the months trade, day for day: each rolls at the latest by the calendar, and for a reason."""
    offered = [month(last) for last in QUARTERS]
    held = {"front": "", "second": ""}
    meant = {"front": date.min, "second": date.min}
    for number, volumes in enumerate(days):
        today = date(2026, 9, 1) + timedelta(days=number)
        told = {last: volume for last, volume in zip(QUARTERS, volumes, strict=True) if volume is not None}
        for planned in (FRONT, NEXT):
            by_volume = ByVolume(traded(today - timedelta(days=1), told), held[planned.roll])
            found = choose_month(offered, planned, rule, at(today), by_volume)
            calendar = choose_month(offered, planned, rule, at(today))
            if found.choice.contract is None:
                assert found.choice.refusal == NOT_OFFERED and planned.roll == "second"
                return
            assert calendar.choice.contract is not None
            last = date.fromordinal(found.choice.contract.con_id)
            assert last >= max(meant[planned.roll], date.fromordinal(calendar.choice.contract.con_id))
            if last > meant[planned.roll] and meant[planned.roll] != date.min:
                assert found.by_volume or last == date.fromordinal(calendar.choice.contract.con_id)
            if found.by_volume:
                held[planned.roll] = found.choice.contract.last_trade_date
                assert told[date.fromordinal(found.rivals[0].con_id)] >= LEAST
            meant[planned.roll] = last


@pytest.mark.parametrize(
    ("volumes", "front"),
    [
        ([1000.0, 999.0, 0, 0], 0),
        ([1000.0, 1000.0, 0, 0], 0),  # it must trade more
        ([1000.0, 1001.0, 0, 0], 1),
        ([1000.0, 20.0, 1001.0, 0], 2),  # a month that hardly trades is passed over
        ([None, 1001.0, 0, 0], 0),  # what the front month traded is not known
        ([0.0, 1001.0, 0, 0], 0),
        ([1000.0, None, None, None], 0),
        ([1000.0, None, 1500.0, 0], 0),  # the month in between may be the one that traded most, and none rolls back
        ([1000.0, 1500.0, None, None], 1),  # a later one is found the next day
        ([2.0, 3.0, 0, 0], 0),  # a trifle
    ],
)
def test_the_month_that_traded_most_is_the_front_one(volumes: list[float | None], front: int) -> None:
    offered = [month(last) for last in QUARTERS]
    told = {last: volume for last, volume in zip(QUARTERS, volumes, strict=False) if volume is not None}
    found = choose_month(offered, FRONT, 5, at(date(2026, 11, 1)), ByVolume(traded(date(2026, 10, 31), told)))
    assert (found.choice.contract, found.by_volume) == (offered[front], front > 0)
    assert found.rivals == tuple(offered[front:][: 1 + LATER_MONTHS])
    second = choose_month(offered, NEXT, 5, at(date(2026, 11, 1)), ByVolume(traded(date(2026, 10, 31), told)))
    assert second.choice.contract == offered[front + 1]


@pytest.mark.parametrize("days_ago", [7, -2])
def test_volumes_of_long_ago_and_of_the_future_decide_nothing(days_ago: int) -> None:
    told = traded(date(2026, 11, 1) - timedelta(days=days_ago), {QUARTERS[0]: 1000.0, QUARTERS[1]: 5000.0})
    found = choose_month([month(last) for last in QUARTERS], FRONT, 5, at(date(2026, 11, 1)), ByVolume(told))
    assert found.choice.contract == month(QUARTERS[0]) and not found.by_volume
