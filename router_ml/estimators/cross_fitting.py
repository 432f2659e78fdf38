"""Out-of-fold predictions, grouped: what every choice among estimators is made on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from router_ml.data.groups import group_codes, group_folds, splits
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.queries import QueryBatch


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
    for train, test in splits(folds):
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


def held_out_by(
    estimator: Estimator,
    queries: QueryBatch,
    Y: FloatArray,
    *,
    candidates: CandidateTable,
    weight: FloatArray,
    groups: IntArray,
    n_folds: int = 4,
    random_state: int = 0,
) -> tuple[Estimator, FloatArray]:
    """Fit on all labelled rows, and predict every row without its own labels.

    Predictions are the estimator's own where it keeps them, else made in folds; rows without a
    label are predicted by the fit on all.

    Returns
    -------
    The fitted estimator, and predictions, shape (n, K).
    """
    told = np.asarray((weight > 0).any(axis=1))
    learn, some = queries.take(told), {"it": estimator}
    fitted = estimator.clone().fit(
        learn, Y[told], candidates=candidates, sample_weight=weight[told], groups=groups[told]
    )
    predicted = np.empty(Y.shape)
    if not told.all():
        predicted[~told] = fitted.predict(queries.take(~told), candidates)
    if fitted.oof_ is not None:
        predicted[told] = fitted.oof_
        return fitted, predicted
    found, _ = out_of_fold(
        some,
        learn,
        Y[told],
        candidates=candidates,
        weight=weight[told],
        groups=groups[told],
        folds=group_folds(groups[told], n_folds=n_folds, random_state=random_state),
    )
    predicted[told] = found["it"]
    return fitted, predicted


def squared_errors(predicted: FloatArray, Y: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted squared error of every row, summed over its observed cells, shape (n,)."""
    rows: FloatArray = (weight * np.where(weight > 0, predicted - Y, 0.0) ** 2).sum(axis=1)
    return rows


def advantage(errors: FloatArray, reference: FloatArray, groups: IntArray) -> tuple[float, float]:
    """How much smaller ``errors`` are than ``reference``: mean over groups, and its z score."""
    gain = np.bincount(group_codes(groups), weights=reference - errors)
    spread = gain.std() / np.sqrt(len(gain))
    return float(gain.mean()), float(gain.mean() / spread) if spread > 0 else 0.0
