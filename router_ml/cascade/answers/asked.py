"""A query, read once for all answers to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from router_ml.cascade.answers.vocabulary import QueryVocabulary
from router_ml.features.query import Query

_JOINT: Final = re.compile(
    r"\b(?:and|also|both|then|each|respectively|after that|as well as|followed by|additionally|"
    r"next|finally|plus)\b"
)

T = TypeVar("T")


class Asked:
    """What answers are compared with.

    Parameters
    ----------
    query : as features see it

    Attributes
    ----------
    text : its words, capped
    vocabulary : its words and numbers
    joints : words such as "and" or "then": how many things it may ask for
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        self.text = query.text
        self.vocabulary = QueryVocabulary(self.text)
        self.joints = len(_JOINT.findall(self.text.lower()))
        self._facts: dict[Any, Any] = {}

    def recall(self, read: Callable[[Asked], T]) -> T:
        """``read(self)``, once: what a reader wants to know of the query for every answer."""
        if read not in self._facts:
            self._facts[read] = read(self)
        fact: T = self._facts[read]
        return fact
