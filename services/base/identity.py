"""What identifies a contract beyond its symbol: ISIN, CUSIP, FIGI, and IB's own contract id. Check digits are checked.

Sources: ISO 6166 (ISIN), ANSI X9.6 (CUSIP), OMG FIGI 1.0.
"""

import re
from typing import Final

from messages.errors import IbStreamError

KINDS: Final = ("ISIN", "CUSIP", "FIGI")
COLUMNS: Final = ("con_id", "isin", "cusip", "figi")
"""Columns of a decision snapshot, and keys of an override, the surest first."""

MAX_CON_ID: Final = 2**31 - 1
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHAPES: Final = {
    "ISIN": re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]"),
    "CUSIP": re.compile(r"[A-Z0-9]{8}[0-9]"),
    "FIGI": re.compile(r"[B-DF-HJ-NP-TV-Z0-9]{2}G[B-DF-HJ-NP-TV-Z0-9]{8}[0-9]"),
}


def con_id(text: str) -> int:
    """Raises IbStreamError `invalid_symbol`."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 0 < int(text) <= MAX_CON_ID:
        raise _invalid(text, "a contract id", "it is a whole number above 0")
    return int(text)


def sec_id(kind: str, text: str) -> str:
    """`ISIN:US0378331005` of the identifier in `text`. Raises IbStreamError `invalid_symbol`."""
    code = text.strip().upper()
    if not _SHAPES[kind].fullmatch(code):
        raise _invalid(text, f"a {kind}", "its length or its letters are not those of one")
    digit = isin_digit(code[:-1]) if kind == "ISIN" else cusip_digit(code[:-1])
    if code[-1] != digit:
        raise _invalid(text, f"a {kind}", f"its last digit would be {digit}")
    return f"{kind}:{code}"


def isin_digit(body: str) -> str:
    """The last digit of an ISIN: Luhn's, over letters written as two digits."""
    digits = "".join(str(_ALPHABET.index(letter)) for letter in body)
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits)))
    return str(-sum(sum(divmod(value, 10)) for value in doubled) % 10)


def cusip_digit(body: str) -> str:
    """The last digit of a CUSIP, and of a FIGI, whose letters count as in it."""
    doubled = (_ALPHABET.index(letter) * (1 + place % 2) for place, letter in enumerate(body))
    return str(-sum(sum(divmod(value, 10)) for value in doubled) % 10)


def _invalid(text: str, what: str, why: str) -> IbStreamError:
    return IbStreamError("invalid_symbol", f"{text[:40]!r} is not {what}: {why}")
