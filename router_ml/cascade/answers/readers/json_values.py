"""Structured output: answers that are JSON, or hold an object of it, and are no tool calls."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from router_ml.cascade.answers.arithmetic import numbers_in
from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.calls.code import FENCE
from router_ml.cascade.answers.calls.key import normal_value
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.readers.numbers import number_statement
from router_ml.cascade.answers.reading import Reading, Statement
from router_ml.cascade.answers.words import lower_words
from router_ml.types.answers import Answer

_CONCLUSIONS: Final = ("answer", "finalanswer", "result", "output", "solution", "label", "choice")
"""Fields, case and separators dropped, whose value is what the answer comes to."""
_MAX_DEPTH: Final = 8
_MAX_LEAVES: Final = 200
_PROSE_WORDS: Final = 12
"""Longer strings are explanations, which differ where answers agree."""
_UNIT_WORDS: Final = 4


class JsonReader(AnswerReader):
    """Objects and lists, compared by their conclusion, else field by field without the prose.

    The JSON is all of the text, what a fence holds, or one object between prose. Where there were
    tools to call, it is described but is not what the answer says.
    """

    name: ClassVar[str] = "json"
    columns: ClassVar[tuple[str, ...]] = (
        "json_given",
        "json_alone",
        "json_concluded",
        "log_json_leaves",
        "json_empty_values",
        "json_values_said",
    )

    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        """See :meth:`AnswerReader.read`."""
        text = answer.text.strip()
        value, alone = _find(text)
        if value is None:
            return None
        leaves = dict(_leaves(value, "", 0))
        short = {path: leaf for path, leaf in leaves.items() if not _is_prose(leaf)}
        conclusion = _conclusion(value)
        said = [asked.vocabulary.share(leaf) for leaf in short.values()]
        values = [
            1.0,
            float(alone),
            float(conclusion is not None),
            math.log1p(len(leaves)),
            float(sum(leaf is None or leaf == "" for leaf in leaves.values())),
            sum(said) / len(said) if said else 0.0,
        ]
        if asked.query.tools:
            return Reading(values)
        return Reading(values, _statement(conclusion, short, text))


def _find(text: str) -> tuple[Any, bool]:
    """JSON of a text and whether it is all of it; None where there is none."""
    if not ("{" in text or text[:1] == "["):
        return None, False
    if text[:1] in ("[", "{") and (value := _load(text)) is not None:
        return value, True
    fence = FENCE.search(text)
    if fence is not None and (value := _load(fence.group(1))) is not None:
        return value, False
    value = _load(text[text.find("{") : text.rfind("}") + 1])
    return value, False


def _load(source: str) -> Any:
    try:
        value = json.loads(source, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) and value else None


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Values by path, at most so many levels and items a level."""
    if isinstance(value, dict | list) and depth < _MAX_DEPTH:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for count, (key, item) in enumerate(items):
            if count == _MAX_LEAVES:
                return
            yield from _leaves(item, f"{path}.{str(key).lower()}", depth + 1)
    else:
        yield path, value


def _is_prose(leaf: Any) -> bool:
    return isinstance(leaf, str) and len(lower_words(leaf)) > _PROSE_WORDS


def _conclusion(value: Any) -> Any:
    """The field that says what the answer comes to; None without one."""
    if isinstance(value, Mapping):
        named = {"".join(lower_words(str(key))): item for key, item in value.items()}
        for name in _CONCLUSIONS:
            item = named.get(name)
            if item not in (None, "", {}, []) and not _is_prose(item):
                return item
    return None


def _statement(conclusion: Any, leaves: Mapping[str, Any], text: str) -> Statement | None:
    if conclusion is not None:
        number = _number(conclusion)
        if math.isfinite(number):
            return number_statement(number, text)
        items = frozenset(lower_words(str(conclusion)))
        return Statement("json", f"answer={_plain(conclusion)}", items)
    if not leaves:
        return None
    parts = sorted(f"{path}={normal_value(leaf)}" for path, leaf in leaves.items())
    return Statement("json", ";".join(parts), frozenset(parts))


def _number(conclusion: Any) -> float:
    """The one number of ``42``, ``"$42"`` and ``"42 apples"``; NaN where there is not just one."""
    if isinstance(conclusion, bool):
        return math.nan
    if isinstance(conclusion, int | float):
        try:
            return round(float(conclusion), 6)
        except OverflowError:
            return math.nan
    text = conclusion if isinstance(conclusion, str) else ""
    numbers: Sequence[float] = numbers_in(text)
    if len(numbers) != 1 or len(lower_words(text)) > _UNIT_WORDS or _LATEX & set(text):
        return math.nan
    return -numbers[0] if text.strip().startswith("-") else numbers[0]


_LATEX: Final = frozenset("\\[]{}()^'\"=")
"""Signs of a formula or a literal, in which the number is not all that is said."""


def _plain(value: Any) -> str:
    """Text of a conclusion: case, blanks and the kind of quotes don't count."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return "".join(text.lower().split()).replace('"', "'").strip(".'$")
