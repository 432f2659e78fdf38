"""Doubly robust with shrunken weights: as exact as the data allow, from DM to DR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from router_ml.evaluation.intervals import cluster_mean
from router_ml.evaluation.off_policy.estimators import RowValues, direct_method, doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import FloatArray, IntArray


def shrunken_doubly_robust(
    log: LoggedFeedback, action_probs: FloatArray, predicted: FloatArray
) -> RowValues:
    r"""DR with weights clipped at :math:`\sqrt n / 2` and multiplied by a factor from the data.

    .. math:: \hat V = \hat V_{DM} + c\, (\hat V_{DR} - \hat V_{DM}), \quad
              c = \frac{\hat B^2}{\hat B^2 + \hat\sigma^2}, \quad
              \hat B = \hat V_{DR} - \hat V_{DM}

    :math:`c` minimises :math:`(1 - c)^2 B^2 + c^2 \sigma^2`, the mean squared error if DM misses by
    B and the correction has variance :math:`\sigma^2`: where the log cannot tell the correction
    from noise the predictions are believed, where they are plainly wrong they are corrected in
    full. The correction is normalised by the mean weight. Both devices vanish as the log grows, so
    the estimate is consistent wherever DR is; it is the general scheme of [1]_ with a common factor
    in the place of a function of the weight, and the truncation of [2]_.

    Where all that the policy would get is known, as the cost of what is served today, nothing is
    corrected: the estimate is its mean.

    The interval takes no credit for any of it: it is that of the unshrunken DR, made longer where
    it does not hold the estimate.

    Parameters
    ----------
    action_probs : float array, shape (n, K), of the evaluation policy
    predicted : float array, shape (n, K), cross-fitted predictions

    References
    ----------
    .. [1] Su, Dimakopoulou, Krishnamurthy and Dudík, "Doubly Robust Off-policy Evaluation with
       Shrinkage", ICML 2020.
    .. [2] Ionides, "Truncated Importance Sampling", Journal of Computational and Graphical
       Statistics, 2008.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> action = rng.integers(2, size=1_000)
    >>> log = LoggedFeedback(action, np.full(1_000, 0.5), (rng.random(1_000) < 0.8).astype(float))
    >>> first = np.tile([1.0, 0.0], (1_000, 1))
    >>> wrong, right = (np.full((1_000, 2), q) for q in (0.2, 0.8))
    >>> [round(shrunken_doubly_robust(log, first, q).value, 2) for q in (wrong, right)]
    [0.78, 0.79]
    """
    full = doubly_robust(log, action_probs, predicted, self_normalised=True)
    if (full.weights == 1.0).all():
        return full
    clip = np.sqrt(len(log)) / 2.0
    corrected = doubly_robust(log, action_probs, predicted, self_normalised=True, clip=clip)
    direct = direct_method(log, action_probs, predicted).numerator
    correction = corrected.numerator - direct
    factor = kept_share(correction, log.group_id)
    return replace(full, numerator=direct + factor * correction, interval_of=full)


def kept_share(correction: FloatArray, group_id: IntArray) -> float:
    """The factor of a correction whose mean squared error is least, from its row values."""
    shift, error, _ = cluster_mean(correction, group_id)
    square = shift**2
    return square / (square + error**2) if square > 0.0 else 0.0
