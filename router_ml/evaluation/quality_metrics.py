"""Metrics of predicted quality against full information, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from router_ml.evaluation.calibration import brier, ece_debiased, ece_estimate
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap, bootstrap_mean
from router_ml.evaluation.metrics import routellm_metrics
from router_ml.types.arrays import FloatArray, IntArray

Metrics = dict[str, Estimate]
N_RESAMPLES: Final = 1_000
_CURVE_RESAMPLES: Final = 400
COST_WEIGHTS: Final = np.concatenate([[0.0], np.geomspace(0.01, 3e3, 59)])
"""Operating points of a curve, quality per dollar."""
COST_SHARES: Final = (0.25, 0.5, 1.0)


def calibration_metrics(predicted: FloatArray, quality: FloatArray, groups: IntArray) -> Metrics:
    """Brier score and debiased ECE, pooled over candidates."""
    squares = ((predicted - quality) ** 2).mean(axis=1)
    plain = ece_estimate(predicted, quality, group_id=groups, n_resamples=N_RESAMPLES)
    debiased = ece_debiased(predicted, quality)
    shift = debiased - plain.value
    score = bootstrap_mean(squares, group_id=groups, n_resamples=N_RESAMPLES)
    return {
        "ece": Estimate(debiased, plain.low + shift, plain.high + shift, plain.n),
        "brier": Estimate(brier(predicted, quality), score.low, score.high, score.n),
    }


def two_candidates(score: FloatArray, quality: FloatArray, groups: IntArray) -> Metrics:
    """RouteLLM's APGR and CPT; columns of ``quality`` are weak and strong."""
    return routellm_metrics(
        score, quality[:, 0], quality[:, 1], group_id=groups, n_resamples=N_RESAMPLES
    )


def best_of_all(choice: IntArray, quality: FloatArray, groups: IntArray) -> Metrics:
    """Routed quality, difference to the best single candidate, oracle gap closed."""
    rows = np.arange(len(quality))
    best = int(np.argmax(quality.mean(axis=0)))
    columns = [quality[rows, choice], quality[:, best], quality.max(axis=1), np.ones(len(rows))]

    def statistic(total: FloatArray) -> FloatArray:
        routed, single, oracle = (total[..., j] / total[..., 3] for j in range(3))
        gap = np.maximum(oracle - single, 1e-12)
        return np.stack([routed, routed - single, (routed - single) / gap], axis=-1)

    estimates = bootstrap(
        np.column_stack(columns), statistic, group_id=groups, n_resamples=N_RESAMPLES
    )
    names = ("routed_quality", "difference_to_best_single", "oracle_gap_closed")
    return dict(zip(names, estimates, strict=True))


def operating_points(predicted: FloatArray, predicted_cost: FloatArray) -> IntArray:
    """Choice at every cost weight, shape (n_points, n)."""
    return np.stack([np.argmax(predicted - w * predicted_cost, axis=1) for w in COST_WEIGHTS])


def curve_points(
    choices: IntArray, quality: FloatArray, cost_usd: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Quality and cost of every row at every point, each of shape (n, n_points)."""
    rows = np.arange(len(quality))
    return quality[rows, choices].T, cost_usd[rows, choices].T


def curve_metrics(
    choices: IntArray, quality: FloatArray, cost_usd: FloatArray, groups: IntArray
) -> Metrics:
    """Quality at shares of the best single's cost, and cost at its quality, along the hull.

    A share of cost that no operating point reaches (its quality is never met) counts as the share
    at which the best single itself is bought: 1, plus what the shortfall is worth along the hull
    of router and best single.
    """
    best = int(np.argmax(quality.mean(axis=0)))
    q, c = curve_points(choices, quality, cost_usd)
    p = len(choices)
    oracle = quality.max(axis=1)
    columns = [q, c, quality[:, [best]], cost_usd[:, [best]], oracle[:, None], np.ones((len(q), 1))]
    largest = float(cost_usd.mean(axis=0).max())

    def one(total: FloatArray) -> list[float]:
        mean = total / total[-1]
        single, price = mean[2 * p], mean[2 * p + 1]
        own = Curve(mean[p : 2 * p], mean[:p]).hull()
        both = Curve(np.append(own.cost_usd, price), np.append(own.quality, single)).hull()
        at = [float(both_at(own, share * price)) for share in COST_SHARES]
        area = np.trapezoid([*own.quality, own.quality[-1]], [*own.cost_usd, largest]) / largest
        return [
            *at,
            both.cost_at_quality(single) / price,
            both.cost_at_quality(single - 0.01) / price,
            float(area),
            at[-1] - single,
            (mean[0] - single) / max(mean[2 * p + 2] - single, 1e-12),
            mean[0],
        ]

    def statistic(total: FloatArray) -> FloatArray:
        flat = [one(row) for row in total.reshape(-1, total.shape[-1])]
        return np.array(flat).reshape(*total.shape[:-1], -1)

    estimates = bootstrap(
        np.hstack(columns), statistic, group_id=groups, n_resamples=_CURVE_RESAMPLES
    )
    names = [f"quality_at_{round(100 * share)}pct_cost" for share in COST_SHARES]
    names += ["cost_share_at_best_single", "cost_share_at_best_single_less_1pt", "aiq"]
    names += ["difference_to_best_single", "oracle_gap_closed", "routed_quality"]
    return dict(zip(names, estimates, strict=True))


def both_at(curve: Curve, cost_usd: float) -> float:
    """Quality at a mean cost; below the cheapest point, the cheapest point's quality."""
    return float(np.interp(cost_usd, curve.cost_usd, curve.quality))


def mean_over_seeds(results: Sequence[Mapping[str, Estimate]]) -> Metrics:
    r"""Means over repeated draws of the training set.

    The interval joins the spread between draws and the sampling of test prompts, which all draws
    share: :math:`se^2 = s^2 / m + \overline{se}^2`.
    """
    out = {}
    for name in results[0]:
        values = np.array([result[name].value for result in results])
        within = np.mean([result[name].half_width for result in results]) / 1.96
        between = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        half = 1.96 * float(np.hypot(between, within))
        mean = float(values.mean())
        out[name] = Estimate(mean, mean - half, mean + half, results[0][name].n)
    return out
