"""The rules of price alerts, as people write them.

    SPY crosses 600            also `rises above` and `falls below`; `by bid`, `by ask` or `by mid` instead of the last
    SPY moves 2% in 5m         from the lowest to the highest price of that time, or back
    SPY spread above 0.05      or `0.1%` of the middle
    SPY silent for 30s         no new price, though its market is open
    @all stale for 60s         no price that may be used, whatever the cause

A rule is of a symbol, or of a list: `@all` is every planned symbol, and `@` with the first word of a plan's reason
(`@decision_snapshot`, `@benchmark`, `@theme`, `@held`) is those that it planned. Times are `30s`, `5m` or `2h`.
"""

import re
from typing import Final, Literal

import msgspec

from messages.errors import IbStreamError
from services.base.symbols import name_of

PriceOf = Literal["last", "bid", "ask", "mid"]

MAX_RULE: Final = 200  # characters
MAX_SECONDS: Final = 86_400.0
ALL: Final = "@all"

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"(\d{1,12}(?:\.\d{1,12})?|\.\d{1,12})"
_LIST = re.compile(r"@[a-z][a-z0-9_]{0,31}")
_KEYWORD = re.compile(r"\s(crosses|rises|falls|moves|spread|silent|stale)\b", re.IGNORECASE)
_CROSSES = re.compile(rf"(crosses|rises above|falls below) {_NUMBER}(?: by (last|bid|ask|mid))?")
_MOVES = re.compile(rf"moves {_NUMBER} ?% in {_NUMBER} ?([smh])(?: by (last|bid|ask|mid))?")
_SPREAD = re.compile(rf"spread above {_NUMBER} ?(%?)")
_LASTS = re.compile(rf"(silent|stale) for {_NUMBER} ?([smh])")
_EXPECTED: Final = (
    "expected SYMBOL crosses PRICE, rises above PRICE, falls below PRICE, moves N% in TIME, spread above WIDTH,"
    " silent for TIME or stale for TIME, as in `SPY moves 2% in 5m`"
)


class Crosses(msgspec.Struct, frozen=True, tag="crosses"):
    """The price is on the other side of `price` than it was; being equal is neither side."""

    target: str
    price: float
    direction: Literal["up", "down", "either"]
    of: PriceOf = "last"

    def __str__(self) -> str:
        words = {"up": "rises above", "down": "falls below", "either": "crosses"}[self.direction]
        return f"{self.target} {words} {self.price:.12g}{_by(self.of)}"


class Moves(msgspec.Struct, frozen=True, tag="moves"):
    """The price is `percent` away from the lowest or the highest of the last `seconds`."""

    target: str
    percent: float
    seconds: float
    of: PriceOf = "last"

    def __str__(self) -> str:
        return f"{self.target} moves {self.percent:.12g}% in {_time(self.seconds)}{_by(self.of)}"


class Spread(msgspec.Struct, frozen=True, tag="spread"):
    """Ask less bid is more than `width`, in the price's unit or in percent of the middle."""

    target: str
    width: float
    percent: bool

    def __str__(self) -> str:
        return f"{self.target} spread above {self.width:.12g}{'%' if self.percent else ''}"


class Silent(msgspec.Struct, frozen=True, tag="silent"):
    """No price was received for `seconds`, while the symbol is planned and its market is not closed."""

    target: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.target} silent for {_time(self.seconds)}"


class Stale(msgspec.Struct, frozen=True, tag="stale"):
    """For `seconds` the symbol, which is planned, has had no price that may be used."""

    target: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.target} stale for {_time(self.seconds)}"


Rule = Crosses | Moves | Spread | Silent | Stale


def parse(text: str) -> Rule:
    """The rule in these words; `str` of it gives its canonical words, which parse to the same rule.

    Raises IbStreamError `invalid_request`, field `rule`, or `invalid_symbol`.
    """
    words = " ".join(text.split())
    found = _KEYWORD.search(words)
    if len(words) > MAX_RULE or not (words.isascii() and words.isprintable()) or found is None:
        raise _invalid(text, _EXPECTED)
    target, said = words[: found.start()], words[found.start() + 1 :].lower()
    is_list = target.startswith("@")
    if is_list and not _LIST.fullmatch(target):
        raise _invalid(text, "a list is @ and a word of small letters: @all, @decision_snapshot")
    target = target if is_list else name_of(target)
    if match := _CROSSES.fullmatch(said):
        if is_list:
            raise _invalid(text, "a price to cross is of one symbol and not of a list")
        direction: dict[str, Literal["up", "down", "either"]] = {"rises above": "up", "falls below": "down"}
        return Crosses(target, float(match[2]), direction.get(match[1], "either"), _of(match[3]))
    if match := _MOVES.fullmatch(said):
        return Moves(target, _positive(text, match[1]), _seconds(text, match[2], match[3]), _of(match[4]))
    if match := _SPREAD.fullmatch(said):
        return Spread(target, float(match[1]), bool(match[2]))
    if match := _LASTS.fullmatch(said):
        kind = Silent if match[1] == "silent" else Stale
        return kind(target, _seconds(text, match[2], match[3]))
    raise _invalid(text, _EXPECTED)


def _of(word: str | None) -> PriceOf:
    match word:
        case "bid" | "ask" | "mid":
            return word
        case _:
            return "last"


def _by(of: PriceOf) -> str:
    return "" if of == "last" else f" by {of}"


def _positive(text: str, number: str) -> float:
    value = float(number)
    if value <= 0:
        raise _invalid(text, "a move is more than 0 %")
    return value


def _seconds(text: str, number: str, unit: str) -> float:
    seconds = float(number) * _UNITS[unit]
    if not 1 <= seconds <= MAX_SECONDS:
        raise _invalid(text, "a time is from 1s to 24h")
    return seconds


def _time(seconds: float) -> str:
    for unit in ("h", "m"):
        if seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:.12g}s"


def _invalid(text: str, words: str) -> IbStreamError:
    shown = text if len(text) <= MAX_RULE else text[:MAX_RULE] + "..."
    return IbStreamError("invalid_request", f"{shown!r} is no rule of an alert: {words}", "rule")
