r"""Intervals that hold at every moment of an experiment at once, so that anybody may look any time.

An ordinary 95 % interval that is looked at day after day misses the truth sooner or later. A
confidence sequence is wider by a logarithm, and misses it at any of its moments with probability
:math:`\alpha` altogether.
"""

from __future__ import annotations

import math

import numpy as np

from router_ml.errors import DataError
from router_ml.types.arrays import FloatArray


def half_width(std: float, n: int, *, alpha: float = 0.05, planned: int = 1_000) -> float:
    r"""Half the width of the asymptotic confidence sequence of a mean.

    .. math:: \hat\sigma_n \sqrt{\frac{2 (n \rho^2 + 1)}{n^2 \rho^2}
              \log \frac{\sqrt{n \rho^2 + 1}}{\alpha}}

    with :math:`\rho` such that it is about tightest at ``planned``. Valid for any planned number,
    if it is chosen before looking.

    Parameters
    ----------
    std : standard deviation of the values so far, >= 0
    n : how many there are, >= 1
    alpha : probability that the truth is ever outside
    planned : number of values at which to be tightest, >= 1

    References
    ----------
    .. [1] Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
       asymptotic confidence sequences", Annals of Statistics, 2024, Theorem 2.2.

    Examples
    --------
    >>> wide, fixed = half_width(1.0, 1_000), 1.96 / 1_000**0.5
    >>> 1.3 < wide / fixed < 1.7
    True
    """
    if n < 1 or planned < 1 or not 0.0 < alpha < 1.0:
        raise DataError(f"expected n and planned >= 1 and alpha in (0, 1), got {n}, {planned}")
    log = -2.0 * math.log(alpha)
    rho2 = (log + math.log(log + 1.0)) / planned
    grown = n * rho2 + 1.0
    inner = 2.0 * grown / (n * n * rho2) * math.log(math.sqrt(grown) / alpha)
    return std * math.sqrt(inner)


def quantile_interval(
    values: FloatArray,
    unit: FloatArray,
    p: float,
    *,
    alpha: float = 0.05,
    planned: int = 1_000,
) -> tuple[float, float, float]:
    r"""A quantile, and its confidence sequence, of values that come in units.

    The share of values below the quantile is a mean of units; its sequence, at the quantile, is
    inverted: :math:`[Q(p - h), Q(p + h)]`.

    Parameters
    ----------
    values : shape (n,)
    unit : code of each value's unit, such as its session, shape (n,)
    p : in (0, 1)
    """
    if not len(values):
        return math.nan, -math.inf, math.inf
    ordered = np.sort(values)
    middle = float(np.quantile(ordered, p, method="inverted_cdf"))
    _, code = np.unique(unit, return_inverse=True)
    size = np.bincount(code).astype(float)
    below = np.bincount(code, weights=values <= middle)
    residual = (below - below.sum() / size.sum() * size) / size.mean()
    h = half_width(float(residual.std()), len(size), alpha=alpha, planned=planned)
    low = float(np.quantile(ordered, p - h, method="inverted_cdf")) if p - h > 0 else -math.inf
    high = float(np.quantile(ordered, p + h, method="inverted_cdf")) if p + h < 1 else math.inf
    return middle, low, high
