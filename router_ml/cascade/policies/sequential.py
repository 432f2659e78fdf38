"""What every cascade is: estimates and answers so far in, accept or whom to ask next out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

ACCEPT: Final = -1
"""The step that accepts the best answer so far."""

Score = Callable[[IntArray, BoolArray], FloatArray]
"""``score(rows, asked)``: the answer scorer's estimates, shape (m, K), of the answers that are
``asked`` (bool, shape (m, K)) of the queries ``rows`` (positions, shape (m,)); NaN elsewhere."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, for n queries; arrays of shape (n,).

    Parameters
    ----------
    action : position of the candidate to ask, or ``ACCEPT``
    gain : quality expected to be gained by going on as planned; 0 where accepted
    cost_usd : dollars the next answer is expected to cost; 0 where accepted
    """

    action: IntArray
    gain: FloatArray
    cost_usd: FloatArray


class SequentialPolicy(ABC):
    """Decides, answer by answer, whether to accept or to ask on; numpy only.

    Accepting means the answer of the highest estimate among those given, not the last one.
    """

    name: ClassVar[str]
    max_depth: int

    @abstractmethod
    def step(
        self,
        prior: FloatArray,
        cost_usd: FloatArray,
        posterior: FloatArray,
        blocked: BoolArray | None = None,
    ) -> Step:
        """Next action of n queries.

        Parameters
        ----------
        prior : shape (n, K), quality expected before any answer was seen
        cost_usd : shape (n, K), expected dollars of asking
        posterior : shape (n, K), estimated quality of the answers given, NaN where there is none
        blocked : bool, shape (n, K), candidates that failed or may not be asked, optional

        Returns
        -------
        Step
            ``ACCEPT`` too where nobody is left to ask, even if there is no answer at all.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Name and constructor arguments, JSON-able."""

    def at(self, cost_weight: float) -> SequentialPolicy | None:
        """The same policy at another cost weight; ``None`` where it has none."""
        return None


def check_state(
    prior: FloatArray, cost_usd: FloatArray, posterior: FloatArray, blocked: BoolArray | None
) -> BoolArray:
    """Candidates that can still be asked, shape (n, K); SchemaError if shapes disagree."""
    if not prior.shape == cost_usd.shape == posterior.shape:
        raise SchemaError(
            "prior, cost_usd and posterior must have one shape (n, K), got "
            f"{prior.shape}, {cost_usd.shape}, {posterior.shape}"
        )
    left: BoolArray = np.isnan(posterior)
    return left if blocked is None else left & ~blocked


def best_answer(posterior: FloatArray) -> tuple[IntArray, FloatArray]:
    """Position and estimate of the best answer so far, shape (n,); -1 and 0 without any.

    Examples
    --------
    >>> best_answer(np.array([[0.2, np.nan, 0.7], [np.nan, np.nan, np.nan]]))
    (array([ 2, -1]), array([0.7, 0. ]))
    """
    filled = np.where(np.isnan(posterior), -np.inf, posterior)
    position = filled.argmax(axis=1)
    best = filled[np.arange(len(filled)), position]
    none = np.isinf(best)
    return np.where(none, -1, position), np.where(none, 0.0, best)


class ScoreCache:
    """Remembers a scorer's estimates by query and set of answers seen.

    Searches ask for the same sets again and again; a set costs one look-up after its first time.

    Parameters
    ----------
    score : asked for what is not known yet
    shape : (n, K)
    """

    def __init__(self, *, score: Score, shape: tuple[int, int]) -> None:
        self._score = score
        self._shape = shape
        self._bits: IntArray = 1 << np.arange(shape[1], dtype=np.int64)
        self._known: dict[int, FloatArray] = {}

    def __call__(self, rows: IntArray, asked: BoolArray) -> FloatArray:
        """As :data:`Score`."""
        keys = asked @ self._bits
        out = np.full(asked.shape, np.nan)
        missing = []
        for key in np.unique(keys).tolist():
            at = np.flatnonzero(keys == key)
            known = self._known.setdefault(key, np.full(self._shape, np.nan))
            members = asked[at[0]]
            if members.any():
                missing.append(at[np.isnan(known[rows[at]][:, members]).any(axis=1)])
        todo = np.concatenate(missing) if missing else np.zeros(0, np.int64)
        if len(todo):
            fresh = self._score(rows[todo], asked[todo])
            for key in np.unique(keys[todo]).tolist():
                part = keys[todo] == key
                self._known[key][rows[todo][part]] = fresh[part]
        for key in np.unique(keys).tolist():
            at = np.flatnonzero(keys == key)
            out[at] = self._known[key][rows[at]]
        return out
