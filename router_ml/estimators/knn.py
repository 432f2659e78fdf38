"""Kernel-weighted neighbours: what happened to queries like this one."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch

_CHUNK: Final = 1024


class KNNEstimator(QualityEstimator):
    r"""Mean effect of the labelled prototypes, weighted by similarity.

    .. math:: \hat d_{ik} = \frac{\sum_j s_{ij} w_{jk} d_{jk}}{\sum_j s_{ij} w_{jk} + \kappa s_0},
              \quad s_{ij} = e^{(e_i^\top e_j - 1) / \tau}, \quad s_0 = e^{-1 / 2\tau}

    A soft neighbourhood: near prototypes dominate, and where there is none the estimate shrinks
    to the constant. As a graph it is two matrix products and no sorting.

    Parameters
    ----------
    temperature : float, default=0.06
        :math:`\tau`, in units of cosine, > 0. Smaller looks at fewer neighbours.
    prior : float, default=2.0
        :math:`\kappa`, labels of an average query, at cosine 0.5.
    max_prototypes : int, default=12000
        More labelled queries than this are thinned at random.
    random_state : int, default=0
        Seeds the thinning.

    References
    ----------
    .. [1] Nadaraya, "On Estimating Regression", Theory of Probability and its Applications 9, 1964.
    """

    name: ClassVar[str] = "knn"
    fitted: ClassVar[tuple[str, ...]] = ("prototypes_", "values_", "mass_")

    def __init__(
        self,
        *,
        temperature: float = 0.06,
        prior: float = 2.0,
        max_prototypes: int = 12000,
        random_state: int = 0,
    ) -> None:
        self.temperature = temperature
        self.prior = prior
        self.max_prototypes = max_prototypes
        self.random_state = random_state

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        if self.temperature <= 0:
            raise ConfigError(f"temperature must be above 0, got {self.temperature}")
        rows = np.arange(len(queries))
        if len(rows) > self.max_prototypes:
            rng = np.random.default_rng(self.random_state)
            rows = np.sort(rng.choice(rows, self.max_prototypes, replace=False))
        self.prototypes_ = queries.embedding[rows].astype(np.float32)
        self.mass_ = effects.weight[rows].astype(np.float32)
        self.values_ = (effects.weight * effects.target)[rows].astype(np.float32)

    @property
    def floor(self) -> float:
        """Similarity mass of the prior."""
        return float(max(self.prior * np.exp(-0.5 / self.temperature), 1e-12))

    def _effects(self, queries: QueryBatch) -> FloatArray:
        out = np.zeros((len(queries), self.values_.shape[1]))
        for start in range(0, len(queries), _CHUNK):
            part = slice(start, start + _CHUNK)
            cosine = queries.embedding[part] @ self.prototypes_.T
            near = np.exp((cosine - np.float32(1.0)) / np.float32(self.temperature))
            out[part] = (near @ self.values_) / (near @ self.mass_ + np.float32(self.floor))
        return out
