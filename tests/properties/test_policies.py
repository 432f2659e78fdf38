"""What holds for every policy whatever the predictions are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.quality_floor import QualityFloorPolicy
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

N, K = 30, 5


def predictions_of(seed: int) -> tuple[Predictions, CandidateTable]:
    rng = np.random.default_rng(seed)
    table = CandidateTable.from_prices(
        {f"c{k}": (price, 4 * price) for k, price in enumerate(rng.uniform(0.1, 20.0, K))}
    )
    return (
        Predictions(
            quality=rng.uniform(size=(N, K)),
            input_tokens=rng.uniform(50, 500, (N, K)),
            output_tokens=rng.uniform(10, 300, (N, K)),
            latency_ms=rng.uniform(100, 2000, (N, K)),
        ),
        table,
    )


def mean_cost(policy: Policy, predictions: Predictions, table: CandidateTable) -> float:
    cost = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    return float((policy.action_probs(predictions, table) * cost).sum(axis=1).mean())


def mean_quality(policy: Policy, predictions: Predictions, table: CandidateTable) -> float:
    return float((policy.action_probs(predictions, table) * predictions.quality).sum(axis=1).mean())


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_cost_weight_zero_is_argmax_quality(seed: int) -> None:
    predictions, table = predictions_of(seed)
    choice = CostAwarePolicy(cost_weight=0.0).ranking(predictions, table)[:, 0]
    assert np.array_equal(choice, predictions.quality.argmax(axis=1))


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_budget_is_met_to_the_dollar_and_more_never_hurts(seed: int, where: float) -> None:
    predictions, table = predictions_of(seed)
    cost = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    best = predictions.quality.argmax(axis=1)
    low, high = cost.min(axis=1).mean(), cost[np.arange(N), best].mean()
    budget = float(low + where * (high - low)) + 1e-12
    policy = BudgetPolicy.solve(predictions, table, budget_usd=budget)
    assert mean_cost(policy, predictions, table) == pytest.approx(budget, rel=1e-6)
    more = BudgetPolicy.solve(predictions, table, budget_usd=budget * 1.1)
    assert mean_quality(more, predictions, table) >= mean_quality(policy, predictions, table) - 1e-9


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_no_single_choice_beats_the_budget_policy_at_its_cost(seed: int) -> None:
    """Lagrangian optimality: no constant of at most that cost has a higher predicted quality."""
    predictions, table = predictions_of(seed)
    cost = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    for k in range(K):
        budget = float(cost[:, k].mean())
        policy = BudgetPolicy.solve(predictions, table, budget_usd=budget)
        reached = mean_quality(policy, predictions, table)
        assert reached >= predictions.quality[:, k].mean() - 1e-9


def test_a_budget_below_the_cheapest_is_refused_with_the_least_there_is() -> None:
    predictions, table = predictions_of(0)
    with pytest.raises(ConfigError, match="budget_usd must be at least"):
        BudgetPolicy.solve(predictions, table, budget_usd=1e-9)


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_the_floor_takes_the_cheapest_that_reaches_it_else_the_best(
    seed: int, floor: float
) -> None:
    predictions, table = predictions_of(seed)
    cost = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
    choice = QualityFloorPolicy(min_quality=floor).ranking(predictions, table)[:, 0]
    for i in range(N):
        reached = np.flatnonzero(predictions.quality[i] >= floor)
        expected = (
            reached[cost[i, reached].argmin()] if len(reached) else predictions.quality[i].argmax()
        )
        assert choice[i] == expected
