"""What the accounts hold, where the settings have it asked: which contracts, and nothing else of them.

Called by the core. Names of accounts stay in here; quantities and costs do not get this far. IB tells all positions of
all accounts, then the end, then each change; of futures it names no exchange, which their details do (TWS API
documentation, "Positions"). Guarantees: it is said complete, when it is another, at most once a second. What cannot be
known now (no link, a refusal, a message that cannot be read) stays what was known last, with the reason and its time:
nothing ceases to be held because nobody knows.
"""

from typing import Final

import msgspec

from messages.events import ContractQualified, HeldContract, PositionsChanged
from services.gateway.core.answers import NOTICES
from services.gateway.core.context import Context
from services.gateway.core.deadlines import ns
from services.gateway.core.governor import Kind
from services.gateway.core.ib_errors import IbCode
from services.gateway.core.interface import IbErrorSeen, PositionSeen
from services.gateway.core.requests import Requests

MOST_HELD: Final = 1000  # contracts that are told
TOLD_AGAIN: Final = ns(1)
NO_ANSWER: Final = ns(30)
ASK_AGAIN: Final = ns(3600)  # so that a change which was missed is found
FAILED_AGAIN: Final = ns(60)
REFUSED_AGAIN: Final = ns(900)
ANYBODYS: Final = -1  # the request id of errors that name no request
REFUSALS: Final = frozenset({"reject", "request_failed", "resubscribe"})  # reactions of codes that may end it
EXCHANGES: Final = {
    "STK": "SMART", "OPT": "SMART", "WAR": "SMART", "BOND": "SMART", "CFD": "SMART", "CMDTY": "SMART",
    "FUND": "FUNDSERV", "CASH": "IDEALPRO", "CRYPTO": "PAXOS",
}  # fmt: skip
"""Where a type is traded, if IB names no exchange. Of futures and options on them the details say."""

Holders = dict[int, set[str]]
"""By contract id, the accounts that hold some: none are named where it is known from before alone."""


class Positions:
    def __init__(self, context: Context, requests: Requests) -> None:
        self.context = context
        self.requests = requests
        self.wanted = context.settings.positions != "off"
        before = context.memory.positions or PositionsChanged(held=[], as_of=0, reason="off")
        held = before.held if self.wanted else []
        self._contracts = {one.con_id: one for one in held}
        self._exchanges = {one.con_id: one.exchange for one in held if one.exchange}
        self._holders: Holders = {con_id: set() for con_id in self._contracts}
        self._reading: Holders | None = None  # of an answer that is not complete
        self._unreadable = False  # something in that answer
        self._subscribed = False  # on this connection
        self._details_asked: set[int] = set()
        self._as_of = 0 if before.reason == "off" else before.as_of  # when it was known last
        self._reason: str | None = "link_down" if self.wanted else "off"
        self._message: str | None = None
        self._told_at = 0
        if before.reason != self._reason and context.memory.positions is not None:
            self._changed()

    # --- the link ---

    def connected(self) -> None:
        """A fresh connection, or one whose subscriptions may be gone."""
        if self.wanted:
            self._ask()

    def interrupted(self) -> None:
        """Nothing tells of changes now, and asking is in vain."""
        self.context.deadlines.clear(("positions", "ask"))
        if self.wanted and (self._reason is None or self._reading is not None):
            self._stop_reading()
            self._uncertain("link_down")

    def connection_lost(self) -> None:
        self.interrupted()
        self._subscribed = False
        self._details_asked.clear()

    def due(self, what: str) -> None:
        if what == "tell":
            self._tell()
        elif what == "ask":
            self._ask()
        elif what == "answer":
            self._failed("no_answer")

    def _ask(self) -> None:
        if self._reading is not None:
            return
        if self._subscribed:
            self.requests.bare(Kind.CANCEL_POSITIONS)
        self.requests.bare(Kind.POSITIONS)
        self._subscribed, self._reading, self._unreadable = True, {}, False
        self.context.due_in("positions", "answer", NO_ANSWER)
        self.context.deadlines.clear(("positions", "ask"))

    # --- what IB says ---

    def seen(self, event: PositionSeen) -> None:
        """An account has some of a contract, or none any more."""
        if not self._subscribed:
            return
        con_id, holders = event.contract.con_id, self._holders if self._reading is None else self._reading
        if event.held:
            self._contracts[con_id] = event.contract
            holders.setdefault(con_id, set()).add(event.account)
        elif con_id in holders:
            holders[con_id].discard(event.account)
            whole = self._reading is not None or self._reason is None
            if whole and not holders[con_id]:  # else an account that could not be read may still hold some
                del holders[con_id]
        if self._reading is None:
            self._changed()

    def unreadable(self) -> None:
        """A position came, and nobody can tell which."""
        if self._reading is not None:
            self._unreadable = True
        elif self._subscribed:
            self._failed("unreadable")

    def ended(self) -> None:
        """All is told."""
        reading, self._reading = self._reading, None
        if reading is None:
            return
        if self._unreadable:
            self._holders = {con_id: set() for con_id in self._holders} | reading
            self._failed("unreadable")
            return
        self._holders = reading
        self._contracts = {con_id: self._contracts[con_id] for con_id in reading}
        self._reason = self._message = None
        self.context.deadlines.clear(("positions", "answer"))
        self.context.due_in("positions", "ask", ASK_AGAIN)
        self._changed()

    def refused(self, event: IbErrorSeen, entry: IbCode) -> bool:
        """Whether an error that is no symbol's is about what was asked here."""
        if self.requests.held.pop(event.req_id, 0):
            return True
        unknown = entry.name == "unknown" and event.code not in NOTICES
        if self._reading is None or event.req_id != ANYBODYS or not (unknown or entry.reaction in REFUSALS):
            return False
        self._failed("refused", f"{event.code}: {event.message}", REFUSED_AGAIN)
        return True

    def details_seen(self, req_id: int, details: ContractQualified) -> None:
        if self.requests.held.get(req_id) == details.con_id and details.exchange:
            self._exchanges[details.con_id] = details.exchange
            self._changed()

    def details_ended(self, req_id: int) -> None:
        self.requests.held.pop(req_id, None)

    # --- what is said ---

    def _failed(self, reason: str, message: str | None = None, again: int = FAILED_AGAIN) -> None:
        self._stop_reading()
        self._uncertain(reason, message)
        self.context.due_in("positions", "ask", again)

    def _stop_reading(self) -> None:
        self._reading = None
        self.context.deadlines.clear(("positions", "answer"))

    def _uncertain(self, reason: str, message: str | None = None) -> None:
        """What is held may be another by now."""
        if self._reason is None and self._as_of:
            self._as_of = self.context.now or self._as_of  # until now each change was told
        self._reason, self._message = reason, message
        self._changed()

    def _changed(self) -> None:
        self.context.deadlines.set(("positions", "tell"), max(self.context.now, self._told_at + TOLD_AGAIN))

    def _tell(self) -> None:
        held = [self._whole(self._contracts[con_id]) for con_id in sorted(self._holders)[:MOST_HELD]]
        if self._reason is None:
            self._as_of = self.context.now
        reason, message = self._reason, self._message
        if len(self._holders) > MOST_HELD and reason is None:
            reason, message = "too_many", f"{MOST_HELD} of {len(self._holders)}"
        event = PositionsChanged(held=held, as_of=self._as_of, reason=reason, message=message)
        told = self.context.memory.positions
        if told is None or (told.held, told.reason, told.message) != (event.held, event.reason, event.message):
            self._told_at = self.context.now
            self.context.emit(event)

    def _whole(self, contract: HeldContract) -> HeldContract:
        """With the exchange that IB did not name."""
        if contract.exchange:
            return contract
        found = EXCHANGES.get(contract.sec_type) or self._exchanges.get(contract.con_id, "")
        if not found and self._subscribed and contract.con_id not in self._details_asked:
            self._details_asked.add(contract.con_id)
            self.requests.held_details(contract.con_id)
        return msgspec.structs.replace(contract, exchange=found)
