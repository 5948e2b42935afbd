"""Which generic ticks a stream asks for, and which of them IB does not take.

Called by `Requests` and `Answers`. IB refuses a whole subscription for one generic tick that is not legal for the
security type (321, with a list of those that are): a wish for more must not cost the price. What was refused is not
asked for again of that type, until the next connection: a gateway of another version takes others.
"""

import re
from typing import Final

from services.base import generic_ticks
from services.gateway.core.governor import Kind, Request
from services.gateway.core.symbol import Symbol

REFUSED: Final = 321  # among other things: the code of a request that IB finds wrong
_LEGAL: Final = re.compile(r"(\d+)(?:/(\d+))?\(")  # `232/221(Pl Price)`: two numbers of one tick


class GenericWishes:
    def __init__(self, of_all: str) -> None:
        self._of_all = generic_ticks.parse(of_all)
        self._refused: dict[str, frozenset[int]] = {}  # by security type

    def of(self, symbol: Symbol) -> frozenset[int]:
        """What its next stream asks for."""
        planned = symbol.planned
        wanted = self._of_all | generic_ticks.parse(planned.generic_ticks)
        return wanted - self._refused.get(planned.sec_type, frozenset())

    def refused(self, request: Request, symbol: Symbol, code: int, message: str) -> bool:
        """Whether this error may be about the generic ticks of a stream. Then those that the message does not name as
        legal are not asked for any more, or none where it names all of them."""
        if code != REFUSED or request.kind is not Kind.STREAM or request.got or not request.generic_ticks:
            return False
        legal = {int(number) for pair in _LEGAL.findall(message) for number in pair if number}
        illegal = request.generic_ticks - legal or request.generic_ticks
        known = self._refused.get(symbol.planned.sec_type, frozenset())
        self._refused[symbol.planned.sec_type] = known | illegal
        return True

    def connected(self) -> None:
        self._refused.clear()

    def note(self, symbol: Symbol) -> str | None:
        """What the user does not get, in words."""
        planned = symbol.planned
        if planned.sec_type not in self._refused:
            return None
        wanted = self._of_all | generic_ticks.parse(planned.generic_ticks)
        missed = wanted & self._refused[planned.sec_type]
        if not missed:
            return None
        return f"IB does not take generic ticks {generic_ticks.written(missed)} for {planned.sec_type}"
