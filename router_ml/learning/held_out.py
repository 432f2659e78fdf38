"""What a router says of its own training queries, by estimators that had not seen them."""

from __future__ import annotations

import numpy as np

from router_ml.data.groups import N_FOLDS, group_folds
from router_ml.data.held_out import HeldOut
from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import out_of_fold
from router_ml.estimators.router import RouterEstimator
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import PARTS, Predictions


def fit_router(data: TrainingSet, quality: Estimator) -> RouterEstimator:
    """Fit quality, token and latency estimators; the input estimator is left unfitted."""
    router = RouterEstimator(quality=quality.clone())
    return router.fit(data.batch, data.outcomes, candidates=data.candidates, groups=data.groups)


def held_out_predictions(
    router: RouterEstimator, data: TrainingSet, *, quality: FloatArray | None = None
) -> Predictions | None:
    """Predictions of every training row by estimators that have not seen its group.

    Budgets, floors and cascades are solved on these wherever there are any: in-sample qualities are
    too sharp, and a budget solved on them is missed.

    ``data`` are what the router was fitted to (``training_targets``).
    Quality is what is given, or the estimator's own where it kept it, else made in folds; token and
    latency estimators are cheap and always made in folds. ``None`` where quality is costly to fit
    and was not kept, or there are too few groups or labels for folds.
    """
    kept = router.quality.oof_ if quality is None else quality
    if (kept is None and router.quality.costly) or len(np.unique(data.groups)) < N_FOLDS:
        return None
    folds = group_folds(data.groups)
    told = [getattr(data.outcomes, part) for part in PARTS]
    if any(np.isfinite(Y).any() and not _outside(Y, folds) for Y in told):
        return None
    parts = {
        part: _held_out(getattr(router, part), data, getattr(data.outcomes, part), None, folds)
        for part in PARTS
        if part != "quality"
    }
    return Predictions(
        quality=held_out_quality(data, router.quality) if kept is None else kept, **parts
    )


def held_out_quality(data: TrainingSet, quality: Estimator) -> FloatArray:
    """Quality of every training row by a model that has not seen its group, shape (n, K)."""
    folds = group_folds(data.groups)
    return _held_out(quality, data, data.outcomes.quality, data.outcomes.weight, folds)


def _outside(Y: FloatArray, folds: IntArray) -> bool:
    """Whether every fold leaves something to learn from outside it."""
    told: BoolArray = np.asarray(np.isfinite(Y).any(axis=1))
    return all(told[folds != fold].any() for fold in np.unique(folds))


def _held_out(
    estimator: Estimator,
    data: TrainingSet,
    Y: FloatArray,
    weight: FloatArray | None,
    folds: IntArray,
) -> FloatArray:
    if np.isnan(Y).all():
        return estimator.predict(data.batch, data.candidates)
    found, _ = out_of_fold(
        {"it": estimator},
        data.batch,
        Y,
        candidates=data.candidates,
        weight=np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight),
        groups=data.groups,
        folds=folds,
    )
    return found["it"]


def hold_out(router: RouterEstimator, data: TrainingSet) -> HeldOut | None:
    """Held-out predictions of what a router was fitted to; ``None`` as in their making."""
    predictions = held_out_predictions(router, data)
    if predictions is None:
        return None
    return HeldOut(data.query_id, data.group_id, data.candidates.names, predictions)
