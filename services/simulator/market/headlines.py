"""Invented news: a headline an hour for each instrument, a pure function of instrument and hour. It says that it is
invented, so that nobody trades on it.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from services.base.clock import DAY, HOUR
from services.simulator.market.contracts import Instrument

PROVIDERS = {
    "BRFG": "Briefing.com General Market Columns",
    "BRFUPDN": "Briefing.com Analyst Actions",
    "DJNL": "Dow Jones Newsletters",
}
"""The ones that IB's API users have without a subscription (TWS API documentation, news providers)."""

MOST = 300  # headlines in one answer, as at IB
DAYS = 30  # that are kept
_SUBJECTS = ("opens a plant", "names a new officer", "reports its orders", "buys back shares", "settles a suit")


class Headline(NamedTuple):
    time: str  # 2026-01-05 14:00:00.0, UTC
    provider: str
    article: str
    text: str


def headlines(
    instrument: Instrument, providers: list[str], start: int, end: int, most: int
) -> tuple[list[Headline], bool]:
    """Of [start, end), UTC nanoseconds, the newest first, at most `most`; and whether there are more."""
    oldest = max(start, end - DAYS * DAY)
    found: list[Headline] = []
    for hour in range((end - 1) // HOUR, (oldest + HOUR - 1) // HOUR - 1, -1):
        provider = list(PROVIDERS)[(hour + instrument.con_id) % len(PROVIDERS)]
        if provider in providers:
            if len(found) == most:
                return found, True
            found.append(_headline(instrument, provider, hour))
    return found, False


def _headline(instrument: Instrument, provider: str, hour: int) -> Headline:
    at = datetime.fromtimestamp(hour * 3600, UTC)
    subject = _SUBJECTS[(hour * 7 + instrument.con_id) % len(_SUBJECTS)]
    text = f"{instrument.name or instrument.symbol} {subject} (invented)"
    return Headline(f"{at:%Y-%m-%d %H:%M:%S}.0", provider, f"{provider}${instrument.con_id:x}_{hour:x}", text)


def article(provider: str, name: str) -> str | None:
    """The text of an article that a headline named; None for any other."""
    if provider not in PROVIDERS or not name.startswith(f"{provider}$"):
        return None
    return f"This article, {name}, is invented by the simulator. Nothing of it happened."
