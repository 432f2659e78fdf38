"""What a card and labels say together of every candidate's mean quality."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.types.arrays import FloatArray

COMMON: Final = 0.5
"""Share of a card's error that all candidates have in common: its questions are other ones."""
_SPREADS: Final = (1.0, 0.71, 0.5, 0.35, 0.25)
"""What the standard errors between candidates may be, in those of the card."""
_MIN_CANDIDATES: Final = 3


def believed_levels(
    card: FloatArray, std: FloatArray, seen: FloatArray, precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    r"""Posterior mean and standard error of every candidate's level.

    .. math:: m_k = c_k + b + \delta_k, \quad b \sim N(0, \bar s^2 / 2), \quad
              \delta_k \sim N(0, \tau^2 s_k^2 / 2), \quad \bar y_k \sim N(m_k, 1 / p_k)

    One half of a card's error is its level, which labels of any candidate correct for all: a
    candidate that nobody has asked is not left at what a vendor published while the others fall.
    The other half is between candidates. It may be smaller than the card says, and
    :math:`\tau \in \{1, \dots, 1/4\}` is averaged over by how likely each makes the labels, so that
    levels which differ by no more than their noise are drawn together (empirical Bayes), and the
    candidate that was lucky is not taken for the best.

    Parameters
    ----------
    card, std : :math:`c, s`, shape (K,)
    seen, precision : :math:`\bar y, p`, shape (K,); precision is 0 without labels

    Examples
    --------
    >>> card, std = np.array([0.8, 0.8, 0.8]), np.full(3, 0.1)
    >>> seen, precision = np.array([0.6, 0.6, 0.0]), np.array([900.0, 900.0, 0.0])
    >>> believed_levels(card, std, seen, precision)[0].round(2).tolist()
    [0.61, 0.61, 0.68]
    """
    known = precision > 0
    if not known.any():
        return card, std
    left = (seen - card)[known]
    noise = np.diag(1.0 / precision[known])
    spreads = _SPREADS if known.sum() >= _MIN_CANDIDATES else (1.0,)
    means, variances, evidence = [], [], []
    for spread in spreads:
        cov = np.diag((1.0 - COMMON) * (spread * std) ** 2) + COMMON * np.mean(std**2)
        within = cov[np.ix_(known, known)] + noise
        gain = np.linalg.solve(within, cov[known]).T
        means.append(card + gain @ left)
        variances.append(np.diag(cov) - np.sum(gain * cov[:, known], axis=1))
        fit = left @ np.linalg.solve(within, left) + np.linalg.slogdet(within)[1]
        evidence.append(-0.5 * fit)
    likely = np.exp(np.array(evidence) - max(evidence))
    likely /= likely.sum()
    mean = likely @ np.stack(means)
    variance = likely @ (np.stack(variances) + (np.stack(means) - mean) ** 2)
    return mean, np.sqrt(variance)
