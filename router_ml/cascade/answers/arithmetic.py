"""Whether the calculations written in an answer hold, and start from the query's numbers."""

from __future__ import annotations

import itertools
import math
import re
from typing import Final

from router_ml.cascade.answers.words import Phrases

ARITHMETIC_NAMES: Final = (
    "equations",
    "equations_wrong",
    "equations_unread",
    "operands_unfounded",
    "query_numbers_unused",
    "query_numbers",
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
"""Columns of :func:`arithmetic_features`, in order."""

_NUM: Final = r"\d++(?:,\d{3})*+(?:\.\d++)?|\.\d++"
_NUMBER: Final = re.compile(rf"(?<![\w.])(?:{_NUM})(?![\w])")
_RESULT: Final = re.compile(rf"\s*+[$€£]?\s*+(-?(?:{_NUM}))")
_FINAL_MARK: Final = Phrases(
    rf"(?:####|final answer(?: is)?:?|answer is:?|\\boxed\{{)\s*[$€£]?\s*(-?(?:{_NUM}))",
    stems=("####", "answer", "\\boxed"),
)
_TIMES: Final = re.compile(r"(?<=[\d\s)])\s*[x×·]\s*(?=[\d\s($.])")
_SIGNS: Final = str.maketrans({"÷": "/", "−": "-", "–": "-", "$": None, "€": None, "£": None})
_UNITS: Final = re.compile(r"[A-Za-z_]+(?:/[A-Za-z_]+)*")
_TOKEN: Final = re.compile(rf"({_NUM})|([-+*/()%])")
_MAX_EQUATIONS: Final = 40
_MAX_SIDE: Final = 200
_LARGEST: Final = 1e15
_TOLERANCE: Final = 0.011


def final_number(text: str) -> float:
    """The number an answer ends on: the marked one, else the last; NaN without any.

    Examples
    --------
    >>> final_number("3 + 4 = 7 apples. #### 7"), final_number("so it costs $1,250.")
    (7.0, 1250.0)
    """
    marks = _FINAL_MARK.find(text.lower())
    if marks:
        return _value(marks[-1])
    numbers = numbers_in(text[-400:])
    return numbers[-1] if numbers else math.nan


def numbers_in(text: str) -> list[float]:
    """Every number of a text, in order, without signs."""
    return [_value(number) for number in _NUMBER.findall(text)]


def arithmetic_features(query_text: str, answer: str) -> list[float]:
    """Columns :data:`ARITHMETIC_NAMES` of one answer."""
    asked = numbers_in(query_text)
    known = set(asked) | {100.0, 1.0, 2.0}
    wrong = unread = unfounded = fractional = 0
    results: list[float] = []
    operands: list[float] = []
    for left, right in _equations(answer):
        expression = _tail(left)
        value = evaluate(expression)
        result = _value(right)
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
    final = final_number(answer)
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


def evaluate(expression: str) -> float:
    """Value of ``+ - * / ( )`` over numbers, by precedence; NaN if it is no such expression.

    A percent sign divides by a hundred. A bare number is no calculation, hence NaN.

    Examples
    --------
    >>> evaluate("2 * (3 + 4)"), evaluate("50% * 80")
    (14.0, 40.0)
    """
    tokens = _TOKEN.findall(expression[-200:])
    if len(tokens) < 3:
        return math.nan
    parser = _Parser([a or b for a, b in tokens])
    try:
        value = parser.sum(0)
    except (IndexError, ValueError, ZeroDivisionError, OverflowError):
        return math.nan
    return value if parser.done and math.isfinite(value) else math.nan


class _Parser:
    """Recursive descent over tokens; errors are IndexError or ValueError."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def sum(self, depth: int) -> float:
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            sign = self._next()
            value += self._product(depth) if sign == "+" else -self._product(depth)
        return value

    def _product(self, depth: int) -> float:
        value = self._atom(depth)
        while self._peek() in ("*", "/"):
            sign = self._next()
            factor = self._atom(depth)
            value = value * factor if sign == "*" else value / factor
        return value

    def _atom(self, depth: int) -> float:
        token = self._next()
        if token == "-":
            return -self._atom(depth)
        if token == "(":
            if depth > 20:
                raise ValueError("too deep")
            value = self.sum(depth + 1)
            if self._next() != ")":
                raise ValueError("unbalanced")
        else:
            value = _value(token)
        if self._peek() == "%":
            self._next()
            value /= 100.0
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]


def _equations(text: str) -> list[tuple[str, str]]:
    """Left side and number on the right of every equals sign, in order."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        parts = line.split("=")
        for left, right in itertools.pairwise(parts):
            if len(found) == _MAX_EQUATIONS:
                return found
            if (result := _RESULT.match(right)) is not None:
                found.append((left[-_MAX_SIDE:], result.group(1)))
    return found


def _tail(left: str) -> str:
    """The expression that ends at an equals sign: units dropped, other times-signs made plain."""
    text = _TIMES.sub(" * ", left.translate(_SIGNS))
    words = _UNITS.split(text)
    # "6 plants * 4 eggplants" is 6 * 4; "So he has 10 - 3" is 10 - 3: keep what joins by operators.
    kept = words[-1].strip()
    for part in reversed(words[:-1]):
        part = part.strip()
        if not part:
            continue
        bare = not kept or kept[0] in "+-*/)"
        if part[-1] in "+-*/(" or (bare and (part[-1].isdigit() or part[-1] in ")%.")):
            kept = f"{part} {kept}"
        else:
            break
    return kept.strip(" .,:;")


def _value(text: str) -> float:
    """A number as written, capped and rounded so that equal numbers are equal floats."""
    try:
        return round(min(float(text.replace(",", "")), _LARGEST), 6)
    except ValueError:
        return math.nan
