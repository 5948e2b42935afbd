"""Futures that roll: which month is the front one or the second on a day, and when the next one takes its place.

Called by contracts.py. The rule goes by the calendar alone: a month counts until so many calendar days before its last
trade date, as IB's details name it, at 00:00 UTC (in Chicago that is about when the trade date begins). Of several
kinds under one symbol (trading classes: a DAX future and its mini) none is taken for another. Times are UTC
nanoseconds.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from messages.events import ContractQualified, PlannedSymbol
from services.gateway.core.deadlines import NEVER, SECOND
from services.gateway.core.listings import AMBIGUOUS, NOT_OFFERED, Choice, same_exchange

_PLACE: Final = {"front": 0, "second": 1}


class Month(NamedTuple):
    """What is meant now, and from when on another one is."""

    choice: Choice
    until: int = NEVER


def rolls(planned: PlannedSymbol) -> bool:
    """Is it a future whose month follows from the day? One with IB's own id is that contract and no other."""
    return planned.roll in _PLACE and not planned.con_id


def rolls_at(contract: ContractQualified, days: int) -> int:
    """From when on the month does not count any more; 0 of one whose last trade date IB does not tell."""
    day = contract.last_trade_date[:8]
    if len(day) < 8:
        return 0
    try:
        last = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
        return int((last - timedelta(days=days)).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return 0


def choose_month(offered: Sequence[ContractQualified], planned: PlannedSymbol, days: int, now: int) -> Month:
    """Which month is meant at `now`, where each counts until `days` days before its last trade date."""
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
    left = [(until, each) for until, _, each in months if until > now]
    place = _PLACE[planned.roll]
    if len(left) <= place:
        why = f"IB lists no {planned.roll} month more than {days} days before its last trade date: {_names(listed)}"
        return Month(Choice(None, NOT_OFFERED, why))
    until, chosen = left[place]
    twins = [each for other, each in left if other == until]
    if len({each.con_id for each in twins}) > 1:
        why = f"IB knows several that end on one day: {_names(twins)}; plan the month itself"
        return Month(Choice(None, AMBIGUOUS, why))
    return Month(Choice(chosen), left[0][0])


def _names(contracts: Iterable[ContractQualified]) -> str:
    return ", ".join(sorted({f"{each.local_symbol} ({each.last_trade_date[:8]})" for each in contracts})) or "none"
