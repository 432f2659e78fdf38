"""Answers that end on a number, and whether the calculations that lead there hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Final

from router_ml.cascade.answers.arithmetic import (
    NUMBER,
    equations,
    evaluate,
    expression_before,
    numbers_in,
    value_of,
)
from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.reading import Reading, Statement
from router_ml.cascade.answers.words import Phrases, lower_words
from router_ml.types.answers import Answer

_FINAL_MARK: Final = Phrases(
    rf"(?:####|final answer(?: is)?:?|answer is:?|\\boxed\{{)\s*[$€£]?\s*(-?(?:{NUMBER}))",
    stems=("####", "answer", "\\boxed"),
)
_TAIL: Final = 400
_TOLERANCE: Final = 0.011
_ITEM_WORDS: Final = 200


class NumbersReader(AnswerReader):
    r"""The number an answer ends on, marked (``####``, ``\boxed{}``, "the answer is") or last.

    Written calculations are worked out again, and their operands looked up in the query. Where
    there were tools to call, a number is described but is not what the answer says.
    """

    name: ClassVar[str] = "numbers"
    columns: ClassVar[tuple[str, ...]] = (
        "equations",
        "equations_wrong",
        "equations_unread",
        "operands_unfounded",
        "query_numbers_unused",
        "numbers_in_query",
        "final_given",
        "final_marked",
        "final_is_result",
        "final_is_last_result",
        "final_is_integer",
        "final_negative",
        "log_final",
        "final_in_query",
        "results_unused",
        "results_fractional",
        "divisions",
        "subtractions",
        "percents",
    )

    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        """See :meth:`AnswerReader.read`."""
        final = final_number(answer.text)
        values = _arithmetic(asked.recall(_numbers_asked), answer.text, final)
        if math.isnan(final) or asked.query.tools:
            return Reading(values)
        return Reading(values, number_statement(final, answer.text))


def number_statement(value: float, text: str) -> Statement:
    """An answer that says a number; ``text`` is what it is compared by where numbers differ."""
    return Statement("number", f"{value:.6g}", frozenset(lower_words(text)[:_ITEM_WORDS]))


def final_number(text: str) -> float:
    """The number an answer ends on: the marked one, else the last; NaN without any.

    Examples
    --------
    >>> final_number("3 + 4 = 7 apples. #### 7"), final_number("so it costs $1,250.")
    (7.0, 1250.0)
    """
    marks = _FINAL_MARK.find(text.lower())
    if marks:
        return value_of(marks[-1])
    numbers = numbers_in(text[-_TAIL:])
    return numbers[-1] if numbers else math.nan


def _numbers_asked(asked: Asked) -> Sequence[float]:
    return numbers_in(asked.text)


def _arithmetic(asked: Sequence[float], answer: str, final: float) -> list[float]:
    known = set(asked) | {100.0, 1.0, 2.0}
    wrong = unread = unfounded = fractional = 0
    results: list[float] = []
    operands: list[float] = []
    for left, right in equations(answer):
        expression = expression_before(left)
        value = evaluate(expression)
        result = value_of(right)
        if math.isnan(value):
            unread += 1
        else:
            used = numbers_in(expression)
            unfounded += sum(x not in known for x in used)
            operands += used
            wrong += not math.isclose(value, result, rel_tol=1e-3, abs_tol=_TOLERANCE)
        fractional += result != round(result)
        known.add(result)
        results.append(result)
    finite = not math.isnan(final)
    used_at_all = set(operands) or set(numbers_in(answer))
    n = len(results)
    return [
        float(n),
        float(wrong),
        float(unread),
        float(unfounded),
        float(len(set(asked) - used_at_all)),
        float(len(set(asked))),
        float(finite),
        float(_FINAL_MARK.count(answer.lower()) > 0),
        float(finite and final in results),
        float(finite and n > 0 and math.isclose(final, results[-1], abs_tol=_TOLERANCE)),
        float(finite and final == round(final)),
        float(finite and final < 0),
        math.log1p(abs(final)) if finite else 0.0,
        float(finite and final in asked),
        float(len(set(results[:-1]).difference(operands))),
        float(fractional),
        float(answer.count("/")),
        float(answer.count(" - ")),
        float(answer.count("%")),
    ]
