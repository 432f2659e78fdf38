"""Finite-sample bounds for means of bounded values: empirical Bernstein, betting, Bentkus."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr

from router_ml.errors import DataError
from router_ml.evaluation.intervals import Estimate, group_sums
from router_ml.types.arrays import FloatArray, IntArray


def cluster_values(
    values: FloatArray, group_id: IntArray | None, *, scale: float | None = None
) -> FloatArray:
    """One value per cluster whose mean is the row mean up to a known factor.

    Cluster sums over ``scale``, the mean cluster size by default. Divided by the largest cluster's
    size they stay within the range of the rows, which bounds need.
    """
    if group_id is None:
        return np.asarray(values, dtype=float)
    sums = group_sums(np.column_stack([values, np.ones(len(values))]), group_id)
    rows: FloatArray = sums[:, 0] / (sums[:, 1].mean() if scale is None else scale)
    return rows


def empirical_bernstein(
    values: FloatArray,
    *,
    low: float,
    high: float,
    group_id: IntArray | None = None,
    confidence: float = 0.95,
) -> Estimate:
    r"""Two-sided interval for a mean, valid at every sample size.

    .. math:: \bar x \pm \Big(\sqrt{\frac{2 \hat\sigma^2 \log(4/\delta)}{n}}
              + \frac{7 R \log(4/\delta)}{3(n-1)}\Big)

    with :math:`R` the range, which must be known, and not read off the sample. For IPW it is the
    largest possible weight times the largest outcome.

    Parameters
    ----------
    values : float array, shape (n,), in [low, high]
    group_id : int array, shape (n,); clusters of unequal size widen the range by the largest
        cluster's size over the mean size

    References
    ----------
    .. [1] Maurer and Pontil, "Empirical Bernstein Bounds and Sample Variance Penalization",
       COLT 2009.
    """
    if values.min() < low - 1e-9 or values.max() > high + 1e-9:
        raise DataError(
            f"values must lie in [{low}, {high}], got {values.min():.6g} to {values.max():.6g}"
        )
    rows = cluster_values(values, group_id)
    n = len(rows)
    if n < 2:
        raise DataError(f"empirical Bernstein needs at least two groups, got {n}")
    # A cluster's value is a sum of up to `size` rows over the mean size.
    size = 1.0 if group_id is None else float(np.unique(group_id, return_counts=True)[1].max())
    span = (max(high * size, high) - min(low * size, low)) * n / len(values)
    log = np.log(4.0 / (1.0 - confidence))
    half = np.sqrt(2.0 * rows.var(ddof=1) * log / n) + 7.0 * span * log / (3.0 * (n - 1))
    mean = float(rows.mean())
    return Estimate(mean, max(low, mean - half), min(high, mean + half), len(values))


def betting_p_value(values: FloatArray, *, upper: float, delta: float = 0.05) -> float:
    r"""P-value for "the mean is at least zero", by betting against it.

    .. math:: K_t = \prod_{i \le t} (1 - \lambda_i x_i), \qquad p = 1 / \max_t K_t

    With :math:`0 \le \lambda_i < 1/\text{upper}` chosen from the past alone, :math:`K` is a
    nonnegative supermartingale if the mean is zero or more, so Ville's inequality bounds its
    maximum. The stakes :math:`\lambda_i = \sqrt{2 \log(1/\delta) / (n \hat\sigma_{i-1}^2)}` are
    nearly the best for a test at level ``delta``.

    Parameters
    ----------
    values : float array, shape (n,), independent, each at most ``upper``; in random order
    upper : largest possible value, > 0
    delta : level at which the stakes aim

    References
    ----------
    .. [1] Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
       JRSS B, 2024.

    Examples
    --------
    >>> bool(betting_p_value(np.full(500, -0.1), upper=1.0) < 1e-6)
    True
    >>> betting_p_value(np.full(500, 0.1), upper=1.0)
    1.0
    """
    x = np.asarray(values, dtype=float)
    if x.max() > upper + 1e-12:
        raise DataError(f"values must be at most {upper}, got {x.max():.6g}")
    n = len(x)
    count = np.arange(1, n + 1)
    mean = np.cumsum(x) / (count + 1.0)
    # A first guess of the variance, that of fair coins; it moves the stakes, not the validity.
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (count + 1.0)
    past = np.concatenate([[0.25], variance[:-1]])
    stake = np.minimum(np.sqrt(2.0 * np.log(1.0 / delta) / (n * past)), 0.75 / upper)
    log_capital = np.cumsum(np.log1p(-stake * x))
    return float(np.exp(-max(0.0, log_capital.max())))


def hoeffding_bentkus_p_value(values: FloatArray, *, low: float, high: float) -> float:
    r"""P-value for "the mean is at least zero" of values in [low, high], by Hoeffding–Bentkus.

    With losses rescaled to [0, 1], :math:`\alpha` the rescaled zero and :math:`r` the mean,

    .. math:: p = \min\big(e^{-n\,\mathrm{kl}(\min(r, \alpha), \alpha)},\;
              e\,P(\mathrm{Bin}(n, \alpha) \le \lceil n r \rceil)\big)

    References
    ----------
    .. [1] Bates et al., "Distribution-Free, Risk-Controlling Prediction Sets", JACM 2021.

    Examples
    --------
    >>> hoeffding_bentkus_p_value(np.zeros(10), low=-1.0, high=1.0)
    1.0
    """
    n = len(values)
    alpha = -low / (high - low)
    mean = float(np.clip((np.mean(values) - low) / (high - low), 0.0, 1.0))
    r = min(mean, alpha)
    kl = sum(a * np.log(a / b) if a > 0 else 0.0 for a, b in ((r, alpha), (1.0 - r, 1.0 - alpha)))
    bentkus = np.e * bdtr(np.ceil(round(n * mean, 9)), n, alpha)
    return float(min(1.0, np.exp(-n * kl), bentkus))
