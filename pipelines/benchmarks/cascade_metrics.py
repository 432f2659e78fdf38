"""Metrics of the cascade benchmark, each with a 95 % interval by bootstrap over prompts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from pipelines.benchmarks.cascade_methods import (
    Fold,
    Point,
    Points,
    counts_strong_calls,
    judged_answers,
)
from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.data.full_information import FullInformation
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

Metrics = dict[str, Estimate]

COST_SHARES: Final = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the best single candidate's cost over which ``mean_quality`` is taken."""
CURVES: Final = ("router", "frugal_gpt", "cascade", "cascade_routing")
"""Methods with several operating points whose curves are compared."""
ROUTING: Final = "cascade_routing"
_RESAMPLES: Final = 1_000


def summarise(
    data: FullInformation, folds: Sequence[Fold], *, random_state: int
) -> dict[str, Metrics]:
    """Metrics of every method on the pooled test rows.

    All methods share the bootstrap samples, so that differences between them are paired.
    """
    test = np.concatenate([fold.test for fold in folds])
    methods = pooled_points(data, folds)
    best = best_constant(data.quality[test], data.cost_usd[test])
    columns = [np.ones(len(test)), data.quality[test, best], data.cost_usd[test, best]]
    columns += [column for points in methods.values() for point in points for column in point]
    names: list[tuple[str, str]] = []
    shares = counts_strong_calls(data)

    def statistic(total: FloatArray) -> FloatArray:
        flat = total.reshape(-1, total.shape[-1])
        rows = [_row(mean / mean[0], methods, shares) for mean in flat]
        names[:] = list(rows[0])
        return np.array([list(row.values()) for row in rows]).reshape(*total.shape[:-1], -1)

    estimates = bootstrap(
        np.column_stack(columns),
        statistic,
        group_id=data.groups[test],
        n_resamples=_RESAMPLES,
        random_state=random_state,
    )
    out: dict[str, Metrics] = {}
    for (method, metric), estimate in zip(names, estimates, strict=True):
        out.setdefault(method, {})[metric] = estimate
    out["answer_scorer"] = _answer_metrics(data, folds, random_state)
    out[ROUTING]["decision_ms"] = decision_ms(len(data.candidates))
    return out


def pooled_points(data: FullInformation, folds: Sequence[Fold]) -> dict[str, Points]:
    """Quality and dollars of every test row, by method and operating point, folds put together."""
    test = np.concatenate([fold.test for fold in folds])
    quality, cost = data.quality[test], data.cost_usd[test]
    points: dict[str, Points] = {
        name: [(quality[:, k], cost[:, k])] for k, name in enumerate(data.candidates.names)
    }
    points["zero_router"] = [p for name in data.candidates.names for p in points[name]]
    # The cheapest right answer; where none is right, the cheapest.
    pick = np.where(quality > 0, cost, cost + 2 * cost.max()).argmin(axis=1)
    rows = np.arange(len(test))
    points["oracle"] = [(quality[rows, pick], cost[rows, pick])]
    for method in folds[0].points:
        parts = [fold.points[method] for fold in folds]
        points[method] = [_joined(column) for column in zip(*parts, strict=True)]
    return points


def _joined(parts: Sequence[Point]) -> Point:
    return np.concatenate([q for q, _ in parts]), np.concatenate([c for _, c in parts])


def _row(
    means: FloatArray, methods: Mapping[str, Points], shares: bool
) -> dict[tuple[str, str], float]:
    """Every metric of one sample, by method and name.

    ``means`` are one, quality and cost of the best single candidate, then quality and cost of every
    operating point of every method.
    """
    single = (float(means[1]), float(means[2]))
    out: dict[tuple[str, str], float] = {}
    at = 3
    for method, points in methods.items():
        pairs = means[at : at + 2 * len(points)].reshape(-1, 2)
        at += 2 * len(points)
        if len(points) == 1:
            out[method, "quality"], out[method, "cost_usd"] = pairs[0]
            out[method, "cost_share"] = pairs[0, 1] / single[1]
        else:
            curve = Curve(pairs[:, 1], pairs[:, 0]).hull()
            for name, value in _curve(curve, single, shares).items():
                out[method, name] = value
    for metric in ("mean_quality", "quality_at_best_single_cost"):
        mine, router, cascade = (out[m, metric] for m in (ROUTING, "router", "cascade"))
        out[ROUTING, f"{metric}_less_better_of_both"] = mine - max(router, cascade)
    return out


def _curve(own: Curve, single: tuple[float, float], shares: bool) -> dict[str, float]:
    """What the hull of a method's operating points says.

    Costs to reach a quality that the method itself does not reach are read from the hull of its
    points and the best single candidate, who can always be asked instead: they are at most 1.
    """
    quality, cost = single
    both = Curve(np.append(own.cost_usd, cost), np.append(own.quality, quality)).hull()
    at = np.interp(np.array(COST_SHARES) * cost, own.cost_usd, own.quality)
    out = {"strong_share_at_95pct": both.cost_at_quality(0.95 * quality) / cost}
    if not shares:
        out = {
            "cost_share_at_best_single": both.cost_at_quality(quality) / cost,
            "cost_share_at_best_single_less_1pt": both.cost_at_quality(quality - 0.01) / cost,
        }
    out["quality_at_best_single_cost"] = float(at[-1])
    out["mean_quality"] = float(at.mean())
    out["best_quality"] = float(own.quality[-1])
    return out


def _answer_metrics(data: FullInformation, folds: Sequence[Fold], random_state: int) -> Metrics:
    """AUC of the scorer on the cheapest candidate's answers, pooled over folds."""
    test = np.concatenate([fold.test for fold in folds])
    judged, _ = judged_answers(data, np.arange(len(data)))
    right = data.quality[test, judged] > 0.5
    scores = {
        "answer_auc_own": np.concatenate([fold.answer_own for fold in folds]),
        "answer_auc_after_two": np.concatenate([fold.answer_after_two for fold in folds]),
    }
    return {
        name: _auc(right, score, data.groups[test], random_state)
        for name, score in scores.items()
        if np.isfinite(score).all()
    }


def _auc(right: BoolArray, scores: FloatArray, groups: IntArray, random_state: int) -> Estimate:
    rng = np.random.default_rng(random_state)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
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
