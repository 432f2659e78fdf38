"""The sentences that a router can answer, of predicates and scores."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Amount = Literal["quality", "cost_usd", "latency_ms"]

_REACHES: Final = re.compile(
    r"\s*will (?P<label>\S.*?) reach quality (?P<floor>\d*\.?\d+)\s*[?.]?\s*", re.IGNORECASE
)
_EXPECTED: Final = re.compile(
    r"\s*expected (?P<amount>quality|cost_usd|latency_ms) of (?P<label>\S.*?)\s*[?.]?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reaches:
    """Whether a candidate's answer has at least a quality."""

    label: str
    floor: float


@dataclass(frozen=True, slots=True)
class Expected:
    """The mean of what a candidate's answer is like."""

    amount: Amount
    label: str


def read_predicate(instructions: object) -> Reaches | None:
    """``None`` where the words are others, or the quality is not in (0, 1].

    Examples
    --------
    >>> read_predicate("Will gpt-4o-mini reach quality 0.8?")
    Reaches(label='gpt-4o-mini', floor=0.8)
    >>> read_predicate("Is this urgent?")
    """
    found = _REACHES.fullmatch(instructions) if isinstance(instructions, str) else None
    if found is None or not 0 < float(found["floor"]) <= 1:
        return None
    return Reaches(found["label"], float(found["floor"]))


def read_score(instructions: object) -> Expected | None:
    """``None`` where the words are others.

    Examples
    --------
    >>> read_score("Expected cost_usd of gpt-4o")
    Expected(amount='cost_usd', label='gpt-4o')
    """
    found = _EXPECTED.fullmatch(instructions) if isinstance(instructions, str) else None
    if found is None:
        return None
    amount: Amount = found["amount"].lower()  # type: ignore[assignment]  # one of the three
    return Expected(amount, found["label"])
