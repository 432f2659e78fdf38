"""The hull of the constants as a floor: a cascade is taken where it has shown that it is above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from router_ml.cascade.evaluation import CascadeRun
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.policies.sequential import SequentialPolicy
from router_ml.evaluation.hull import Hull
from router_ml.evaluation.intervals import cluster_mean
from router_ml.types.arrays import FloatArray, IntArray

MIN_Z: Final = 1.0
"""Standard errors of gain over the hull from which on a cascade is taken."""


@dataclass(frozen=True, slots=True)
class Floored:
    """What is taken at a budget.

    Parameters
    ----------
    policy : the cascade, or a constant
    z : standard errors by which the cascade is above constants that cost the same
    """

    policy: SequentialPolicy
    z: float


def with_floor(
    policy: SequentialPolicy,
    run: CascadeRun,
    quality: FloatArray,
    cost_usd: FloatArray,
    groups: IntArray,
    *,
    budget_usd: float,
) -> Floored:
    """A cascade, or where it does not show a gain over the hull, the best constant in the budget.

    A budget policy of a router mixes with constants request by request. A cascade is asked again
    after every answer and keeps nothing in between, so it draws nothing either: the choice is made
    once, in training. A constant lies on the hull and spends no more than the budget.

    Parameters
    ----------
    policy, run : the cascade, and what it came to on n training queries by estimates out of fold
    quality, cost_usd : of every candidate's answer there, shape (n, K)
    groups : int codes, shape (n,)
    budget_usd : mean dollars a request

    Examples
    --------
    >>> import numpy as np
    >>> from router_ml.cascade.evaluation import run_cascade
    >>> rng = np.random.default_rng(0)
    >>> quality = (rng.random((400, 2)) < [0.6, 0.8]).astype(float)
    >>> cost = np.tile([0.1, 1.0], (400, 1))
    >>> cascade = CascadePolicy(order=(0, 1), thresholds=(0.5,))
    >>> taken = []
    >>> for seen in (quality, rng.random((400, 2))):  # estimates that know, and that do not
    ...     run = run_cascade(cascade, lambda i, asked: np.where(asked, seen[i], np.nan),
    ...         prior=quality, expected_cost_usd=cost, quality=quality, cost_usd=cost)
    ...     taken.append(with_floor(
    ...         cascade, run, quality, cost, np.arange(400), budget_usd=0.9).policy.order)
    >>> taken
    [(0, 1), (0,)]
    """
    mean_cost = cost_usd.mean(axis=0)
    hull = Hull.of(quality.mean(axis=0), mean_cost)
    constants = hull.shares(mean_cost, float(run.cost_usd.mean()))
    gain, error, _ = cluster_mean(run.quality - quality @ constants, groups)
    z = gain / error if error > 0 else 0.0
    if z >= MIN_Z:
        return Floored(policy, z)
    affordable = hull.vertices[mean_cost[hull.vertices] <= budget_usd * (1.0 + 1e-9)]
    constant = int(affordable[-1] if len(affordable) else hull.vertices[0])
    return Floored(CascadePolicy(order=(constant,), thresholds=()), z)
