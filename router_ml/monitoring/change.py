"""Since when, and from what to what: a change in a stream that is known to have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import betaln

from router_ml.errors import DataError
from router_ml.types.arrays import FloatArray

_LEAST: Final = 3
"""Outcomes on either side."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """First outcome after the change: the most likely one, and the ends of an interval."""

    at: int
    low: int
    high: int


def locate(values: FloatArray, *, binary: bool = False, confidence: float = 0.95) -> ChangePoint:
    r"""Where the mean of a series changed, given that it did once.

    With a flat prior on the position and a unit-information prior on the size, the posterior is

    .. math:: p(t) \propto (1 + n_t)^{-1/2}
              \exp\Big(\frac{z_t^2}{2}\frac{n_t}{1 + n_t}\Big), \qquad n_t = \frac{t (n - t)}{n},

    :math:`z_t` being the difference of the means on both sides in standard errors; of zeros and
    ones it is the product of both sides' beta-binomial likelihoods under Jeffreys' prior. The
    interval is from the first to the last position of the smallest set that has the wanted
    probability.

    Parameters
    ----------
    values : shape (n,), n >= 6, in order of time
    binary : whether they are zeros and ones

    References
    ----------
    .. [1] Smith, "A Bayesian approach to inference about a change-point in a sequence of random
       variables", Biometrika, 1975.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = locate(np.r_[rng.normal(0.0, 1.0, 300), rng.normal(-2.0, 1.0, 30)])
    >>> found.low <= 300 <= found.high, found.high - found.low < 10
    (True, True)
    """
    n = len(values)
    if n < 2 * _LEAST:
        raise DataError(f"expected at least {2 * _LEAST} values, got {n}")
    t = np.arange(_LEAST, n - _LEAST + 1)
    head = np.cumsum(values)[t - 1]
    rest = values.sum() - head
    if binary:
        power = betaln(head + 0.5, t - head + 0.5) + betaln(rest + 0.5, n - t - rest + 0.5)
    else:
        difference, size = rest / (n - t) - head / t, t * (n - t) / n
        within = np.maximum(values.var() - difference**2 * size / n, 1e-12)
        power = 0.5 * difference**2 * size / within * size / (1.0 + size) - 0.5 * np.log1p(size)
    posterior = np.exp(power - power.max())
    posterior /= posterior.sum()
    order = np.argsort(-posterior, kind="stable")
    chosen = order[: int(np.searchsorted(np.cumsum(posterior[order]), confidence)) + 1]
    return ChangePoint(int(t[order[0]]), int(t[chosen.min()]), int(t[chosen.max()]))
