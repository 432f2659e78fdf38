"""Every prompt judged by a router that never saw it: cross-fitting over folds of prompts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.console import progress
from pipelines.stages.export import export_bundle, verify
from pipelines.stages.train import TrainedRouter
from router_ml.data.full_information import FullInformation
from router_ml.estimators.base import Estimator
from router_ml.evaluation.comparison import BUDGET_SHARES, budget_policies
from router_ml.export.parity import ParityReport
from router_ml.features.encoder import Encoder
from router_ml.learning.solve_policy import best_constant
from router_ml.learning.targets import fit_router, training_predictions
from router_ml.learning.training_set import TrainingSet
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.predictions import Predictions

N_FOLDS: Final = 5
_PARITY_QUERIES: Final = 200


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """Out-of-fold predictions and decisions on a full-information matrix.

    Parameters
    ----------
    predictions : arrays of shape (n, K), each row from the bundle that had not seen its prompt
    action_probs : by policy name, shape (n, K); budgets were solved on training predictions
    parity : one report a fold
    selection : what each fold's estimator recorded
    """

    predictions: Predictions
    action_probs: Mapping[str, FloatArray]
    parity: tuple[ParityReport, ...]
    selection: tuple[dict[str, Any], ...]


def fold_of_group(group_id: np.typing.NDArray[Any], n_folds: int = N_FOLDS) -> IntArray:
    """Fold of each group by its hash, so that a prompt keeps its fold for ever, shape (n,)."""
    return np.array([int(str(group)[:8], 16) % n_folds for group in group_id], dtype=np.int64)


def cross_fit(
    data: TrainingSet,
    truth: FullInformation,
    encoder: Encoder,
    quality: Estimator,
    folder: Path,
    *,
    shares: Sequence[float] = BUDGET_SHARES,
) -> CrossFitted:
    """Train on four folds of a log's prompts, export, and score the fifth through the bundle.

    Parameters
    ----------
    data : the whole log; ``truth`` is never trained on
    truth : judged on, all candidates known
    folder : bundles are written below it
    shares : budgets, as shares of what the matrix's best constant is predicted to cost; that
        candidate only sets the unit, its quality is not looked at in training
    """
    baseline = best_constant(truth.quality, truth.cost_usd)
    train_fold, test_fold = fold_of_group(data.group_id), fold_of_group(truth.group_id)
    parts: list[tuple[IntArray, Predictions, dict[str, FloatArray]]] = []
    parity, selection = [], []
    with progress("cross-fitting", N_FOLDS) as advance:
        for f in range(N_FOLDS):
            fold_data = data.take(train_fold != f)
            rows = np.flatnonzero(test_fold == f)
            router = fit_router(fold_data, quality)
            inside = training_predictions(router, fold_data)
            trained = TrainedRouter(
                router, encoder, data.candidates, {"name": "cost_aware", "cost_weight": 0.0}, {}
            )
            bundle = folder / f"fold_{f}"
            shutil.rmtree(bundle, ignore_errors=True)
            export_bundle(bundle, trained)
            parity.append(verify(bundle, trained, fold_data.queries[:_PARITY_QUERIES]))
            predictions = Runtime.from_folder(bundle).predict(truth.take(rows).queries)
            cost = data.candidates.cost_usd(inside.input_tokens, inside.output_tokens)
            reference = float(cost[:, baseline].mean())
            policies = budget_policies(
                inside, data.candidates, reference_usd=reference, shares=shares
            )
            probs = {
                name: policy.action_probs(predictions, data.candidates)
                for name, policy in policies.items()
            }
            parts.append((rows, predictions, probs))
            selection.append(dict(getattr(router.quality, "report_", {})))
            advance(1)
    return _gather(len(truth), len(data.candidates), parts, tuple(parity), tuple(selection))


def _gather(
    n: int,
    k: int,
    parts: Sequence[tuple[IntArray, Predictions, dict[str, FloatArray]]],
    parity: tuple[ParityReport, ...],
    selection: tuple[dict[str, Any], ...],
) -> CrossFitted:
    """Put the folds' rows back in order; only budgets that every fold could meet are kept."""
    names = [name for name in parts[0][2] if all(name in probs for _, _, probs in parts)]
    whole = {key: np.zeros((n, k)) for key in ("quality", "input_tokens", "output_tokens", "ms")}
    action_probs = {name: np.zeros((n, k)) for name in names}
    for rows, predictions, probs in parts:
        whole["quality"][rows] = predictions.quality
        whole["input_tokens"][rows] = predictions.input_tokens
        whole["output_tokens"][rows] = predictions.output_tokens
        whole["ms"][rows] = predictions.latency_ms
        for name in names:
            action_probs[name][rows] = probs[name]
    return CrossFitted(Predictions(*whole.values()), action_probs, parity, selection)
