"""The policies that a router is shown next to, and the table that results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN
from router_ml.evaluation.hull import Hull
from router_ml.evaluation.intervals import Estimate, bootstrap, bootstrap_mean
from router_ml.evaluation.metrics import METRICS, expected, policy_metrics
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import best_constant, constant_probs
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

BUDGET_SHARES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Budgets of the table, as shares of what the best constant costs."""
ROUTER: Final = "router"
HULL: Final = "hull"
CURVE_POINTS: Final = 16

Table = Mapping[str, Mapping[str, Estimate]]


def budget_name(share: float) -> str:
    """Name of the router at a budget.

    Examples
    --------
    >>> budget_name(0.25)
    'router at 25% of its cost'
    """
    return f"{ROUTER} at {share:.0%} of its cost"


def hull_name(share: float) -> str:
    """Name of the constants' hull at a budget.

    Examples
    --------
    >>> hull_name(0.25)
    'hull at 25% of its cost'
    """
    return f"{HULL} at {share:.0%} of its cost"


def shown_name(name: str, ratio: Estimate) -> str:
    """Name of a row: a router is called by its budget only where its measured cost meets that.

    Parameters
    ----------
    ratio : its cost over the baseline's

    Examples
    --------
    >>> shown_name("router at 25% of its cost", Estimate(0.31, 0.29, 0.33, 100))
    'router, budget 25%, costs 31%'
    """
    for share in re.findall(rf"^{ROUTER} at (\d+)% of its cost$", name):
        if not ratio.low <= int(share) / 100.0 <= ratio.high:
            return f"{ROUTER}, budget {share}%, costs {ratio.value:.0%}"
    return name


def curve_budgets(predictions: Predictions, candidates: CandidateTable) -> list[float]:
    """Log-spaced budgets from the cheapest to the dearest operating point, dollars a request."""
    cost = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    best = predictions.quality.argmax(axis=1)
    low = float(cost.min(axis=1).mean()) * 1.001
    high = max(float(cost[np.arange(len(best)), best].mean()), low * 1.01)
    return [float(value) for value in np.geomspace(low, high, CURVE_POINTS)]


def budget_curve(
    truth: FullInformation, predictions: Predictions, candidates: CandidateTable
) -> list[tuple[Estimate, Estimate]]:
    """(quality, cost_usd) of the router at every budget of :func:`curve_budgets`, for its curve."""
    probs = {
        f"{usd:.6g}": BudgetPolicy.solve(predictions, candidates, budget_usd=usd).action_probs(
            predictions, candidates
        )
        for usd in curve_budgets(predictions, candidates)
    }
    table, _ = full_information_table(truth, probs, n_resamples=300)
    return [(table[name]["quality"], table[name]["cost_usd"]) for name in probs]


def baselines(truth: FullInformation) -> dict[str, FloatArray]:
    """Action probabilities of every constant, hull, random and oracle, each of shape (n, K)."""
    n, k = truth.quality.shape
    probs = {name: constant_probs(n, k, i) for i, name in enumerate(truth.candidates.names)}
    means = truth.cost_usd.mean(axis=0)
    hull = Hull.of(truth.quality.mean(axis=0), means)
    best = float(means[best_constant(truth.quality, truth.cost_usd)])
    for share in BUDGET_SHARES[:-1]:
        if share * best > means[hull.vertices[0]]:
            probs[hull_name(share)] = np.tile(hull.shares(means, share * best), (n, 1))
    probs["random"] = np.full((n, k), 1.0 / k)
    # Highest true quality, the cheapest among equals.
    order = np.lexsort((truth.cost_usd, -truth.quality), axis=1)
    probs["oracle"] = np.eye(k)[order[:, 0]]
    return probs


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
        lambda total: policy_metrics(total, names.index(baseline), cost_weight),
        group_id=group_id,
        n_resamples=n_resamples,
        random_state=random_state,
    )
    width = len(METRICS)
    return {
        name: dict(zip(METRICS, estimates[i * width : (i + 1) * width], strict=True))
        for i, name in enumerate(names)
    }


def full_information_table(
    truth: FullInformation,
    router_probs: Mapping[str, FloatArray],
    *,
    played: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
    cost_weight: float = 0.0,
    n_resamples: int = 2_000,
) -> tuple[dict[str, dict[str, Estimate]], str]:
    """Constants, hull, random, oracle and routers side by side; the table and its baseline.

    The baseline is the best constant *on these rows*: chosen with hindsight, so it is the hardest.
    So is the hull: rows named "hull at 25% of its cost" are what constants reach there, and
    ``hull_gain`` of any row is its quality less that of the hull at the row's own mean cost.
    ``played`` as ``compare_policies`` takes it.
    """
    baseline = truth.candidates.names[best_constant(truth.quality, truth.cost_usd)]
    probs = {**baselines(truth), **router_probs}
    table = compare_policies(
        probs,
        baseline=baseline,
        quality=truth.quality,
        cost_usd=truth.cost_usd,
        played=played,
        group_id=truth.groups,
        cost_weight=cost_weight,
        n_resamples=n_resamples,
    )
    hull = Hull.of(truth.quality.mean(axis=0), truth.cost_usd.mean(axis=0))
    beside = {name: hull.gain(p, truth.quality, truth.cost_usd) for name, p in probs.items()}
    for name, (quality, cost_usd) in (played or {}).items():
        beside[name] = hull.beside(quality, cost_usd, truth.quality, truth.cost_usd)
    for name, gain in beside.items():
        table[name]["hull_gain"] = bootstrap_mean(
            gain.quality - gain.hull, group_id=truth.groups, n_resamples=n_resamples
        )
    return table, baseline


def verdict(
    table: Table, baseline: str, routers: Sequence[str], *, margin: float = DEFAULT_MARGIN
) -> str:
    """The sentence a manager wants, as far as the intervals support it."""
    passed = cheapest_not_worse(table, routers, margin=margin)
    if passed is not None:
        ratio, gain = table[passed]["cost_ratio"], table[passed]["quality_difference"]
        better = " and better" if gain.low > 0 else ""
        return (
            f"Not worse than {baseline} by more than {margin * 100:g} point{better}, at "
            f"{ratio.value:.0%} of its cost (quality difference {_points(gain)}; "
            f"{shown_name(passed, ratio)})."
        )
    closest = closest_router(table, routers)
    gain, ratio = table[closest]["quality_difference"], table[closest]["cost_ratio"]
    times = (gain.half_width / margin) ** 2
    queries = f"{times:.1f} times the test queries" if times > 1.0 else "as many test queries again"
    outlook = (
        "That is a loss, not a lack of test queries: more labels to learn from are needed."
        if gain.high < 0.0
        else f"If it is in truth equal, {queries} would show it."
    )
    return (
        f"This data does not show that the router is within {margin * 100:g} point of {baseline} "
        f"at a lower cost. The closest, {shown_name(closest, ratio)}, costs {ratio.value:.0%} "
        f"and differs by {_points(gain)}. {outlook}"
    )


def cheapest_not_worse(
    table: Table, routers: Sequence[str], *, margin: float = DEFAULT_MARGIN
) -> str | None:
    """The cheapest router shown to be within ``margin`` of the baseline; None where none is.

    Routers are tested from the dearest to the cheapest and testing stops at the first that fails,
    so that the one named was not picked for its luck (fixed-sequence testing, level 2.5 %).
    """
    passed: str | None = None
    for name in sorted(routers, key=lambda name: -table[name]["cost_usd"].value):
        if table[name]["cost_ratio"].high >= 1.0:
            continue
        if table[name]["quality_difference"].low <= -margin:
            break
        passed = name
    return passed


def closest_router(table: Table, routers: Sequence[str]) -> str:
    """The router whose quality is least below the baseline's at the worst."""
    return max(routers, key=lambda name: table[name]["quality_difference"].low)


def _points(difference: Estimate) -> str:
    value, low, high = (100 * x for x in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def today_sentence(table: Table, router: str) -> str:
    """The router beside what the log's own policy does, with the rows' own pairing.

    ``today`` and the router share the baseline's bootstrap samples; their difference is given
    without an interval where these overlap widely.
    """
    today, mine = table["today"], table[router]
    gain = mine["quality"].value - today["quality"].value
    cost = today["cost_usd"].value
    at = "" if cost <= 0.0 else f", {mine['cost_usd'].value / cost:.0%} of its cost"
    return (
        f"Today (estimated from the log): quality {today['quality'].value:.3f} at "
        f"${cost * 1e3:.3f} per 1,000 requests; the router: {100 * gain:+.1f} points{at}."
    )


def as_dict(table: Table) -> dict[str, dict[str, Any]]:
    """JSON-able form: policy to metric to ``{value, low, high, n}``."""
    return {
        name: {metric: estimate.as_dict() for metric, estimate in metrics.items()}
        for name, metrics in table.items()
    }
