"""Ridge regression on embeddings and lexical counts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch


class LinearEstimator(QualityEstimator):
    r"""One shared linear part and a shrunken linear contrast per candidate.

    .. math:: q_{ik} = \ell_k + x_i^\top w + x_i^\top v_k, \quad
              x_i = \bigl[\sqrt{D}\, e_i,\; s \cdot \mathrm{clip}(z_i, -3, 3)\bigr]

    with :math:`e` the embedding of D dimensions and :math:`z` the standardised lexical columns.
    Each column of weights is a weighted ridge regression; candidates with few labels shrink to the
    shared part by themselves, because the penalty counts in rows.

    Parameters
    ----------
    shared_penalty, contrast_penalty : float, default=1000.0 and 10000.0
        Ridge penalties of w and of every :math:`v_k`, in rows.
    lexical_scale : float, default=1.0
        s; zero leaves lexical columns out.
    """

    name: ClassVar[str] = "linear"
    fitted: ClassVar[tuple[str, ...]] = ("mean_", "scale_", "coef_", "intercept_")

    def __init__(
        self,
        *,
        shared_penalty: float = 1000.0,
        contrast_penalty: float = 10000.0,
        lexical_scale: float = 1.0,
    ) -> None:
        self.shared_penalty = shared_penalty
        self.contrast_penalty = contrast_penalty
        self.lexical_scale = lexical_scale

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        lexical = queries.lexical.astype(float)
        self.mean_ = lexical.mean(axis=0)
        spread = lexical.std(axis=0)
        self.scale_ = np.where(spread > 1e-9, spread, 1.0)
        X = linear_features(queries, self.mean_, self.scale_, self.lexical_scale)
        penalty = [self.shared_penalty] + [self.contrast_penalty] * len(effects.level)
        self.coef_, self.intercept_ = weighted_ridge(X, effects, np.array(penalty))

    def _effects(self, queries: QueryBatch) -> FloatArray:
        X = linear_features(queries, self.mean_, self.scale_, self.lexical_scale)
        effects: FloatArray = X @ self.coef_ + self.intercept_
        return effects


def linear_features(
    queries: QueryBatch, mean: FloatArray, scale: FloatArray, lexical_scale: float
) -> FloatArray:
    """Embedding scaled to unit variance a dimension and clipped standard scores, (n, p)."""
    embedding = queries.embedding.astype(float)
    z = np.clip((queries.lexical.astype(float) - mean) / scale, -3.0, 3.0)
    return np.hstack([embedding * np.sqrt(embedding.shape[1]), lexical_scale * z])


def weighted_ridge(
    X: FloatArray, effects: Effects, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Ridge with its own weights and penalty for every target; intercepts go unpenalised.

    Columns of equal weights and penalty share one factorisation, as on full information.

    Returns
    -------
    coef : shape (p, K + 1)
    intercept : shape (K + 1,)
    """
    m = effects.target.shape[1]
    coef, intercept = np.zeros((X.shape[1], m)), np.zeros(m)
    for js in [[0], *effects.alike()]:
        w, alpha = effects.weight[:, js[0]], float(penalty[js[0]])
        if w.sum() <= 0:
            continue
        rows = w > 0
        A, T, w = X[rows], effects.target[rows][:, js], w[rows]
        center, target = np.average(A, axis=0, weights=w), np.average(T, axis=0, weights=w)
        A = A - center
        gram = (A * w[:, None]).T @ A + alpha * np.eye(A.shape[1])
        solved = np.linalg.solve(gram, A.T @ (w[:, None] * (T - target)))
        coef[:, js] = solved
        # An intercept of a contrast is a level; with few labels it shrinks as levels do.
        keep = w.sum() / (w.sum() + alpha / X.shape[1])
        intercept[js] = keep * target - center @ solved
    return coef, intercept
