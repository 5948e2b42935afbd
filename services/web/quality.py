"""`GET quality`: what a day's data is worth. Today's report goes on where the last question left it, or the supervisor,
whichever read further."""

import threading
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query
from starlette.responses import Response

from messages.codec import encode_json
from messages.errors import IbStreamError
from messages.quality import QualityReport
from services.base.clock import DAY, utc_day
from services.quotes.past_quality import QualityReader, day_report, day_start
from services.web.api import ALWAYS, PREFIX, json_response
from services.web.backend import Backend
from services.web.errors import only_known
from services.web.schema import answer, failures

EXAMPLE: Final[dict[str, Any]] = {
    "start": "2026-01-05T00:00:00.000000Z",
    "end": "2026-01-06T00:00:00.000000Z",
    "until": "2026-01-05T21:00:00.250000Z",
    "symbols": [
        {
            "symbol": "SPY",
            "marks": ["outliers"],
            "ticks": 481_203,
            "coverage": 0.9997,
            "blind": [{"reason": "farm_down", "seconds": 21.4}],
            "gaps": [
                {
                    "start": "2026-01-05T14:29:58.000000Z",
                    "end": "2026-01-05T14:30:19.400000Z",
                    "reason": "farm_down",
                    "filled_bars": 2,
                }
            ],
            "outliers": 1,
            "worst_outliers": [
                {
                    "time": "2026-01-05T15:10:02.250000Z",
                    "field": "last",
                    "price": 701.5,
                    "before": 687.12,
                    "after": 687.13,
                }
            ],
            "clock_seconds": 0.1,
            "last": 688.01,
        }
    ],
}


READ_SECONDS: Final = 20.0  # of today, for one answer: the next one goes on from there


class Days:
    """Reports of days; called on the threads that read the journal."""

    def __init__(self, backend: Backend) -> None:
        self._journal_dir = backend.settings.journal_dir
        self._lock = threading.Lock()
        self._today = QualityReader(self._journal_dir, DAY)

    def report(self, day: str, now: int) -> bytes:
        """As JSON. Raises IbStreamError."""
        if day != utc_day(now):
            return day_report(self._journal_dir, day, now)
        with self._lock:
            start = day_start(day)
            if not self._today.advance(start, READ_SECONDS):
                sentence = f"the ticks of {day} so far are still being read: ask again"
                raise IbStreamError("journal_unavailable", sentence, "day")
            return encode_json(self._today.report(start))


def install(app: FastAPI, backend: Backend) -> None:
    router = APIRouter(prefix=PREFIX, tags=["stream"], dependencies=[Depends(only_known)])
    days = Days(backend)

    @router.get(
        "/quality",
        summary="What a day's data is worth, symbol by symbol",
        description=(
            "Coverage and gaps, crossed and locked quotes, outliers, stuck and zero prices, the number of ticks beside"
            " the usual one, the clock, and what looks like a split. A mark says what to look at, and nothing of the"
            " price of now. Of today it costs what came since the supervisor looked last, which is minutes."
        ),
        responses=answer(QualityReport, "The report", EXAMPLE)
        | failures(*ALWAYS, "past_deleted", "journal_damaged", "journal_unavailable", checked=True),
    )
    async def quality(
        day: Annotated[
            str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="by UTC; empty: today", examples=["2026-01-05"])
        ] = "",
    ) -> Response:
        now = backend.clock.now()
        return json_response(await backend.read(lambda: days.report(day or utc_day(now), now)))

    app.include_router(router)
