"""The weak and the strong candidate: RouteLLM's metrics of two candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.evaluation.metrics import N_RESAMPLES, Metrics
from router_ml.types.arrays import FloatArray, IntArray

ROUTELLM_BINS: Final = 10
"""RouteLLM sweeps the edges of ten equal-mass bins of the score: eleven thresholds."""


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


def two_candidates(score: FloatArray, quality: FloatArray, groups: IntArray) -> Metrics:
    """RouteLLM's APGR and CPT; columns of ``quality`` are weak and strong."""
    return routellm_metrics(
        score, quality[:, 0], quality[:, 1], group_id=groups, n_resamples=N_RESAMPLES
    )
