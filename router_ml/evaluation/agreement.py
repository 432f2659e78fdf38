"""How far two judges of the same answers agree, beyond chance."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.errors import DataError
from router_ml.evaluation.intervals import Estimate
from router_ml.types.arrays import FloatArray

_RESAMPLES: Final = 2_000
MIN_BOTH: Final = 10
"""Answers that both must have judged."""


def cohen_kappa(
    first: FloatArray,
    second: FloatArray,
    *,
    pass_mark: float = 0.5,
    confidence: float = 0.95,
    random_state: int = 0,
) -> Estimate:
    r"""Cohen's kappa of two judges' verdicts, good at ``pass_mark`` or above, with its interval.

    .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}

    with :math:`p_o` the share of equal verdicts and :math:`p_e` what two judges with these margins
    would share by chance. The interval is the percentile bootstrap over answers.

    Parameters
    ----------
    first, second : quality in [0, 1] of the same n answers, shape (n,)

    Raises
    ------
    DataError
        If fewer than 10 answers have both, or both call every answer the same.

    References
    ----------
    .. [1] Cohen, "A Coefficient of Agreement for Nominal Scales", 1960.

    Examples
    --------
    >>> gold = np.array([1.0] * 20 + [0.0] * 20)
    >>> found = cohen_kappa(np.r_[gold[:18], 0.0, 0.0, gold[20:]], gold)
    >>> round(found.value, 2), bool(0.7 < found.low < found.value <= found.high <= 1.0)
    (0.9, True)
    """
    n = len(first)
    if n != len(second) or n < MIN_BOTH:
        raise DataError(
            f"at least {MIN_BOTH} answers must have been judged by both, got {n} and {len(second)}"
        )
    a, b = first >= pass_mark, second >= pass_mark
    counts = np.array([(a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()])
    if counts[0] == n or counts[3] == n:
        raise DataError("both judges call every answer the same, so that kappa says nothing")
    rng = np.random.default_rng(random_state)
    drawn = _kappa(rng.multinomial(n, counts / n, size=_RESAMPLES) / n)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(drawn, (tail, 1.0 - tail))
    return Estimate(float(_kappa(counts / n)), float(low), float(high), n)


def _kappa(shares: FloatArray) -> FloatArray:
    """Kappa of shares (both, first alone, second alone, neither), shape (..., 4)."""
    both, one, other, neither = np.moveaxis(shares, -1, 0)
    chance = (both + one) * (both + other) + (neither + one) * (neither + other)
    room = 1.0 - chance
    kappa: FloatArray = np.divide(
        both + neither - chance, room, out=np.ones_like(room), where=room > 0
    )
    return kappa
