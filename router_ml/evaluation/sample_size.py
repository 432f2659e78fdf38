"""How much evidence a question needs before it is asked."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import FloatArray


def errors_apart(alpha: float = 0.025, power: float = 0.8) -> float:
    """Standard errors that a true effect must measure to be found, one-sided.

    Parameters
    ----------
    alpha : one-sided error rate, in (0, 1)
    power : probability that the effect is found, in (0, 1)

    Examples
    --------
    >>> round(errors_apart(0.025, 0.8), 2)
    2.8
    """
    normal = NormalDist()
    return normal.inv_cdf(1.0 - alpha) + normal.inv_cdf(power)


def labels_for_level(
    variance: float, std: float, margin: float, *, alpha: float = 0.025, power: float = 0.8
) -> int:
    r"""Labels after which a mean is known well enough to tell a difference of ``margin``.

    .. math:: \frac{1}{\tau^2} + \frac{n}{\sigma^2} \ge \left(\frac{z_{1-\alpha} + z_{power}}
              {\delta}\right)^2

    What is believed beforehand, with standard error :math:`\tau`, counts as the labels that it is
    worth.

    Parameters
    ----------
    variance : of one label, >= 0
    std : standard error of the mean now, > 0; ``inf`` = nothing is known
    margin : difference of quality that matters, > 0

    Examples
    --------
    >>> labels_for_level(0.25, np.inf, 0.05), labels_for_level(0.25, 0.05, 0.05)
    (785, 685)
    """
    needed = (errors_apart(alpha, power) / margin) ** 2 - 1.0 / std**2
    return max(0, math.ceil(variance * needed))


def difference_variance(
    new: FloatArray,
    old: FloatArray,
    logging: FloatArray,
    quality: FloatArray,
    label_share: float = 1.0,
) -> float:
    r"""Variance of a row of the doubly robust difference of two policies on a log yet to be made.

    .. math:: \mathrm{E}\Bigl[\sum_a \frac{(\pi_{ia} - \pi'_{ia})^2}{p_{ia}\,\ell}
              q_{ia}(1 - q_{ia})\Bigr]
              + \mathrm{Var}\Bigl[\sum_a (\pi_{ia} - \pi'_{ia}) q_{ia}\Bigr]

    Parameters
    ----------
    new, old, logging : action probabilities of the two policies and of the one that makes the log,
        shape (n, K)
    quality : predicted, in [0, 1], shape (n, K); :math:`q(1 - q)` bounds the variance of a label
    label_share : share of requests that get a label, in (0, 1]

    Raises
    ------
    SchemaError
        If the log would not show a candidate that only one of the two chooses.

    Examples
    --------
    >>> half, first = np.full((4, 2), 0.5), np.tile([1.0, 0.0], (4, 1))
    >>> difference_variance(first, 1.0 - first, half, np.full((4, 2), 0.5))
    1.0
    """
    moved = new - old
    if ((moved != 0) & (logging <= 0)).any():
        raise SchemaError("logging must be > 0 wherever the two policies differ")
    inverse = np.divide(1.0, logging, out=np.zeros_like(moved), where=logging > 0)
    spread = (moved**2 * inverse * quality * (1.0 - quality)).sum(axis=1).mean() / label_share
    return float(spread + (moved * quality).sum(axis=1).var())


def rows_for_difference(
    variance: float, margin: float, *, alpha: float = 0.025, power: float = 0.8
) -> int:
    """Requests after which a difference of ``margin`` is told, for rows of this variance.

    Examples
    --------
    >>> rows_for_difference(1.0, 0.1)
    785
    """
    return math.ceil(variance * (errors_apart(alpha, power) / margin) ** 2)
