"""Generic ticks: the numbers by which IB is asked for more than prices and sizes, as `233,236`.

What each brings is told in `messages/generic.py`. Which of them IB takes depends on the security type and on the
gateway's version; the gateway's core learns that from IB's own answer.
"""

import re
from collections.abc import Iterable
from typing import Final

from messages.errors import IbStreamError

_NUMBER: Final = re.compile(r"\d{1,4}")
MOST: Final = 40  # in one request


def parse(text: str, field: str = "generic_ticks") -> frozenset[int]:
    """The numbers in a list with commas. Raises IbStreamError `invalid_request` for anything else."""
    parts = [part.strip() for part in text.split(",")]
    numbers = {int(part) for part in parts if _NUMBER.fullmatch(part)}
    if text.strip() and not all(_NUMBER.fullmatch(part) for part in parts):
        raise IbStreamError(
            "invalid_request", f"generic ticks are numbers with commas between, as 233,236; not {text[:40]!r}", field
        )
    if len(numbers) > MOST:
        raise IbStreamError("invalid_request", f"{len(numbers)} generic ticks; expected at most {MOST}", field)
    return frozenset(numbers)


def written(numbers: Iterable[int]) -> str:
    """As IB takes them; empty for none."""
    return ",".join(map(str, sorted(set(numbers))))
