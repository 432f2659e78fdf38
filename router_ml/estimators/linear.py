"""Ridge over embeddings and lexical counts: a shared part, and what makes candidates differ."""

from __future__ import annotations

from typing import ClassVar, Final, Self

import numpy as np

from router_ml.estimators.base import Estimator, State, check_fit, columns, spread
from router_ml.estimators.constant import shrunk_means
from router_ml.types import CandidateTable, FloatArray, IntArray, QueryBatch

_FITTED: Final = ("mean_", "scale_", "intercept_", "coef_")
_PRIOR_WEIGHT: Final = 10.0


class LinearEstimator(Estimator):
    r"""Two ridges, one on top of the other.

    .. math:: \hat q_{ik} = a_k + x_i^\top (w + v_k)

    ``w`` says how hard the query is for everyone and is learned from all candidates' labels;
    ``v_k`` says where candidate k differs, from what is left, under a heavier penalty: that is all
    that routing needs, and it has a K-th of the labels.

    Parameters
    ----------
    shared_penalty : float, default=30.0
        Ridge penalty of :math:`w`, in labels.
    deviation_penalty : float, default=100.0
        Ridge penalty of :math:`v_k`, in labels.
    lexical_scale : float, default=0.1
        Standard deviation that lexical columns are given; embeddings keep unit length, so this is
        how much more or less they count.
    """

    name: ClassVar[str] = "linear"

    def __init__(
        self,
        *,
        shared_penalty: float = 30.0,
        deviation_penalty: float = 100.0,
        lexical_scale: float = 0.1,
    ) -> None:
        self.shared_penalty = shared_penalty
        self.deviation_penalty = deviation_penalty
        self.lexical_scale = lexical_scale

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
        raw = np.column_stack([queries.embedding, queries.lexical]).astype(float)
        self.mean_ = raw.mean(axis=0)
        lexical = slice(queries.embedding.shape[1], None)
        self.scale_ = np.ones(raw.shape[1])
        self.scale_[lexical] = spread(raw[:, lexical]) / self.lexical_scale
        X = (raw - self.mean_) / self.scale_
        self.intercept_ = shrunk_means(Y, observed, weight, _PRIOR_WEIGHT)
        left = np.where(observed, Y - self.intercept_, 0.0)
        shared = _ridge(X, left.ravel(), weight, self.shared_penalty)
        left = np.where(observed, left - (X @ shared)[:, None], 0.0)
        self.coef_ = np.tile(shared, (len(candidates), 1))
        for k in range(len(candidates)):
            if observed[:, k].any():
                self.coef_[k] += _ridge(X, left[:, k], weight[:, [k]], self.deviation_penalty)
        return self

    def predict(self, queries: QueryBatch, candidates: CandidateTable) -> FloatArray:
        """See :meth:`Estimator.predict`."""
        raw = np.column_stack([queries.embedding, queries.lexical])
        score = (raw - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_
        clipped: FloatArray = np.clip(score, 0.0, 1.0)
        return clipped[:, columns(self.candidates_, candidates)]

    def get_state(self) -> State:
        """See :meth:`Estimator.get_state`."""
        return State(
            name=self.name,
            params=self.get_params(),
            arrays={key: getattr(self, key) for key in _FITTED},
            values={"candidates": list(self.candidates_)},
        )

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = cls(**state.params)
        self.candidates_ = tuple(state.values["candidates"])
        for key in _FITTED:
            setattr(self, key, state.arrays[key])
        return self


def _ridge(X: FloatArray, y: FloatArray, weight: FloatArray, penalty: float) -> FloatArray:
    """Ridge of cells (n, m) on the rows' features (n, p), without ever repeating a row."""
    n, m = weight.shape
    gram = (X * weight.sum(axis=1)[:, None]).T @ X + penalty * np.eye(X.shape[1])
    moment = X.T @ (weight * y.reshape(n, m)).sum(axis=1)
    solution: FloatArray = np.linalg.solve(gram, moment)
    return solution
