"""What msgspec cannot declare of a route request, as JSON Schema.

One of ``query`` and ``messages``, text that a person asked, and names that the router knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from router_ml.types.content import NEEDS_OF_PARTS

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
_TWO_IDS: Final = {
    "required": ["session_id", "session"],
    "properties": {
        "session_id": {"type": "string"},
        "session": {
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
        },
    },
}
_TOOL: Final = {
    "type": "object",
    "properties": {"function": {"type": "object"}, "name": {"type": "string"}},
}
_TOOLS: Final = {"anyOf": [{"type": "array", "items": _TOOL}, _TOOL, {"type": "null"}]}


def refine(schemas: dict[str, Any], names: Sequence[str] = ()) -> None:
    """Refine the declared schemas in place.

    Parameters
    ----------
    schemas : components by name
    names : candidates of the router in service; none = not loaded yet
    """
    for name in ("RouteRequest", "CascadeRequest"):
        schema = schemas[name]
        schema["anyOf"] = _EITHER
        schema["properties"]["tools"] = _TOOLS
        schema["not"] = _TWO_IDS
    if names:
        listed = {"type": "array", "items": {"enum": list(names)}, "minItems": 1}
        for name in ("RouteRequest", "CascadeRequest", "Limits"):
            schemas[name]["properties"]["candidates"] = {
                "anyOf": [listed, {"type": "null"}],
                "default": None,
            }
        schemas["CascadeAnswer"]["properties"]["candidate"] = {"enum": list(names)}
        schemas["HealthEvent"]["properties"]["candidate"] = {"enum": list(names)}
