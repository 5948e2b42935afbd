"""The built page over HTTP, compressed once in the life of the process for every browser that takes gzip.

Only files of the build pass through here: answers of endpoints, and the event stream above all, go out as they are.
"""

import gzip
from collections.abc import MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.routing import compile_path
from starlette.staticfiles import StaticFiles

STATIC: Final = Path(__file__).parent / "static"
NAMED_BY_CONTENT: Final = "public, max-age=31536000, immutable"
COMPRESSED: Final = (".html", ".js", ".css", ".svg", ".md", ".txt")  # fonts and pictures are compressed already
FILES_KEPT: Final = 64


class Page(StaticFiles):
    """The built page, at every address that is no endpoint's. Files under assets/ have their content's hash in
    their name and are kept for ever."""

    def __init__(self, endpoints: dict[str, set[str]]) -> None:
        """`endpoints`: the methods of each path, which may have `{parameters}`."""
        super().__init__(directory=STATIC, html=True, check_dir=False)
        self._endpoints = [(compile_path(path)[0], methods) for path, methods in endpoints.items()]

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        for pattern, methods in self._endpoints:
            if pattern.match(scope["path"]):  # an endpoint, asked with another method: it came past its route to here
                raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        response = await super().get_response(path, scope)
        kept = path.startswith("assets/") and response.status_code in (200, 304)
        response.headers["Cache-Control"] = NAMED_BY_CONTENT if kept else "no-cache"
        if isinstance(response, FileResponse) and str(response.path).endswith(COMPRESSED):
            return await _negotiated(response, Headers(scope=scope))
        return response


async def _negotiated(response: FileResponse, asked: Headers) -> Response:
    """The file as it is, or compressed for who takes that; its tag is weak then, for it names no exact bytes."""
    response.headers["Vary"] = "Accept-Encoding"
    if not accepts_gzip(asked.get("accept-encoding", "")) or "range" in asked:
        return response
    body = await run_in_threadpool(_compressed, str(response.path), response.headers["etag"])
    headers = dict(response.headers)
    for name in ("content-length", "accept-ranges"):
        headers.pop(name, None)
    headers |= {"content-encoding": "gzip", "etag": f"W/{headers['etag']}"}
    return Response(body, response.status_code, headers)


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header allows gzip, by name or by `*`."""
    weights: dict[str, bool] = {}
    for part in header.lower().split(","):
        coding, _, parameter = part.partition(";")
        refused = parameter.replace(" ", "") in ("q=0", "q=0.", "q=0.0", "q=0.00", "q=0.000")
        weights[coding.strip()] = not refused
    return weights.get("gzip", weights.get("*", False))


@lru_cache(maxsize=FILES_KEPT)
def _compressed(path: str, tag: str) -> bytes:
    """The file's content as gzip; `tag` changes with the file."""
    return gzip.compress(Path(path).read_bytes(), mtime=0)
