"""The words and numbers of a query, to look an answer's values up in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from router_ml.cascade.answers.words import lower_words, stem

_NUMBER: Final = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+")
_WORD_NUMBERS: Final = {"twenty": 20.0, "thirty": 30.0, "hundred": 100.0, "dozen": 12.0} | {
    word: float(value)
    for value, word in enumerate(
        lower_words("zero one two three four five six seven eight nine ten eleven twelve")
    )
}


class QueryVocabulary:
    """What a query says.

    Parameters
    ----------
    text : of the query

    Examples
    --------
    >>> said = QueryVocabulary("Book three tables in Oslo at 15%.")
    >>> said.share("Oslo, Norway"), said.has_number(3.0), said.has_number(0.15)
    (0.5, True, True)
    """

    def __init__(self, text: str) -> None:
        words = lower_words(text)
        self.words = frozenset(words)
        self.stems = frozenset(stem(w) for w in words)
        numbers = {number(n) for n in _NUMBER.findall(text.lower())}
        numbers.update(_WORD_NUMBERS[w] for w in words if w in _WORD_NUMBERS)
        self.numbers = frozenset(numbers)
        self.has_percent = "%" in text or "percent" in text.lower()

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
            or stem(w) in self.stems
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
