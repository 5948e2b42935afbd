"""Every error that leaves the web has one shape: `{"detail": {"code", "message", "field"?}}`.

`field` is the part of the request that caused it, where one did.

Codes are those of messages/errors.py, and these few that only HTTP knows.
"""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from messages.codec import encode_json
from messages.errors import IbStreamError

HTTP_CODES: Final[dict[int, str]] = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    422: "invalid_request",
    500: "internal_error",
    503: "too_many_clients",
}


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, field: str | None = None
) -> Response:
    blame = {"field": field} if field else {}
    body = encode_json({"detail": {"code": code, "message": message} | blame})
    return Response(body, status, headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Answer every exception in the one shape."""
    app.add_exception_handler(IbStreamError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def only_known(request: Request) -> None:
    """What every endpoint of the API depends on: it is asked nothing that it does not know, and nothing twice. A
    misspelt `from` would otherwise be answered with something else than was asked for."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            said = (
                f"there is no such parameter; known are {', '.join(sorted(known))}" if known else "there are none here"
            )
        elif times > 1:
            said = "it is given more than once"
        else:
            continue
        raise RequestValidationError([{"type": "extra_forbidden", "loc": ("query", name[:100]), "msg": said}])


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, IbStreamError)
    return error_response(error.http_status, error.code, error.message, field=error.field)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    malformed = any(item.get("type") == "json_invalid" for item in found)
    status = 400 if malformed else 422
    field = next(filter(None, map(_field, found)), None)
    return error_response(status, "invalid_request", "; ".join(map(_sentence, found[:5])), field=field)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    message = error.detail if isinstance(error.detail, str) else HTTPStatus(status).phrase
    return error_response(status, HTTP_CODES.get(status, f"http_{status}"), message, error.headers)


async def _unexpected(_: Request, __: Exception) -> Response:
    return error_response(500, "internal_error", "something went wrong in ibstream's web service; its log says what")


def _field(item: Mapping[str, Any]) -> str | None:
    """The outermost name: `symbols` of `symbols.3`."""
    if item.get("type") == "json_invalid":
        return None
    return next((part for part in item.get("loc", ())[1:] if isinstance(part, str)), None)


def _sentence(item: Mapping[str, Any]) -> str:
    """`max_symbols: Input should be a valid integer`, without what came: it may be long or a secret."""
    where = ".".join(str(part) for part in item.get("loc", ()) if part not in ("body", "query"))
    if item.get("type") == "json_invalid":
        return f"the body is not JSON: {item.get('ctx', {}).get('error', '')}"
    return f"{where}: {item['msg']}" if where else str(item["msg"])
