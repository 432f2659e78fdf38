"""A floor with a guarantee: learn, then test, then ship the cheapest point that passed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.concentration import (
    betting_p_value,
    cluster_values,
    hoeffding_bentkus_p_value,
)
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

Method = Literal["betting", "hoeffding-bentkus"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Operating points that keep the floor with the stated confidence.

    Parameters
    ----------
    index : the last certified point of the sequence, None when none is: then use the reference
    p_values : float array, shape (m,), NaN for points that were not tested any more
    certified : bool array, shape (m,)
    delta : probability with which any certified point may violate the floor
    required_rows : rows that would certify the first point that was not, if its mean loss is as it
        looks; None if that is not below zero, so that more data will not help, or if all passed
    """

    index: int | None
    p_values: FloatArray
    certified: BoolArray
    delta: float
    required_rows: int | None

    def text(self, *, reference: str, floor: float) -> str:
        """Say what is certified, or what it would take."""
        claim = f"mean quality is at least {floor:.0%} of always calling {reference}"
        if self.index is not None:
            return f"with {1.0 - self.delta:.0%} confidence, {claim} (point {self.index})"
        if self.required_rows is None:
            return (
                f"not even the safest operating point looks able to promise that {claim}; use "
                f"{reference}"
            )
        return (
            f"no operating point is certified that {claim}; use {reference}. About "
            f"{self.required_rows:,} labelled rows would be needed"
        )


def floor_loss(
    quality: FloatArray, reference_quality: FloatArray, *, floor: float = 0.98
) -> FloatArray:
    r"""Paired loss :math:`\text{floor} \cdot q_{ref} - q`; its mean is below 0 iff the floor holds.

    Parameters
    ----------
    quality : float array, shape (n, m), of every operating point on every row
    reference_quality : float array, shape (n,), of the reference candidate, chosen on other data

    Examples
    --------
    >>> floor_loss(np.array([[1.0, 0.0]]), np.array([1.0])).round(2)
    array([[-0.02,  0.98]])
    """
    loss: FloatArray = floor * np.asarray(reference_quality)[:, None] - quality
    return loss


def certify(
    loss: FloatArray,
    *,
    low: float = -1.0,
    high: float | FloatArray = 1.0,
    delta: float = 0.05,
    method: Method = "betting",
    group_id: IntArray | None = None,
    random_state: int = 0,
) -> Certificate:
    r"""Certify operating points whose mean loss is below zero, by fixed-sequence testing.

    Points are tested in their given order, each at level ``delta``, until one fails. The first
    violating point of the sequence must be rejected wrongly for any violation to be certified, and
    that has probability at most ``delta``: no correction for many points is needed. Order them
    beforehand, from the safest (dearest) to the cheapest, without looking at these rows.

    Parameters
    ----------
    loss : float array, shape (n, m), in [low, high]; rows not used to fit or order the points.
        From a log, doubly robust row values may stand in; their range is wider.
    low, high : range of the loss, low < 0 < high; ``high`` may be given per point, shape (m,)
    delta : error probability
    method : ``betting``, which profits from small variance, or ``hoeffding-bentkus``
    group_id : int array, shape (n,), the independent unit
    random_state : the betting order of rows

    References
    ----------
    .. [1] Angelopoulos et al., "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk
       Control", Annals of Applied Statistics, 2025.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> good = rng.choice([-0.02, 0.98, -1.0], size=(4_000, 1), p=[0.98, 0.005, 0.015])
    >>> certify(good, low=-1.0, high=0.98).index
    0
    """
    top = np.broadcast_to(np.asarray(high, dtype=float), loss.shape[1:])
    if not (low < 0.0 and np.all(top > 0.0)):
        raise ConfigError(f"the range of the loss must hold zero inside, got [{low}, {high}]")
    if method not in ("betting", "hoeffding-bentkus"):
        raise ConfigError(f"method must be betting or hoeffding-bentkus, got {method!r}")
    largest = 1.0 if group_id is None else float(np.unique(group_id, return_counts=True)[1].max())
    columns = [cluster_values(column, group_id, scale=largest) for column in loss.T]
    rows = np.stack(columns, axis=1)
    rows = rows[np.random.default_rng(random_state).permutation(len(rows))]
    p_values = np.full(loss.shape[1], np.nan)
    certified = np.zeros(loss.shape[1], dtype=bool)
    for j in range(loss.shape[1]):
        if method == "betting":
            p_values[j] = betting_p_value(rows[:, j], upper=float(top[j]), delta=delta)
        else:
            p_values[j] = hoeffding_bentkus_p_value(rows[:, j], low=low, high=float(top[j]))
        if p_values[j] > delta:
            break
        certified[j] = True
    return Certificate(
        index=int(np.flatnonzero(certified)[-1]) if certified.any() else None,
        p_values=p_values,
        certified=certified,
        delta=delta,
        required_rows=None
        if certified.all()
        else _required_rows(rows[:, j], float(top[j]), len(loss), delta),
    )


def _required_rows(values: FloatArray, upper: float, n: int, delta: float) -> int | None:
    r"""Rows at which capital grows to 1/delta.

    :math:`2 \log(1/\delta)\, E x^2 / \mu^2` where the stake is free, and no fewer than the
    largest stake, :math:`3 / (4 \cdot \text{upper})`, allows.
    """
    mean = float(values.mean())
    if mean >= 0.0:
        return None
    log = math.log(1.0 / delta)
    free = 2.0 * log * float(np.mean(values**2)) / mean**2
    bound = log / math.log1p(-0.75 * mean / upper)
    return math.ceil(max(free, bound) * n / len(values))
