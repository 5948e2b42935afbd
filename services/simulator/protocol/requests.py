"""Which request is answered by whom. An unknown or malformed one is an error message, never a crash."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from services.simulator.client import Client
from services.simulator.protocol import (
    read_protobuf,
    read_text,
    requests_account,
    requests_depth,
    requests_history,
    requests_market,
    requests_news,
    requests_orders,
    requests_reference,
)
from services.simulator.protocol.handlers import HANDLERS
from services.simulator.protocol.wire import BadRequest, Envelope
from services.simulator.refused import Refused

if TYPE_CHECKING:
    from services.simulator.core import Core

# importing them fills HANDLERS
_ANSWERED_BY = (
    requests_account, requests_depth, requests_history, requests_market, requests_news, requests_orders,
    requests_reference,
)  # fmt: skip


def read(envelope: Envelope, version: int) -> Any:
    """The request in a frame, of the type that its message id says. Raises BadRequest; KeyError for an unknown id."""
    if envelope.body is None:
        return read_text.read(envelope.kind, envelope.fields, version)
    since = read_protobuf.SINCE[envelope.kind]
    if version < since:
        raise BadRequest(f"it is protobuf from server version {since} on, this is {version}")
    return read_protobuf.READERS[envelope.kind](envelope.body)


def dispatch(core: Core, client: Client, envelope: Envelope) -> None:
    kind = envelope.kind
    handler = HANDLERS.get(kind)
    if handler is None or (envelope.body is not None and kind not in read_protobuf.SINCE):
        text = f"Error validating request: message id {kind} is not known here"
        core.error(client, _request_id(envelope, client.replies.version), 321, text)
        return
    try:
        request = read(envelope, client.replies.version)
    except BadRequest as error:
        where = _request_id(envelope, client.replies.version)
        core.error(client, where, 320, f"Error reading request: message id {kind}: {error}")
        return
    try:
        handler(core, client, request)
    except Refused as refused:
        core.error(client, getattr(request, "request", -1), refused.code, refused.text)
    except Exception as error:  # what one client asks must not end all the others
        core.log("a request could not be processed", kind=kind, asked=repr(request), error=traceback.format_exc())
        text = f"Error processing request: message id {kind}: {type(error).__name__}"
        core.error(client, getattr(request, "request", -1), 322, text)


def _request_id(envelope: Envelope, version: int) -> int:
    """The id of a request that cannot be read, so that the error reaches who asked; -1 where it has none."""
    if envelope.body is None:
        return read_text.request_id(envelope.kind, envelope.fields, version)
    try:
        return read_protobuf.request_id(envelope.body)
    except BadRequest:
        return -1
