"""Repeated trials as estimates: shares with exact binomial intervals, means with Student's."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit
from scipy.stats import binomtest

from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import BoolArray, FloatArray


def share_of_trials(hits: BoolArray) -> Estimate:
    """Share of hits with the Clopper–Pearson 95 % interval.

    Examples
    --------
    >>> share_of_trials(np.array([True, False])).value
    0.5
    """
    n = len(hits)
    interval = binomtest(int(hits.sum()), n).proportion_ci(0.95)
    return Estimate(float(hits.mean()), float(interval.low), float(interval.high), n)


def mean_of_trials(values: FloatArray, *, root: bool = False) -> Estimate:
    """Mean of independent trials, 95 % Student interval; its square root if ``root``.

    Examples
    --------
    >>> mean_of_trials(np.array([4.0, 4.0]), root=True).value
    2.0
    """
    n = len(values)
    mean = float(np.mean(values))
    quantile = float(stdtrit(n - 1, 0.975)) if n > 1 else 0.0
    reach = quantile * float(np.std(values, ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    ends = np.array([mean, mean - reach, mean + reach])
    value, low, high = np.sqrt(np.maximum(ends, 0.0)) if root else ends
    return Estimate(float(value), float(low), float(high), n)


def root_ratio_of_trials(square: FloatArray, base: FloatArray) -> Estimate:
    """Root of the ratio of two means of paired trials, with a bootstrap 95 % interval over trials.

    Examples
    --------
    >>> root_ratio_of_trials(np.array([4.0, 4.0]), np.array([1.0, 1.0])).value
    2.0
    """
    n = len(square)
    again = np.random.default_rng(0).integers(n, size=(1_000, n))
    ratios = np.sqrt(square[again].mean(axis=1) / base[again].mean(axis=1))
    low, high = np.quantile(ratios, [0.025, 0.975])
    value = float(np.sqrt(square.mean() / base.mean()))
    return Estimate(value, float(low), float(high), n)


def p_value(hits: int, n: int, nominal: float, *, alternative: str) -> Estimate:
    """P-value of a binomial test against a nominal share, as a cell without an interval."""
    p = float(binomtest(hits, n, nominal, alternative=alternative).pvalue)
    return Estimate(p, p, p, n)
