"""Always the same candidate: the baseline that every router has to beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.policies.base import Policy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class ConstantPolicy(Policy):
    """Send every request to one candidate; the next best by quality when it is not eligible.

    Parameters
    ----------
    candidate : its name

    Examples
    --------
    >>> import numpy as np
    >>> import router_ml as rm
    >>> from router_ml.types.candidates import CandidateTable
    >>> from router_ml.types.predictions import Predictions
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9]]), tokens, tokens, tokens)
    >>> rm.Constant(candidate="small").action_probs(predictions, table).tolist()
    [[1.0, 0.0]]
    """

    name: ClassVar[str] = "constant"

    def __init__(self, *, candidate: str) -> None:
        self.candidate = candidate

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Quality, but the constant's lies above all."""
        scores = predictions.quality.astype(float)
        scores[:, candidates.index(self.candidate)] = np.inf
        return scores


def constant_probs(n: int, k: int, candidate: int) -> FloatArray:
    """Probability one on one candidate, shape (n, k)."""
    return np.tile(np.eye(k)[candidate], (n, 1))


def best_constant(quality: FloatArray, cost_usd: FloatArray) -> int:
    """Candidate of the highest mean quality, the cheaper among equals.

    Parameters
    ----------
    quality, cost_usd : shape (n, K), finite

    Examples
    --------
    >>> best_constant(np.array([[0.5, 0.9, 0.9]]), np.array([[1.0, 3.0, 2.0]]))
    2
    """
    means = np.round(quality.mean(axis=0), 12)
    return int(np.lexsort((cost_usd.mean(axis=0), -means))[0])
