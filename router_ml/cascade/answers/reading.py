"""What a reader makes of an answer, and how far two answers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

CALLS: Final = "calls"
"""Kind of the answers that call tools."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What an answer says, whatever its notation.

    Parameters
    ----------
    kind : answers of different kinds say different things; readers that read one thing in several
        notations share a kind
    key : equal for answers of a kind that say the same
    items : what partial agreement is measured on: argument by argument, or word by word
    partial : agreement of two answers whose items are all equal but whose keys are not, in [0, 1)
    functions : normalised names of the functions called
    """

    kind: str
    key: str
    items: frozenset[str] = frozenset()
    partial: float = 0.5
    functions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader's view of one answer.

    Parameters
    ----------
    values : of the reader's columns, in their order
    says : ``None`` where the reader describes the answer and leaves to others what it says
    final : whether nothing is left for the readers behind
    """

    values: Sequence[float]
    says: Statement | None = None
    final: bool = False


def similarity(a: Statement, b: Statement) -> float:
    """Agreement of two answers in [0, 1]; one if and only if kinds and keys are equal.

    Examples
    --------
    >>> three, four = Statement("number", "3"), Statement("number", "4")
    >>> similarity(three, three), similarity(three, four)
    (1.0, 0.0)
    """
    if a.kind == b.kind and a.key == b.key:
        return 1.0
    if a.kind != b.kind or not a.items or not b.items:
        return 0.0
    return a.partial * len(a.items & b.items) / len(a.items | b.items)
