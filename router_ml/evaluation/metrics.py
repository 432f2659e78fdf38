"""What a router is worth against constants and oracle, each metric with a 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.evaluation.calibration import brier, ece_debiased, ece_estimate
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate, bootstrap, bootstrap_mean
from router_ml.policies.base import rank
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray

Metrics = dict[str, Estimate]
N_RESAMPLES: Final = 1_000
_CURVE_RESAMPLES: Final = 400
COST_WEIGHTS: Final = np.concatenate([[0.0], np.geomspace(0.01, 3e3, 59)])
"""Operating points of a curve, quality per dollar."""
COST_SHARES: Final = (0.25, 0.5, 1.0)
ROUTELLM_BINS: Final = 10
"""RouteLLM sweeps the edges of ten equal-mass bins of the score: eleven thresholds."""


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


def routellm_columns(
    score: FloatArray, weak: FloatArray, strong: FloatArray, *, random_state: int = 0
) -> FloatArray:
    """Rows whose totals give the whole RouteLLM curve, shape (n, 2 * 11 + 3).

    Parameters
    ----------
    score : float array, shape (n,); the higher, the rather the strong candidate
    weak, strong : float arrays, shape (n,), quality of each candidate
    random_state : seeds the tiny jitter that breaks ties of the score

    Returns
    -------
    strong calls at each threshold, quality at each threshold, weak quality, strong quality, ones
    """
    score = np.asarray(score, dtype=float)
    spread = float(np.ptp(score)) or 1.0
    if len(np.unique(score)) < len(score):
        score = score + np.random.default_rng(random_state).uniform(0, 1e-9 * spread, len(score))
    edges = np.quantile(score, np.linspace(0.0, 1.0, ROUTELLM_BINS + 1))
    # The last threshold is strict, so that one end of the curve is the weak candidate alone.
    routed = np.column_stack([*(score >= edge for edge in edges[:-1]), score > edges[-1]])
    quality = np.where(routed, strong[:, None], weak[:, None])
    return np.column_stack([routed, quality, weak, strong, np.ones(len(score))])


def routellm_metrics(
    score: FloatArray,
    weak: FloatArray,
    strong: FloatArray,
    *,
    levels: Sequence[float] = (0.5, 0.8),
    group_id: IntArray | None = None,
    n_resamples: int = 2_000,
    random_state: int = 0,
) -> dict[str, Estimate]:
    r"""APGR and CPT by RouteLLM's protocol, with bootstrap intervals.

    .. math:: \mathrm{APGR} = \frac{\mathrm{AUC} - q_w}{q_s - q_w}

    where AUC is the trapezoid of quality over the share of strong calls at eleven thresholds, and
    CPT(x) is the share of strong calls at which quality reaches :math:`q_w + x (q_s - q_w)`, by
    linear interpolation. Thresholds stay those of the full sample in every resample.

    Parameters
    ----------
    score, weak, strong : float arrays, shape (n,), as in :func:`routellm_columns`
    levels : the x of CPT
    group_id : int array, shape (n,), the unit that is resampled

    Returns
    -------
    ``apgr`` (0.5 for a random router) and ``cpt50`` …, shares in [0, 1]

    References
    ----------
    .. [1] Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", 2024.

    Examples
    --------
    >>> score, weak, strong = np.arange(100.0), np.zeros(100), np.ones(100)
    >>> metrics = routellm_metrics(score, weak, strong)
    >>> round(metrics["apgr"].value, 3), round(metrics["cpt50"].value, 3)
    (0.5, 0.5)
    """
    estimates = bootstrap(
        routellm_columns(score, weak, strong, random_state=random_state),
        lambda total: _apgr_and_cpt(total, levels),
        group_id=group_id,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    names = ["apgr", *(f"cpt{round(100 * level)}" for level in levels)]
    return dict(zip(names, estimates, strict=True))


def apgr_rows(score: FloatArray, quality: FloatArray) -> FloatArray:
    """Rows whose mean is APGR up to a constant, shape (n,), for paired differences.

    Parameters
    ----------
    score : the higher, the rather the strong candidate, shape (n,)
    quality : of weak and strong, shape (n, 2)
    """
    points = ROUTELLM_BINS + 1
    columns = routellm_columns(score, quality[:, 0], quality[:, 1])
    share = columns[:, :points].mean(axis=0)[::-1]
    weak, strong = quality.mean(axis=0)
    rows: FloatArray = np.trapezoid(columns[:, 2 * points - 1 : points - 1 : -1], share, axis=1)
    return rows / float((strong - weak) * (share[-1] - share[0]))


def _apgr_and_cpt(total: FloatArray, levels: Sequence[float]) -> FloatArray:
    """APGR and CPTs of totals of shape (..., 25), shape (..., 1 + n_levels)."""
    points = ROUTELLM_BINS + 1
    mean = total[..., :-1] / total[..., -1:]
    # Ascending share of strong calls: the thresholds come from low (all strong) to high.
    share, quality = mean[..., points - 1 :: -1], mean[..., 2 * points - 1 : points - 1 : -1]
    weak, strong = mean[..., -2], mean[..., -1]
    width = share[..., -1] - share[..., 0]
    area = np.trapezoid(quality, share, axis=-1) - weak * width
    out = [area / ((strong - weak) * width)]
    flat_share, flat_quality = share.reshape(-1, points), quality.reshape(-1, points)
    for level in levels:
        target = np.ravel(weak + level * (strong - weak))
        # numpy.interp on qualities that need not ascend, exactly as the published code does.
        rows = zip(target, flat_quality, flat_share, strict=True)
        out.append(np.reshape([np.interp(t, q, s) for t, q, s in rows], np.shape(weak)))
    return np.stack(out, axis=-1)


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
