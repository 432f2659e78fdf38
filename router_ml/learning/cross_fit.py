"""Every prompt judged by a router that never saw it: cross-fitting over folds of prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router_ml.data.full_information import FullInformation
from router_ml.data.groups import N_FOLDS, hash_folds
from router_ml.estimators.base import Estimator
from router_ml.estimators.router import RouterEstimator
from router_ml.evaluation.comparison import BUDGET_SHARES
from router_ml.features.query import Query
from router_ml.learning.budgets import budget_policies
from router_ml.learning.held_out import fit_router, held_out_predictions
from router_ml.learning.targets import evidence_of
from router_ml.learning.training_set import TrainingSet
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.predictions import PARTS, Predictions

Predict = Callable[[tuple[Query, ...]], Predictions]
Ship = Callable[[int, RouterEstimator, TrainingSet], Predict]
"""Fold, its fitted router and what that was fitted to -> what scores as it would be served."""


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Out-of-fold predictions and decisions on a full-information matrix.

    Parameters
    ----------
    predictions : arrays of shape (n, K), each row from the router that had not seen its prompt
    action_probs : by policy name, shape (n, K); budgets were solved on training predictions
    selection : what each fold's estimator recorded
    """

    predictions: Predictions
    action_probs: Mapping[str, FloatArray]
    selection: tuple[Mapping[str, Any], ...]


def cross_fit(
    data: TrainingSet,
    truth: FullInformation,
    quality: Estimator,
    ship: Ship,
    *,
    shares: Sequence[float] = BUDGET_SHARES,
    on_fold: Callable[[int], None] | None = None,
) -> CrossFitted:
    """Train on four folds of a log's prompts, and score the fifth as it would be served.

    Parameters
    ----------
    data : the whole log; ``truth`` is never trained on
    truth : judged on, all candidates known
    quality : unfitted
    ship : makes a fold's router ready, such as by exporting it to a bundle
    shares : budgets, as shares of what the matrix's best constant is predicted to cost; that
        candidate only sets the unit, its quality is not looked at in training
    on_fold : called with 1 after every fold
    """
    baseline = best_constant(truth.quality, truth.cost_usd)
    train_fold, test_fold = hash_folds(data.group_id), hash_folds(truth.group_id)
    parts: list[tuple[IntArray, Predictions, dict[str, FloatArray]]] = []
    selection = []
    for f in range(N_FOLDS):
        fold_data = data.take(train_fold != f)
        rows = np.flatnonzero(test_fold == f)
        router = fit_router(fold_data, quality)
        held_out = held_out_predictions(router, fold_data)
        inside = held_out
        if inside is None:
            inside = router.predict(fold_data.batch, fold_data.candidates)
        predictions = ship(f, router, fold_data)(truth.take(rows).queries)
        cost = data.candidates.cost_usd(inside.input_tokens, inside.output_tokens)
        reference = float(cost[:, baseline].mean())
        policies = budget_policies(
            inside,
            data.candidates,
            reference_usd=reference,
            shares=shares,
            evidence=None if held_out is None else evidence_of(fold_data, held_out.quality),
        )
        probs = {
            name: policy.action_probs(predictions, data.candidates)
            for name, policy in policies.items()
        }
        parts.append((rows, predictions, probs))
        selection.append(router.quality.report_)
        if on_fold is not None:
            on_fold(1)
    return _gather(len(truth), len(data.candidates), parts, tuple(selection))


def _gather(
    n: int,
    k: int,
    parts: Sequence[tuple[IntArray, Predictions, dict[str, FloatArray]]],
    selection: tuple[Mapping[str, Any], ...],
) -> CrossFitted:
    """Put the folds' rows back in order; only budgets that every fold could meet are kept."""
    names = [name for name in parts[0][2] if all(name in probs for _, _, probs in parts)]
    whole = {part: np.zeros((n, k)) for part in PARTS}
    action_probs = {name: np.zeros((n, k)) for name in names}
    for rows, predictions, probs in parts:
        for part in PARTS:
            whole[part][rows] = getattr(predictions, part)
        for name in names:
            action_probs[name][rows] = probs[name]
    return CrossFitted(Predictions(**whole), action_probs, selection)
