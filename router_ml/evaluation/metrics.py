"""What a router is worth against constants and oracle, each metric with a 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.evaluation.calibration import brier, ece_debiased, ece_estimate
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap, bootstrap_mean
from router_ml.evaluation.off_policy.assessment import Assessment
from router_ml.policies.base import rank
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray

Metrics = dict[str, Estimate]
N_RESAMPLES: Final = 1_000
_CURVE_RESAMPLES: Final = 400
COST_WEIGHTS: Final = np.concatenate([[0.0], np.geomspace(0.01, 3e3, 59)])
"""Operating points of a curve, quality per dollar."""
COST_SHARES: Final = (0.25, 0.5, 1.0)


METRICS: Final = (
    "quality",
    "cost_usd",
    "utility",
    "regret",
    "cost_per_quality",
    "oracle_gap_closed",
    "quality_difference",
    "utility_difference",
    "cost_ratio",
)
"""What a report says of every policy on full information, in the order of :func:`policy_metrics`.

Differences and the ratio are against the baseline; the gap is from its utility to the oracle's.
"""


def policy_metrics(total: FloatArray, baseline: int, cost_weight: float) -> FloatArray:
    """All metrics of all policies, policy by policy, from totals of shape (..., 2 + 2P)."""
    mean = total[..., 1:] / total[..., :1]
    oracle, quality, cost = mean[..., 0], mean[..., 1::2], mean[..., 2::2]
    utility = quality - cost_weight * cost
    q0, c0, u0 = quality[..., baseline], cost[..., baseline], utility[..., baseline]
    out = []
    for i in range(quality.shape[-1]):
        q, c, u = quality[..., i], cost[..., i], utility[..., i]
        gap = gap_closed(u, u0, oracle)
        out += [q, c, u, oracle - u, _ratio(c, q, 0.0), gap, q - q0, u - u0, _ratio(c, c0, 1.0)]
    return np.stack(out, axis=-1)


def _ratio(value: FloatArray, unit: FloatArray, of_nothing: float) -> FloatArray:
    """``value / unit``; infinite where only the unit is zero, ``of_nothing`` where both are."""
    ratio = np.where(value > 0, np.inf, of_nothing)
    np.divide(value, unit, out=ratio, where=unit > 0)
    return ratio


def log_metrics(parts: Mapping[str, Assessment]) -> Metrics:
    """What a report says of a policy on a log: its estimates of quality, cost and utility."""
    quality = parts["quality"].estimates
    chosen = {
        "quality_snips": quality["SNIPS"],
        "quality_dr": quality["DR"],
        "quality_bernstein": quality["empirical_bernstein"],
        "cost_usd_dr": parts["cost_usd"].estimates["DR"],
    }
    if "utility" in parts:
        chosen["utility_dr"] = parts["utility"].estimates["DR"]
    return chosen


def expected(action_probs: FloatArray, outcome: FloatArray) -> FloatArray:
    """Mean outcome of a policy on every row, shape (n,), from full information (n, K)."""
    if action_probs.shape != outcome.shape:
        raise SchemaError(
            f"action_probs and outcomes must have one shape, got {action_probs.shape} and "
            f"{outcome.shape}"
        )
    rows: FloatArray = np.sum(action_probs * outcome, axis=1)
    return rows


def candidate_share(action_probs: FloatArray) -> FloatArray:
    """Share of requests that each candidate gets, shape (K,)."""
    share: FloatArray = action_probs.mean(axis=0)
    return share


def gap_closed(value: FloatArray, single: FloatArray, oracle: FloatArray) -> FloatArray:
    r"""Share of the way from the best single candidate to the oracle; 0 where there is none.

    .. math:: \frac{V(\pi) - \max_k V(k)}{V(\text{oracle}) - \max_k V(k)}

    Examples
    --------
    >>> float(gap_closed(np.array(0.8), np.array(0.7), np.array(0.9)).round(3))
    0.5
    """
    gap = oracle - single
    return np.where(gap > 0, (value - single) / np.where(gap > 0, gap, 1.0), 0.0)


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


def best_of_all(choice: IntArray, quality: FloatArray, groups: IntArray) -> Metrics:
    """Routed quality, difference to the best single candidate, oracle gap closed."""
    rows = np.arange(len(quality))
    best = best_constant(quality, np.zeros(quality.shape))
    columns = [quality[rows, choice], quality[:, best], quality.max(axis=1), np.ones(len(rows))]

    def statistic(total: FloatArray) -> FloatArray:
        routed, single, oracle = (total[..., j] / total[..., 3] for j in range(3))
        return np.stack([routed, routed - single, gap_closed(routed, single, oracle)], axis=-1)

    estimates = bootstrap(
        np.column_stack(columns), statistic, group_id=groups, n_resamples=N_RESAMPLES
    )
    names = ("routed_quality", "difference_to_best_single", "oracle_gap_closed")
    return dict(zip(names, estimates, strict=True))


def choices_by_cost_weight(predicted: FloatArray, predicted_cost: FloatArray) -> IntArray:
    """Choice of every row at every cost weight of ``COST_WEIGHTS``, shape (n_points, n)."""
    allowed = np.ones(predicted.shape, dtype=bool)
    utilities = (predicted - w * predicted_cost for w in COST_WEIGHTS)
    return np.stack([rank(utility, predicted_cost, allowed)[:, 0] for utility in utilities])


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
    best = best_constant(quality, cost_usd)
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
        at = [own.quality_up_to(share * price) for share in COST_SHARES]
        return [
            *at,
            both.cost_at_quality(single) / price,
            both.cost_at_quality(single - 0.01) / price,
            own.aiq(largest),
            at[-1] - single,
            float(gap_closed(mean[0], single, mean[2 * p + 2])),
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
