"""Counts that say what embeddings forget: length, digits, code, tools and their parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.features.query import Query
from router_ml.types import FloatArray

NAMES: Final = (
    "log_ask_chars",
    "log_words",
    "mean_word_chars",
    "distinct_word_share",
    "log_lines",
    "log_numbers",
    "digit_share",
    "upper_share",
    "non_ascii_share",
    "punctuation_share",
    "log_code_marks",
    "log_math_marks",
    "question_marks",
    "log_options",
    "log_prior_chars",
    "log_history_chars",
    "log_turns",
    "log_tools",
    "log_tool_chars",
    "log_parameters",
    "log_required",
    "log_enum_values",
    "log_nested",
    "tool_overlap",
)
"""Column names; the order is part of the bundle format."""

_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
# Every branch begins with a literal, boundaries looked back at: ten times faster to search with.
_CODE: Final = re.compile(r"```|\{|\}|;|d(?<=\bd)ef \b|r(?<=\br)eturn\b|=>|->|==|\(\)|::|</")
_MATH: Final = re.compile(r"[=+*/^<>≤≥√∫∑%$]|\\[a-z]+")
_OPTION: Final = re.compile(r"(?m)^[^\S\n]*\(?[A-Ha-h1-9][.):]\s")
_PUNCTUATION: Final = re.compile(r"[^\w\s]")
_SPLIT: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_MAX_DEPTH: Final = 6
_DIGITS: Final = b"0123456789"
_UPPER: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKS: Final = bytes(i for i in range(128) if _PUNCTUATION.match(chr(i)))


def lexical_features(query: Query) -> FloatArray:
    """Lexical columns of one query, float32, shape ``(len(NAMES),)``; counts enter as log(1 + x).

    Examples
    --------
    >>> row = lexical_features(Query("What is 2 + 2?"))
    >>> float(row[NAMES.index("question_marks")])
    1.0
    """
    text = query.text
    n = max(1, len(text))
    words = [w.lower() for w in _WORD.findall(text)]
    n_words = max(1, len(words))
    tools = _ToolCounts()
    for tool in query.tools:
        tools.add(tool)
    digits, upper, non_ascii, punctuation = _character_counts(text)
    values = (
        math.log1p(len(query.ask)),
        math.log1p(len(words)),
        sum(map(len, words)) / n_words,
        len(set(words)) / n_words,
        math.log1p(text.count("\n")),
        math.log1p(len(_NUMBER.findall(text))),
        digits / n,
        upper / n,
        non_ascii / n,
        punctuation / n,
        math.log1p(len(_CODE.findall(text))),
        math.log1p(len(_MATH.findall(text))),
        float(min(4, text.count("?"))),
        math.log1p(len(_OPTION.findall(text))),
        math.log1p(len(query.prior)),
        math.log1p(query.history_chars),
        math.log1p(query.n_turns),
        math.log1p(len(query.tools)),
        math.log1p(tools.chars),
        math.log1p(tools.parameters),
        math.log1p(tools.required),
        math.log1p(tools.enum_values),
        math.log1p(tools.nested),
        tools.overlap(words),
    )
    return np.array(values, dtype=np.float32)


def _character_counts(text: str) -> tuple[int, int, int, int]:
    """Digits, upper-case letters, characters beyond ASCII, punctuation."""
    if text.isascii():  # the same counts, by deleting in C
        raw = text.encode()
        counts = [len(raw) - len(raw.translate(None, kind)) for kind in (_DIGITS, _UPPER, _MARKS)]
        return counts[0], counts[1], 0, counts[2]
    return (
        sum(map(str.isdigit, text)),
        sum(map(str.isupper, text)),
        sum(ord(c) > 127 for c in text),
        len(_PUNCTUATION.findall(text)),
    )


class _ToolCounts:
    """Running counts over tool descriptions."""

    def __init__(self) -> None:
        self.chars = self.parameters = self.required = self.enum_values = self.nested = 0
        self._best_names: list[set[str]] = []

    def add(self, tool: Mapping[str, Any]) -> None:
        name, description = str(tool.get("name", "")), str(tool.get("description", ""))
        self.chars += len(name) + len(description)
        self._best_names.append({w.lower() for w in _SPLIT.split(name) if w})
        self._schema(tool.get("parameters"), 0)

    def _schema(self, schema: object, depth: int) -> None:
        # `dict`, because a check against the abstract Mapping is slow and JSON gives nothing else
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return
        properties = schema.get("properties")
        if isinstance(properties, dict):
            self.parameters += len(properties)
            self.nested += depth > 0
            for key, value in properties.items():
                self.chars += len(str(key))
                if isinstance(value, dict):
                    self.chars += len(str(value.get("description", "")))
                    enum = value.get("enum")
                    self.enum_values += len(enum) if isinstance(enum, list) else 0
                    self._schema(value, depth + 1)
        required = schema.get("required")
        self.required += len(required) if isinstance(required, list) else 0
        self._schema(schema.get("items"), depth + 1)

    def overlap(self, words: list[str]) -> float:
        """Share of the best matching tool name's words that the ask contains."""
        said = set(words)
        shares = [len(name & said) / len(name) for name in self._best_names if name]
        return max(shares, default=0.0)
