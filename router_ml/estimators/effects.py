"""Quality as level of the candidate, common part of the query, contrast between candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.types.arrays import BoolArray, FloatArray

_ITERATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Effects:
    r"""Observed quality taken apart.

    .. math:: y_{ik} = \ell_k + c_i + d_{ik}

    A constant router knows :math:`\ell_k`. The common part :math:`c_i` (how hard the query is)
    decides no comparison, the contrast :math:`d_{ik}` decides all of them and is far noisier; so
    every estimator learns the two apart and shrinks the second more.

    Parameters
    ----------
    level : :math:`\ell_k`, shape (K,), shrunken towards the mean of all
    target : shape (n, K + 1); column 0 is :math:`c_i`, the others :math:`d_{ik}`; 0 where unknown
    weight : of the targets, shape (n, K + 1); 0 where unknown
    """

    level: FloatArray
    target: FloatArray
    weight: FloatArray

    def alike(self) -> list[list[int]]:
        """Contrast columns of equal weights, which can share one factorisation."""
        keys: dict[bytes, list[int]] = {}
        for j in range(1, self.weight.shape[1]):
            keys.setdefault(self.weight[:, j].tobytes(), []).append(j)
        return list(keys.values())


def split_effects(
    Y: FloatArray, observed: BoolArray, weight: FloatArray, *, prior: float = 5.0
) -> Effects:
    """Take observed cells apart, by alternating means.

    On full information this is the usual two-way analysis. On a log, levels are means *after* the
    common part is taken out, so a candidate that was mostly served the hard queries is not blamed
    for them; with m of K candidates observed the common part is shrunken as if ``1 - m / K`` more
    labels of an average query had been seen.

    Parameters
    ----------
    Y : shape (n, K), read where observed
    observed : shape (n, K)
    weight : shape (n, K), zero where unobserved
    prior : labels by which a candidate's level is pulled to the mean of all levels

    Examples
    --------
    >>> Y = np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> effects = split_effects(Y, np.ones((2, 2), bool), np.ones((2, 2)), prior=0.0)
    >>> effects.level, effects.target.tolist()
    (array([0.5, 1. ]), [[-0.25, -0.25, 0.25], [0.25, 0.25, -0.25]])
    """
    y = np.where(observed, Y, 0.0)
    mass, per_row = weight.sum(axis=0), weight.sum(axis=1)
    missing = 1.0 - observed.mean(axis=1)
    divisor = np.where(per_row > 0, per_row + missing, 1.0)
    overall = float((weight * y).sum() / mass.sum())
    level, common = np.full(Y.shape[1], overall), np.zeros(len(Y))
    for _ in range(_ITERATIONS):
        sums = (weight * (y - common[:, None])).sum(axis=0)
        level = (sums + prior * overall) / np.maximum(mass + prior, 1e-12)
        common = (weight * (y - level)).sum(axis=1) / divisor
        common -= np.average(common, weights=per_row)
    contrast = np.where(observed, y - level - common[:, None], 0.0)
    return Effects(
        level=level,
        target=np.column_stack([common, contrast]),
        weight=np.column_stack([per_row / max(per_row.mean(), 1e-12), weight]),
    )


def split_predictions(quality: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Common part (n, 1) and contrast (n, K) of full predictions about given levels."""
    left = quality - level
    common = left.mean(axis=1, keepdims=True)
    return common, left - common
