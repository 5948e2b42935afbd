"""The web application: endpoints, page, metrics and documentation behind one guarded door."""

from collections.abc import MutableMapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from services.base.settings_rules import origins
from services.web import api, docs, errors, metrics, schema
from services.web.backend import Backend
from services.web.guard import Guard

STATIC: Final = Path(__file__).parent / "static"
NAMED_BY_CONTENT: Final = "public, max-age=31536000, immutable"


class Page(StaticFiles):
    """The built page, at every address that is no endpoint's. Files under assets/ have their content's hash in
    their name and are kept for ever."""

    def __init__(self, endpoints: dict[str, set[str]]) -> None:
        super().__init__(directory=STATIC, html=True, check_dir=False)
        self._endpoints = endpoints

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        methods = self._endpoints.get(scope["path"])
        if methods is not None:  # an endpoint, asked with another method: it came past its route to here
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        response = await super().get_response(path, scope)
        kept = path.startswith("assets/") and response.status_code in (200, 304)
        response.headers["Cache-Control"] = NAMED_BY_CONTENT if kept else "no-cache"
        return response


def create_app(backend: Backend) -> FastAPI:
    app = FastAPI(title=schema.TITLE, version=version("ibstream"), docs_url=None, redoc_url=None)
    errors.install(app)
    schema.install(app)
    api.install(app, backend)
    metrics.install(app, backend)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(docs.page(app.openapi()))

    @app.get("/docs.css", include_in_schema=False)
    async def documentation_style() -> Response:
        return Response(docs.STYLE, media_type="text/css")

    endpoints = {path: {method.upper() for method in methods} for path, methods in app.openapi()["paths"].items()}
    app.mount("/", Page(endpoints))
    app.add_middleware(Guard, settings=backend.settings)
    foreign = origins(backend.settings)
    if foreign:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=foreign,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            expose_headers=["Date"],
        )
    return app
