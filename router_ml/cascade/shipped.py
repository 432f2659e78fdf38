"""A shipped cascade, judged: on full information, or on a log where the log can tell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from router_ml.bundle.files import Bundle
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.evaluation import CascadeRun, evaluate_on_log, run_cascade
from router_ml.cascade.policies.sequential import Score, ScoreCache
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.cascade.runtime.scorer import AnswerRuntime
from router_ml.cascade.training import logged_answers
from router_ml.data.full_information import FullInformation
from router_ml.data.outcomes import TrainingTable
from router_ml.errors import OverlapError
from router_ml.evaluation.off_policy.weighting import label_probability
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import Predictions


def shipped_score(scorer: AnswerRuntime, table: AnswerTable) -> Score:
    """The bundle's scorer behind the interface that cascade policies ask."""

    def score(rows: IntArray, asked: BoolArray) -> FloatArray:
        out = np.full(asked.shape, np.nan)
        i, k = np.nonzero(asked & table.known[rows])
        out[i, k] = scorer.predict(table, rows[i], k, asked[i])
        return out

    return ScoreCache(score=score, shape=(len(table), table.n_candidates))


def on_matrix(
    bundle: Bundle, runtime: Runtime, truth: FullInformation, predictions: Predictions
) -> CascadeRun | None:
    """Play the bundle's cascade; None where it has none, or the matrix has no answers.

    Costs and latencies are those of all answers asked for, one after the other.
    """
    cascade = CascadeRuntime(bundle=bundle, runtime=runtime)
    if cascade.scorer is None or cascade.policy is None or truth.answers is None:
        return None
    table = AnswerTable.of(truth.queries, truth.answers, layout=cascade.scorer.layout)
    return run_cascade(
        cascade.policy,
        shipped_score(cascade.scorer, table),
        prior=np.asarray(predictions.quality, dtype=float),
        expected_cost_usd=runtime.candidates.cost_usd(
            predictions.input_tokens, predictions.output_tokens
        ),
        quality=truth.quality,
        cost_usd=truth.cost_usd,
        latency_ms=truth.latency_ms,
    )


def on_log(bundle: Bundle, runtime: Runtime, table: TrainingTable) -> dict[str, Any] | None:
    """Judge the bundle's cascade by weighting the queries whose whole path was logged.

    Returns
    -------
    None without a cascade; else ``quality`` and ``cost_usd`` with the support they rest on, or
    ``refused``: why the log cannot tell.
    """
    cascade = CascadeRuntime(bundle=bundle, runtime=runtime)
    if cascade.scorer is None or cascade.policy is None:
        return None
    _, first, code = np.unique(np.array(table.query_id), return_index=True, return_inverse=True)
    queries = tuple(table.queries[i] for i in first)
    answers = logged_answers(table, queries, np.arange(len(queries)), layout=cascade.scorer.layout)
    predictions = runtime.predict(queries)
    expected = runtime.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    cost = np.full(answers.quality.shape, np.nan)
    served = np.flatnonzero(table.served >= 0)
    cost[code[served], table.served[served]] = table.cost_usd[served]
    try:
        told = evaluate_on_log(
            cascade.policy,
            shipped_score(cascade.scorer, answers.table),
            prior=np.asarray(predictions.quality, dtype=float),
            expected_cost_usd=expected,
            quality=np.where(answers.table.known, answers.quality, np.nan),
            cost_usd=cost,
            propensities=_propensities(table, code),
        )
    except OverlapError as error:
        return {"refused": str(error)}
    summary = asdict(told)
    summary.pop("weight")
    return summary


def _propensities(table: TrainingTable, code: IntArray) -> list[FloatArray]:
    """Chance of a labelled answer by candidate, one array (n_requests, K) a query.

    A log without ``action_probs`` shows a candidate's propensity where it served the query; the
    policy is taken to treat a query's requests alike, and a label to be as likely for any
    candidate of a request. Candidates that never served the query are on no covered path.
    """
    k = len(table.candidates)
    chance = np.full((int(code.max()) + 1, k), np.nan)
    rows = np.flatnonzero(table.chosen >= 0)
    chance[code[rows], table.chosen[rows]] = table.propensity[rows]
    probs = np.where(np.isnan(table.action_probs), np.nan_to_num(chance[code]), table.action_probs)
    probs = probs / np.maximum(probs.sum(axis=1, keepdims=True), 1.0)
    labelled = probs * label_probability(table)[:, None]
    order = np.argsort(code, kind="stable")
    return np.split(labelled[order], np.flatnonzero(np.diff(code[order])) + 1)
