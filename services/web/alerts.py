"""The endpoints of price alerts: set, list and remove them. Each asks the supervisor."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from messages.codec import encode_json
from messages.control import AddAlert, AlertsReply, ListAlerts, RemoveAlert
from services.quotes.alert_rules import MAX_RULE, MAX_SECONDS
from services.web import schema
from services.web.api import ALWAYS, BIGINT, PREFIX, accepted, json_response
from services.web.backend import Backend
from services.web.errors import only_known
from services.web.schema import answer, failures

CHANGES: Final = (*ALWAYS, "forbidden", "supervisor_unreachable", "journal_unavailable")


class AlertBody(BaseModel):
    """A rule in words; `pause` is the least number of seconds between two of its alerts for one symbol."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"examples": [{"rule": "SPY rises above 600", "pause": 900}]}
    )

    rule: Annotated[str, Field(min_length=1, max_length=MAX_RULE)]
    pause: Annotated[float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False)] = 900.0
    note: Annotated[str, Field(max_length=200)] = ""


def install(app: FastAPI, backend: Backend) -> None:
    router = APIRouter(prefix=f"{PREFIX}/alerts", tags=["alerts"], dependencies=[Depends(only_known)])

    @router.get(
        "",
        summary="The price alerts that are set, and those that came",
        responses=answer(schema.AlertsView, "By id; what came, the newest first", schema.ALERTS_EXAMPLE)
        | failures(*ALWAYS, "supervisor_unreachable"),
    )
    async def alerts() -> Response:
        reply = await backend.control(ListAlerts())
        assert isinstance(reply, AlertsReply), reply
        return json_response(encode_json({"alerts": reply.alerts, "recent": reply.recent}))

    @router.post(
        "",
        summary="Set a price alert",
        description="Such as `SPY moves 2% in 5m`. The id of the new alert is the answer's `seq`.",
        responses=answer(schema.AcceptedView, "It is set", {"accepted": True, "changed": True, "seq": 12})
        | failures(*CHANGES, "request_too_large", "invalid_symbol", checked=True),
    )
    async def add(body: AlertBody) -> Response:
        return await accepted(backend, AddAlert(rule=body.rule, pause=body.pause, note=body.note))

    @router.delete(
        "/{id}",
        summary="Remove a price alert",
        responses=answer(schema.AcceptedView, "It is removed", {"accepted": True, "changed": True, "seq": 13})
        | failures(*CHANGES, "alert_not_found", checked=True),
    )
    async def remove(number: Annotated[int, PathParameter(alias="id", ge=1, le=BIGINT)]) -> Response:
        return await accepted(backend, RemoveAlert(id=number))

    app.include_router(router)
