"""Judge what ships: a bundle, scored through the runtime, on full information or on a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines import figures
from pipelines.comparison import (
    as_dict,
    budget_policies,
    full_information_table,
    operating_points,
    print_comparison,
    verdict,
)
from pipelines.config import EvaluateConfig
from pipelines.console import console, print_table, progress
from pipelines.matrix import FullInformation, read_matrix
from pipelines.policy import best_constant
from pipelines.tables import TrainingTable
from pipelines.train import read_training_table
from pipelines.weighting import groups_of, label_probability
from router_ml.errors import DataError
from router_ml.estimators.router import count_bias
from router_ml.evaluation.calibration import ece_estimate, reliability
from router_ml.evaluation.curves import zero_router
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.metrics import candidate_share
from router_ml.evaluation.off_policy.estimators import RowValues, doubly_robust, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from router_ml.types import FloatArray, Predictions

EVALUATION: Final = "evaluation.json"
ROWS: Final = "rows.parquet"
CURVE: Final = "cost_quality.png"
RELIABILITY: Final = "reliability.png"
POLICY: Final = "router"


def run(config: EvaluateConfig) -> Path:
    """Evaluate ``config.bundle`` and write tables, rows and figures to ``config.output``.

    With ``matrix`` every candidate's outcome is known; without it the test split of the joined log
    is used, by SNIPS and DR.

    Raises
    ------
    DataError
        If nothing is left to evaluate on.
    """
    runtime = Runtime.from_folder(config.bundle, random_state=0)
    config.output.mkdir(parents=True, exist_ok=True)
    if config.matrix is not None:
        truth = unseen(read_matrix(config.matrix, runtime.candidates.names), config.joined)
        return _on_matrix(config, runtime, truth)
    if config.joined is None:
        raise DataError("evaluate needs a matrix or a joined log; name one in its config")
    return _on_log(config, runtime, read_training_table(config.joined, split="test")[0])


def unseen(truth: FullInformation, joined: Path | None) -> FullInformation:
    """Rows of the matrix whose prompt is not in the training split of a joined log."""
    if joined is None:
        return truth
    trained_on = set(read_training_table(joined, split="train")[0].group_id)
    kept = truth.take(np.array([group not in trained_on for group in truth.group_id]))
    if len(kept) == 0:
        raise DataError(
            "every prompt of the matrix is in the training split; lower test_share's complement or "
            "cross-fit with `router-ml demo`"
        )
    return kept


def score(runtime: Runtime, queries: tuple[Query, ...]) -> Predictions:
    """Predictions of the bundle, with a progress bar."""
    with progress("scoring", len(queries)) as advance:
        return runtime.predict(queries, progress=advance)


def _on_matrix(config: EvaluateConfig, runtime: Runtime, truth: FullInformation) -> Path:
    predictions = score(runtime, truth.queries)
    table = runtime.candidates
    reference = float(truth.cost_usd[:, best_constant(truth.quality, truth.cost_usd)].mean())
    policies = {
        POLICY: runtime.policy,
        **budget_policies(predictions, table, reference_usd=reference, shares=config.budget_shares),
    }
    probs = {name: policy.action_probs(predictions, table) for name, policy in policies.items()}
    result, baseline = full_information_table(
        truth, probs, cost_weight=config.cost_weight, n_resamples=config.n_resamples
    )
    print_comparison(f"{len(truth)} queries, all outcomes known", result, baseline)
    sentence = verdict(result, baseline, list(probs), margin=config.margin)
    console.print(sentence)
    figure = figures.cost_quality(
        {name: (result[name]["quality"], result[name]["cost_usd"]) for name in truth.candidates},
        operating_points(truth, predictions, table),
        zero_router=zero_router(truth.cost_usd, truth.quality),
        oracle=(result["oracle"]["quality"], result["oracle"]["cost_usd"]),
    )
    figures.save(figure, config.output / CURVE)
    diagrams = {
        name: reliability(predictions.quality[:, k], truth.quality[:, k])
        for k, name in enumerate(truth.candidates)
    }
    figures.save(figures.reliability_diagram(diagrams), config.output / RELIABILITY)
    rows = pd.DataFrame({"query_id": truth.query_id, "group_id": truth.group_id})
    for name, p in probs.items():
        rows[f"{name}|quality"] = (p * truth.quality).sum(axis=1)
        rows[f"{name}|cost_usd"] = (p * truth.cost_usd).sum(axis=1)
    rows.to_parquet(config.output / ROWS)
    bias = {
        "input_tokens": count_bias(predictions.input_tokens, truth.input_tokens),
        "output_tokens": count_bias(predictions.output_tokens, truth.output_tokens),
        "cost_usd": count_bias(
            table.cost_usd(predictions.input_tokens, predictions.output_tokens), truth.cost_usd
        ),
    }
    summary = {
        "kind": "full_information",
        "rows": len(truth),
        "baseline": baseline,
        "policies": as_dict(result),
        "ece": ece_estimate(
            predictions.quality, truth.quality, group_id=truth.groups, n_resamples=200
        ).as_dict(),
        "cost_bias": {
            name: {part: round(float(value[k]), 4) for part, value in bias.items()}
            for k, name in enumerate(truth.candidates)
        },
        "shares": _shares(truth.candidates, probs),
        "verdict": sentence,
    }
    return _write(config.output, summary)


@dataclass(frozen=True, slots=True)
class LogEvaluation:
    """A log's test split as off-policy estimators take it; rows are requests."""

    quality: LoggedFeedback
    cost_usd: LoggedFeedback
    predictions: Predictions
    predicted_cost: FloatArray


def log_evaluation(runtime: Runtime, table: TrainingTable) -> LogEvaluation:
    """Score a log's requests and lay out their feedback.

    Labels are taken to be missing at random given query and candidate; costs are always logged.

    Raises
    ------
    DataError
        If the split is empty or carries no propensities.
    """
    if len(table) == 0 or not np.isfinite(table.quality).any():
        raise DataError(
            "the test split has no labelled request; join more log, or raise test_share"
        )
    if not np.isfinite(table.propensity).all():
        raise DataError(
            "some requests have no logged propensity; set request_fields.propensity in the join "
            "config, or evaluate on a full-information matrix"
        )
    query_id = np.array(table.query_id)
    _, first, code = np.unique(query_id, return_index=True, return_inverse=True)
    distinct = score(runtime, tuple(table.queries[i] for i in first))
    predictions = distinct.take(code)
    groups = groups_of(table)
    label_prob = label_probability(table)
    common: dict[str, Any] = {
        "action": table.chosen,
        "propensity": table.propensity,
        "group_id": groups,
    }
    return LogEvaluation(
        quality=LoggedFeedback(outcome=table.quality, label_prob=label_prob, **common),
        cost_usd=LoggedFeedback(outcome=table.cost_usd, **common),
        predictions=predictions,
        predicted_cost=runtime.candidates.cost_usd(
            predictions.input_tokens, predictions.output_tokens
        ),
    )


def _on_log(config: EvaluateConfig, runtime: Runtime, table: TrainingTable) -> Path:
    log = log_evaluation(runtime, table)
    names = runtime.candidates.names
    k = len(names)
    probs = {name: np.eye(k)[np.full(len(table), i)] for i, name in enumerate(names)}
    probs["random"] = np.full((len(table), k), 1.0 / k)
    probs[POLICY] = runtime.policy.action_probs(log.predictions, runtime.candidates)
    result: dict[str, dict[str, Estimate]] = {}
    ess: dict[str, float] = {}
    for name, p in probs.items():
        values = {
            "quality_snips": snips(log.quality, p),
            "quality_dr": doubly_robust(log.quality, p, log.predictions.quality),
            "cost_usd_dr": doubly_robust(log.cost_usd, p, log.predicted_cost),
        }
        result[name] = {key: _interval(value, config.n_resamples) for key, value in values.items()}
        ess[name] = values["quality_snips"].effective_sample_size
    print_table(
        f"{len(table)} logged requests of the test split (DR: doubly robust)",
        ("policy", "quality, SNIPS", "quality, DR", "$ per 1,000, DR", "effective n"),
        [
            (
                name,
                _text(row["quality_snips"]),
                _text(row["quality_dr"]),
                _text(row["cost_usd_dr"], 1e3),
                f"{ess[name]:.0f}",
            )
            for name, row in result.items()
        ],
    )
    summary = {
        "kind": "log",
        "rows": len(table),
        "policies": as_dict(result),
        "effective_sample_size": ess,
        "ece": ece_estimate(log.predictions.quality, table.Y, n_resamples=200).as_dict(),
        "shares": _shares(names, probs),
    }
    return _write(config.output, summary)


def _interval(values: RowValues, n_resamples: int) -> Estimate:
    return values.bootstrap(n_resamples=n_resamples)


def _text(estimate: Estimate, scale: float = 1.0) -> str:
    low, high = estimate.low * scale, estimate.high * scale
    return f"{estimate.value * scale:.3f} [{low:.3f}, {high:.3f}]"


def _shares(names: tuple[str, ...], probs: Mapping[str, FloatArray]) -> dict[str, dict[str, float]]:
    return {
        policy: dict(zip(names, candidate_share(p).round(4).tolist(), strict=True))
        for policy, p in probs.items()
        if policy not in names
    }


def _write(output: Path, summary: Mapping[str, Any]) -> Path:
    (output / EVALUATION).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return output
