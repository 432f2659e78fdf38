"""Counts that say what embeddings forget: length, digits, code, tools and their parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log1p
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.features.query import Query
from router_ml.features.tools import parse_tools
from router_ml.types.arrays import FloatArray

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
"""Columns that this release computes, in order. A bundle names those that it needs, so columns may
be added; one may be renamed or changed only under a new name."""

_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
# Every branch begins with a literal, boundaries looked back at: ten times faster to search with.
_CODE: Final = re.compile(r"```|\{|\}|;|d(?<=\bd)ef \b|r(?<=\br)eturn\b|=>|->|==|\(\)|::|</")
_CODE_SIGNS: Final = b"`{};=-(:<"
"""Every mark of code but a word begins with one of these."""
_MATH: Final = re.compile(r"[=+*/^<>≤≥√∫∑%$]|\\[a-z]+")
_COMMAND: Final = re.compile(r"\\[a-z]+")
_OPTION: Final = re.compile(r"(?m)^[^\S\n]*\(?[A-Ha-h1-9][.):]\s")
_PUNCTUATION: Final = re.compile(r"[^\w\s]")
_DIGITS: Final = b"0123456789"
_UPPER: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SIGNS: Final = b"=+*/^<>%$"
_LOWER_WORDS: Final = bytes(
    ord(chr(i).lower() if _WORD.match(chr(i)) else " ") for i in range(128)
) + bytes(128)
_WORD_SIGNS: Final = bytes(i for i in range(128) if _WORD.match(chr(i)))
_MARKS: Final = bytes(i for i in range(128) if _PUNCTUATION.match(chr(i)))


def lexical_features(query: Query) -> FloatArray:
    """Lexical columns of one query, float32, shape ``(len(NAMES),)``; counts enter as log(1 + x).

    Examples
    --------
    >>> row = lexical_features(Query("What is 2 + 2?"))
    >>> float(row[NAMES.index("question_marks")])
    1.0
    """
    return np.array(lexical_values(query), dtype=np.float32)


def lexical_values(query: Query) -> tuple[float, ...]:
    """The same as Python numbers: an array is made faster of many rows than of one."""
    text = query.text
    n = max(1, len(text))
    lines = text.count("\n")
    counts = _ascii_counts(text) if text.isascii() else _counts(text)
    words, word_chars, digits, upper, non_ascii, punctuation, code, math_marks = counts
    n_words = max(1, len(words))
    said = set(words)
    tools = parse_tools(query.tools).counts
    return (
        log1p(len(query.ask)),
        log1p(len(words)),
        word_chars / n_words,
        len(said) / n_words,
        log1p(lines),
        log1p(len(_NUMBER.findall(text)) if digits or non_ascii else 0),
        digits / n,
        upper / n,
        non_ascii / n,
        punctuation / n,
        log1p(code),
        log1p(math_marks),
        float(min(4, text.count("?"))),
        log1p(len(_OPTION.findall(text)) if lines else _OPTION.match(text) is not None),
        log1p(len(query.prior)),
        log1p(query.history_chars),
        log1p(query.n_turns),
        log1p(len(query.tools)),
        log1p(tools.chars),
        log1p(tools.parameters),
        log1p(tools.required),
        log1p(tools.enum_values),
        log1p(tools.nested),
        tools.overlap(said),
    )


def lexical_columns(names: Sequence[str]) -> list[int] | None:
    """Positions of named columns among ``NAMES``; ``None`` where they are all of them, in order.

    Raises
    ------
    SchemaError
        If this release does not compute one of them.

    Examples
    --------
    >>> lexical_columns(["log_words", "log_ask_chars"])
    [1, 0]
    """
    if tuple(names) == NAMES:
        return None
    position = {name: i for i, name in enumerate(NAMES)}
    if unknown := [name for name in names if name not in position]:
        raise SchemaError(
            f"lexical columns {unknown} are not computed by this release, which has {list(NAMES)}"
        )
    return [position[name] for name in names]


_Counts = tuple[list[str], int, int, int, int, int, int, int]
"""Words in lower case and their characters; digits, upper-case letters, characters beyond ASCII,
punctuation; marks of code and maths."""


def _counts(text: str) -> _Counts:
    """Counts of any text; words are split first, because lower case can change how long one is."""
    words = [word.lower() for word in _WORD.findall(text)]
    return (
        words,
        sum(map(len, words)),
        sum(map(str.isdigit, text)),
        sum(map(str.isupper, text)),
        sum(ord(c) > 127 for c in text),
        len(_PUNCTUATION.findall(text)),
        len(_CODE.findall(text)),
        len(_MATH.findall(text)),
    )


def _ascii_counts(text: str) -> _Counts:
    """The same of ASCII alone, by deleting in C."""
    raw = text.encode()
    n = len(raw)

    def count(signs: bytes) -> int:
        return n - len(raw.translate(None, signs))

    # Plain prose is spared the search for marks of code.
    code = "return" in text or "def " in text or count(_CODE_SIGNS)
    return (
        raw.translate(_LOWER_WORDS).decode().split(),
        count(_WORD_SIGNS),
        count(_DIGITS),
        count(_UPPER),
        0,
        count(_MARKS),
        len(_CODE.findall(text)) if code else 0,
        count(_SIGNS) + (len(_COMMAND.findall(text)) if "\\" in text else 0),
    )
