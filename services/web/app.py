"""The web application: endpoints, page, metrics and documentation behind one guarded door."""

from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response

from services.base.settings_rules import origins
from services.web import alerts, api, docs, errors, metrics, quality, schema
from services.web.backend import Backend
from services.web.guard import TIME_HEADER, Guard
from services.web.page import Page


def create_app(backend: Backend) -> FastAPI:
    app = FastAPI(title=schema.TITLE, version=version("ibstream"), docs_url=None, redoc_url=None)
    errors.install(app)
    schema.install(app)
    api.install(app, backend)
    quality.install(app, backend)
    alerts.install(app, backend)
    metrics.install(app, backend)

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(docs.page(app.openapi()))

    @app.get("/docs.css", include_in_schema=False)
    async def documentation_style() -> Response:
        return Response(docs.STYLE, media_type="text/css")

    endpoints = {path: {method.upper() for method in methods} for path, methods in app.openapi()["paths"].items()}
    app.mount("/", Page(endpoints))
    app.add_middleware(Guard, settings=backend.settings, clock=backend.clock)
    foreign = origins(backend.settings)
    if foreign:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=foreign,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            expose_headers=["Date", TIME_HEADER],
        )
    return app
