"""Estimates with intervals: the paired cluster bootstrap over ``group_id``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from router_ml.errors import DataError, SchemaError
from router_ml.types.arrays import FloatArray, IntArray

_BLOCK: Final = 4_000_000
"""Counts held at once while resampling (32 MB)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its interval, and the rows behind it; the cell of every benchmark table.

    Parameters
    ----------
    value : point estimate
    low, high : ends of the confidence interval, 95 % two-sided unless said otherwise
    n : rows used

    Examples
    --------
    >>> Estimate(0.9, 0.88, 0.92, 500).as_dict()
    {'value': 0.9, 'low': 0.88, 'high': 0.92, 'n': 500}
    """

    value: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary; what is not finite is null."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {k: v if math.isfinite(v) else None for k, v in values.items()} | {"n": self.n}

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2.0


def group_sums(columns: FloatArray, group_id: IntArray | None) -> FloatArray:
    """Sum rows that share a group.

    Parameters
    ----------
    columns : float array, shape (n, m)
    group_id : any integer labels, shape (n,); None makes every row its own group

    Returns
    -------
    float array, shape (n_groups, m)
    """
    columns = np.asarray(columns, dtype=float)
    if group_id is None:
        return columns
    if len(group_id) != len(columns):
        raise SchemaError(f"group_id must have {len(columns)} rows, got {len(group_id)}")
    code = np.unique(group_id, return_inverse=True)[1]
    sums = [np.bincount(code, weights=column) for column in columns.T]
    return np.stack(sums, axis=1)


def resample(sums: FloatArray, *, n_resamples: int, random_state: int) -> FloatArray:
    """Totals of ``n_resamples`` bootstrap samples of groups.

    Each sample draws as many groups as there are, with replacement; its total is the multinomial
    count of every group times that group's sums, one matrix product for a whole block of samples.

    Parameters
    ----------
    sums : float array, shape (n_groups, m)

    Returns
    -------
    float array, shape (n_resamples, m)
    """
    rng = np.random.default_rng(random_state)
    n_groups = len(sums)
    return np.concatenate([counts @ sums for counts in _counts(n_groups, n_resamples, rng)])


def _counts(n_groups: int, n_resamples: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Multinomial counts in blocks of shape (block, n_groups)."""
    block = max(1, _BLOCK // n_groups)
    for begin in range(0, n_resamples, block):
        rows = min(block, n_resamples - begin)
        draw = rng.integers(n_groups, size=(rows, n_groups))
        draw += n_groups * np.arange(rows)[:, None]
        counts = np.bincount(draw.ravel(), minlength=rows * n_groups)
        yield counts.reshape(rows, n_groups).astype(float)


def bootstrap(
    columns: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    *,
    group_id: IntArray | None = None,
    n_resamples: int = 2_000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> list[Estimate]:
    """Percentile intervals of statistics that are functions of column totals.

    Everything computed from the same totals is paired by construction: a difference between two
    policies, or to a baseline, is one more output of ``statistic``.

    Parameters
    ----------
    columns : float array, shape (n, m), finite
    statistic : maps totals of shape (..., m) to values of shape (..., p)
    group_id : int array, shape (n,), the unit that is resampled; default: the row
    n_resamples : bootstrap samples
    confidence : two-sided level

    Returns
    -------
    p estimates

    Raises
    ------
    DataError
        If a statistic is undefined (NaN) on the data or on every resample.

    Examples
    --------
    >>> quality = np.array([1.0, 0.0, 1.0, 1.0])
    >>> columns = np.column_stack([quality, np.ones(4)])
    >>> estimate, = bootstrap(columns, lambda t: t[..., :1] / t[..., 1:])
    >>> estimate.value
    0.75
    """
    sums = group_sums(columns, group_id)
    if len(sums) == 0:
        raise DataError("no rows to estimate from; expected at least one")
    values = statistic(sums.sum(axis=0))
    draws = statistic(resample(sums, n_resamples=n_resamples, random_state=random_state))
    if np.isnan(values).any() or np.isnan(draws).all(axis=0).any():
        raise DataError("a statistic is undefined on these rows (zero weight or no label)")
    tail = (1.0 - confidence) / 2.0
    bounds = np.empty((2, draws.shape[1]))
    tails = [tail, 1.0 - tail]
    endless = np.isinf(draws).any(axis=0)  # such as a ratio to a cost of zero: no interpolation
    bounds[:, ~endless] = np.nanquantile(draws[:, ~endless], tails, axis=0)
    bounds[:, endless] = np.nanquantile(draws[:, endless], tails, axis=0, method="inverted_cdf")
    low, high = bounds
    return [
        Estimate(float(v), float(a), float(b), len(columns))
        for v, a, b in zip(values, low, high, strict=True)
    ]


def bootstrap_mean(
    values: FloatArray,
    *,
    group_id: IntArray | None = None,
    n_resamples: int = 2_000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> Estimate:
    """Mean of ``values``, shape (n,); pass paired differences for a comparison."""
    (estimate,) = bootstrap(
        np.column_stack([values, np.ones(len(values))]),
        lambda total: total[..., :1] / total[..., 1:],
        group_id=group_id,
        n_resamples=n_resamples,
        confidence=confidence,
        random_state=random_state,
    )
    return estimate


def bootstrap_ratios(
    numerators: FloatArray,
    denominators: FloatArray,
    *,
    group_id: IntArray | None = None,
    n_resamples: int = 1_000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> list[Estimate]:
    r"""Studentised bootstrap (bootstrap-t) of several ratios of sums, all from one resampling.

    With group sums :math:`N_g, D_g`, value :math:`v = \sum N_g / \sum D_g` and squared error
    :math:`s^2 = \sum (N_g - v D_g)^2 / (\sum D_g)^2`, the interval is
    :math:`[v - t_{1-\alpha/2} s,\; v - t_{\alpha/2} s]` with :math:`t` the quantiles of
    :math:`(v^* - v) / s^*`. Both :math:`v^*` and :math:`s^*` are functions of resampled sums, so it
    costs no inner bootstrap. It follows the skew that large weights bring, where percentile
    intervals cover too little.

    Parameters
    ----------
    numerators, denominators : float arrays, shape (n, p)
    group_id : int array, shape (n,), the unit that is resampled

    Returns
    -------
    p estimates

    Examples
    --------
    >>> values = np.array([[0.0], [1.0], [1.0], [0.0], [1.0], [0.0]])
    >>> bootstrap_ratios(values, np.ones((6, 1)))[0].value
    0.5
    """
    n, p = numerators.shape
    sums = group_sums(np.hstack([numerators, denominators]), group_id)
    top, bottom = sums[:, :p], sums[:, p:]
    columns = np.hstack([top, bottom, top * top, top * bottom, bottom * bottom])
    value, error = _ratio_and_error(columns.sum(axis=0), p)
    draws = resample(columns, n_resamples=n_resamples, random_state=random_state)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn, drawn_error = _ratio_and_error(draws, p)
        t = np.where(drawn_error > 0, (drawn - value) / drawn_error, 0.0)
    tail = (1.0 - confidence) / 2.0
    t_low, t_high = np.quantile(t, [tail, 1.0 - tail], axis=0)
    return [
        Estimate(float(v), float(v - b * e), float(v - a * e), n)
        for v, e, a, b in zip(value, error, t_low, t_high, strict=True)
    ]


def simultaneous_means(
    values: FloatArray,
    group_id: IntArray | None = None,
    *,
    n_resamples: int = 1_000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> list[Estimate]:
    r"""Means of m columns with intervals that hold all at once (max-t).

    .. math:: \bar v_j \pm c\, s_j, \quad c \text{ the quantile of }
              \max_j |\bar v_j^* - \bar v_j| / s_j

    over resamples of groups. Columns that move together pay less than Bonferroni asks.

    Parameters
    ----------
    values : float array, shape (n, m); paired differences to m rivals, or one policy at m budgets
    group_id : int array, shape (n,), the unit that is resampled

    References
    ----------
    .. [1] Romano and Wolf, "Exact and Approximate Stepdown Methods for Multiple Hypothesis
       Testing", JASA 100, 2005.

    Examples
    --------
    >>> values = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    >>> [estimate.value for estimate in simultaneous_means(values)]
    [0.5, 1.0]
    """
    n, m = values.shape
    sums = group_sums(np.column_stack([values, np.ones(n)]), group_id)
    mean = sums[:, :m].sum(axis=0) / n
    draws = resample(sums, n_resamples=n_resamples, random_state=random_state)
    moved = draws[:, :m] / draws[:, m:] - mean
    error = moved.std(axis=0)
    t = np.abs(moved) / np.where(error > 0, error, 1.0)
    half = float(np.quantile(t.max(axis=1, initial=0.0), confidence)) * error
    return [
        Estimate(float(v), float(v - h), float(v + h), n) for v, h in zip(mean, half, strict=True)
    ]


def _ratio_and_error(total: FloatArray, p: int) -> tuple[FloatArray, FloatArray]:
    """Ratios and their standard errors from totals of shape (..., 5p)."""
    top, bottom, tt, tb, bb = (total[..., i * p : (i + 1) * p] for i in range(5))
    value = top / bottom
    square = np.maximum(tt - 2.0 * value * tb + value**2 * bb, 0.0)
    return value, np.sqrt(square) / np.abs(bottom)


def skewness(values: FloatArray, group_id: IntArray | None = None) -> float:
    r"""Skewness of a mean over clusters, :math:`\sum_g r_g^3 / (\sum_g r_g^2)^{3/2}`.

    Of the deviations :math:`r_g` of cluster sums; it falls with the root of their number.

    Examples
    --------
    >>> skewness(np.array([-1.0, 1.0])), round(skewness(np.array([0.0, 0.0, 0.0, 4.0])), 3)
    (0.0, 0.577)
    """
    deviation = np.asarray(values, dtype=float) - np.mean(values)
    sums = group_sums(deviation[:, None], group_id)[:, 0]
    square = float(np.sum(sums**2))
    return float(np.sum(sums**3)) / square**1.5 if square > 0.0 else 0.0


def cluster_mean(values: FloatArray, group_id: IntArray | None = None) -> tuple[float, float, int]:
    r"""Mean, its cluster-robust standard error, and the number of clusters.

    With cluster sums :math:`S_g`, sizes :math:`n_g` and mean :math:`m = \sum S_g / \sum n_g`,

    .. math:: \mathrm{se}^2 = \frac{G}{G-1} \frac{\sum_g (S_g - m n_g)^2}{(\sum_g n_g)^2}

    Parameters
    ----------
    values : float array, shape (n,), finite
    group_id : int array, shape (n,); default: every row is its own cluster

    Raises
    ------
    DataError
        If there are fewer than two clusters or a value is not finite.

    Examples
    --------
    >>> mean, error, groups = cluster_mean(np.array([1.0, 3.0]))
    >>> mean, error, groups
    (2.0, 1.0, 2)
    """
    values = np.asarray(values, dtype=float)
    if not np.isfinite(values).all():
        raise DataError(f"values must be finite, got {values[~np.isfinite(values)][0]}")
    sums = group_sums(np.column_stack([values, np.ones(len(values))]), group_id)
    groups = len(sums)
    if groups < 2:
        raise DataError(f"a standard error needs at least two groups, got {groups}")
    n = len(values)
    mean = sums[:, 0].sum() / n
    residual = sums[:, 0] - mean * sums[:, 1]
    error = np.sqrt(groups / (groups - 1) * np.sum(residual**2)) / n
    return float(mean), float(error), groups
