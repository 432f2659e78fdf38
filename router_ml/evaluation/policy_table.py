"""Policies side by side on a full-information matrix, everything paired with one baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.intervals import Estimate, bootstrap
from router_ml.evaluation.metrics import expected, gap_closed
from router_ml.types.arrays import FloatArray, IntArray


def compare_policies(
    action_probs: Mapping[str, FloatArray],
    *,
    baseline: str,
    quality: FloatArray,
    cost_usd: FloatArray,
    played: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
    group_id: IntArray | None = None,
    cost_weight: float = 0.0,
    n_resamples: int = 2_000,
    random_state: int = 0,
) -> dict[str, dict[str, Estimate]]:
    r"""Evaluate policies where every candidate's outcome is known.

    Utility is :math:`u = q - \lambda c`. All policies share the bootstrap samples, so every
    difference is paired.

    Parameters
    ----------
    action_probs : arrays of shape (n, K) by policy name
    baseline : name of the policy that others are compared with, such as the best constant
    quality, cost_usd : float arrays, shape (n, K), finite
    played : quality and cost_usd of every row, shape (n,) each, of what is no choice of one
        candidate: a cascade, by name
    group_id : int array, shape (n,), the unit that is resampled
    cost_weight : :math:`\lambda`, quality per dollar

    Returns
    -------
    For every policy: ``quality``, ``cost_usd``, ``utility``, ``regret``, ``cost_per_quality``,
    ``oracle_gap_closed`` (from the baseline's utility to the oracle's), and against the baseline
    ``quality_difference``, ``utility_difference`` and ``cost_ratio``

    Examples
    --------
    >>> quality, cost = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[4.0, 1.0], [4.0, 1.0]])
    >>> probs = {"first": np.eye(2)[[0, 0]], "router": np.eye(2)[[0, 1]]}
    >>> table = compare_policies(probs, baseline="first", quality=quality, cost_usd=cost)
    >>> table["router"]["quality"].value, table["router"]["cost_ratio"].value
    (1.0, 0.625)
    """
    if baseline not in action_probs:
        raise ConfigError(f"baseline {baseline!r} is not among {', '.join(action_probs)}")
    oracle = (quality - cost_weight * cost_usd).max(axis=1)
    columns = [np.ones(len(quality)), oracle]
    for probs in action_probs.values():
        columns += [expected(probs, quality), expected(probs, cost_usd)]
    played = played or {}
    for pair in played.values():
        columns += pair
    names = [*action_probs, *played]
    estimates = bootstrap(
        np.column_stack(columns),
        lambda total: _metrics(total, names.index(baseline), cost_weight),
        group_id=group_id,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    width = len(METRICS)
    return {
        name: dict(zip(METRICS, estimates[i * width : (i + 1) * width], strict=True))
        for i, name in enumerate(names)
    }


METRICS = (
    "quality",
    "cost_usd",
    "utility",
    "regret",
    "cost_per_quality",
    "oracle_gap_closed",
    "quality_difference",
    "utility_difference",
    "cost_ratio",
)


def _metrics(total: FloatArray, baseline: int, cost_weight: float) -> FloatArray:
    """All metrics of all policies, policy by policy, from totals of shape (..., 2 + 2P)."""
    mean = total[..., 1:] / total[..., :1]
    oracle, quality, cost = mean[..., 0], mean[..., 1::2], mean[..., 2::2]
    utility = quality - cost_weight * cost
    q0, c0, u0 = quality[..., baseline], cost[..., baseline], utility[..., baseline]
    out = []
    for i in range(quality.shape[-1]):
        q, c, u = quality[..., i], cost[..., i], utility[..., i]
        gap = gap_closed(u, u0, oracle)
        out += [q, c, u, oracle - u, _ratio(c, q, 0.0), gap, q - q0, u - u0, _ratio(c, c0, 1.0)]
    return np.stack(out, axis=-1)


def _ratio(value: FloatArray, unit: FloatArray, of_nothing: float) -> FloatArray:
    """``value / unit``; infinite where only the unit is zero, ``of_nothing`` where both are."""
    ratio = np.where(value > 0, np.inf, of_nothing)
    np.divide(value, unit, out=ratio, where=unit > 0)
    return ratio
