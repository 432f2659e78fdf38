"""Judge what ships: a bundle, scored through the runtime, on full information or on a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from pipelines import figures
from pipelines.artifacts import EvaluationFolder
from pipelines.config import EvaluateConfig
from pipelines.console import console
from pipelines.printing import print_comparison
from pipelines.registry.loggers import open_loggers
from pipelines.stages import breakdown
from pipelines.stages.evaluate_log import POLICY, evaluate_log, score, shares, trained_budgets
from pipelines.stages.evaluate_pairs import evaluate_pairs
from pipelines.stages.evaluate_stream import evaluate_stream
from router_ml.bundle.files import Bundle, read_bundle
from router_ml.cascade import shipped as cascade_evaluation
from router_ml.data.full_information import FullInformation, read_matrix, unseen
from router_ml.data.held_out import HeldOut
from router_ml.data.outcomes import all_candidates, read_outcomes, to_matrices
from router_ml.errors import DataError
from router_ml.estimators.router import count_bias
from router_ml.evaluation import metrics
from router_ml.evaluation.calibration import ece_estimate
from router_ml.evaluation.ceiling import (
    corrected_gap,
    reachable_by_expectation,
    reachable_by_repeats,
)
from router_ml.evaluation.comparison import (
    Table,
    as_dict,
    budget_curve,
    budget_name,
    full_information_table,
    today_sentence,
    verdict,
)
from router_ml.evaluation.curves import zero_router
from router_ml.evaluation.gate.pairing import Contender
from router_ml.evaluation.metrics import Metrics
from router_ml.evaluation.off_policy.balance import with_behavior
from router_ml.evaluation.off_policy.today import TODAY
from router_ml.evaluation.today_on_matrix import today_on_matrix
from router_ml.evaluation.two_candidates import two_candidates
from router_ml.learning.budgets import budget_policies
from router_ml.policies.base import Policy
from router_ml.policies.constant import best_constant, constant_probs
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

CASCADE: Final = "cascade"


def run(config: EvaluateConfig) -> Path:
    """Evaluate ``config.bundle`` and write tables, rows and figures to ``config.output``.

    With ``matrix`` every candidate's outcome is known; without it the test split of the joined log
    is used, off policy (:mod:`pipelines.stages.evaluate_log`, and
    :mod:`pipelines.stages.evaluate_stream` of logs that do not fit in memory).

    Raises
    ------
    DataError
        If nothing is left to evaluate on.
    """
    bundle = read_bundle(config.bundle)
    runtime = Runtime(bundle=bundle, random_state=0)
    config.output.mkdir(parents=True, exist_ok=True)
    if config.matrix is not None:
        truth = unseen(read_matrix(config.matrix, runtime.candidates), config.joined)
        return _on_matrix(config, bundle, runtime, truth)
    if config.joined is None:
        raise DataError("evaluate needs a matrix or a joined log; name one in its config")
    if config.streaming:
        return evaluate_stream(config, runtime, config.joined)
    outcomes = read_outcomes(config.joined)
    names = runtime.candidates.names
    compared = evaluate_pairs(runtime, config.joined)
    if compared is not None and outcomes["quality"].isna().all():
        return _write(config.output, {"kind": "comparisons", "comparisons": compared})
    table = with_behavior(
        to_matrices(outcomes, all_candidates(outcomes, names)), open_loggers(config.loggers)
    )
    held_out = None if config.trained is None else HeldOut.load(config.trained)
    if held_out is None:
        test = table.take(np.array(table.split) == "test")
        summary = evaluate_log(config, runtime, test)
    else:
        predictions, unseen_rows = Contender(runtime, held_out).predict(table)
        rows = np.flatnonzero(unseen_rows)
        summary = evaluate_log(config, runtime, table.take(rows), predictions.take(rows))
    if compared is not None:
        summary["comparisons"] = compared
    outcomes = outcomes[outcomes["split"] == "test"]
    told = cascade_evaluation.on_log(bundle, runtime, to_matrices(outcomes, names))
    if told is not None:
        summary["cascade"] = told
        console.print(f"cascade: {told}", highlight=False)
    return _write(config.output, summary)


def _on_matrix(
    config: EvaluateConfig, bundle: Bundle, runtime: Runtime, truth: FullInformation
) -> Path:
    predictions = score(runtime, truth.queries)
    table = runtime.candidates
    reference = float(truth.cost_usd[:, best_constant(truth.quality, truth.cost_usd)].mean())
    policies = {
        POLICY: runtime.policy,
        **_budgets(config, bundle, predictions, table, reference),
    }
    probs = {name: policy.action_probs(predictions, table) for name, policy in policies.items()}
    routers = list(probs)
    if (today := today_on_matrix(truth, config.joined)) is not None:
        probs = {TODAY: today, **probs}
    run = cascade_evaluation.on_matrix(bundle, runtime, truth, predictions)
    played = {} if run is None else {CASCADE: (run.quality, run.cost_usd)}
    result, baseline = full_information_table(
        truth,
        probs,
        played=played,
        cost_weight=config.cost_weight,
        n_resamples=config.n_resamples,
    )
    print_comparison(f"{len(truth)} queries, all outcomes known", result, baseline)
    sentence = verdict(result, baseline, [*routers, *played], margin=config.margin)
    if today is not None:
        sentence += " " + today_sentence(result, POLICY)
    console.print(sentence)
    ceiling = _ceiling(truth, predictions, result)
    console.print(ceiling["sentence"], highlight=False)
    other = baseline if today is None else TODAY
    fixed = constant_probs(len(truth), len(table), table.names.index(baseline))
    beside = fixed if today is None else today
    segments = breakdown.on_matrix(truth, probs[POLICY], beside)
    breakdown.print_segments(segments, POLICY, other)
    rows = pd.DataFrame({"query_id": truth.query_id, "group_id": truth.group_id})
    for name, p in probs.items():
        rows[f"{name}|quality"] = (p * truth.quality).sum(axis=1)
        rows[f"{name}|cost_usd"] = (p * truth.cost_usd).sum(axis=1)
    for name, (quality, cost_usd) in played.items():
        rows[f"{name}|quality"], rows[f"{name}|cost_usd"] = quality, cost_usd
    rows.to_parquet(EvaluationFolder(config.output).rows)
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
            for k, name in enumerate(truth.candidates.names)
        },
        "shares": shares(truth.candidates.names, probs),
        "curve": {
            name: value.as_dict() for name, value in _curve(predictions, table, truth).items()
        },
        "ceiling": ceiling,
        "candidates": list(table.names),
        "points": breakdown.points(
            budget_curve(truth, predictions, table), zero_router(truth.cost_usd, truth.quality)
        ),
        "reliability": breakdown.reliability_data(table.names, predictions.quality, truth.quality),
        "segments": {"against": other, "rows": [segment.as_dict() for segment in segments]},
        "verdict": sentence,
    }
    if run is not None:
        summary["cascade"] = {
            "answers_a_query": float(run.depth.mean()),
            "latency_ms": float(run.latency_ms.mean()),
        }
    return _write(config.output, summary)


def _budgets(
    config: EvaluateConfig,
    bundle: Bundle,
    predictions: Predictions,
    candidates: CandidateTable,
    reference_usd: float,
) -> dict[str, Policy]:
    """Policies at shares of the best constant's cost, as training solved and floored them.

    Shares that training has not solved are solved on the predictions of these queries, without a
    floor, and a sentence says so.
    """
    found = trained_budgets(bundle.manifest, config.budget_shares)
    others = [share for share in config.budget_shares if budget_name(share) not in found]
    solved = budget_policies(predictions, candidates, reference_usd=reference_usd, shares=others)
    if solved:
        console.print(
            f"{', '.join(solved)}: not solved in training; here on the predictions of these "
            "queries, without the hull as a floor",
            highlight=False,
        )
    return {**found, **solved}


def _ceiling(truth: FullInformation, predictions: Predictions, result: Table) -> dict[str, Any]:
    """What of the oracle's lead is not the luck of single labels, and how much of it is closed.

    By repeated queries where there are enough of them, else by the expected maximum under the
    bundle's probabilities; quality alone counts here, at whatever cost.
    """
    reachable = reachable_by_repeats(truth.quality, truth.query_id.astype(str).tolist())
    kind, by = "repeats", "by other labels of the same query"
    if reachable is None:
        reachable = reachable_by_expectation(truth.quality, predictions.quality, truth.groups)
        kind, by = "expected", "by the expected maximum under the router's own probabilities"
    choice = predictions.quality.argmax(axis=1)
    raw = metrics.best_of_all(choice, truth.quality, truth.groups)["oracle_gap_closed"]
    closed = corrected_gap(raw, reachable)
    lead = result["oracle"]["quality_difference"].value
    sentence = (
        f"The oracle is {100 * lead:.1f} points above the best constant, in part by luck; choosing "
        f"by quality alone closes {raw.value:.0%} of that. "
    )
    if reachable.low <= 0.0:
        sentence += f"What of it can be reached is not known {by}: too few queries for that."
    else:
        sentence += (
            f"{reachable.value:.0%} [{reachable.low:.0%}, {reachable.high:.0%}] of it can be "
            f"reached at least, {by}; of that, {closed.value:.0%} [{closed.low:.0%}, "
            f"{closed.high:.0%}] is closed."
        )
    return {
        "kind": kind,
        "reachable_gap": reachable.as_dict(),
        "oracle_gap_closed": raw.as_dict(),
        f"gap_closed_{kind}": closed.as_dict(),
        "sentence": sentence,
    }


def _curve(predictions: Predictions, candidates: CandidateTable, truth: FullInformation) -> Metrics:
    """AIQ and what the whole cost-quality curve is worth; of two candidates APGR and CPT, too."""
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    choices = metrics.choices_by_cost_weight(predictions.quality, cost_usd)
    found = metrics.curve_metrics(choices, truth.quality, truth.cost_usd, truth.groups)
    if len(candidates) == 2:
        order = np.argsort(truth.quality.mean(axis=0), kind="stable")  # weak, strong
        lead = predictions.quality[:, order[1]] - predictions.quality[:, order[0]]
        found |= two_candidates(lead, truth.quality[:, order], truth.groups)
    return found


def _write(output: Path, summary: Mapping[str, Any]) -> Path:
    folder = EvaluationFolder(output)
    folder.report.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    figures.save(figures.cost_quality_of(summary), folder.curve)
    figures.save(figures.reliability_of(summary), folder.reliability)
    return output
