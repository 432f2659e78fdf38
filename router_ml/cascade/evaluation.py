"""What a cascade is worth: run on full information, or on a log where the log can tell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.policies.sequential import ACCEPT, Score, SequentialPolicy, best_answer
from router_ml.errors import ConfigError, OverlapError, SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class CascadeRun:
    """Outcome of a cascade on n queries.

    Parameters
    ----------
    quality : shape (n,), of the accepted answer
    cost_usd, latency_ms : shape (n,), of all answers asked for, one after the other
    accepted : position of the accepted candidate, shape (n,)
    asked : bool, shape (n, K)
    """

    quality: FloatArray
    cost_usd: FloatArray
    latency_ms: FloatArray
    accepted: IntArray
    asked: BoolArray

    @property
    def depth(self) -> IntArray:
        """Answers asked for, shape (n,)."""
        depth: IntArray = self.asked.sum(axis=1)
        return depth


def run_cascade(
    policy: SequentialPolicy,
    score: Score,
    *,
    prior: FloatArray,
    expected_cost_usd: FloatArray,
    quality: FloatArray,
    cost_usd: FloatArray,
    latency_ms: FloatArray | None = None,
) -> CascadeRun:
    """Play a cascade where every candidate's answer is known.

    Parameters
    ----------
    policy : decides
    score : the answer scorer; for training queries its out-of-fold estimates
    prior, expected_cost_usd : shape (n, K), what the policy may know beforehand
    quality, cost_usd, latency_ms : shape (n, K), what happens

    Raises
    ------
    SchemaError
        If shapes disagree.
    """
    shape = quality.shape
    if not prior.shape == expected_cost_usd.shape == cost_usd.shape == shape:
        raise SchemaError(f"every array must have shape {shape}")
    asked = np.zeros(shape, dtype=bool)
    posterior = np.full(shape, np.nan)
    open_ = np.arange(len(quality))
    while len(open_):
        step = policy.step(prior[open_], expected_cost_usd[open_], posterior[open_])
        go = step.action != ACCEPT
        open_ = open_[go]
        asked[open_, step.action[go]] = True
        posterior[open_] = score(open_, asked[open_])
    accepted = best_answer(posterior)[0]
    rows = np.arange(len(quality))
    spent = np.where(asked, cost_usd, 0.0).sum(axis=1)
    waited = np.zeros(len(quality))
    if latency_ms is not None:
        waited = np.where(asked, latency_ms, 0.0).sum(axis=1)
    return CascadeRun(quality[rows, accepted], spent, waited, accepted, asked)


def solve(
    policy: CascadeRoutingPolicy,
    mean_cost: Callable[[CascadeRoutingPolicy], float],
    *,
    budget_usd: float,
    n_steps: int = 14,
) -> CascadeRoutingPolicy:
    """The least cost weight at which mean cost meets the budget, by bisection in logarithms.

    Parameters
    ----------
    policy : fitted
    mean_cost : dollars a request of a policy on data kept for this
    budget_usd : mean dollars a request

    Raises
    ------
    ConfigError
        If even the largest cost weight costs more than the budget.
    """
    if mean_cost(policy.at(0.0)) <= budget_usd:
        return policy.at(0.0)
    low, high = np.log(1e-3 / budget_usd), np.log(1e4 / budget_usd)
    least = mean_cost(policy.at(float(np.exp(high))))
    if least > budget_usd:
        raise ConfigError(f"budget_usd must be at least {least:.6g}, got {budget_usd:.6g}")
    for _ in range(n_steps):
        middle = (low + high) / 2
        if mean_cost(policy.at(float(np.exp(middle)))) > budget_usd:
            low = middle
        else:
            high = middle
    return policy.at(float(np.exp(high)))


@dataclass(frozen=True, slots=True)
class LoggedCascade:
    """A cascade's value as a log tells it.

    Parameters
    ----------
    quality, cost_usd : self-normalised weighted means over the supported queries
    supported_share : share of queries whose whole path was logged
    effective_sample_size : of the weights
    weight : shape (n,), zero where the path was not logged
    """

    quality: float
    cost_usd: float
    supported_share: float
    effective_sample_size: float
    weight: FloatArray


def evaluate_on_log(
    policy: SequentialPolicy,
    score: Score,
    *,
    prior: FloatArray,
    expected_cost_usd: FloatArray,
    quality: FloatArray,
    cost_usd: FloatArray,
    propensities: Sequence[FloatArray],
    min_supported: float = 0.1,
    min_effective: float = 100.0,
) -> LoggedCascade:
    r"""Judge a cascade on a log, where a query's answers are those of the times it was asked.

    A query counts when every candidate on its path was served for it at least once. With requests
    :math:`r` of the query, each served by one candidate drawn with probabilities :math:`p_{rk}`,
    the path :math:`S` is covered with probability

    .. math:: \sum_{T \subseteq S} (-1)^{|T|} \prod_r (1 - \sum_{k \in T} p_{rk})

    and its inverse is the query's weight. Most logs ask every query once: then only cascades that
    stop at the first answer are covered, and those that escalate are refused.

    Parameters
    ----------
    quality, cost_usd : shape (n, K), NaN where the query was never served by the candidate
    propensities : one array of shape (n_requests, K) a query, the logging policy's probabilities

    Raises
    ------
    OverlapError
        If too few queries are covered, with how many and why.
    """
    logged = np.isfinite(quality) & np.isfinite(cost_usd)
    n, k = quality.shape
    asked = np.zeros((n, k), dtype=bool)
    posterior = np.full((n, k), np.nan)
    covered = np.ones(n, dtype=bool)
    open_ = np.arange(n)
    while len(open_):
        action = policy.step(prior[open_], expected_cost_usd[open_], posterior[open_]).action
        go = action != ACCEPT
        open_, action = open_[go], action[go]
        asked[open_, action] = True
        there = logged[open_, action]
        covered[open_[~there]] = False
        open_ = open_[there]
        if len(open_):
            posterior[open_] = score(open_, asked[open_])
    weight = np.zeros(n)
    for i in np.flatnonzero(covered).tolist():
        chance = cover_probability(propensities[i], np.flatnonzero(asked[i]))
        weight[i] = 1.0 / chance if chance > 0 else 0.0
    share = float(covered.mean())
    effective = float(weight.sum() ** 2 / max((weight**2).sum(), 1e-300))
    if share < min_supported or effective < min_effective:
        deeper = float((asked.sum(axis=1) > 1).mean())
        raise OverlapError(
            f"the log covers the cascade's whole path for {share:.1%} of {n} queries (effective "
            f"sample size {effective:.0f}); expected at least {min_supported:.0%} and "
            f"{min_effective:.0f}. {deeper:.1%} of the paths ask a second candidate, whose answer "
            "a log with one answer a query cannot show: log several candidates for some queries, "
            "or judge on full information"
        )
    rows = np.flatnonzero(weight)
    accepted = best_answer(posterior)[0][rows]
    w = weight[rows] / weight.sum()
    spent = np.where(asked[rows], np.nan_to_num(cost_usd[rows]), 0.0).sum(axis=1)
    value = float(w @ quality[rows, accepted])
    return LoggedCascade(value, float(w @ spent), share, effective, weight)


def cover_probability(propensities: FloatArray, path: IntArray) -> float:
    """Chance that every candidate of a path is served at least once over a query's requests.

    Examples
    --------
    >>> cover_probability(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))
    0.5
    """
    total = 0.0
    for size in range(len(path) + 1):
        for members in itertools.combinations(path.tolist(), size):
            missed = np.prod(1.0 - propensities[:, list(members)].sum(axis=1))
            total += (-1.0) ** size * float(missed)
    return total
