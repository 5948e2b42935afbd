"""The door: who may ask what, checked before any endpoint sees a request.

- Host header: on loopback without a token, only names of this machine, so that a foreign page whose name was
  pointed here (DNS rebinding) gets nothing.
- Token: when one is set, everything but the page itself and the health checks needs it, from anybody.
- Origin: a page of another origin can neither start nor stop the stream, unless it is in IBSTREAM_WEB_ORIGINS.
- Bodies are bounded; answers carry headers that keep the page from loading or talking to anything foreign, and the
  server's time, by which a reader with a wrong clock can still tell when a price expires.
"""

import hmac
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.base.clock import Clock, iso
from services.base.settings import Settings
from services.base.settings_rules import is_loopback, origins
from services.web.errors import error_response

MAX_BODY: Final = 1 << 20  # bytes: a request with some ten thousand symbols
EVENTS_PATH: Final = "/api/ib/stream/events"
OPEN_PATHS: Final = ("/healthz", "/readyz")
GUARDED_PREFIXES: Final = ("/api/", "/metrics", "/openapi.json", "/docs")
TIME_HEADER: Final = "X-Server-Time"  # UTC ISO 8601 with Z, of the moment at which the answer began
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, settings: Settings, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._host = settings.web_host.strip("[]").lower()
        self._token = settings.web_token.encode()
        self._origins = set(origins(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            status, code, message = refusal
            extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            if "transfer-encoding" in headers:
                extra["Connection"] = "close"  # where its body ends is not agreed on
            await error_response(status, code, message, extra)(scope, receive, self._with_headers(send))
            return
        await self._app(scope, _Bounded(receive), self._with_headers(send))

    def _refuse(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if not self._host_known(host):
            return 400, "invalid_request", "this server does not go by the name in the Host header"
        if scope["method"] not in SAFE_METHODS and not self._origin_allowed(headers, host):
            return (
                403,
                "forbidden",
                "a page of another origin may not do this; IBSTREAM_WEB_ORIGINS names those that may",
            )
        if self._token and not self._token_given(scope, headers):
            return (
                401,
                "unauthorized",
                "the token is missing or wrong: send `Authorization: Bearer <IBSTREAM_WEB_TOKEN>`",
            )
        if "transfer-encoding" in headers and "content-length" in headers:  # two readers may take two lengths
            return 400, "invalid_request", "a request has either Content-Length or Transfer-Encoding, not both"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, "request_too_large", f"a request may have {MAX_BODY} bytes"
        return None

    def _host_known(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if self._token:
            return bool(name)  # no browser sends the token by itself, so a wrong name gains nothing
        return is_loopback(name) or name == self._host or any(urlsplit(o).hostname == name for o in self._origins)

    def _origin_allowed(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is None:  # not a page; browsers that leave it out say what it is in another header
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        page = urlsplit(origin.lower())
        same = page.scheme in ("http", "https") and page.netloc == host.lower()  # a proxy may have ended its TLS
        return same or origin.lower() in self._origins

    def _token_given(self, scope: Scope, headers: Headers) -> bool:
        path = scope["path"]
        if path in OPEN_PATHS or not path.startswith(GUARDED_PREFIXES) or scope["method"] == "OPTIONS":
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" and path == EVENTS_PATH:  # EventSource cannot send headers
            given = next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("access_token", [])), "")
            kind = "bearer"
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers[TIME_HEADER] = iso(self._clock.now())
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers


class _Bounded:
    """Receives at most MAX_BODY bytes of a body whose length was not said. Raises HTTPException 413."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = MAX_BODY

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, f"a request may have {MAX_BODY} bytes")
        return message
