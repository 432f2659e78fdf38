"""The tools on offer, and how much the query speaks of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.call import normal_name
from router_ml.cascade.answers.words import lower_words, stem

_SPLIT: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_MAX_CHARS: Final = 600
_STOP: Final = frozenset(
    lower_words(
        "a an and are as at be by can did do does for from given has have how i in into is it me "
        "my of on or please that the their them then this to using use want was what when where "
        "which who will with you your calculate find get function specified based returns return "
        "need would could should list provide about between if"
    )
)
"""Words of questions and of tool descriptions that tell no tool from another."""


class ToolOffer:
    """What can be called.

    Parameters
    ----------
    asked : the query with its tools

    Attributes
    ----------
    tools : by :func:`router_ml.cascade.answers.calls.call.normal_name`
    content : stems of the query's words that are no stop words
    best_name_said, best_description_said : largest share of a tool's name, and of a description,
        that the query says; in [0, 1]
    """

    def __init__(self, asked: Asked) -> None:
        self.tools: dict[str, Mapping[str, Any]] = {
            normal_name(str(tool.get("name", ""))): tool for tool in asked.query.tools
        }
        said = asked.vocabulary
        self.content = frozenset(stem(w) for w in said.words if w not in _STOP and not w.isdigit())
        names = [tool_stems(str(tool.get("name", ""))) for tool in self.tools.values()]
        about = [tool_stems(str(tool.get("description", ""))) for tool in self.tools.values()]
        self.best_name_said = max((cover(name, said.stems) for name in names), default=0.0)
        self.best_description_said = max((cover(text, said.stems) for text in about), default=0.0)


def stems_of(text: str) -> set[str]:
    """Stems of a text's words, names in camel or snake case taken apart, without stop words."""
    return {stem(w) for p in _SPLIT.split(text[:_MAX_CHARS]) if (w := p.lower()) and w not in _STOP}


@lru_cache(maxsize=4096)
def tool_stems(text: str) -> frozenset[str]:
    """As :func:`stems_of`; names and descriptions of tools come again with every request."""
    return frozenset(stems_of(text))


def cover(inner: set[str] | frozenset[str], outer: set[str] | frozenset[str]) -> float:
    """Share of ``inner`` that ``outer`` contains; 0 where ``inner`` is empty."""
    return len(inner & outer) / len(inner) if inner else 0.0
