"""Numbers and calculations as people write them."""

from __future__ import annotations

import itertools
import math
import re
from typing import Final

NUMBER: Final = r"\d++(?:,\d{3})*+(?:\.\d++)?|\.\d++"
_NUMBER: Final = re.compile(rf"(?<![\w.])(?:{NUMBER})(?![\w])")
_RESULT: Final = re.compile(rf"\s*+[$€£]?\s*+(-?(?:{NUMBER}))")
_TIMES: Final = re.compile(r"(?<=[\d\s)])\s*[x×·]\s*(?=[\d\s($.])")
_SIGNS: Final = str.maketrans({"÷": "/", "−": "-", "–": "-", "$": None, "€": None, "£": None})
_UNITS: Final = re.compile(r"[A-Za-z_]+(?:/[A-Za-z_]+)*")
_TOKEN: Final = re.compile(rf"({NUMBER})|([-+*/()%])")
_MAX_EQUATIONS: Final = 40
_MAX_SIDE: Final = 200
_LARGEST: Final = 1e15


def numbers_in(text: str) -> list[float]:
    """Every number of a text, in order, without signs."""
    return [value_of(number) for number in _NUMBER.findall(text)]


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
            value = value_of(token)
        if self._peek() == "%":
            self._next()
            value /= 100.0
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]


def equations(text: str) -> list[tuple[str, str]]:
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


def expression_before(left: str) -> str:
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


def value_of(text: str) -> float:
    """A number as written, capped and rounded so that equal numbers are equal floats."""
    try:
        return round(min(float(text.replace(",", "")), _LARGEST), 6)
    except ValueError:
        return math.nan
