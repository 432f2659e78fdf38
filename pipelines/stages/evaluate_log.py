"""Judge a bundle by a log's test split: every constant, random and the router, off policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.config import EvaluateConfig
from pipelines.console import console, print_table, progress
from router_ml.data.outcomes import TrainingTable
from router_ml.errors import OverlapError
from router_ml.evaluation.calibration import ece_estimate
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.logged import log_evaluation
from router_ml.evaluation.metrics import candidate_share
from router_ml.evaluation.off_policy.assessment import Assessment
from router_ml.evaluation.off_policy.estimators import effective_sample_size
from router_ml.features.query import Query
from router_ml.policies.constant import constant_probs
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray
from router_ml.types.predictions import Predictions

POLICY = "router"


def score(runtime: Runtime, queries: tuple[Query, ...]) -> Predictions:
    """Predictions of the bundle, with a progress bar."""
    with progress("scoring", len(queries)) as advance:
        return runtime.predict(queries, progress=advance)


def evaluate_log(config: EvaluateConfig, runtime: Runtime, table: TrainingTable) -> dict[str, Any]:
    """Print and return what the log says about each policy, or why it cannot say anything.

    Raises
    ------
    DataError
        If the split has no labelled request.
    """
    with progress("scoring", len(set(table.query_id))) as advance:
        log = log_evaluation(runtime, table, progress=advance)
    names = runtime.candidates.names
    n, k = len(table), len(names)
    own = {name: constant_probs(n, k, i) for i, name in enumerate(names)}
    own["random"] = np.full((n, k), 1.0 / k)
    own[POLICY] = runtime.policy.action_probs(log.predictions, runtime.candidates)
    probs = {name: in_columns(p, runtime, table.candidates) for name, p in own.items()}
    found: dict[str, dict[str, Assessment]] = {}
    unsupported: dict[str, str] = {}
    for name, p in probs.items():
        try:
            found[name] = log.assess(
                p, max_unsupported=config.max_unsupported, cost_weight=config.cost_weight
            )
        except OverlapError as error:
            unsupported[name] = str(error)
    _print(len(table), found, unsupported)
    return {
        "kind": "log",
        "rows": len(table),
        "policies": {name: _estimates(parts) for name, parts in found.items()},
        "assessments": {
            name: {part: one.as_dict() for part, one in parts.items()}
            for name, parts in found.items()
        },
        "unsupported": unsupported,
        "effective_sample_size": {
            name: effective_sample_size(log.quality.weights(p)) for name, p in probs.items()
        },
        "ece": ece_estimate(log.predictions.quality, table.Y[:, :k], n_resamples=200).as_dict(),
        "shares": shares(names, own),
    }


def shares(names: tuple[str, ...], probs: Mapping[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Share of requests by candidate, of every policy that is not a constant."""
    return {
        policy: dict(zip(names, candidate_share(p).round(4).tolist(), strict=True))
        for policy, p in probs.items()
        if policy not in names
    }


def _estimates(parts: Mapping[str, Assessment]) -> dict[str, dict[str, Any]]:
    quality = parts["quality"].estimates
    chosen = {
        "quality_snips": quality["SNIPS"],
        "quality_dr": quality["DR"],
        "quality_bernstein": quality["empirical_bernstein"],
        "cost_usd_dr": parts["cost_usd"].estimates["DR"],
    }
    if "utility" in parts:
        chosen["utility_dr"] = parts["utility"].estimates["DR"]
    return {name: estimate.as_dict() for name, estimate in chosen.items()}


def _print(
    n: int, found: Mapping[str, Mapping[str, Assessment]], unsupported: Mapping[str, str]
) -> None:
    rows = []
    for name, parts in found.items():
        quality, cost = parts["quality"], parts["cost_usd"]
        rows.append(
            (
                name,
                _text(quality.estimates["SNIPS"]),
                _text(quality.estimates["DR"]),
                f"{quality.sensitivity.low:.3f} to {quality.sensitivity.high:.3f}",
                _text(cost.estimates["DR"], 1e3),
                f"{quality.overlap.effective_sample_size:.0f}",
            )
        )
    print_table(
        f"{n} logged requests of the test split (DR: doubly robust)",
        ("policy", "quality, SNIPS", "quality, DR", "if labels hide", "$ per 1,000, DR", "eff. n"),
        rows,
    )
    for name, reason in unsupported.items():
        console.print(f"not judged, {name}: {reason}", markup=False, highlight=False)
    for warning in found[POLICY]["quality"].warnings if POLICY in found else ():
        console.print(f"{POLICY}: {warning}", markup=False, highlight=False)


def _text(estimate: Estimate, scale: float = 1.0) -> str:
    low, high = estimate.low * scale, estimate.high * scale
    return f"{estimate.value * scale:.3f} [{low:.3f}, {high:.3f}]"
