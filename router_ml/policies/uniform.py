"""Uniformly at random: the other baseline, and the log that teaches most."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.policies.base import Policy
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class RandomPolicy(Policy):
    """Every eligible candidate with the same probability.

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9]]), tokens, tokens, tokens)
    >>> RandomPolicy().action_probs(predictions, table).tolist()
    [[0.5, 0.5]]
    """

    name: ClassVar[str] = "random"

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Equal for all; the ranking is by cost."""
        return np.zeros(cost_usd.shape)

    def _probabilities(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        probs: FloatArray = allowed / allowed.sum(axis=1, keepdims=True)
        return probs
