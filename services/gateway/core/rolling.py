"""Futures that roll: which month is the front one or the second on a day, and when the next one takes its place.

Called by contracts.py. By the rule of days a month counts until so many calendar days before its last trade date, as
IB's details name it, at 00:00 UTC (in Chicago that is about when the trade date begins). By the rule of volume it gives
way sooner, to the one of the next three that traded most in a whole day, once that one traded more; never back, and
never for a number that is not known (month_volumes.py). Of several kinds under one symbol (trading classes: a DAX
future and its mini) none is taken for another. Times are UTC nanoseconds.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from messages.events import ContractQualified, MonthsTraded, PlannedSymbol
from services.base.clock import DAY
from services.gateway.core.deadlines import NEVER, SECOND
from services.gateway.core.listings import AMBIGUOUS, NOT_OFFERED, Choice, same_exchange

LATER_MONTHS: Final = 3  # that are compared with the front one: of some futures two of three months hardly trade
LEAST: Final = 100.0  # contracts: of less, a single trade may be the difference
OLDEST: Final = 6 * DAY  # a day's volumes from its beginning on: a long weekend may follow it
_PLACE: Final = {"front": 0, "second": 1}


class ByVolume(NamedTuple):
    """What the rule of volume goes by."""

    traded: MonthsTraded | None = None
    held: str = ""  # last trade date of the month to which it rolled by volume before: none that ends sooner is meant


class Month(NamedTuple):
    """What is meant now, and from when on another one is."""

    choice: Choice
    until: int = NEVER
    by_volume: bool = False  # for what it traded it is another one than by the calendar
    rivals: tuple[ContractQualified, ...] = ()  # by volume: the front month, and those that may take its place


def rolls(planned: PlannedSymbol) -> bool:
    """Is it a future whose month follows from the day? One with IB's own id is that contract and no other."""
    return planned.roll in _PLACE and not planned.con_id


def rolls_at(contract: ContractQualified, days: int) -> int:
    """From when on the month does not count any more; 0 of one whose last trade date IB does not tell."""
    return _days_before(contract.last_trade_date, days)


def busiest(months: Sequence[ContractQualified], traded: MonthsTraded | None, now: int) -> int:
    """The place of the month that traded most, where it traded more than the first and no trifle; else 0. A day that is
    long ago, or not known of the first or of one that would be passed over, decides nothing."""
    if not months or traded is None or not 0 <= now - _days_before(traded.day, 0) < OLDEST:
        return 0
    known = {month.con_id: month.volume for month in traded.months}
    if not known.get(months[0].con_id):
        return 0
    volumes = [known.get(month.con_id) for month in months[: 1 + LATER_MONTHS]]
    most = max(volume for volume in volumes if volume is not None)
    place = volumes.index(most)
    return place if most >= LEAST and None not in volumes[:place] else 0


def choose_month(
    offered: Sequence[ContractQualified],
    planned: PlannedSymbol,
    days: int,
    now: int,
    by_volume: ByVolume | None = None,
) -> Month:
    """Which month is meant at `now`, where each counts until `days` days before its last trade date; with `by_volume`
    that is the latest time at which it gives way."""
    listed = [each for each in offered if each.currency == planned.currency and each.sec_type == "FUT"]
    listed = [each for each in listed if same_exchange(each.exchange, planned.exchange)] or listed
    classes = sorted({each.trading_class for each in listed})
    wanted = planned.trading_class
    if not wanted and len(classes) > 1:
        own = planned.ib_symbol or planned.symbol
        if own not in classes:
            why = f"IB knows futures of several kinds, {', '.join(classes)}; name one as `trading_class` in `contracts`"
            return Month(Choice(None, AMBIGUOUS, why))
        wanted = own
    if wanted:
        listed = [each for each in listed if each.trading_class == wanted]
    months = sorted((rolls_at(each, days), each.con_id, each) for each in listed)
    left = [each for until, _, each in months if until > now]
    place, front, moved = _PLACE[planned.roll], 0, 0
    if by_volume is not None:
        front = _not_before(left, by_volume.held, place)
        moved = busiest(left[front:], by_volume.traded, now)
    left = left[front + moved :]
    rivals = tuple(left[: 1 + LATER_MONTHS]) if by_volume is not None else ()
    if len(left) <= place:
        why = f"IB lists no {planned.roll} month more than {days} days before its last trade date: {_names(listed)}"
        return Month(Choice(None, NOT_OFFERED, why))
    chosen = left[place]
    twins = [each for each in left if rolls_at(each, days) == rolls_at(chosen, days)]
    if len({each.con_id for each in twins}) > 1:
        why = f"IB knows several that end on one day: {_names(twins)}; plan the month itself"
        return Month(Choice(None, AMBIGUOUS, why))
    return Month(Choice(chosen), rolls_at(left[0], days), moved > 0, rivals)


def _not_before(left: Sequence[ContractQualified], held: str, place: int) -> int:
    """The place in `left` of the front month, where the one that is meant, `place` behind it, does not end before the
    day `held`."""
    earlier = sum(each.last_trade_date[:8] < held[:8] for each in left)
    return max(0, earlier - place)


def _days_before(day: str, days: int) -> int:
    """00:00 UTC so many days before a day, YYYYMMDD and perhaps more; 0 where it is none."""
    if len(day) < 8:
        return 0
    try:
        date = datetime.strptime(day[:8], "%Y%m%d").replace(tzinfo=UTC)
        return int((date - timedelta(days=days)).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return 0


def _names(contracts: Iterable[ContractQualified]) -> str:
    return ", ".join(sorted({f"{each.local_symbol} ({each.last_trade_date[:8]})" for each in contracts})) or "none"
