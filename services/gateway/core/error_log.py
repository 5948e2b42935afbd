"""What IB said, written down once a second for one cause: a gateway that repeats itself must not fill the journal.

Called by the core for each error message. The first of its kind is said at once; the same again within a second are
counted, and said together as one event. Guarantees: every message is counted in some event's `repeats`, and at most
MOST_KINDS different ones are told apart in a second; of further ones only the code is.
"""

from typing import Final

import msgspec

from messages.events import IbError
from services.gateway.core.context import Context
from services.gateway.core.deadlines import SECOND

MOST_KINDS: Final = 50

Kind = tuple[int, str | None, str]


class ErrorLog:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._held: dict[Kind, tuple[IbError, int]] = {}  # said within the last second, and how often again since

    def said(self, error: IbError) -> None:
        kind: Kind = (error.code, error.symbol, error.message)
        if kind not in self._held and len(self._held) >= MOST_KINDS:
            kind = (error.code, None, "")
        known = self._held.get(kind)
        if known is not None:
            self._held[kind] = (error, known[1] + 1)
            return
        if not self._held:
            self.context.due_in("errors", "", SECOND)
        self._held[kind] = (error, 0)
        self.context.emit(error)

    def due(self) -> None:
        """A second is over: say what came again, and go on counting that."""
        held, self._held = self._held, {}
        for kind, (error, times) in held.items():
            if times:
                self.context.emit(msgspec.structs.replace(error, repeats=times))
                self._held[kind] = (error, 0)
        if self._held:
            self.context.due_in("errors", "", SECOND)
