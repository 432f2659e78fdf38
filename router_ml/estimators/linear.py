"""Ridge regression on embeddings and lexical counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        self.mean_, spread = _moments(queries)
        self.scale_ = np.where(spread > 1e-9, spread, 1.0)
        penalty = [self.shared_penalty] + [self.contrast_penalty] * len(effects.level)

        def chunks() -> Iterator[tuple[slice, FloatArray]]:
            for rows, part in queries.chunks():
                yield rows, linear_features(part, self.mean_, self.scale_, self.lexical_scale)

        self.coef_, self.intercept_ = weighted_ridge(chunks, effects, np.array(penalty))

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
    chunks: Callable[[], Iterator[tuple[slice, FloatArray]]], effects: Effects, penalty: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Ridge with its own weights and penalty for every target; intercepts go unpenalised.

    Columns of equal weights and penalty share one factorisation, as on full information. Rows come
    in chunks, in two passes: means, then products of what is left, so that rows may be on disk.

    Parameters
    ----------
    chunks : gives the rows of X from the first to the last, as often as it is asked

    Returns
    -------
    coef : shape (p, K + 1)
    intercept : shape (K + 1,)
    """
    alike = [js for js in ([0], *effects.alike()) if effects.weight[:, js[0]].sum() > 0]
    mass = np.stack([effects.weight[:, js[0]] for js in alike], axis=1)
    total = mass.sum(axis=0)
    centers = sum(X.T @ mass[rows] for rows, X in chunks()) / total
    p, m = centers.shape[0], effects.target.shape[1]
    means = np.zeros(m)
    for i, js in enumerate(alike):
        means[js] = np.average(effects.target[:, js], axis=0, weights=mass[:, i])
    grams, cross = np.zeros((len(alike), p, p)), np.zeros((p, m))
    for rows, X in chunks():
        for i, js in enumerate(alike):
            here = mass[rows, i] > 0
            w = mass[rows, i][here]
            A = X[here] - centers[:, i]
            weighted = A * w[:, None]
            grams[i] += weighted.T @ A
            cross[:, js] += weighted.T @ (effects.target[rows][here][:, js] - means[js])
    coef, intercept = np.zeros((p, m)), np.zeros(m)
    for i, js in enumerate(alike):
        alpha = float(penalty[js[0]])
        coef[:, js] = np.linalg.solve(grams[i] + alpha * np.eye(p), cross[:, js])
        # An intercept of a contrast is a level; with few labels it shrinks as levels do.
        keep = total[i] / (total[i] + alpha / p)
        intercept[js] = keep * means[js] - centers[:, i] @ coef[:, js]
    return coef, intercept


def _moments(queries: QueryBatch) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the lexical columns, in two passes."""
    n = len(queries)
    mean = sum(q.lexical.sum(axis=0, dtype=float) for _, q in queries.chunks()) / n
    square = sum(np.square(q.lexical - mean).sum(axis=0) for _, q in queries.chunks()) / n
    return mean, np.sqrt(square)
