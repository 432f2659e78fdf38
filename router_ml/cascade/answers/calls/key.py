"""What calls say, whatever their notation: the same key for the same calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_ml.cascade.answers.calls.call import Call, Unparsed, normal_name
from router_ml.cascade.answers.calls.schema import parameters_of
from router_ml.cascade.answers.reading import CALLS, Statement
from router_ml.cascade.answers.words import lower_words

_PARTIAL: Final = 0.95


def calls_statement(calls: Sequence[Call], tools: Mapping[str, Mapping[str, Any]]) -> Statement:
    """Normalised calls: order, notation, case, and arguments equal to defaults don't count."""
    functions: Counter[str] = Counter()
    parts: list[str] = []
    items: set[str] = set()
    for call in calls:
        name = normal_name(call.name)
        functions[name] += 1
        defaults = _defaults(tools.get(name))
        arguments = sorted(
            f"{key.lower()}={normal}"
            for key, value in call.arguments.items()
            if (normal := normal_value(value)) != defaults.get(key)
        )
        parts.append(f"{name}({','.join(arguments)})")
        items.add(name)
        items.update(f"{name}.{argument}" for argument in arguments)
    key = ";".join(sorted(parts))
    return Statement(CALLS, key, frozenset(items), _PARTIAL, functions)


def normal_value(value: object) -> str:
    """One text for values that mean the same: ``3``, ``3.0`` and ``"3"``; text in any case.

    Examples
    --------
    >>> normal_value("3.0") == normal_value(3), normal_value({"b": 1, "a": [" X "]})
    (True, '{a:[x],b:1}')
    """
    if isinstance(value, Unparsed):
        return "".join(lower_words(value))
    if isinstance(value, str):
        text = value.strip().lower()
        try:
            return f"{float(text):.8g}"
        except ValueError:
            return "".join(lower_words(text)) or text
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        try:
            return f"{float(value):.8g}"
        except OverflowError:
            return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{k}:{normal_value(v)}" for k, v in value.items())) + "}"
    if isinstance(value, list | tuple | set):
        return "[" + ",".join(normal_value(v) for v in value) + "]"
    return str(value)


def _defaults(tool: Mapping[str, Any] | None) -> dict[str, str]:
    properties, _ = parameters_of(tool)
    return {
        key: normal_value(spec["default"])
        for key, spec in properties.items()
        if isinstance(spec, Mapping) and "default" in spec
    }
