"""Holds figures that a page shows to those that a command prints."""

from __future__ import annotations

import re
from typing import Final

_BLOCK: Final = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER: Final = re.compile(r"(?<![\w-])[-+]?\d[\d,]*(?:\.\d+)?")
_RELATIVE: Final = 0.03
"""Machines round differently, and trees split differently where they do."""
_ABSOLUTE: Final = (0.01, 0.25)
"""Below one, and from one on."""


def outdated_figures(page: str, printed: str) -> list[str]:
    r"""Lines of a page's ``text`` blocks that no printed line equals within tolerance.

    Examples
    --------
    >>> outdated_figures("```text\nat 5%: 0.92\n```", "so\nat 5%: 0.921\n")
    []
    >>> outdated_figures("```text\nat 5%: 0.92\n```", "at 5%: 0.82")
    ['at 5%: 0.92']
    """
    lines = [line for block in _BLOCK.findall(page) for line in block.splitlines() if line.strip()]
    return [line for line in lines if not any(_same(line, p) for p in printed.splitlines())]


def _same(shown: str, printed: str) -> bool:
    if _words(shown) != _words(printed):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(printed), strict=True)
    return all(_near(_value(a), _value(b)) for a, b in pairs)


def _words(line: str) -> list[str]:
    return _NUMBER.sub("#", line).split()


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= max(_RELATIVE * abs(a), _ABSOLUTE[abs(a) >= 1.0])
