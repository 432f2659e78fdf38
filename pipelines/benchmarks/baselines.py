"""The simplest rivals: a table of clusters, and TF-IDF with a ridge for every candidate.

What somebody writes in forty lines. They have no name in the registry and no graph.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator, State, check_fit, columns
from router_ml.estimators.effects import split_effects
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


class Baseline(Estimator):
    """Fits on texts with scikit-learn; levels fill what the log does not show."""

    def fit(
        self,
        queries: QueryBatch,
        Y: FloatArray,
        *,
        candidates: CandidateTable,
        sample_weight: FloatArray | None = None,
        groups: IntArray | None = None,
    ) -> Self:
        """See :meth:`Estimator.fit`."""
        Y, observed, weight, _ = check_fit(queries, Y, candidates, sample_weight, groups)
        self.candidates_ = candidates.names
        self.level_ = split_effects(Y, observed, weight).level
        self._learn(_texts(queries), np.where(observed, Y, 0.0), weight)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        quality = np.clip(self._quality(_texts(queries)), 0.0, 1.0)
        chosen: FloatArray = quality[:, columns(self.candidates_, candidates)]
        return chosen

    def get_state(self) -> NoReturn:
        """There is none."""
        raise ConfigError(f"{type(self).__name__} is a baseline and no part of a bundle")

    @classmethod
    def from_state(cls, state: State) -> NoReturn:
        """See :meth:`get_state`."""
        raise ConfigError(f"no state is a {cls.__name__}'s, and one named {state.name!r} was given")

    def _learn(self, texts: list[str], Y: FloatArray, weight: FloatArray) -> None:
        raise NotImplementedError

    def _quality(self, texts: list[str]) -> FloatArray:
        raise NotImplementedError


class ClusterTable(Baseline):
    """k-means of TF-IDF, and every candidate's mean in every cluster.

    Means are shrunken towards what the candidate has everywhere and the cluster for all.

    Parameters
    ----------
    n_clusters : int, default=4
    prior : labels by which a cell is pulled, default=10.0
    random_state : int, default=0
    """

    def __init__(self, *, n_clusters: int = 4, prior: float = 10.0, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.prior = prior
        self.random_state = random_state

    def _learn(self, texts: list[str], Y: FloatArray, weight: FloatArray) -> None:
        from sklearn.cluster import KMeans
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.terms_: Any = TfidfVectorizer(sublinear_tf=True, max_features=20_000)
        X = self.terms_.fit_transform(texts)
        k = min(self.n_clusters, len(texts))
        self.clusters_: Any = KMeans(k, n_init=3, random_state=self.random_state).fit(X)
        member = np.eye(k)[self.clusters_.labels_].T
        mass, total = member @ weight, member @ (weight * Y)
        shift = (total - mass * self.level_).sum(axis=1) / np.maximum(mass.sum(axis=1), 1e-12)
        expected = self.level_ + shift[:, None]
        self.table_ = (total + self.prior * expected) / (mass + self.prior)

    def _quality(self, texts: list[str]) -> FloatArray:
        if not texts:
            return np.zeros((0, len(self.level_)))
        rows: FloatArray = self.table_[self.clusters_.predict(self.terms_.transform(texts))]
        return rows


class TfidfRidge(Baseline):
    """TF-IDF of words and pairs, one ridge regression a candidate.

    Parameters
    ----------
    penalty : float, default=2.0
    """

    def __init__(self, *, penalty: float = 2.0) -> None:
        self.penalty = penalty

    def _learn(self, texts: list[str], Y: FloatArray, weight: FloatArray) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge

        self.terms_: Any = TfidfVectorizer(
            ngram_range=(1, 2), min_df=min(2, len(texts)), sublinear_tf=True, max_features=50_000
        )
        X = self.terms_.fit_transform(texts)
        self.models_: list[Any] = []
        for k in range(Y.shape[1]):
            rows = weight[:, k] > 0
            model = Ridge(alpha=self.penalty) if rows.any() else None
            if model is not None:
                model.fit(X[rows], Y[rows, k], sample_weight=weight[rows, k])
            self.models_.append(model)

    def _quality(self, texts: list[str]) -> FloatArray:
        quality = np.tile(self.level_, (len(texts), 1))
        if texts:
            X = self.terms_.transform(texts)
            for k, model in enumerate(self.models_):
                if model is not None:
                    quality[:, k] = model.predict(X)
        return quality


BASELINES = {
    "table_4": ClusterTable(n_clusters=4),
    "table_16": ClusterTable(n_clusters=16),
    "table_64": ClusterTable(n_clusters=64),
    "tfidf_ridge": TfidfRidge(),
}


def _texts(queries: QueryBatch) -> list[str]:
    return [f"{ask} {tools}" for ask, tools in zip(queries.text, queries.tools, strict=True)]
