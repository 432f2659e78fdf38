"""The best that any router could do, given the truth."""

from __future__ import annotations

from typing import ClassVar

from router_ml.policies.base import Policy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


class OraclePolicy(Policy):
    """Highest quality, the cheapest among equals; feed it the true outcomes as predictions.

    An upper bound for evaluation, never something to deploy.
    """

    name: ClassVar[str] = "oracle"

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """The quality itself."""
        return predictions.quality
