"""The bodies of routes that read them by themselves, for the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from dialer.api.bodies import CSV, NDJSON

#: Bodies of many lines: what each line is cannot be said in OpenAPI but in words.
_LINES: Final[Mapping[str, str]] = {
    NDJSON: "One JSON object a line: ",
    CSV: "A header with the names of the fields, then one row a line: ",
}


def body_of(types: Mapping[str, Any]) -> type[Operation]:
    """An operation whose body has these media types; a value is the type of the body, or of each of its lines."""
    content = {name: _media_type(name, kind) for name, kind in types.items()}

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody(content=content, required=True)

    return Described


def _media_type(name: str, kind: Any) -> OpenAPIMediaType:
    # A file of any size has no schema but "text".
    if kind is str:
        return OpenAPIMediaType(schema=Schema(type="string"))  # type: ignore[arg-type]  # its enumeration is a StrEnum
    schema = inline_schema(kind)
    if name in _LINES:
        keys = ", ".join(schema.get("properties", {}))
        return OpenAPIMediaType(
            schema=Schema(type="string", description=f"{_LINES[name]}{keys}")  # type: ignore[arg-type]  # as above
        )
    return OpenAPIMediaType(schema=_Plain(schema))


class _Plain(Schema):
    """A JSON Schema that is given out as it is."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._schema = schema

    def to_schema(self) -> dict[str, Any]:
        return self._schema


def inline_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type, without references: each place has the whole.

    Types that contain themselves are not among ours.
    """
    (schema,), parts = msgspec.json.schema_components((kind,), ref_template="{name}", schema_hook=_any)

    def whole(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return whole(parts[node["$ref"]])
            return {key: whole(value) for key, value in node.items()}
        return [whole(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = whole(schema)
    return found


def _any(kind: type) -> dict[str, Any]:
    return {}
