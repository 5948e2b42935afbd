"""Who an invented stock is: contract ids that a name gives and that give the name back, and ISINs that check.

Pure functions. Invented ids begin at 1,000,000,000 and invented ISINs are of CUSIP's range for private use (issuers
that begin with 99), so that neither is ever taken for a real contract's.
"""

import re
import zlib
from typing import Final

from services.base.identity import cusip_digit, isin_digit

INVENTED_IDS: Final = 1_200_000_000
DERIVED_IDS: Final = 1_000_000_000  # of what hangs on another contract: options, CFDs
_DERIVED_SPAN: Final = 200_000_000
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHABET: Final = "0123456789" + _LETTERS
_SUFFIXES: Final = ("", *_LETTERS, "PR", *(f"PR{letter}" for letter in _LETTERS), "WS", "RT")
_TICKER: Final = re.compile(r"([A-Z]{1,5})(?: ([A-Z]|PR[A-Z]?|WS|RT))?")


def is_ticker(symbol: str) -> bool:
    """Whether IB could call a US stock so: one to five letters, a class, a preferred or a warrant after a space."""
    return _TICKER.fullmatch(symbol) is not None


def invented_id(ticker: str) -> int:
    """The contract id of a well-formed ticker: the same in every run, and another for every other ticker."""
    match = _TICKER.fullmatch(ticker)
    assert match is not None, ticker
    number = 0
    for letter in match[1]:
        number = number * 26 + _LETTERS.index(letter) + 1
    return INVENTED_IDS + number * len(_SUFFIXES) + _SUFFIXES.index(match[2] or "")


def invented_ticker(con_id: int) -> str | None:
    """The ticker that has this id, or None if no ticker has it."""
    number, suffix = divmod(con_id - INVENTED_IDS, len(_SUFFIXES))
    if number <= 0:
        return None
    root = ""
    while number:
        number, letter = divmod(number - 1, 26)
        root = _LETTERS[letter] + root
    return f"{root} {_SUFFIXES[suffix]}".strip() if len(root) <= 5 else None


def derived_id(name: str) -> int:
    """A contract id for what a name such as `AAPL  260117C00240000` stands for; two names may share one."""
    return DERIVED_IDS + zlib.crc32(name.encode()) % _DERIVED_SPAN


def is_derived(con_id: int) -> bool:
    return DERIVED_IDS <= con_id < INVENTED_IDS


def invented_isin(ticker: str) -> str:
    """A US ISIN with right check digits, in the range that no registrar gives out. Two tickers may share one."""
    number = zlib.crc32(ticker.encode())
    body = "99"
    for _ in range(6):
        number, digit = divmod(number, 36)
        body += _ALPHABET[digit]
    cusip = body + cusip_digit(body)
    return f"US{cusip}{isin_digit('US' + cusip)}"
