"""What IB knows of a symbol: contract details for id, unit, hours and currency, and the symbols that it refuses.

Called by the core. Details are asked after the subscriptions, and remembered across restarts; where a price means
nothing without them they are asked first. A refusal is a word of the link that said it: it is tried again when that
link is another one, or well again, when a refresh was asked for, when the plan lists the symbol anew, and on a schedule
that begins anew once the symbol ticked.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from messages.events import ContractQualified, ContractRolled, PlannedSymbol
from services.base.trading_hours import Hours, parse_hours
from services.gateway.core.context import Context
from services.gateway.core.deadlines import NEVER, SECOND, ns
from services.gateway.core.governor import Request
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.listings import choose, listed_on, same_exchange
from services.gateway.core.requests import Requests
from services.gateway.core.rolling import ByVolume, Month, choose_month, rolls
from services.gateway.core.symbol import Rejection, Symbol
from services.gateway.core.timing import growing

ASK_AGAIN: Final = ns(3600)
ASK_FOR_MONTH_AGAIN: Final = ns(60)  # of a future that rolls
ASK_FOR_HOURS_AGAIN: Final = ns(24 * 3600)  # where IB has told none
HOURS_AHEAD: Final = ns(12 * 3600)  # hours that end sooner than this are renewed
FIRST_RETRY: Final = ns(900)
LAST_RETRY: Final = ns(4 * 3600)
KNOWN_RETRY: Final = ns(60)  # the first one of a symbol that IB knew before
ROLL_PAUSE: Final = ns(1)  # between the old month's stream and the new one's: no block holds prices of both
HEALED: Final = ns(5)  # between two tries when the link says again and again that it is well
DETAILS_FIRST: Final = ns(10)  # for so long a subscription waits for details without which prices have no unit
SETTLES: Final = 2  # refusals in a row after which yet another id waits for the schedule
NO_CONTRACT: Final = 200
EXPIRED: Final = "expired"
_WISHES: Final = ("generic_ticks", "tick_by_tick", "real_time_bars", "chain")  # which change no contract
ENDING: Final = frozenset({"FUT", "OPT", "FOP", "WAR"})

_STOPS: Final = (".", "!", "?", "\u3002")
_SUBUNITS: Final = frozenset({"GBP", "ZAR", "ILS"})  # stocks of these are quoted in pence, cents and agorot at times

hours_of = lru_cache(maxsize=512)(parse_hours)  # most symbols share a few texts


class Contracts:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self._answers: dict[int, list[ContractQualified]] = {}

    # --- details ---

    def adopt(self, symbol: Symbol) -> None:
        """Take over what memory holds, as far as it is about the same contract."""
        known = self.context.memory.contracts.get(symbol.name)
        if known is not None and _same_contract(known, symbol.planned):
            symbol.know(known, _hours(known))
            if rolls(symbol.planned):
                symbol.contract.con_id = 0  # which month it is by now, IB's details say

    def check(self, symbol: Symbol) -> int:
        """Ask for details where they are missing or run out. Returns when to look again."""
        if symbol.requests.details is not None or symbol.refusal.rejection is not None:
            return NEVER
        con_id, hours, asked_at = symbol.contract.con_id, symbol.contract.hours, symbol.contract.asked_at
        if con_id and hours is None and asked_at:
            due = asked_at + ASK_FOR_HOURS_AGAIN
        else:
            renew_at = 0 if con_id == 0 or hours is None else hours.known_until - HOURS_AHEAD
            pause = ASK_FOR_MONTH_AGAIN if symbol.month_unknown else ASK_AGAIN
            due = max(renew_at, asked_at + pause if asked_at else 0)
        if rolls_at := symbol.contract.rolls_at:
            due = min(due, rolls_at if asked_at < rolls_at else asked_at + ASK_FOR_MONTH_AGAIN)
        if self.context.now < due:
            return due
        self._ask(symbol)
        return NEVER

    def awaited(self, symbol: Symbol) -> int:
        """Until when its subscription waits for details: without them nobody knows the unit of its prices, or which
        listing is meant. 0: it need not."""
        contract = symbol.contract
        if symbol.month_unknown:
            return NEVER
        doubtful = contract.undecided or bool(symbol.planned.sec_id) or _unit_is_doubtful(symbol.planned)
        if contract.con_id or not doubtful:
            return 0
        until = (contract.asked_at or self.context.now) + DETAILS_FIRST
        return until if symbol.requests.details is not None or not contract.asked_at else 0

    def _ask(self, symbol: Symbol) -> None:
        symbol.contract.asked_at = self.context.now
        self.requests.details(symbol)

    def seen(self, req_id: int, details: ContractQualified) -> None:
        if req_id in self.requests.by_id:
            self._answers.setdefault(req_id, []).append(details)

    def ended(self, request: Request, symbol: Symbol) -> bool:
        """All answers are here: one of them is meant, or the symbol is refused with the reason. Returns whether a
        future has rolled."""
        self.requests.finish(request)
        self.context.touch(symbol)
        answers = self._answers.pop(request.req_id, [])
        if not answers:
            return False
        month = self._choose(answers, symbol)
        choice = month.choice
        if choice.contract is None:
            symbol.contract.undecided = True
            if rolls(symbol.planned):
                symbol.contract.con_id = 0  # the month that was known is not meant any more
            if symbol.refusal.rejection is not None:
                symbol.refusal.count -= 1  # it is the same refusal, with its cause
            self._refuse(symbol, Rejection(choice.refusal, None, choice.message))
            return False
        event = msgspec.structs.replace(
            choice.contract, symbol=symbol.name, note=choice.message, sec_id=symbol.planned.sec_id
        )
        known = self.context.memory.contracts.get(symbol.name)
        rolled = known is not None and rolls(symbol.planned) and known.con_id != event.con_id
        if rolled:
            assert known is not None
            self._roll(symbol, known, event, month.by_volume)
        if event != known:
            self.context.emit(event)
        if symbol.contract.con_id and symbol.contract.con_id != event.con_id:
            self.requests.cancel(symbol.requests.stream)  # what streams is another contract
        symbol.contract.undecided = False
        symbol.know(event, _hours(event))
        symbol.contract.rolls_at, symbol.contract.rivals = month.until, month.rivals
        if rolled:
            self.context.roll(symbol, self.context.now + ROLL_PAUSE)
        elif symbol.price.contract_told:
            self.context.ticks(symbol.name, self.context.contract_rows(symbol))
        rejection = symbol.refusal.rejection
        if rejection is not None and rejection.code in (NO_CONTRACT, None) and _settles(event, rejection, symbol):
            self.retry(symbol)  # the contract was ambiguous; its id settles it
        return rolled

    def _choose(self, answers: list[ContractQualified], symbol: Symbol) -> Month:
        planned = symbol.planned
        if not rolls(planned):
            return Month(choose(answers, planned), 0)
        by_volume = None
        if (planned.roll_by or self.context.settings.roll_by) == "volume":
            memory, name = self.context.memory, symbol.name
            before = memory.rolled_by_volume.get(name)
            by_volume = ByVolume(memory.traded.get(name), before.last_trade_date if before is not None else "")
        return choose_month(answers, planned, self._roll_days(planned), self.context.now, by_volume)

    def _roll_days(self, planned: PlannedSymbol) -> int:
        return planned.roll_days if planned.roll_days >= 0 else self.context.settings.roll_days

    def _roll(self, symbol: Symbol, old: ContractQualified, new: ContractQualified, by_volume: bool) -> None:
        """Say it and why, and let go of all that is the old month's."""
        traded = self.context.memory.traded.get(symbol.name) if by_volume else None
        volumes = {month.con_id: month.volume for month in traded.months} if traded is not None else {}
        self.context.emit(
            ContractRolled(
                symbol=symbol.name,
                con_id=new.con_id,
                local_symbol=new.local_symbol,
                contract_month=new.contract_month,
                last_trade_date=new.last_trade_date,
                old_con_id=old.con_id,
                old_local_symbol=old.local_symbol,
                old_contract_month=old.contract_month,
                old_last_trade_date=old.last_trade_date,
                roll_days=self._roll_days(symbol.planned),
                rule="volume" if by_volume else "days",
                day=traded.day if traded is not None else "",
                volume=volumes.get(new.con_id, 0.0),
                old_volume=volumes.get(old.con_id, 0.0),
            )
        )
        self.requests.abandon(symbol)
        self.context.deadlines.clear(("rejected", symbol.name))
        symbol.begin_anew(self.context.now, self.context.now + ROLL_PAUSE)

    def failed(self, request: Request, symbol: Symbol, entry: IbCode | None = None, message: str = "") -> None:
        """No answer, or a refusal: `entry`. Without details a future that rolls is no contract."""
        self._answers.pop(request.req_id, None)
        self.context.touch(symbol)
        if symbol.month_unknown and entry is not None and entry.reaction == "reject":
            self._refuse(symbol, Rejection(entry.name, entry.code, message, 0, self.context.now))

    def connection_lost(self) -> None:
        self._answers.clear()

    # --- refusals ---

    def reject(self, symbol: Symbol, entry: IbCode, message: str, con_id: int = 0) -> None:
        """IB refuses the symbol, asked for with this contract id: it holds no line, and is tried again later."""
        # One word for what a user sees as one thing; the code tells the kinds apart.
        name = "no_entitlement" if entry.reaction == "no_entitlement" else entry.name
        if entry.code == NO_CONTRACT:
            if self._expired(symbol):
                name, message = EXPIRED, _joined(message, "The contract has expired; the plan needs the next one.")
            elif hint := _hint(symbol.planned):
                message = _joined(message, hint)
        self._refuse(symbol, Rejection(name, entry.code, message, con_id, self.context.now))
        if entry.code == NO_CONTRACT and name != EXPIRED:
            if symbol.refusal.count > 1:
                symbol.contract.con_id = 0  # the id that was known may be the fault
            if symbol.requests.details is None:
                self._ask(symbol)

    def _refuse(self, symbol: Symbol, rejection: Rejection) -> None:
        symbol.refusal.rejection = rejection
        symbol.refusal.count += 1
        held = symbol.requests
        for request in (held.stream, held.snapshot, held.history):
            self.requests.cancel(request)
        symbol.cure.over()
        first = KNOWN_RETRY if symbol.trust.proven or symbol.contract.con_id else FIRST_RETRY
        pause = growing(first, LAST_RETRY, symbol.refusal.count - 1)
        if rejection.name == EXPIRED:
            self.context.deadlines.clear(("rejected", symbol.name))
        else:
            self.context.due_in("rejected", symbol.name, pause)
        self.context.touch(symbol)

    def retry(self, symbol: Symbol) -> None:
        """Give a rejected symbol another chance."""
        if symbol.contract.con_id == 0 and symbol.requests.details is None:
            symbol.contract.asked_at = 0
        symbol.refusal.rejection = None
        symbol.refusal.retried_at = self.context.now
        symbol.snapshots.in_vain = 0
        self.context.deadlines.clear(("rejected", symbol.name))
        self.context.touch(symbol)

    def link_healed(self) -> None:
        """The link is another one, or well again: what it refused while it was not well is asked again, at once; but
        not again and again."""
        for symbol in self.context.symbols.values():
            rejection = symbol.refusal.rejection
            if rejection is None or rejection.name == EXPIRED:
                if symbol.contract.con_id == 0 and symbol.requests.details is None:
                    symbol.contract.asked_at = 0  # details that were not answered are asked for again
                continue
            if self.context.now - symbol.refusal.retried_at >= HEALED:
                self.retry(symbol)
            else:
                self.context.deadlines.set(("rejected", symbol.name), symbol.refusal.retried_at + HEALED)

    def _expired(self, symbol: Symbol) -> bool:
        """A future, option or warrant whose last day is over, as the plan or IB's details name it."""
        if symbol.planned.sec_type not in ENDING or rolls(symbol.planned):
            return False
        known = self.context.memory.contracts.get(symbol.name)
        told = known.last_trade_date[:8] if known is not None else ""
        day = told or symbol.planned.last_trade_date
        today = f"{datetime.fromtimestamp(self.context.now // SECOND, UTC):%Y%m%d}"
        return bool(day) and day < today[: len(day)]


def same_contract(one: PlannedSymbol, other: PlannedSymbol) -> bool:
    """Do two plans mean the same contract, whatever their reason and priority, and wherever they are served?"""
    return all(
        getattr(one, field) == getattr(other, field)
        for field in PlannedSymbol.__struct_fields__
        if field not in ("reason", "priority", "held", "gateway", "home", *_WISHES)
    )


def _same_contract(known: ContractQualified, planned: PlannedSymbol) -> bool:
    if planned.con_id:
        return known.con_id == planned.con_id
    if (known.sec_type, known.currency, known.sec_id) != (planned.sec_type, planned.currency, planned.sec_id):
        return False
    wanted = planned.primary_exchange
    return not wanted or listed_on(known, wanted) or same_exchange(known.exchange, wanted)


def _settles(details: ContractQualified, rejection: Rejection, symbol: Symbol) -> bool:
    """Is this another contract than the one that was refused? One after the other settles nothing."""
    return rejection.con_id != details.con_id and (not rejection.con_id or symbol.refusal.count <= SETTLES)


def _unit_is_doubtful(planned: PlannedSymbol) -> bool:
    """May IB send its prices in a hundredth of the currency? Futures, and stocks of some currencies."""
    return planned.sec_type in ("FUT", "FOP") or (planned.sec_type == "STK" and planned.currency in _SUBUNITS)


def _hint(planned: PlannedSymbol) -> str:
    name = planned.ib_symbol or planned.symbol
    if planned.sec_type != "STK" or planned.currency != "USD" or "-" not in name:
        return ""
    return f"IB writes share classes of US stocks with a space: did you mean {name.replace('-', '.')}?"


def _joined(text: str, sentence: str) -> str:
    """IB's text, which may end without a full stop, and a sentence of ours."""
    return f"{text}{'' if text.endswith(_STOPS) else '.'} {sentence}"


def _hours(contract: ContractQualified) -> Hours | None:
    return hours_of(contract.liquid_hours or contract.trading_hours, contract.time_zone)
