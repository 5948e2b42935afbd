"""`GET /docs`: the OpenAPI document as one plain page, without scripts and without anything from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#8882;padding:.75rem;overflow:auto;border-radius:.4rem}"
    "td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}"
)


def page(document: dict[str, Any]) -> str:
    info = document["info"]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} API</title><link rel='stylesheet' href='docs.css'></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_text(info['description'])}</p>",
            '<p><a href="openapi.json">openapi.json</a></p>',
            *_operations(document),
            "</body></html>",
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}. "
            yield f"{_text(operation.get('description', ''))}</p>"
            yield from _parameters(operation)
            yield from _request(document, operation)
            yield from _responses(operation)


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        needed = "required" if parameter.get("required") else "optional"
        kind = parameter["schema"].get("type", "")
        text = _text(parameter.get("description", ""))
        yield f"<p><code>{escape(parameter['name'])}</code> ({parameter['in']}, {kind}, {needed}) {text}</p>"


def _request(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    if "requestBody" not in operation:
        return
    body = document["components"]["schemas"]["StartBody"]
    yield f"<p>{_text(body['description'])}</p><table>"
    for name, field in body["properties"].items():
        kinds = " or ".join(str(part.get("type", "")) for part in field.get("anyOf", [field]))
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(kinds)}</td></tr>"
    yield "</table>" + "".join(map(_example, body["examples"]))


def _responses(operation: dict[str, Any]) -> Iterator[str]:
    yield "<table>"
    for status, response in operation["responses"].items():
        yield f"<tr><th>{status}</th><td>{escape(response['description'])}</td></tr>"
    yield "</table>"
    for content in operation["responses"]["200"].get("content", {}).values():
        if "example" in content:
            yield _example(content["example"])


def _example(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    return f"<pre>{escape(text)}</pre>"


def _text(text: str) -> str:
    """Escaped, with `code` marked."""
    parts = escape(" ".join(text.split())).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
