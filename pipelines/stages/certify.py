"""A floor with a guarantee: certify an operating point of a bundle, and write it as its policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.artifacts import ExportFolder, check_own, replaced
from pipelines.config import CertifyConfig
from pipelines.stages.evaluate_log import score
from pipelines.stages.export import rewrite
from router_ml.bundle.files import read_bundle
from router_ml.data.full_information import read_matrix, unseen
from router_ml.data.outcomes import (
    UNSETTLED,
    TrainingTable,
    all_candidates,
    read_outcomes,
    to_matrices,
)
from router_ml.errors import ConfigError, DataError
from router_ml.evaluation.guarantee import Certificate, certify
from router_ml.evaluation.off_policy.balance import with_behavior
from router_ml.evaluation.off_policy.constants import best_logged
from router_ml.evaluation.off_policy.estimators import constant_rows
from router_ml.evaluation.off_policy.log_feedback import feedback, largest_weight
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import ConstantPolicy
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.predictions import Predictions

ADVANTAGES: Final = tuple(np.linspace(0.4, -0.4, 33).round(3).tolist())
"""Quality by which the reference is favoured, point by point."""
SAVING: Final = 0.2
"""Quality that saving the whole cost of the reference is worth, at every point."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rows that training has not seen.

    Parameters
    ----------
    predictions : arrays of shape (n, K)
    quality : float array, shape (n, K): outcomes, or doubly robust row values of every candidate
    group_id : int array, shape (n,)
    high : largest loss that a row can show
    labelled_rows : rows with an outcome
    basis : what they are, in words
    """

    predictions: Predictions
    quality: FloatArray
    group_id: IntArray
    high: float
    labelled_rows: int
    basis: str


def run(config: CertifyConfig) -> Path:
    """Certify on rows that training has not seen; returns the folder of the new bundle.

    The reference is the best constant of the training split. Points lead from always calling it to
    hardly ever, by the advantage it is given over what is predicted; they are fixed beforehand and
    tested in that order. The last that is certified becomes the policy of a bundle that is
    otherwise the same; if none is, the policy is the reference.

    Raises
    ------
    ConfigError
        If the reference is no candidate of the bundle.
    DataError
        If nothing unseen is there to calibrate on.
    """
    written = ExportFolder(config.output)
    check_own(config.output, written.certificate)
    bundle = read_bundle(config.bundle)
    runtime = Runtime(bundle=bundle, random_state=0)
    outcomes = read_outcomes(config.joined)
    table = with_behavior(to_matrices(outcomes, all_candidates(outcomes, runtime.candidates.names)))
    split = np.array(table.split)
    reference = table.candidates[best_logged(table.take(split == "train"))]
    if reference not in runtime.candidates.names:
        raise ConfigError(
            f"the best constant of the training split, {reference}, is no candidate of the bundle "
            f"({', '.join(runtime.candidates.names)}); train with it among the candidates"
        )
    rows = (
        _on_matrix(config, runtime)
        if config.matrix is not None
        else _on_log(config, runtime, table.take(split == "test"))
    )
    points = reference_points(rows.predictions, runtime, reference)
    probs = [point.action_probs(rows.predictions, runtime.candidates) for point in points]
    reached = np.stack([np.sum(p * rows.quality, axis=1) for p in probs], axis=1)
    floor_values = config.floor * rows.quality[:, [runtime.candidates.index(reference)]]
    certificate = certify(
        floor_values - reached,
        low=-np.inf if config.matrix is None else -1.0,
        high=rows.high,
        delta=config.delta,
        method=config.method,
        group_id=rows.group_id,
    )
    index = certificate.index
    policy: Policy = ConstantPolicy(candidate=reference) if index is None else points[index]
    cost = runtime.candidates.cost_usd(
        rows.predictions.input_tokens, rows.predictions.output_tokens
    )
    always = float(cost[:, runtime.candidates.index(reference)].mean())
    costs = [always, *(float(np.mean(np.sum(p * cost, axis=1))) for p in probs)]
    report = _report(config, certificate, rows, costs, reference)
    with replaced(config.output, written.certificate) as folder:
        rewrite(config.bundle, ExportFolder(folder), policy.to_dict(), bundle.candidates)
        ExportFolder(folder).certificate.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return written.bundle


def reference_points(
    predictions: Predictions, runtime: Runtime, reference: str
) -> list[BudgetPolicy]:
    """Policies from always calling the reference to hardly ever; outcomes are not looked at."""
    table = runtime.candidates
    cost_usd = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    mean = float(cost_usd[:, table.index(reference)].mean())
    weight = SAVING / mean if mean > 0.0 else 0.0
    return [
        BudgetPolicy(
            budget_usd=mean,
            cost_weight_low=weight,
            cost_weight_high=weight,
            mix=1.0,
            offsets={reference: advantage},
        )
        for advantage in ADVANTAGES
    ]


def _on_matrix(config: CertifyConfig, runtime: Runtime) -> Calibration:
    if config.matrix is None:
        raise ConfigError("a matrix is needed here, none was named")
    truth = unseen(read_matrix(config.matrix, runtime.candidates), config.joined)
    return Calibration(
        predictions=score(runtime, truth.queries),
        quality=truth.quality,
        group_id=truth.groups,
        high=config.floor,
        labelled_rows=len(truth),
        basis=f"{len(truth):,} unseen queries, every outcome known",
    )


def _on_log(config: CertifyConfig, runtime: Runtime, table: TrainingTable) -> Calibration:
    if len(table) == 0 or not np.isfinite(table.quality).any():
        raise DataError(
            f"the test split has no labelled request; join more log, or name a matrix{UNSETTLED}"
        )
    quality, _ = feedback(table, estimate=True)
    _, first, code = np.unique(np.array(table.query_id), return_index=True, return_inverse=True)
    predictions = score(runtime, tuple(table.queries[i] for i in first)).take(code)
    rows = constant_rows(quality, np.clip(predictions.quality.astype(float), 0.0, 1.0))
    return Calibration(
        predictions=predictions,
        quality=rows,
        group_id=quality.group_id,
        high=config.floor + largest_weight(quality, np.arange(rows.shape[1])),
        labelled_rows=int(quality.labelled.sum()),
        basis=f"{len(table):,} logged requests of the test split, doubly robust"
        + (", propensities estimated" if table.propensity_source != "logged" else ""),
    )


def _report(
    config: CertifyConfig,
    certificate: Certificate,
    rows: Calibration,
    costs: list[float],
    reference: str,
) -> dict[str, Any]:
    """Sentence and numbers; ``costs`` starts with the reference's."""
    text = certificate.text(reference=reference, floor=config.floor)
    if certificate.index is not None:
        now = costs[certificate.index + 1]
        text += f": ${now:.3g} a request in the place of ${costs[0]:.3g}, as predicted"
        if certificate.required_rows is not None:
            text += f"; the next point needs about {certificate.required_rows:,} labelled rows"
    text += f" (there are {rows.labelled_rows:,})"
    return {
        "text": text,
        "basis": rows.basis,
        "reference": reference,
        "reference_cost_usd": costs[0],
        "floor": config.floor,
        "delta": config.delta,
        "point": certificate.index,
        "advantage": list(ADVANTAGES),
        "predicted_cost_usd": costs[1:],
        "p_values": [None if np.isnan(p) else float(p) for p in certificate.p_values],
        "certified": certificate.certified.tolist(),
        "labelled_rows": rows.labelled_rows,
        "required_rows": certificate.required_rows,
    }
