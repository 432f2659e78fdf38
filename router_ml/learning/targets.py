"""How quality and policy are learned from a log that shows one candidate's outcome a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from router_ml.estimators.base import Estimator
from router_ml.estimators.cross_fitting import group_folds, out_of_fold
from router_ml.estimators.router import PARTS, RouterEstimator
from router_ml.evaluation.intervals import cluster_mean
from router_ml.evaluation.off_policy.pseudo_outcomes import pseudo_outcomes
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import Predictions

Learning = Literal["naive", "ipw", "dr"]
N_FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a direct policy is learned from.

    Parameters
    ----------
    pseudo : DR pseudo-outcomes of quality, shape (n, K)
    requests : how often each query was asked, shape (n,)
    group_id : int codes, shape (n,)
    rated : candidates with a label, bool array, shape (K,)
    """

    pseudo: FloatArray
    requests: FloatArray
    group_id: IntArray
    rated: BoolArray

    def standard_errors(self) -> FloatArray:
        """Standard error of every candidate's DR mean quality, shape (K,); 1 without a label."""
        share = self.requests / self.requests.mean()
        mean = np.average(self.pseudo, axis=0, weights=share)
        deviation = share[:, None] * (self.pseudo - mean)
        errors = [cluster_mean(column, self.group_id)[1] for column in deviation.T]
        return np.where(self.rated, np.minimum(errors, 1.0), 1.0)


def fit_router(data: TrainingSet, quality: Estimator) -> RouterEstimator:
    """Fit quality, token and latency estimators; the input estimator is left unfitted."""
    router = RouterEstimator(quality=quality.clone())
    return router.fit(data.batch, data.outcomes, candidates=data.candidates, groups=data.groups)


def lesson(data: TrainingSet, quality: Estimator, learning: Learning) -> TrainingSet:
    """The training set with what quality is fitted to; the estimator is left unfitted.

    With ``learning="dr"`` that are pseudo-outcomes, from predictions of rows by models of the
    labels that have not seen them; so it takes another fit.
    """
    if learning != "dr":
        return data
    pseudo = pseudo_quality(data, held_out_quality(data, quality))
    mass = np.tile(data.requests[:, None], (1, pseudo.shape[1]))
    return replace(data, outcomes=replace(data.outcomes, quality=pseudo, weight=mass))


def training_predictions(router: RouterEstimator, data: TrainingSet) -> Predictions:
    """Predictions of the training rows, quality out-of-fold where the estimator kept it.

    Budgets and floors are solved on these: in-sample qualities are too sharp, and a budget solved
    on them is missed.
    """
    predictions = router.predict(data.batch, data.candidates)
    oof = getattr(router.quality, "oof_", None)
    return predictions if oof is None else replace(predictions, quality=oof)


def held_out_predictions(router: RouterEstimator, data: TrainingSet) -> Predictions | None:
    """Predictions of every training row by estimators that have not seen its group.

    ``data`` are what the router was fitted to (:func:`lesson`).
    Quality is the estimator's own where it kept it, else made in folds; token and latency
    estimators are cheap and always made in folds. ``None`` where quality is costly to fit and was
    not kept, or there are too few groups for folds.
    """
    kept = getattr(router.quality, "oof_", None)
    if (kept is None and router.quality.costly) or len(np.unique(data.groups)) < N_FOLDS:
        return None
    folds = group_folds(data.groups, n_folds=N_FOLDS, random_state=0)
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
    folds = group_folds(data.groups, n_folds=N_FOLDS, random_state=0)
    return _held_out(quality, data, data.outcomes.quality, data.outcomes.weight, folds)


def _held_out(
    estimator: Estimator,
    data: TrainingSet,
    Y: FloatArray,
    weight: FloatArray | None,
    folds: IntArray,
) -> FloatArray:
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


def pseudo_quality(data: TrainingSet, predicted: FloatArray) -> FloatArray:
    """DR pseudo-outcomes of quality, shape (n, K); ``predicted`` is out of fold."""
    Y, weight = data.outcomes.quality, data.outcomes.weight
    weight = np.where(np.isnan(Y), 0.0, 1.0 if weight is None else weight)
    return pseudo_outcomes(predicted, Y, weight, data.requests)


def evidence_for(
    policy: Mapping[str, Any], data: TrainingSet, router: RouterEstimator
) -> Evidence | None:
    """What a policy's spec needs beyond predictions; None for most."""
    wanted = policy.get("direct") or policy.get("name") == "thompson"
    return evidence(data, router) if wanted else None


def evidence(data: TrainingSet, router: RouterEstimator) -> Evidence:
    """Pseudo-outcomes by predictions of quality that are out of fold."""
    predicted = getattr(router.quality, "oof_", None)
    if predicted is None:
        predicted = held_out_quality(data, router.quality)
    return Evidence(
        pseudo=pseudo_quality(data, predicted),
        requests=data.requests,
        group_id=data.groups,
        rated=np.asarray(np.isfinite(data.outcomes.quality).any(axis=0)),
    )
