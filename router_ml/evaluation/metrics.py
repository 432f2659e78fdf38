"""What a router is worth against constants and oracle, and RouteLLM's two-candidate metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.types.arrays import FloatArray, IntArray

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


def regret(action_probs: FloatArray, utility: FloatArray) -> FloatArray:
    """Utility lost on every row against the best candidate of that row, shape (n,)."""
    lost: FloatArray = utility.max(axis=1) - expected(action_probs, utility)
    return lost


def oracle_gap_closed(action_probs: FloatArray, utility: FloatArray) -> float:
    r"""Share of the way from the best constant to the oracle.

    .. math:: \frac{V(\pi) - \max_k V(k)}{V(\text{oracle}) - \max_k V(k)}

    Examples
    --------
    >>> utility = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> round(oracle_gap_closed(np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]), utility), 3)
    0.5
    """
    constant = utility.mean(axis=0).max()
    gap = utility.max(axis=1).mean() - constant
    gained = expected(action_probs, utility).mean() - constant
    return float(gained / gap) if gap > 0 else float("nan")


def cost_per_quality(cost_usd: FloatArray, quality: FloatArray) -> float:
    """Dollars per unit of quality: mean cost over mean quality, of per-row values (n,)."""
    total = float(np.sum(quality))
    return float(np.sum(cost_usd)) / total if total > 0 else float("inf")


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
