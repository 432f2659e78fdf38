"""Whether an answer's tool calls fit the tools on offer, and the words of the query."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from router_ml.cascade.answers.calls import Call, Unparsed, normal_name
from router_ml.cascade.answers.words import lower_words

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

_NUMBER: Final = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+")
_SPLIT: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_PLACEHOLDER: Final = re.compile(
    r"^(?:<.*>|your\W?\w*|unknown|none|null|n/?a|string|value|any|example.*|specific\w*|x+|\?+)$|"
    r"\byour[_ ]|<[a-z_ ]+>|placeholder|current[_ ]location|user[_ ]input",
    re.IGNORECASE,
)
_INTEGERS: Final = frozenset({"integer", "int", "long", "short", "byte", "bigint"})
_FLOATS: Final = frozenset({"float", "number", "double"})
_ARRAYS: Final = frozenset({"array", "tuple", "list", "arraylist"})
_OBJECTS: Final = frozenset({"dict", "object", "hashmap", "map"})
_WORD_NUMBERS: Final = {"twenty": 20.0, "thirty": 30.0, "hundred": 100.0, "dozen": 12.0} | {
    word: float(value)
    for value, word in enumerate(
        lower_words("zero one two three four five six seven eight nine ten eleven twelve")
    )
}
_STOP: Final = frozenset(
    lower_words(
        "a an and are as at be by can did do does for from given has have how i in into is it me "
        "my of on or please that the their them then this to using use want was what when where "
        "which who will with you your calculate find get function specified based returns return "
        "need would could should list provide about between if"
    )
)


class Said:
    """What the query's words and numbers are, to look values up in."""

    def __init__(self, text: str) -> None:
        lower = text.lower()
        words = lower_words(text)
        self.words = frozenset(words)
        self.stems = frozenset(_stem(w) for w in words)
        self.content = frozenset(_stem(w) for w in words if w not in _STOP and not w.isdigit())
        numbers = {number(n) for n in _NUMBER.findall(lower)}
        numbers.update(_WORD_NUMBERS[w] for w in words if w in _WORD_NUMBERS)
        self.numbers = frozenset(numbers)
        self.has_percent = "%" in text or "percent" in lower

    def share(self, value: object) -> float:
        """Share of a value's words and numbers that the query contains, in [0, 1]."""
        if value is None or value == "":
            return 0.0
        if isinstance(value, bool):
            return 0.5
        if isinstance(value, int | float):
            return float(self.has_number(float(value)))
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list | tuple | set):
            shares = [self.share(item) for item in value]
            return sum(shares) / len(shares) if shares else 0.0
        words = lower_words(str(value))
        if not words:
            return 0.0
        hits: int = sum(
            w in self.words
            or _stem(w) in self.stems
            or (w.isdecimal() and float(w[:15]) in self.numbers)
            for w in words
        )
        return hits / len(words)

    def has_number(self, value: float) -> bool:
        """Whether the query says this number, as it is, as a percentage or with its sign turned."""
        numbers = self.numbers
        return value in numbers or -value in numbers or round(value * 100, 6) in numbers


def number(text: str) -> float:
    """A number as written, thousands separators allowed."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return math.nan


def tool_index(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Tools by :func:`router_ml.cascade.answers.calls.normal_name`."""
    return {normal_name(str(tool.get("name", ""))): tool for tool in tools}


def call_checks(
    calls: Sequence[Call], tools: Mapping[str, Mapping[str, Any]], said: Said
) -> list[float]:
    """Columns :data:`CALL_NAMES` of one answer; ``tools`` as :func:`tool_index` gives them."""
    tally = dict.fromkeys(CALL_NAMES, 0.0)
    tally["said_share"] = tally["worst_said"] = 1.0
    shares: list[float] = []
    covered: set[str] = set()
    used: set[str] = set()
    for call in calls:
        name = normal_name(call.name)
        used.add(name)
        tool = tools.get(name)
        covered.update(_stems_of(call.name))
        if tool is None:
            tally["unknown_functions"] += 1
        else:
            covered.update(_tool_stems(str(tool.get("description", ""))))
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
    _relevance(tools, said, tally)
    tally["query_covered"] = _cover(said.content, covered)
    return list(tally.values())


def _check_call(
    call: Call,
    tool: Mapping[str, Any] | None,
    said: Said,
    tally: dict[str, float],
    shares: list[float],
    covered: set[str],
) -> None:
    properties, required = _schema(tool)
    tally["positional"] += call.positional
    tally["missing_required"] += sum(name not in call.arguments for name in required)
    tally["required_parameters"] += len(required)
    tally["optional_parameters"] += len(properties) - len(required)
    for name, value in call.arguments.items():
        tally["arguments"] += 1
        covered.update(_stems_of(name))
        if isinstance(value, str) and len(value) < 200:
            covered.update(_stems_of(value))
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


def _describe_value(value: object, said: Said, tally: dict[str, float]) -> None:
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
    if kind in ("string", "char"):
        return isinstance(value, str)
    if kind in ("boolean", "bool"):
        return isinstance(value, bool)
    if kind in _OBJECTS:
        return isinstance(value, Mapping)
    if kind in _ARRAYS:
        items = spec.get("items")
        inner = items if isinstance(items, Mapping) else {}
        return isinstance(value, list | tuple) and all(fits(item, inner) for item in value)
    return True


def _schema(tool: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], Sequence[str]]:
    parameters = tool.get("parameters") if tool is not None else None
    if not isinstance(parameters, Mapping):
        return {}, ()
    properties, required = parameters.get("properties"), parameters.get("required")
    return (
        properties if isinstance(properties, Mapping) else {},
        [str(name) for name in required] if isinstance(required, list | tuple) else (),
    )


def _relevance(tools: Mapping[str, Mapping[str, Any]], said: Said, tally: dict[str, float]) -> None:
    """How much of the best fitting tool's name and description the query speaks of."""
    for tool in tools.values():
        name, about = (
            _tool_stems(str(tool.get("name", ""))),
            _tool_stems(str(tool.get("description", ""))),
        )
        tally["best_name_said"] = max(tally["best_name_said"], _cover(name, said.stems))
        tally["description_said"] = max(tally["description_said"], _cover(about, said.stems))


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


@lru_cache(maxsize=4096)
def _tool_stems(text: str) -> frozenset[str]:
    """Names and descriptions of tools come again with every request."""
    return frozenset(_stems_of(text))


def _stems_of(text: str) -> set[str]:
    return {_stem(w) for p in _SPLIT.split(text[:600]) if (w := p.lower()) and w not in _STOP}


def _stem(word: str) -> str:
    return word[:5] if len(word) > 5 else word.removesuffix("s")


def _cover(inner: set[str] | frozenset[str], outer: set[str] | frozenset[str]) -> float:
    return len(inner & outer) / len(inner) if inner else 0.0
