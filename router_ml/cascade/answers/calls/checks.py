"""Whether an answer's tool calls fit the tools on offer, and the words of the query."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router_ml.cascade.answers.calls.call import Call, Unparsed, normal_name
from router_ml.cascade.answers.calls.offer import ToolOffer, cover, stems_of, tool_stems
from router_ml.cascade.answers.calls.schema import fits, parameters_of
from router_ml.cascade.answers.vocabulary import QueryVocabulary

CALL_NAMES: Final = (
    "calls",
    "distinct_functions",
    "unknown_functions",
    "missing_required",
    "unknown_parameters",
    "positional",
    "wrong_types",
    "outside_enum",
    "arguments",
    "optional_given",
    "optional_given_share",
    "optional_not_said",
    "default_given",
    "required_not_said",
    "said_share",
    "worst_said",
    "numbers_not_said",
    "fractions_of_percent",
    "placeholders",
    "empty_values",
    "expressions",
    "number_strings",
    "booleans",
    "nested_values",
    "long_strings",
    "capital_changed",
    "equal_calls",
    "tools_unused",
    "best_name_said",
    "description_said",
    "query_covered",
    "log_tools",
    "required_parameters",
    "optional_parameters",
    "strict_types",
)
"""Columns of :func:`call_checks`, in order."""


_PLACEHOLDER: Final = re.compile(
    r"^(?:<.*>|your\W?\w*|unknown|none|null|n/?a|string|value|any|example.*|specific\w*|x+|\?+)$|"
    r"\byour[_ ]|<[a-z_ ]+>|placeholder|current[_ ]location|user[_ ]input",
    re.IGNORECASE,
)


def call_checks(calls: Sequence[Call], offer: ToolOffer, said: QueryVocabulary) -> list[float]:
    """Columns :data:`CALL_NAMES` of one answer; those of an answer without calls are valid too."""
    tools = offer.tools
    tally = dict.fromkeys(CALL_NAMES, 0.0)
    tally["said_share"] = tally["worst_said"] = 1.0
    shares: list[float] = []
    covered: set[str] = set()
    used: set[str] = set()
    for call in calls:
        name = normal_name(call.name)
        used.add(name)
        tool = tools.get(name)
        covered.update(stems_of(call.name))
        if tool is None:
            tally["unknown_functions"] += 1
        else:
            covered.update(tool_stems(str(tool.get("description", ""))))
        _check_call(call, tool, said, tally, shares, covered)
    tally["calls"] = len(calls)
    tally["distinct_functions"] = len(used)
    tally["tools_unused"] = sum(name not in used for name in tools)
    tally["equal_calls"] = len(calls) - len({repr(call) for call in calls})
    tally["log_tools"] = math.log1p(len(tools))
    if shares:
        tally["said_share"], tally["worst_said"] = sum(shares) / len(shares), min(shares)
    if tally["arguments"]:
        tally["optional_given_share"] = tally["optional_given"] / tally["arguments"]
    tally["best_name_said"] = offer.best_name_said
    tally["description_said"] = offer.best_description_said
    tally["query_covered"] = cover(offer.content, covered)
    return list(tally.values())


def _check_call(
    call: Call,
    tool: Mapping[str, Any] | None,
    said: QueryVocabulary,
    tally: dict[str, float],
    shares: list[float],
    covered: set[str],
) -> None:
    properties, required = parameters_of(tool)
    tally["positional"] += call.positional
    tally["missing_required"] += sum(name not in call.arguments for name in required)
    tally["required_parameters"] += len(required)
    tally["optional_parameters"] += len(properties) - len(required)
    for name, value in call.arguments.items():
        tally["arguments"] += 1
        covered.update(stems_of(name))
        if isinstance(value, str) and len(value) < 200:
            covered.update(stems_of(value))
        share = said.share(value)
        shares.append(share)
        spec = properties.get(name)
        if tool is not None and not isinstance(spec, Mapping):
            tally["unknown_parameters"] += 1
        optional = tool is not None and name not in required
        tally["optional_given"] += optional
        tally["optional_not_said" if optional else "required_not_said"] += share < 0.5
        if isinstance(spec, Mapping):
            _check_value(value, spec, tally)
        _describe_value(value, said, tally)


def _check_value(value: object, spec: Mapping[str, Any], tally: dict[str, float]) -> None:
    kind = str(spec.get("type", ""))
    tally["wrong_types"] += not fits(value, spec)
    tally["strict_types"] += kind[:1].isupper() or kind in ("any", "long", "char")
    enum = spec.get("enum")
    if isinstance(enum, list) and enum:
        values = value if isinstance(value, list | tuple) else [value]
        tally["outside_enum"] += any(item not in enum for item in values)
    if "default" in spec:
        tally["default_given"] += str(spec["default"]).lower() == str(value).lower()


def _describe_value(value: object, said: QueryVocabulary, tally: dict[str, float]) -> None:
    tally["empty_values"] += value is None or value in ("", [], {})
    tally["booleans"] += isinstance(value, bool)
    tally["expressions"] += isinstance(value, Unparsed)
    tally["nested_values"] += isinstance(value, list | tuple | Mapping)
    for item in _numbers_in(value):
        tally["numbers_not_said"] += not said.has_number(item)
        tally["fractions_of_percent"] += said.has_percent and 0 < abs(item) < 1
    if isinstance(value, str):
        tally["placeholders"] += bool(_PLACEHOLDER.search(value[:200]))
        tally["number_strings"] += value.replace(".", "", 1).isdigit()
        tally["long_strings"] += len(value) > 40
        tally["capital_changed"] += value != value.lower() and value.lower() in said.words


def _numbers_in(value: object) -> list[float]:
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, list | tuple):
        return [x for item in value[:50] for x in _numbers_in(item)]
    if isinstance(value, Mapping):
        return [x for item in value.values() for x in _numbers_in(item)]
    return []
