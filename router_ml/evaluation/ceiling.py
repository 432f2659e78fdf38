"""How much of the oracle's lead a router could reach: single labels are partly luck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from router_ml.data.groups import group_codes
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import FloatArray, IntArray

MIN_REPEATS: Final = 30
"""Rows whose query stands there more than once; below, nothing is said by repeats."""
_RESAMPLES: Final = 1_000


def reachable_by_repeats(quality: FloatArray, query_id: Sequence[str]) -> Estimate | None:
    r"""Share of the oracle's lead that labels of the same query, taken apart, bear out.

    .. math:: \frac{E[Y_{i k^*(-i)}] - V_1}{E[\max_k Y_{ik}] - V_1}, \quad
              k^*(-i) = \arg\max_k \bar Y_{-i, k}

    over rows i whose query has further rows, with labels of its own: the choice is made by the
    others' mean, ties by the mean of all, and paid by row i. :math:`V_1` is the best single
    candidate there. What the oracle has beyond is the luck of one draw. One other label is a noisy
    guide, so this is a lower bound.

    Parameters
    ----------
    quality : shape (n, K)
    query_id : of every row; equal ids are the same query, labelled anew

    Returns
    -------
    ``None`` with fewer than 30 such rows

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> chance = np.repeat(rng.choice([0.2, 0.8], (200, 3)), 2, axis=0)
    >>> labels = (rng.random((400, 3)) < chance).astype(float)
    >>> found = reachable_by_repeats(labels, np.repeat(np.arange(200), 2).astype(str))
    >>> bool(0.2 < found.value < 0.6)
    True
    """
    code = group_codes(np.asarray(query_id))
    size = np.bincount(code)
    rows = np.flatnonzero(size[code] > 1)
    if len(rows) < MIN_REPEATS:
        return None
    Y, code = quality[rows], code[rows]
    total = np.zeros((len(size), Y.shape[1]))
    np.add.at(total, code, Y)
    others = (total[code] - Y) / (size[code] - 1)[:, None]
    chosen = (others + 1e-9 * Y.mean(axis=0)).argmax(axis=1)
    return _share(Y, Y[np.arange(len(Y)), chosen], group_codes(code))


def reachable_by_expectation(
    quality: FloatArray, predicted: FloatArray, groups: IntArray
) -> Estimate:
    r"""Share of the oracle's lead that calibrated probabilities expect of the best choice.

    .. math:: \frac{E[\max_k \hat q_{ik}] - V_1}{E[\max_k Y_{ik}] - V_1}

    What a router would have that knew exactly what the predictions know. They may know less than
    there is to know: a lower bound, too, as far as they are calibrated, since the maximum of noisy
    predictions is biased upwards.

    Parameters
    ----------
    quality, predicted : shape (n, K); predictions held out and calibrated
    groups : int codes, shape (n,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> chance = rng.choice([0.2, 0.8], (2000, 3))
    >>> labels = (rng.random(chance.shape) < chance).astype(float)
    >>> round(reachable_by_expectation(labels, chance, np.arange(2000)).value, 1)
    0.6
    """
    return _share(quality, predicted.max(axis=1), groups)


def corrected_gap(raw: Estimate, reachable: Estimate) -> Estimate:
    """Share of the reachable gap that is closed: the raw share over the reachable one.

    The interval joins both errors as if they were independent; NaN where nothing is reachable.

    Examples
    --------
    >>> found = corrected_gap(Estimate(0.2, 0.1, 0.3, 100), Estimate(0.5, 0.4, 0.6, 50))
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.4, 0.185, 0.615)
    """
    if reachable.value <= 0.0:
        return Estimate(float("nan"), float("nan"), float("nan"), raw.n)
    value = raw.value / reachable.value
    half = np.hypot(raw.half_width, value * reachable.half_width) / reachable.value
    return Estimate(value, value - float(half), value + float(half), raw.n)


def _share(quality: FloatArray, best_known: FloatArray, groups: IntArray) -> Estimate:
    single = quality[:, best_constant(quality, np.zeros(quality.shape))]
    columns = np.column_stack([best_known - single, quality.max(axis=1) - single])

    def statistic(total: FloatArray) -> FloatArray:
        gap = total[..., 1:]
        return np.where(gap > 0, total[..., :1] / np.where(gap > 0, gap, 1.0), 0.0)

    return bootstrap(columns, statistic, group_id=groups, n_resamples=_RESAMPLES)[0]
