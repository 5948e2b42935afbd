"""Which data farm serves which symbol. IB never says; the names of the farms tell the region.

Called by the core when a farm breaks or comes back. A farm of an unknown name may serve anybody.
"""

from typing import Final

from messages.events import PlannedSymbol

_EUROPE: Final = frozenset({"EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "HUF", "CZK"})
_ASIA: Final = frozenset({"HKD", "JPY", "CNH", "SGD", "KRW", "INR", "AUD", "NZD", "TWD"})


def region(planned: PlannedSymbol) -> str:
    """cash, usfut, us, eu or asia."""
    if planned.sec_type in ("CASH", "CMDTY"):
        return "cash"
    if planned.currency in _EUROPE:
        return "eu"
    if planned.currency in _ASIA:
        return "asia"
    return "usfut" if planned.sec_type in ("FUT", "CONTFUT", "FOP") else "us"


def served_by(farm: str, planned: PlannedSymbol) -> bool:
    """May this farm (`usfarm.nj`, `cashfarm`, `eufarm`, `hfarm` ...) serve this symbol?"""
    of_farm = _region_of_farm(farm.lower())
    return of_farm is None or of_farm == region(planned)


def _region_of_farm(farm: str) -> str | None:
    for prefix, name in (
        ("cash", "cash"),
        ("usfut", "usfut"),
        ("usopt", "usopt"),
        ("us", "us"),
        ("eu", "eu"),
        ("uk", "eu"),
        ("hfarm", "asia"),
        ("jfarm", "asia"),
        ("apac", "asia"),
    ):
        if farm.startswith(prefix):
            return name
    return None
