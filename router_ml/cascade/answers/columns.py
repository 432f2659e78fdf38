"""One answer, read: what the answer scorer sees of it, and what it is compared with others by.

Everything here is computed on the request path, hence numpy and the standard library only, and
every text is capped. :class:`router_ml.cascade.answers.table.AnswerTable` makes rows of it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from router_ml.cascade.answers.arithmetic import ARITHMETIC_NAMES, arithmetic_features, final_number
from router_ml.cascade.answers.call_checks import CALL_NAMES, Said, call_checks, tool_index
from router_ml.cascade.answers.calls import Call, Unparsed, normal_name, parse_calls
from router_ml.cascade.answers.words import Phrases, lower_words
from router_ml.features.query import Query
from router_ml.types.arrays import FloatArray

MAX_ANSWER_CHARS: Final = 8000

_REFUSAL: Final = Phrases(
    r"\b(?:can(?:not|'t)|unable to|not able to|i'm sorry|i am sorry|apologi[sz]e|as an ai|"
    r"none of the|no (?:given |provided |available |suitable )?function|not (?:sufficient|suitable|"
    r"relevant|applicable|possible)|does not (?:match|provide|exist)|lacks?|cannot be)\b",
    stems=("not", "can't", "unable to", "sorry", "apologi", "as an ai", "none of", "no ", "lack"),
)
_HEDGE: Final = Phrases(
    r"\b(?:maybe|perhaps|might|probably|possibly|approximately|roughly|not (?:certain|sure)|"
    r"i think|seems?|assum\w+|unclear|however|likely|guess)\b",
    stems=(
        "maybe", "perhaps", "might", "probably", "possibly", "approximately", "roughly", "not ",
        "i think", "seem", "assum", "unclear", "however", "likely", "guess",
    ),
)  # fmt: skip
_ASKS: Final = Phrases(
    r"\b(?:please (?:provide|specify|clarify)|could you|can you|more information|which )\b",
    stems=("please ", " you", "more information", "which "),
)
_SEVERAL: Final = re.compile(
    r"\b(?:and|also|both|then|each|respectively|after that|as well as|followed by|additionally|"
    r"next|finally|plus)\b"
)
_CODE: Final = Phrases(
    r"```|[{};]|\bdef \b|\breturn\b|=>|==|\(\)|::",
    stems=("```", "{", "}", ";", "def ", "return", "=>", "==", "()", "::"),
)
_SENTENCE: Final = re.compile(r"[.?!](?:\s|$)")
_QUOTED: Final = re.compile(r"[\"'‘“`][^\"'’”`\n]{1,60}[\"'’”`]")

TEXT_NAMES: Final = (
    "log_answer_chars",
    "log_answer_words",
    "log_lines",
    "empty",
    "refuses",
    "hedges",
    "asks_back",
    "unbalanced",
    "ends_open",
    "finish_length",
    "ends_in_question",
    "log_code_marks",
    "distinct_word_share",
    "query_words_said",
    "words_from_query",
    "query_numbers_said",
    "numbers_from_query",
    "length_ratio",
    "repeated_lines",
    "query_joints",
    "query_sentences",
    "query_questions",
    "query_quotes",
    "query_commas",
    "query_numbers",
    "clean_calls",
    "python_calls",
    "calls_less_joints",
    "has_tools",
    "text_despite_tools",
)
OWN_NAMES: Final = TEXT_NAMES + CALL_NAMES + ARITHMETIC_NAMES
"""Columns that depend on the query and this answer alone."""


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """What answers are compared with, computed once a query."""

    query: Query
    said: Said
    tools: Mapping[str, Mapping[str, Any]]
    joints: tuple[float, ...]

    @classmethod
    def of(cls, query: Query) -> QueryFacts:
        """Read the query's words, numbers, tools and how many things it asks for."""
        text = query.text
        joints = (
            float(len(_SEVERAL.findall(text.lower()))),
            float(len(_SENTENCE.findall(text))),
            float(text.count("?")),
            float(len(_QUOTED.findall(text))),
            float(text.count(",")),
        )
        return cls(query, Said(text), tool_index(query.tools), joints)


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """One answer, read.

    Parameters
    ----------
    own : float32, shape (len(OWN_NAMES),)
    kind : ``"calls"``, ``"no call"`` (words, though there were tools), ``"number"`` (ends on one),
        ``"text"`` or ``"empty"``
    key : equal for answers that say the same in other notation
    functions : normalised names of the functions called
    items : what partial agreement is measured on: argument by argument, or word by word
    """

    own: FloatArray
    kind: str
    key: str
    functions: Counter[str] = field(default_factory=Counter)
    items: frozenset[str] = frozenset()

    @classmethod
    def of(cls, facts: QueryFacts, text: str, *, finish_reason: str = "") -> AnswerFacts:
        """Read an answer; any text is valid.

        Examples
        --------
        >>> facts = QueryFacts.of(Query("Add 2 and 3."))
        >>> a, b = (AnswerFacts.of(facts, text) for text in ("[add(x=2, y=3)]", "[add(y=3.0,x=2)]"))
        >>> a.key == b.key, similarity(a, b)
        (True, 1.0)
        """
        text = text[:MAX_ANSWER_CHARS]
        parsed = parse_calls(text)
        words = lower_words(text)
        has_tools = bool(facts.tools)
        own = [
            *_text_features(facts, text, words, finish_reason),
            *facts.joints,
            float(len(facts.said.numbers)),
            float(parsed.clean),
            float(parsed.python),
            len(parsed.calls) - facts.joints[0] - 1.0,
            float(has_tools),
            float(has_tools and not parsed.calls),
            *call_checks(parsed.calls, facts.tools, facts.said),
            *(
                arithmetic_features(facts.query.text, text)
                if not parsed.calls
                else [0.0] * len(ARITHMETIC_NAMES)
            ),
        ]
        row = np.array(own, dtype=np.float32)
        if parsed.calls:
            return cls(row, "calls", *_call_key(parsed.calls, facts.tools))
        if not text.strip():
            return cls(row, "empty", "")
        value = final_number(text)
        items = frozenset(words[:200])
        if has_tools:
            return cls(row, "no call", "", items=items)
        if math.isnan(value):
            return cls(row, "text", " ".join(words[-40:]), items=items)
        return cls(row, "number", f"{value:.6g}", items=items)


def similarity(a: AnswerFacts, b: AnswerFacts) -> float:
    """Agreement of two answers in [0, 1]; one if and only if their keys are equal."""
    if a.kind == b.kind and a.key == b.key:
        return 1.0
    if a.kind != b.kind or not a.items or not b.items:
        return 0.0
    overlap = len(a.items & b.items) / len(a.items | b.items)
    return 0.95 * overlap if a.kind == "calls" else 0.5 * overlap


def _text_features(
    facts: QueryFacts, text: str, words: list[str], finish_reason: str
) -> list[float]:
    stripped, lower = text.rstrip(), text.lower()
    distinct = set(words)
    lines = [line for line in text.splitlines() if line.strip()]
    said_words, said_numbers = facts.said.words, facts.said.numbers
    numbers = {float(w[:15]) for w in distinct if w.isdigit() and w.isascii()}
    opened = sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(len(lines)),
        float(not stripped),
        float(_REFUSAL.count(lower)),
        float(_HEDGE.count(lower)),
        float(_ASKS.count(lower)),
        float(opened),
        float(bool(stripped) and stripped[-1].isalnum() and not stripped[-1].isdigit()),
        float(finish_reason in ("length", "max_tokens")),
        float(stripped.endswith("?")),
        math.log1p(_CODE.count(text)),
        len(distinct) / max(1, len(words)),
        len(distinct & said_words) / max(1, len(said_words)),
        len(distinct & said_words) / max(1, len(distinct)),
        len(numbers & said_numbers) / max(1, len(said_numbers)),
        len(numbers & said_numbers) / max(1, len(numbers)),
        math.log1p(len(text)) - math.log1p(len(facts.query.ask)),
        float(len(lines) - len(set(lines))),
    ]


def _call_key(
    calls: Sequence[Call], tools: Mapping[str, Mapping[str, Any]]
) -> tuple[str, Counter[str], frozenset[str]]:
    """Normalised call set: order, notation, case, and arguments equal to defaults don't count."""
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
            if (normal := _normal(value)) != defaults.get(key)
        )
        parts.append(f"{name}({','.join(arguments)})")
        items.add(name)
        items.update(f"{name}.{argument}" for argument in arguments)
    return ";".join(sorted(parts)), functions, frozenset(items)


def _defaults(tool: Mapping[str, Any] | None) -> dict[str, str]:
    parameters = tool.get("parameters") if tool is not None else None
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    return {
        key: _normal(spec["default"])
        for key, spec in properties.items()
        if isinstance(spec, Mapping) and "default" in spec
    }


def _normal(value: object) -> str:
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
        return "{" + ",".join(sorted(f"{k}:{_normal(v)}" for k, v in value.items())) + "}"
    if isinstance(value, list | tuple | set):
        return "[" + ",".join(_normal(v) for v in value) + "]"
    return str(value)
