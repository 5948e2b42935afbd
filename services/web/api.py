"""The endpoints. Each answers from what the bus last said, asks the supervisor, or reads the journal."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from messages.candles import Interval
from messages.codec import encode_json
from messages.control import (
    Accepted,
    Command,
    ComputePlan,
    ListProjects,
    ListSnapshots,
    PlanReply,
    ProjectsReply,
    SnapshotsReply,
    Start,
    Stop,
)
from messages.errors import IbStreamError
from messages.events import MarketDataType, Plan
from messages.views import Quote, Status
from services.base.settings_rules import candle_intervals
from services.base.symbols import MAX_NOTATION, name_of
from services.web import schema
from services.web.backend import Backend
from services.web.candles import CANDLE_WORDS, MAX_CANDLES, TIME_WORDS, asked_time, live_candles, read_candles
from services.web.chart import MAX_MINUTES, MAX_SPARK_MINUTES, MAX_SPARKLINES
from services.web.errors import only_known
from services.web.events import EventStream
from services.web.schema import answer, failures

PREFIX: Final = "/api/ib/stream"
ALWAYS: Final = ("invalid_request", "unauthorized")
OF_SYMBOL: Final = ("symbol_not_found", "invalid_symbol")
OF_JOURNAL: Final = ("journal_damaged", "journal_unavailable")
UNHEARD: Final = ("supervisor_unreachable", "journal_unavailable")  # why a command may not be done
BIGINT: Final = 2**63 - 1

SymbolText = Annotated[str, Field(min_length=1, max_length=MAX_NOTATION)]
Symbol = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_NOTATION,
        description="`SYMBOL`, or `SYMBOL:EXCHANGE:CURRENCY[:SECTYPE[:PRIMARY]]`",
        examples=["SPY"],
    ),
]

Symbols = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_SPARKLINES * (MAX_NOTATION + 1),
        description="symbols as in other requests, separated by commas",
        examples=["SPY,QQQ"],
    ),
]


class StartBody(BaseModel):
    """What to stream. Everything is optional: without anything, what was streamed last, or the default project."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"project_id": 1}, {"symbols": ["SPY", "QQQ"], "max_symbols": 50}]},
    )

    project_id: Annotated[int, Field(ge=1, le=BIGINT)] | None = None
    decision_snapshot_id: Annotated[int, Field(ge=1, le=BIGINT)] | None = None
    symbols: Annotated[list[SymbolText], Field(max_length=10_000)] | None = None
    max_symbols: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    market_data_type: MarketDataType | None = None
    refresh_interval_seconds: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] | None = None
    generic_ticks: Annotated[str, Field(pattern=r"^\d{1,4}(,\d{1,4})*$", max_length=200)] | None = None


class StopBody(BaseModel):
    """Nothing: a stop is of the whole stream. What else a body asks for is refused, and nothing is stopped."""

    model_config = ConfigDict(extra="forbid")


REFUSED: Final = (
    "request_too_large",
    "project_not_found",
    "decision_snapshot_not_found",
    "symbols_empty",
    "invalid_symbol",
    "snapshot_unreadable",
    "planner_unreachable",
    "database_unavailable",
    "schema_unexpected",
)
"""Why the planner may refuse a request to start."""


def _start(body: StartBody | None) -> Start:
    """The command. Raises IbStreamError for what could not be a symbol, without asking anybody."""
    wanted = (body or StartBody()).model_dump()
    for symbol in wanted["symbols"] or ():
        name_of(symbol)
    return Start(**wanted)


def _name(symbol: str) -> str:
    try:
        return name_of(symbol)
    except IbStreamError as error:
        raise IbStreamError(error.code, error.message, "symbol") from None


def _names(symbols: str) -> list[str]:
    """The names in a list with commas, each once. Raises IbStreamError for a bad one, and for too many."""
    names = list(dict.fromkeys(map(_name, symbols.split(","))))
    if len(names) > MAX_SPARKLINES:
        raise HTTPException(422, f"symbols: at most {MAX_SPARKLINES} in one request")
    return names


def _magnifier(quote: Quote | None) -> int:
    return 1 if quote is None or quote.price_magnifier is None else quote.price_magnifier


class _EventStreamType(Response):
    """Names the content type in the OpenAPI document."""

    media_type = EventStream.media_type


def json_response(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


async def accepted(backend: Backend, command: Command) -> Response:
    """The answer to a command that changes something. Raises IbStreamError."""
    reply = await backend.control(command)
    assert isinstance(reply, Accepted), reply
    return json_response(encode_json({"accepted": True, "changed": reply.changed, "seq": reply.seq}))


def install(app: FastAPI, backend: Backend) -> None:
    router = APIRouter(prefix=PREFIX, tags=["stream"], dependencies=[Depends(only_known)])
    _commands(router, backend)
    _choices(router, backend)
    _current(router, backend)
    _past(router, backend)
    _events(router, backend)
    app.include_router(router)
    _health(app, backend)


def _commands(router: APIRouter, backend: Backend) -> None:
    @router.post(
        "/start",
        summary="Start streaming",
        responses=answer(schema.AcceptedView, "Accepted, and durable", {"accepted": True, "changed": True, "seq": 12})
        | failures(*ALWAYS, "forbidden", "ib_stream_lock_busy", *REFUSED, *UNHEARD, checked=True),
    )
    async def start(body: Annotated[StartBody | None, Body()] = None) -> Response:
        return await accepted(backend, _start(body))

    @router.post(
        "/plan",
        summary="What a start would stream",
        description="The plan that a start with the same body would make. Changes nothing.",
        responses=answer(Plan, "The plan that would come of it")
        | failures(*ALWAYS, "forbidden", *REFUSED, checked=True),
    )
    async def preview(body: Annotated[StartBody | None, Body()] = None) -> Response:
        reply = await backend.planner(ComputePlan(request=_start(body)))
        assert isinstance(reply, PlanReply), reply
        return json_response(encode_json(reply.plan))

    @router.post(
        "/stop",
        summary="Stop streaming",
        description="Stopping a stopped stream is not an error: `changed` is false then.",
        responses=answer(schema.AcceptedView, "Accepted, and durable", {"accepted": True, "changed": True, "seq": 13})
        | failures(*ALWAYS, "forbidden", "request_too_large", *UNHEARD, checked=True),
    )
    async def stop(body: Annotated[StopBody | None, Body()] = None) -> Response:
        return await accepted(backend, Stop())


def _choices(router: APIRouter, backend: Backend) -> None:
    unread = ("planner_unreachable", "database_unavailable", "schema_unexpected")

    @router.get(
        "/projects",
        summary="The projects to choose from",
        description="Each with its newest usable decision snapshot, which a start would stream.",
        responses=answer(schema.ProjectsView, "The projects, by id", schema.PROJECTS_EXAMPLE)
        | failures(*ALWAYS, *unread),
    )
    async def projects() -> Response:
        reply = await backend.planner(ListProjects())
        assert isinstance(reply, ProjectsReply), reply
        return json_response(encode_json({"projects": reply.projects, "more": reply.more}))

    @router.get(
        "/projects/{project_id}/snapshots",
        summary="The decision snapshots of a project",
        responses=answer(
            schema.SnapshotsView, "The newest first", {"snapshots": [schema.SNAPSHOT_EXAMPLE], "more": False}
        )
        | failures(*ALWAYS, "project_not_found", *unread, checked=True),
    )
    async def snapshots(project_id: Annotated[int, PathParameter(ge=1, le=BIGINT)]) -> Response:
        reply = await backend.planner(ListSnapshots(project_id=project_id))
        assert isinstance(reply, SnapshotsReply), reply
        return json_response(encode_json({"snapshots": reply.snapshots, "more": reply.more}))


def _current(router: APIRouter, backend: Backend) -> None:
    @router.get(
        "/status",
        summary="The whole status",
        description="The fields of `_status.json`.",
        responses=answer(Status, "The status, as the supervisor last said", schema.STATUS_EXAMPLE)
        | failures(*ALWAYS, "supervisor_unreachable"),
    )
    async def status() -> Response:
        backend.supervised()
        return json_response(backend.now().status_json or b"")

    @router.get(
        "/snapshot",
        summary="The current quote of one symbol",
        description=(
            "The fields of the symbol's file. A field that was never received is absent."
            " The price may be used if now is before its `good_until`; a stale quote has none."
        ),
        responses=answer(Quote, "The quote", schema.QUOTE_EXAMPLE) | failures(*ALWAYS, *OF_SYMBOL, checked=True),
    )
    async def snapshot(symbol: Symbol) -> Response:
        name = _name(symbol)
        quote = backend.now().quote_json(name)
        if quote is None:
            raise IbStreamError("symbol_not_found", f"no price of {name} was ever received")
        return json_response(quote)

    @router.get(
        "/quotes",
        summary="The current quotes of all symbols",
        responses=answer(schema.QuotesView, "The quotes, by symbol", {"quotes": [schema.QUOTE_EXAMPLE]})
        | failures(*ALWAYS),
    )
    async def quotes() -> Response:
        return json_response(backend.now().quotes_json())

    @router.get(
        "/plan",
        summary="The subscription plan",
        description="Which symbols are streamed, why, and which were cut.",
        responses=answer(Plan, "The plan in force") | failures(*ALWAYS, "planner_unreachable"),
    )
    async def plan() -> Response:
        if backend.hub.plan is None:
            raise IbStreamError("planner_unreachable", "no plan has been made yet; is the planner running?")
        return json_response(encode_json(backend.hub.plan))


def _past(router: APIRouter, backend: Backend) -> None:
    @router.get(
        "/history",
        summary="Prices of the last minutes, for a chart",
        description="At most 600 points, from the journal: the last trade, or the middle of bid and ask.",
        responses=answer(schema.HistoryView, "The points, oldest first", schema.HISTORY_EXAMPLE)
        | failures(*ALWAYS, *OF_SYMBOL, *OF_JOURNAL, checked=True),
    )
    async def history(symbol: Symbol, minutes: Annotated[int, Query(ge=1, le=MAX_MINUTES)] = 60) -> Response:
        name = _name(symbol)
        quote = backend.hub.quote(name)
        now = backend.clock.now()
        source = quote.source if quote is not None else None
        magnifier = _magnifier(quote)
        points = await backend.read(lambda: backend.history.points(name, minutes, now, source, magnifier))
        if not points and quote is None:
            raise IbStreamError("symbol_not_found", f"no price of {name} was ever received")
        return json_response(encode_json({"symbol": name, "points": [point._asdict() for point in points]}))

    @router.get(
        "/sparklines",
        summary="Prices of the last minutes, of many symbols at once",
        description=f"For pictures the size of a word. At most {MAX_SPARKLINES} symbols, separated by commas.",
        responses=answer(schema.SparklinesView, "By symbol, oldest first", schema.SPARKLINES_EXAMPLE)
        | failures(*ALWAYS, "invalid_symbol", *OF_JOURNAL, checked=True),
    )
    async def sparklines(symbols: Symbols, minutes: Annotated[int, Query(ge=1, le=MAX_SPARK_MINUTES)] = 10) -> Response:
        wanted = {name: _magnifier(backend.hub.quote(name)) for name in _names(symbols)}
        now = backend.clock.now()
        lines = await backend.read(lambda: backend.history.sparklines(wanted, minutes, now))
        series = [
            {"symbol": name, "times": [time for time, _ in line], "prices": [price for _, price in line]}
            for name, line in lines.items()
        ]
        return json_response(encode_json({"series": series}))

    @router.get(
        "/candles",
        summary="Candles of any past interval",
        description=(
            "From the journal and its archive, oldest first: those that overlap the time that is asked for, the one"
            " under way too. `coverage` is the share of an interval in which the price was trusted, and `blind` says"
            f" why not. At most {MAX_CANDLES} in one answer: with `more`, ask again from the `end` of the last one."
        ),
        responses=answer(
            schema.CandlesView, "The candles, oldest first", schema.CANDLES_EXAMPLE, csv=schema.CANDLES_CSV_EXAMPLE
        )
        | failures(*ALWAYS, *OF_SYMBOL, "past_deleted", *OF_JOURNAL, checked=True),
    )
    async def candles(
        symbol: Symbol,
        interval: Interval = "1m",
        begin: Annotated[str, Query(alias="from", max_length=40, description=TIME_WORDS)] = "",
        end: Annotated[str, Query(alias="to", max_length=40, description="the same; empty: now")] = "",
        format: Literal["json", "csv"] = "json",
    ) -> Response:
        name, now = _name(symbol), backend.clock.now()
        first, last = asked_time(begin, end, interval, now)
        found = await backend.read(lambda: read_candles(backend.settings.journal_dir, name, interval, first, last, now))
        found.live = interval in candle_intervals(backend.settings)
        return found.as_csv() if format == "csv" else json_response(encode_json(found))

    @router.get(
        "/gaps",
        summary="When prices were missing, and the link's history",
        responses=answer(schema.GapsView, "Gaps and changes of the last days, oldest first", schema.GAPS_EXAMPLE)
        | failures(*ALWAYS, "journal_unavailable"),
    )
    async def gaps() -> Response:
        return json_response(encode_json(await backend.read(backend.ledger.view)))


def _events(router: APIRouter, backend: Backend) -> None:
    @router.get(
        "/events",
        summary="Live status and quotes, as server-sent events",
        description=(
            "`status` carries the whole status, `quotes` an array of the quotes that changed. The first events carry"
            " everything. With `Last-Event-ID`, as a browser sends it by itself, only what changed since then."
            " With `candles`, an event `candles` carries an array of those that changed: under way, over, or revised."
        ),
        response_class=_EventStreamType,
        responses={
            200: {
                "description": "Events, for ever",
                "content": {"text/event-stream": {"schema": {"type": "string"}, "example": schema.EVENTS_EXAMPLE}},
            },
            **failures(*ALWAYS, "invalid_symbol", "too_many_clients", checked=True),
        },
    )
    async def events(
        last_event_id: Annotated[str, Header(max_length=100, pattern=r"^[\w-]*$")] = "",
        access_token: Annotated[str, Query(max_length=1000, description="the token, in place of the header")] = "",
        candles: Annotated[str, Query(max_length=2_000, description=CANDLE_WORDS, examples=["1m.SPY,1d.SPY"])] = "",
    ) -> Response:
        wanted = live_candles(candles, backend.settings)
        if backend.room.full:
            raise HTTPException(503, "too many clients listen already")
        return EventStream(backend.room, backend.hub.version_of(last_event_id), wanted)


def _health(app: FastAPI, backend: Backend) -> None:
    good: dict[int | str, dict[str, Any]] = answer(schema.HealthView, "It is", {"status": "ok"})

    @app.get("/healthz", tags=["health"], summary="Is this process alive?", responses=good)
    async def healthz() -> Response:
        return json_response(b'{"status":"ok"}')

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Is the pipeline behind it there?",
        responses=good | failures("supervisor_unreachable"),
    )
    async def readyz() -> Response:
        backend.supervised()
        return json_response(b'{"status":"ok"}')
