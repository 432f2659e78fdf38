"""The same quality for every query: what a router must beat."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import BoolArray, FloatArray
from router_ml.types.queries import QueryBatch


class ConstantEstimator(QualityEstimator):
    """Mean quality of each candidate, shrunken towards the mean of all by five labels.

    Examples
    --------
    >>> ConstantEstimator()
    ConstantEstimator()
    """

    name: ClassVar[str] = "constant"

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """Nothing beyond the levels."""

    def _effects(self, queries: QueryBatch) -> FloatArray:
        return np.zeros((len(queries), len(self.level_) + 1))


def shrunk_means(
    Y: FloatArray, observed: BoolArray, weight: FloatArray, prior_weight: float
) -> FloatArray:
    """Column means with ``prior_weight`` labels of the overall mean, shape (K,)."""
    total = weight.sum(axis=0)
    sums = (weight * np.where(observed, Y, 0.0)).sum(axis=0)
    overall = sums.sum() / total.sum()
    mass = total + prior_weight
    means: FloatArray = np.divide(
        sums + prior_weight * overall, mass, out=np.full(len(total), overall), where=mass > 0
    )
    return means
