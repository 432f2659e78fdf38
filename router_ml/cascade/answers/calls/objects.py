"""Tool calls out of JSON objects: OpenAI's, Anthropic's, and those that models make up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_ml.cascade.answers.calls.call import Call, tame

_MAX_JSON: Final = 200_000


def calls_in(value: object, *, explicit: bool = False) -> tuple[Call, ...]:
    """Calls in parsed JSON: one object, a list of them, or OpenAI's ``tool_calls``.

    Parameters
    ----------
    value : as a JSON parser gives it
    explicit : whether only objects with a name and arguments count, as any object with a name may
        be data where no tools were on offer

    Examples
    --------
    >>> calls_in({"name": "f", "arguments": '{"x": 1}'}) == calls_in([{"f": {"x": 1}}])
    True
    """
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), Sequence):
        value = value["tool_calls"]
    items = value if isinstance(value, list | tuple) else [value]
    calls = [call for item in items if (call := _from_object(item, explicit)) is not None]
    return tuple(calls)


def load_json(source: str) -> Any:
    """Parsed JSON; None where it is none, or too long."""
    if len(source) > _MAX_JSON:
        return None
    try:
        return json.loads(source)
    except (ValueError, RecursionError):
        return None


def _from_object(item: object, explicit: bool) -> Call | None:
    if not isinstance(item, Mapping):
        return None
    inner = item.get("function")
    if isinstance(inner, Mapping):
        item = inner
    name = item.get("name") or item.get("function")
    if isinstance(name, str):
        for key in ("arguments", "parameters", "input", "args"):
            if key in item:
                return Call(name, _arguments(item[key]))
        return None if explicit else Call(name, {})
    if len(item) == 1 and not explicit:
        name, value = next(iter(item.items()))
        arguments = _arguments(value)
        return Call(str(name), arguments) if arguments or value in ("{}", {}) else None
    return None


def _arguments(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = load_json(value)
    if not isinstance(value, Mapping):
        return {}
    return {str(key): tame(item) for key, item in value.items()}
