"""Types that tool descriptions declare, and whether a value has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_ml.cascade.answers.calls.call import Unparsed

# JSON Schema's names, and those of the languages that tools are described in.
_INTEGERS: Final = frozenset({"integer", "int", "long", "short", "byte", "bigint"})
_FLOATS: Final = frozenset({"float", "number", "double"})
_STRINGS: Final = frozenset({"string", "char"})
_BOOLEANS: Final = frozenset({"boolean", "bool"})
_ARRAYS: Final = frozenset({"array", "tuple", "list", "arraylist"})
_OBJECTS: Final = frozenset({"dict", "object", "hashmap", "map"})


def fits(value: object, spec: Mapping[str, Any]) -> bool:
    """Whether a value has the type that its schema declares; an unknown type fits all.

    Examples
    --------
    >>> fits(3, {"type": "integer"}), fits("3", {"type": "integer"}), fits(3, {"type": "float"})
    (True, False, True)
    """
    kind = str(spec.get("type", "")).lower()
    if isinstance(value, Unparsed):
        return False
    if kind in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in _FLOATS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in _STRINGS:
        return isinstance(value, str)
    if kind in _BOOLEANS:
        return isinstance(value, bool)
    if kind in _OBJECTS:
        return isinstance(value, Mapping)
    if kind in _ARRAYS:
        items = spec.get("items")
        inner = items if isinstance(items, Mapping) else {}
        return isinstance(value, list | tuple) and all(fits(item, inner) for item in value)
    return True


def parameters_of(tool: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Properties by name and required names of a tool; empty where it describes none."""
    parameters = tool.get("parameters") if tool is not None else None
    if not isinstance(parameters, Mapping):
        return {}, ()
    properties, required = parameters.get("properties"), parameters.get("required")
    return (
        properties if isinstance(properties, Mapping) else {},
        [str(name) for name in required] if isinstance(required, list | tuple) else (),
    )
