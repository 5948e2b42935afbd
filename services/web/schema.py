"""The OpenAPI document: the views of messages/views.py as they are, and examples of real answers."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from messages.candles import Candle, Interval
from messages.errors import CODES
from messages.events import Plan
from messages.quality import QualityReport
from messages.views import AlertNotice, PriceAlert, ProjectChoice, Quote, SnapshotChoice, Status
from services.quotes.candle_table import csv_lines
from services.web.errors import HTTP_CODES

TITLE: Final = "ibstream"
DESCRIPTION: Final = """\
The current price of every planned symbol, and whether it can be trusted.

Every error is `{"detail": {"code", "message"}}` with a stable code, and with `field` where a part of the request
caused it. When `IBSTREAM_WEB_TOKEN` is set, send it
as `Authorization: Bearer ...`; the event stream takes it as `?access_token=` too.

Every answer carries the server's time in `X-Server-Time` (UTC): compare a `good_until` with that, and not with a clock
that may be wrong.
"""

QUOTE_EXAMPLE: Final[dict[str, Any]] = {
    "symbol": "SPY",
    "timestamp": "2026-01-05T14:30:00.250000Z",
    "source": "ib_stream",
    "bid": 687.11,
    "ask": 687.12,
    "last": 687.12,
    "close": 683.17,
    "bid_size": 400,
    "ask_size": 300,
    "last_size": 100,
    "volume": 1204300,
    "currency": "USD",
    "exchange": "SMART",
    "market_data_type": "realtime",
    "stale": False,
    "good_until": "2026-01-05T14:30:04.900000Z",
    "epoch": 3,
    "seq": 48211,
}
STATUS_EXAMPLE: Final[dict[str, Any]] = {
    "status": "degraded",
    "reason": "farm_down",
    "message": "the data farm usfarm is down: 1 symbol lives on snapshots",
    "last_heartbeat": "2026-01-05T14:30:00.500000Z",
    "subscribed_symbols": ["QQQ", "SPY"],
    "ib_error_count": 1,
    "last_error": {
        "time": "2026-01-05T14:29:58.000000Z",
        "code": 2103,
        "name": "farm_broken",
        "message": "Market data farm connection is broken:usfarm",
    },
    "market_data_type": "realtime",
    "degraded_since": "2026-01-05T14:29:58.000000Z",
    "project_id": 1,
    "api_mode": "ib",
    "services": {"gateway": {"state": "up", "pid": 4242, "head_seq": 48211}},
    "symbols": {"SPY": {"state": "snapshot", "source": "ib_snapshot", "age": 4.2, "reason": "farm_down"}},
    "good_until": "2026-01-05T14:30:05.500000Z",
}
HISTORY_EXAMPLE: Final[dict[str, Any]] = {
    "symbol": "SPY",
    "points": [{"time": "2026-01-05T14:30:00.250000Z", "price": 687.12, "source": "ib_stream"}],
}
SPARKLINES_EXAMPLE: Final[dict[str, Any]] = {
    "series": [{"symbol": "SPY", "times": [1767623395, 1767623400], "prices": [687.1, 687.12]}]
}
CANDLES_EXAMPLE: Final[dict[str, Any]] = {
    "symbol": "SPY",
    "interval": "1m",
    "candles": [
        {
            "symbol": "SPY",
            "interval": "1m",
            "start": "2026-01-05T14:30:00.000000Z",
            "end": "2026-01-05T14:31:00.000000Z",
            "open": 687.02,
            "high": 687.15,
            "low": 687.0,
            "close": 687.12,
            "volume": 48200.0,
            "vwap": 687.081244,
            "trades": 131,
            "coverage": 0.75,
            "blind": [{"reason": "farm_down", "seconds": 15.0}],
            "source": "ib_stream",
            "market_data_type": "realtime",
            "complete": True,
        }
    ],
    "more": False,
    "note": None,
    "live": True,
}
CANDLES_CSV_EXAMPLE: Final = "".join(csv_lines(msgspec.convert(CANDLES_EXAMPLE["candles"], list[Candle])))
GAPS_EXAMPLE: Final[dict[str, Any]] = {
    "gaps": [
        {
            "symbol": "SPY",
            "start": "2026-01-05T14:29:58.000000Z",
            "end": None,
            "reason": "farm_down",
            "filled": False,
        }
    ],
    "link": [{"time": "2026-01-05T14:29:58.000000Z", "status": "degraded", "reason": "farm_down"}],
}
SNAPSHOT_EXAMPLE: Final[dict[str, Any]] = {
    "id": 12,
    "date": "2026-01-05",
    "usable": True,
    "count": 48,
    "problem": None,
}
PROJECTS_EXAMPLE: Final[dict[str, Any]] = {
    "projects": [{"id": 3, "name": "Momentum", "archived": False, "snapshot": SNAPSHOT_EXAMPLE}],
    "more": False,
}
NOTICE_EXAMPLE: Final[dict[str, Any]] = {
    "id": 12,
    "symbol": "SPY",
    "time": "2026-01-05T14:30:00.250000Z",
    "text": "SPY rose above 687: last 687.12",
    "value": 687.12,
    "source": "ib_stream",
}
ALERTS_EXAMPLE: Final[dict[str, Any]] = {
    "alerts": [
        {
            "id": 12,
            "rule": "SPY rises above 687",
            "pause": 900.0,
            "note": "sell half",
            "added": "2026-01-05T14:00:00.000000Z",
            "count": 1,
            "last": NOTICE_EXAMPLE,
        }
    ],
    "recent": [NOTICE_EXAMPLE],
}
EVENTS_EXAMPLE: Final = (
    'event: quotes\ndata: [{"symbol":"SPY","last":687.12,"stale":false,"epoch":3,"seq":48211}]\nid: 1-7\n\n'
)


class HistoryPoint(msgspec.Struct):
    """A price. Its time is when it was received; its source is null when it is not known."""

    time: str
    price: float
    source: str | None


class HistoryView(msgspec.Struct):
    symbol: str
    points: list[HistoryPoint]


class SparklineView(msgspec.Struct):
    """Prices and their times in whole seconds of UTC, one for one. Empty when there were none."""

    symbol: str
    times: list[int]
    prices: list[float]


class SparklinesView(msgspec.Struct):
    series: list[SparklineView]


class CandlesView(msgspec.Struct):
    """`more`: there are later ones in the time that was asked for. `note`: what of it is not there any more. `live`:
    those of this interval are published, and come in the event stream to whoever asks for them."""

    symbol: str
    interval: Interval
    candles: list[Candle]
    more: bool
    note: str | None
    live: bool = False


class GapView(msgspec.Struct):
    """No streamed prices from start to end; end is null while the gap is open."""

    symbol: str
    start: str
    end: str | None
    reason: str
    filled: bool


class LinkView(msgspec.Struct):
    """The status word from that time on."""

    time: str
    status: str
    reason: str | None


class GapsView(msgspec.Struct):
    gaps: list[GapView]
    link: list[LinkView]


class QuotesView(msgspec.Struct):
    quotes: list[Quote]


class AcceptedView(msgspec.Struct):
    """Done, and durable; changed is false when it was so already."""

    accepted: bool
    changed: bool
    seq: int | None


class ProjectsView(msgspec.Struct):
    """By id, each with its newest usable snapshot; of very many the newest, and then more is true."""

    projects: list[ProjectChoice]
    more: bool


class SnapshotsView(msgspec.Struct):
    """The newest first; more is true when there are older ones."""

    snapshots: list[SnapshotChoice]
    more: bool


class AlertsView(msgspec.Struct):
    """Those that are set, by id, and the last that came, the newest first."""

    alerts: list[PriceAlert]
    recent: list[AlertNotice]


class HealthView(msgspec.Struct):
    status: str


class ErrorDetail(msgspec.Struct, omit_defaults=True):
    """`field` is the part of the request that caused it, where one did."""

    code: str
    message: str
    field: str | None = None


class ErrorBody(msgspec.Struct):
    detail: ErrorDetail


VIEWS: Final = (
    Quote,
    Status,
    Plan,
    QuotesView,
    HistoryView,
    SparklinesView,
    CandlesView,
    GapsView,
    QualityReport,
    AcceptedView,
    ProjectsView,
    SnapshotsView,
    AlertsView,
    HealthView,
    ErrorBody,
)
_REF: Final = "#/components/schemas/{name}"


def answer(view: type, description: str, example: Any = None, *, csv: str = "") -> dict[int | str, dict[str, Any]]:
    """The `responses` entry of a 200 that is a JSON view, or on demand CSV, of which `csv` is an example."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=view.__name__)}}
    if example is not None:
        content["example"] = example
    kinds: dict[str, Any] = {"application/json": content}
    if csv:
        kinds["text/csv"] = {"schema": {"type": "string"}, "example": csv}
    return {200: {"description": description, "content": kinds}}


def failures(*codes: str, checked: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` entries of error codes, those of one HTTP status together. `checked`: a request that is
    not as documented is refused."""
    by_status: dict[int, list[str]] = {422: ["invalid_request"]} if checked else {}
    for code in codes:
        status = CODES[code].http if code in CODES else next(s for s, name in HTTP_CODES.items() if name == code)
        by_status.setdefault(status, []).append(code)
    return {
        status: {
            "description": "One of: " + ", ".join(sorted(listed)),
            "content": {
                "application/json": {
                    "schema": {"$ref": _REF.format(name=ErrorBody.__name__)},
                    "example": {"detail": {"code": listed[0], "message": "a sentence for the person who meets it"}},
                }
            },
        }
        for status, listed in by_status.items()
    }


def install(app: FastAPI) -> None:
    """Let `app.openapi()` tell of our own views, and nothing of FastAPI's error shape."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=TITLE, version=app.version, description=DESCRIPTION, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, ours = msgspec.json.schema_components(VIEWS, ref_template=_REF)
    schemas.update(ours)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operation in _operations(document):
        operation["security"] = [{}, {"token": []}]
    return document


def _operations(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()
