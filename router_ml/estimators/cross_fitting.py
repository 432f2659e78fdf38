"""Out-of-fold predictions, grouped: what every choice among estimators is made on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


def group_folds(groups: IntArray, *, n_folds: int, random_state: int) -> IntArray:
    """Fold of every row, shape (n,); rows of one group share a fold, folds differ by one group.

    Examples
    --------
    >>> folds = group_folds(np.array([7, 7, 3, 9]), n_folds=2, random_state=0)
    >>> bool(folds[0] == folds[1]), sorted(set(folds.tolist()))
    (True, [0, 1])
    """
    if n_folds < 2:
        raise ConfigError(f"n_folds must be at least 2, got {n_folds}")
    distinct, code = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(random_state).permutation(len(distinct))
    fold = np.empty(len(distinct), dtype=np.int64)
    fold[order] = np.arange(len(distinct)) % n_folds
    chosen: IntArray = fold[code]
    return chosen


def out_of_fold(
    members: Mapping[str, Estimator],
    queries: QueryBatch,
    Y: FloatArray,
    *,
    candidates: CandidateTable,
    weight: FloatArray,
    groups: IntArray,
    folds: IntArray,
) -> tuple[dict[str, FloatArray], dict[str, Estimator]]:
    """Predict rows by members that were not fitted on them.

    Parameters
    ----------
    members : unfitted estimators by name; they are cloned
    weight : shape (n, K), zero where unobserved
    folds : shape (n,), from :func:`group_folds`; rows of a negative fold are never held out

    Returns
    -------
    held_out : by member, shape (n, K), NaN in rows never held out
    fitted : every member as fitted for the last fold
    """
    fitted: dict[str, Estimator] = {}
    held_out = {name: np.full(Y.shape, np.nan) for name in members}
    for fold in np.unique(folds[folds >= 0]):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if not (weight[train] > 0).any():
            raise ConfigError("a fold has no label outside it; use fewer folds or more labels")
        learn, judge = queries.take(train), queries.take(test)
        for name, member in members.items():
            fitted[name] = member.clone().fit(
                learn,
                Y[train],
                candidates=candidates,
                sample_weight=weight[train],
                groups=groups[train],
            )
            held_out[name][test] = fitted[name].predict(judge, candidates)
    return held_out, fitted


def squared_errors(predicted: FloatArray, Y: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted squared error of every row, summed over its observed cells, shape (n,)."""
    rows: FloatArray = (weight * np.where(weight > 0, predicted - Y, 0.0) ** 2).sum(axis=1)
    return rows


def advantage(errors: FloatArray, reference: FloatArray, groups: IntArray) -> tuple[float, float]:
    """How much smaller ``errors`` are than ``reference``: mean over groups, and its z score."""
    gain = np.bincount(np.unique(groups, return_inverse=True)[1], weights=reference - errors)
    spread = gain.std() / np.sqrt(len(gain))
    return float(gain.mean()), float(gain.mean() / spread) if spread > 0 else 0.0
