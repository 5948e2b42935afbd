"""What IB's numbers say, and when they say nothing: one rule for all that folds ticks and bars.

Pure; used by the quote book, candles, quality and charts. Prices are IB's until `in_currency` has divided them.
"""

from math import isfinite
from typing import Final

from services.base.clock import LAST, SECOND

UNSET: Final = 1e308  # above: IB's unset double
_DIGITS: Final = 12  # after the point of a price that was divided
_OVERFLOW: Final = 1 << 32
_LAST_SECOND: Final = LAST // SECOND  # a later time can't be written
_MICROSECOND: Final = 1_000  # ns: a time as a float is no more exact


def number_of(value: float) -> float | None:
    return value if isfinite(value) and value < UNSET else None


def size_of(value: float) -> float | None:
    return value if 0 <= value < UNSET else None


def price_of(value: float, size: float, magnifier: float = 1) -> float | None:
    """None where IB has no price: it says -1 or 0 without a size then."""
    if not isfinite(value) or abs(value) > UNSET or (value in (-1, 0) and not size > 0):
        return None
    return value if magnifier == 1 else in_currency(value, magnifier)


def in_currency(price: float, magnifier: float) -> float:
    """A price in the contract's currency: IB's in its hundredth part has a magnifier of 100."""
    return price if magnifier == 1 else round(price / magnifier, _DIGITS)


def volume_of(value: float, unit: float) -> float | None:
    """A day's volume, in units of so many shares. A negative one has overflowed where that is one, else is none."""
    number = number_of(value)
    if number is not None and number < 0:
        return number + _OVERFLOW if unit == 1 and number < -1 else None
    return number


def time_of(seconds: float) -> int:
    """UTC nanoseconds; 0 where it is no time."""
    return int(seconds * SECOND) if 0 < seconds <= _LAST_SECOND else 0


def since_of(seconds: float) -> int:
    """UTC nanoseconds from which on IB's rows count, by a row FIELDS_SINCE; 0: all do."""
    return max(time_of(seconds) - _MICROSECOND, 0)
