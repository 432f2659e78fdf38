"""What msgspec cannot declare of a route request, as JSON Schema.

One of ``query`` and ``messages``, text that a person asked, and names that the router knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from router_ml.types.content import NEEDS_OF_PARTS
from serving.schemas import Limits

_TEXT: Final = {"type": "string", "pattern": r"\S"}
_PART: Final = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"type": {"type": "string"}}},
    ]
}
_CONTENT: Final = {
    "anyOf": [{"type": "string"}, {"type": "null"}, {"type": "array", "items": _PART}]
}
_MESSAGE: Final = {
    "type": "object",
    "properties": {"role": {"type": "string"}, "content": _CONTENT},
    "required": ["role"],
}
_ASKED: Final = {
    "anyOf": [
        _TEXT,
        {
            "type": "array",
            "items": _PART,
            "contains": {
                "anyOf": [
                    _TEXT,
                    {
                        "type": "object",
                        "properties": {"type": {"enum": ["text", "input_text"]}, "text": _TEXT},
                        "required": ["type", "text"],
                    },
                    {
                        "type": "object",
                        "properties": {"type": {"enum": sorted(NEEDS_OF_PARTS)}},
                        "required": ["type"],
                    },
                ]
            },
        },
    ]
}
_MESSAGES: Final = {
    "type": "array",
    "items": _MESSAGE,
    "contains": {
        "type": "object",
        "properties": {"role": {"enum": ["user", "human"]}, "content": _ASKED},
        "required": ["role", "content"],
    },
}
_EITHER: Final = [
    {"required": ["query"], "properties": {"query": _TEXT, "messages": {"type": "null"}}},
    {"required": ["messages"], "properties": {"messages": _MESSAGES, "query": {"type": "null"}}},
]
_TOOL: Final = {
    "type": "object",
    "properties": {"function": {"type": "object"}, "name": {"type": "string"}},
}
_TOOLS: Final = {"anyOf": [{"type": "array", "items": _TOOL}, _TOOL, {"type": "null"}]}


_ASKING: Final = ("RouteRequest", "PreviewRequest", "CascadeRequest")
_NULL: Final = {"type": "null"}
_SOMETHING: Final = {"not": _NULL}


def refine(schemas: dict[str, Any], names: Sequence[str] = (), routers: Sequence[str] = ()) -> None:
    """Refine the declared schemas in place.

    Parameters
    ----------
    schemas : components by name
    names : candidates of the router in service; none = not loaded yet
    routers : names of the service's further routers
    """
    for name in _ASKING:
        schema = schemas[name]
        schema["anyOf"] = _EITHER
        schema["not"] = {"anyOf": _TWICE}
        schema["properties"]["tools"] = _TOOLS
    schemas["CascadeRequest"]["properties"]["explain"] = {"const": False, "default": False}
    if not names:
        return
    listed = {"type": "array", "items": {"enum": list(names)}, "minItems": 1}
    for name in (*_ASKING, "Limits"):
        properties = schemas[name]["properties"]
        properties["candidates"] = {"anyOf": [listed, _NULL], "default": None}
        if "router" in properties:
            named = [{"enum": list(routers)}] if routers else []
            properties["router"] = {"anyOf": [*named, _NULL], "default": None}
    schemas["CascadeAnswer"]["properties"]["candidate"] = {"enum": list(names)}
    schemas["HealthEvent"]["properties"]["candidate"] = {"enum": list(names)}
    schemas["Constant"]["properties"]["candidate"] = {"enum": list(names)}
    preview = schemas["PreviewRequest"]["properties"]
    # One has to be left.
    without = {"type": "array", "items": {"enum": list(names)}, "maxItems": len(names) - 1}
    preview["without"] = {"anyOf": [without, _NULL], "default": None}
    for option in preview["prices"]["anyOf"]:
        if option.get("type") == "object":
            option["propertyNames"] = {"enum": list(names)}
    turns = schemas["CascadeRequest"]["properties"]["answers"]
    turns["allOf"] = [_at_most_once(name) for name in names]


def _twice(name: str, inside: str, inner: str) -> dict[str, Any]:
    """Both ``name`` and ``inside.inner`` have a value."""
    given = {"required": [inner], "properties": {inner: _SOMETHING}}
    return {"required": [name, inside], "properties": {name: _SOMETHING, inside: given}}


def _at_most_once(name: str) -> dict[str, Any]:
    """A candidate answers once."""
    its = {"properties": {"candidate": {"const": name}}, "required": ["candidate"]}
    return {"contains": its, "minContains": 0, "maxContains": 1}


_TWICE: Final = [
    *(_twice(limit, "constraints", limit) for limit in Limits.__struct_fields__),
    _twice("session_id", "session", "id"),
]
