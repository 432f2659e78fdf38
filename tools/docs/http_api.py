"""The page of the HTTP interface, from the OpenAPI document that the service answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serving.app import create_app
from serving.settings import Settings
from tools.docs.markdown import table

_INTRO = """# HTTP interface

Bodies are JSON. Errors are problem documents (RFC 9457, `application/problem+json`); a message
never quotes a prompt. Paths below `/v1/` want a bearer key where the service has any. Examples are
in [the service](serving.md), the same document is at `/openapi.json` of a running service.

Generated from that document.
"""
_METHODS = ("get", "post", "put", "delete")


def page() -> str:
    """Operations, then schemas."""
    document: Mapping[str, Any] = create_app(Settings(bundle="any")).openapi()
    parts = [_INTRO, *_operations(document["paths"])]
    parts += _schemas(document["components"]["schemas"])
    return "\n\n".join(parts) + "\n"


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path in sorted(paths, key=lambda path: (not path.startswith("/v1/"), path)):
        for method in _METHODS:
            if method not in paths[path]:
                continue
            found = paths[path][method]
            yield f"## `{method.upper()} {path}`\n\n{found.get('summary', '')}"
            body = found.get("requestBody")
            rows = [] if body is None else [("request", _body(body), "")]
            rows += [
                (f"{status}", _body(answer), str(answer.get("description", "")))
                for status, answer in found["responses"].items()
            ]
            yield table(("status", "body", "meaning"), rows)


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield "## Schemas"
    for name in sorted(schemas):
        schema = schemas[name]
        yield f"### `{name}`\n\n{_told(schema)}"
        needed = schema.get("required", ())
        rows = [
            (
                f"`{key}`",
                type_name(value),
                "yes" if key in needed else "",
                _limits(value),
            )
            for key, value in schema.get("properties", {}).items()
        ]
        yield table(("field", "type", "required", "limits"), rows)


def _told(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", ""))


def _body(message: Mapping[str, Any]) -> str:
    for media, content in message.get("content", {}).items():
        return f"{type_name(content.get('schema', {}))} ({media})"
    return ""


def type_name(schema: Mapping[str, Any]) -> str:
    """A JSON schema's type in a few words.

    Examples
    --------
    >>> type_name({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'list of string or null'
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_name(part) for part in schema[key]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    return str(kind)


def _limits(schema: Mapping[str, Any]) -> str:
    names = {
        "minimum": ">=",
        "maximum": "<=",
        "minLength": "length >=",
        "maxLength": "length <=",
        "minItems": "items >=",
        "default": "default",
    }
    found = [
        f"{names[key]} {value}"
        for part in (schema, *schema.get("anyOf", ()))
        for key, value in part.items()
        if key in names and value is not None
    ]
    return ", ".join(found)
