"""The views and commands of the web API as TypeScript types, made from the types themselves.

`python -m services.web.typescript > services/web/ui/client/src/types.ts`; a test keeps the file in step.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from messages.control import Start
from services.web.schema import VIEWS

NAMES: Final = {
    "GapView": "Gap",
    "LinkView": "LinkPoint",
    "SparklineView": "SparklineSeries",
    "Start": "StartRequest",
}
"""Where a type has another name there than here."""

HEAD: Final = """\
// What travels between the web API and its clients. Made from the Python types by services/web/typescript.py: do not
// edit.
// A field that was never received is absent. Times are UTC ISO 8601 (whole numbers: nanoseconds since 1970), prices in
// the quote's currency.
"""
REF: Final = "#/$defs/{name}"


def text() -> str:
    _, definitions = msgspec.json.schema_components((*VIEWS, Start), ref_template=REF)
    return HEAD + "".join(f"\n{_interface(name, definitions[name])}" for name in sorted(definitions, key=_name))


def _interface(name: str, schema: dict[str, Any]) -> str:
    lines = [*_comment(schema.get("description")), f"export interface {_name(name)} {{"]
    required = schema.get("required", ())
    for field, kind in schema["properties"].items():
        if name == "Start" and field == "type":
            continue  # a path over HTTP
        lines.append(f"  {field}{'' if field in required else '?'}: {_type(kind)}")
    return "\n".join([*lines, "}"]) + "\n"


def _comment(description: str | None) -> Iterator[str]:
    if description is None:
        return
    lines = [line.strip() for line in description.splitlines()]
    if len(lines) == 1:
        yield f"/** {lines[0]} */"
        return
    yield "/**"
    yield from (f" * {line}".rstrip() for line in lines)
    yield " */"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": reference}:
            return _name(reference.removeprefix(REF.format(name="")))
        case {"anyOf": kinds}:
            return " | ".join(map(_type, kinds))
        case {"enum": values}:
            return " | ".join(f"'{value}'" for value in values)
        case {"type": "array", "items": items}:
            inner = _type(items)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case {"type": "object", "additionalProperties": values}:
            return f"Record<string, {_type(values)}>"
        case {"type": "integer" | "number"}:
            return "number"
        case {"type": "string" | "boolean" | "null" as kind}:
            return str(kind)
    raise ValueError(f"no TypeScript for {schema}")


def _name(name: str) -> str:
    return NAMES.get(name, name)


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201
