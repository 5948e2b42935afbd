"""What the months of a future that rolls by volume traded: the day's bars of the front month and of the three after it.

Called by the core. Asked for once a day, half an hour after 00:00 UTC, and once at the first start: four history
requests of five days' bars each, one after the other, the last in the governor's queue; no market data line. Only a
day that is over everywhere counts, so that neither a growing bar nor one that is a quarter of an hour late is compared.
What was found is said on the stream `link`; a later month that traded more makes Contracts ask which month is meant.
"""

from datetime import UTC, datetime
from typing import Final

from messages.events import Bar, ContractQualified, MonthsTraded, MonthVolume
from services.base.clock import DAY
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, SECOND, ns
from services.gateway.core.governor import Kind, Request
from services.gateway.core.requests import Requests
from services.gateway.core.rolling import OLDEST, busiest
from services.gateway.core.symbol import Symbol

PURPOSE: Final = "months"
SETTLE: Final = ns(1800)  # after 00:00 UTC
ASK_AGAIN: Final = ns(3600)  # where the front month's volume is not known, or nothing of a later one
DURATION: Final = "5 D"  # the newest whole day and the one that runs, also after a long weekend
MOST: Final = 1e9  # contracts a day: no month of any future trades so many
LAST_IN_LINE: Final = 2_000_000_000  # as unit_check.py's


class MonthVolumes:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self._found: dict[str, dict[int, dict[int, float]]] = {}  # by symbol and contract id: days and contracts
        self._due: dict[str, int] = {}

    def check(self, symbol: Symbol) -> int:
        """Ask for what the months of it traded, when it is time. Returns when to look again."""
        months = symbol.contract.rivals
        if len(months) < 2 or symbol.requests.month_bars is not None or symbol.refusal.rejection is not None:
            return NEVER
        due = self._due.get(symbol.name, 0) or _next_look(self.context.memory.traded_time.get(symbol.name, -DAY))
        if self.context.now < due:
            return due
        found = self._found.setdefault(symbol.name, {})
        for month in months:
            if month.con_id not in found:
                self._ask(symbol, month)
                return NEVER
        del self._found[symbol.name]
        self._compare(symbol, months, found)
        return self._due[symbol.name]

    def _ask(self, symbol: Symbol, month: ContractQualified) -> None:
        request = Request(Kind.HISTORY, symbol.name, LAST_IN_LINE + symbol.priority)
        request.purpose, request.month = PURPOSE, month.con_id
        request.duration, request.bar_size = DURATION, "1 day"
        self.requests.submit_month_bars(symbol, request)

    def came(self, symbol: Symbol, request: Request, bars: list[Bar]) -> None:
        """The bars of one month; none where history refuses or is silent."""
        days = {bar.time: bar.volume for bar in bars if 0 <= bar.volume < MOST}
        self._found.setdefault(symbol.name, {})[request.month] = days
        self.context.touch(symbol)

    def _compare(
        self, symbol: Symbol, months: tuple[ContractQualified, ...], found: dict[int, dict[int, float]]
    ) -> None:
        now = self.context.now
        over = [day for day in found[months[0].con_id] if day + DAY + SETTLE <= now < day + OLDEST]
        if not over:
            self._due[symbol.name] = now + ASK_AGAIN
            return
        self._due[symbol.name] = _next_look(now) if all(found.values()) else now + ASK_AGAIN
        day = max(over)
        event = MonthsTraded(
            symbol=symbol.name,
            day=f"{datetime.fromtimestamp(day // SECOND, UTC):%Y%m%d}",
            months=[
                MonthVolume(each.con_id, each.local_symbol, each.contract_month, found[each.con_id][day])
                for each in months
                if day in found[each.con_id]
            ],
        )
        if event != self.context.memory.traded.get(symbol.name):
            self.context.emit(event)
        if busiest(months, event, now):
            symbol.contract.rolls_at = now
            self.context.touch(symbol)


def _next_look(since: int) -> int:
    """The first half hour after a midnight that comes after `since`."""
    return (since - SETTLE) // DAY * DAY + DAY + SETTLE
