"""Cascades side by side with routers, constants and the oracle, where every answer is known."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from sklearn.metrics import roc_auc_score

from pipelines.benchmarks.cascade_data import BFCL, GSM8K, CascadeData, join, load
from pipelines.benchmarks.cascade_methods import Fold, Inputs, Points, judged_answers, run_fold
from pipelines.cache import get_encoder
from router_ml.estimators.answer import AnswerScorer
from router_ml.estimators.registry import make_estimator
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap, bootstrap_mean
from router_ml.features.answer_table import AnswerTable
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.types import FloatArray, IntArray

WORKLOADS: Final = (BFCL, GSM8K)
ROUTER: Final[Mapping[str, Any]] = {"name": "stacked"}
_RESAMPLES: Final = 1_000

Metrics = dict[str, Estimate]


def run(
    data: Path,
    out: Path,
    test_data: Path | None = None,
    *,
    workloads: Sequence[str] = WORKLOADS,
    cache: Path | None = None,
    router: Mapping[str, Any] = ROUTER,
    n_splits: int = 5,
    random_state: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>`` as JSON.

    Without ``test_data``: cross-validated by prompt, all choices made inside the training folds.
    With it: everything is fitted on all of ``data`` and played once on ``test_data``.

    Parameters
    ----------
    data, test_data : folders with ``bfcl/`` and ``routellm/``
    out : JSON file
    workloads : of ``bfcl-12`` and ``routellm-gsm8k``
    cache : folder for the encoder; default: a temporary one
    router : specification of the quality estimator that gives priors and plain routing
    progress : wraps the loop over folds, given a label
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in workloads:
            known = load(name, data)
            n_known = len(known)
            if test_data is not None:
                known = join(known, load(name, test_data))
            inputs = prepare(known, cache or Path(scratch))
            splits = _splits(known, n_known, n_splits, random_state)
            folds = []
            for i in progress(range(len(splits)), name):
                train, test = splits[i]
                folds.append(
                    run_fold(
                        inputs,
                        train,
                        test,
                        router=make_estimator(router),
                        scorer=AnswerScorer(random_state=random_state),
                    )
                )
            methods = summarise(known, folds, random_state=random_state)
            result[name] = {
                "methods": {
                    method: {metric: value.as_dict() for metric, value in metrics.items()}
                    for method, metrics in methods.items()
                }
            }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps({"workloads": result}, option=orjson.OPT_INDENT_2))
    return out


def prepare(data: CascadeData, cache: Path) -> Inputs:
    """Read and embed queries and answers."""
    featurizer = Featurizer(encoder=get_encoder(cache=cache))
    texts = [Query(text) for row in data.answers for text in row]
    embedding = featurizer.transform(texts).embedding
    return Inputs(
        data=data,
        table=AnswerTable.of(data.queries, data.answers),
        batch=featurizer.transform(data.queries),
        answer_embedding=embedding.reshape(len(data), len(data.candidates), -1),
    )


def summarise(data: CascadeData, folds: Sequence[Fold], *, random_state: int) -> dict[str, Metrics]:
    """Metrics of every method on the pooled test rows, intervals by bootstrap over prompts."""
    test = np.concatenate([fold.test for fold in folds])
    groups = data.groups[test]
    quality, cost = data.quality[test], data.cost_usd[test]
    best = int(np.lexsort((cost.mean(axis=0), -quality.mean(axis=0)))[0])
    points: dict[str, Points] = {
        name: [(quality[:, k], cost[:, k])] for k, name in enumerate(data.candidates.names)
    }
    points["zero_router"] = [p for name in data.candidates.names for p in points[name]]
    rows = np.arange(len(test))
    cheapest = np.where(quality > 0, cost, np.inf)
    pick = np.where(np.isinf(cheapest).all(axis=1), cost.argmin(axis=1), cheapest.argmin(axis=1))
    points["oracle"] = [(quality[rows, pick], cost[rows, pick])]
    for method in folds[0].points:
        points[method] = [
            tuple(np.concatenate(parts) for parts in zip(*column, strict=True))  # type: ignore[misc]
            for column in zip(*(fold.points[method] for fold in folds), strict=True)
        ]
    metrics = {
        method: _curve_metrics(data.name, p, quality[:, best], cost[:, best], groups, random_state)
        for method, p in points.items()
    }
    metrics["answer_scorer"] = _answer_metrics(data, folds, groups, random_state)
    metrics["cascade_routing"]["decision_ms"] = decision_ms(len(data.candidates))
    return metrics


def _curve_metrics(
    workload: str,
    points: Points,
    best_quality: FloatArray,
    best_cost: FloatArray,
    groups: IntArray,
    random_state: int,
) -> Metrics:
    """What the curve through a method's operating points says; NaN where it does not reach."""
    columns = [np.ones(len(best_quality)), best_quality, best_cost]
    columns += [q for q, _ in points] + [c for _, c in points]
    names = [
        "cost_share_at_best_single",
        "cost_share_at_best_single_less_1pt",
        "quality_at_best_single_cost",
        "best_quality",
    ]
    if workload == GSM8K:
        names = ["strong_share_at_95pct", "best_quality"]

    def statistic(totals: FloatArray) -> FloatArray:
        flat = totals.reshape(-1, totals.shape[-1])
        values = np.array([_on_curve(row / row[0], len(points), workload) for row in flat])
        return values.reshape(*totals.shape[:-1], len(names))

    estimates = bootstrap(
        np.column_stack(columns),
        lambda totals: np.nan_to_num(statistic(totals), nan=_UNREACHED),
        group_id=groups,
        n_resamples=_RESAMPLES,
        random_state=random_state,
    )
    if len(points) == 1:
        estimates = estimates[-1:]
        names = names[-1:]
    out = dict(zip(names, (_reached(estimate) for estimate in estimates), strict=True))
    if len(points) == 1:
        out = {"quality": out["best_quality"]}
        out["cost_usd"] = bootstrap_mean(points[0][1], group_id=groups, n_resamples=_RESAMPLES)
    return out


_UNREACHED: Final = 1e9


def _reached(estimate: Estimate) -> Estimate:
    """Infinity for an end of the interval, or a value, that the curve does not reach."""
    value, low, high = (
        float("nan") if abs(x) >= _UNREACHED / 2 else x
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return Estimate(value, low, high, estimate.n)


def _on_curve(means: FloatArray, n_points: int, workload: str) -> list[float]:
    best_quality, best_cost = float(means[1]), float(means[2])
    curve = Curve(means[3 + n_points :], means[3 : 3 + n_points])
    top = float(means[3 : 3 + n_points].max())
    if workload == GSM8K:
        return [curve.cost_at_quality(0.95 * best_quality) / best_cost, top]
    return [
        curve.cost_at_quality(best_quality) / best_cost,
        curve.cost_at_quality(best_quality - 0.01) / best_cost,
        curve.quality_at_cost(best_cost),
        top,
    ]


def _answer_metrics(
    data: CascadeData, folds: Sequence[Fold], groups: IntArray, random_state: int
) -> Metrics:
    """AUC of the scorer on the cheapest candidate's answers, pooled over folds."""
    test = np.concatenate([fold.test for fold in folds])
    judged, _ = judged_answers(data, np.arange(len(data)))
    right = data.quality[test, judged] > 0.5
    out: Metrics = {}
    for name, key in (
        ("answer_auc_own", "answer_own"),
        ("answer_auc_after_two", "answer_after_two"),
    ):
        scores = np.concatenate([getattr(fold, key) for fold in folds])
        if np.isfinite(scores).all():
            out[name] = _auc(right, scores, groups, random_state)
    return out


def _auc(right: Any, scores: FloatArray, groups: IntArray, random_state: int) -> Estimate:
    rng = np.random.default_rng(random_state)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    draws = []
    for _ in range(_RESAMPLES // 2):
        rows = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        if 0 < right[rows].sum() < len(rows):
            draws.append(float(roc_auc_score(right[rows], scores[rows])))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(roc_auc_score(right, scores)), float(low), float(high), len(right))


def decision_ms(n_candidates: int, *, repeats: int = 400) -> Estimate:
    """Milliseconds of one decision after one answer, with their 2.5 and 97.5 percentiles."""
    rng = np.random.default_rng(0)
    covariance = 0.5 * np.eye(n_candidates)
    lead = np.tile([0.0, -1.0, 0.0, 0.0, 1.0], (n_candidates, 1))
    policy = CascadeRoutingPolicy(
        cost_weight=10.0,
        start_covariance=covariance,
        lead_coef=lead,
        lead_covariance=covariance,
    )
    prior, cost = rng.random((1, n_candidates)), rng.random((1, n_candidates)) * 1e-3
    posterior = np.full((1, n_candidates), np.nan)
    posterior[0, 0] = 0.6
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        policy.step(prior, cost, posterior)
        times.append((time.perf_counter() - begin) * 1e3)
    low, value, high = np.quantile(times, [0.025, 0.5, 0.975])
    return Estimate(float(value), float(low), float(high), repeats)


def _splits(
    data: CascadeData, n_known: int, n_splits: int, random_state: int
) -> list[tuple[IntArray, IntArray]]:
    """Folds of prompts; or, where rows beyond ``n_known`` were given, those as the only test."""
    rows = np.arange(len(data))
    if n_known < len(data):
        fresh = rows[n_known:]
        train = rows[:n_known]
        return [(train[~np.isin(data.groups[train], data.groups[fresh])], fresh)]
    n_groups = int(data.groups.max()) + 1
    fold = np.random.default_rng(random_state).permutation(np.arange(n_groups) % n_splits)
    return [(rows[fold[data.groups] != f], rows[fold[data.groups] == f]) for f in range(n_splits)]
