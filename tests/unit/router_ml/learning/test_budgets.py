"""Budgets: floored, and more money is not spent where held-out rows show that it buys less."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.learning.budgets import budget_policies, solve_budgets
from router_ml.learning.solve_policy import solve_policy
from router_ml.learning.targets import Evidence
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

N = 600
TABLE = CandidateTable.from_prices({"small": (1.0, 1.0), "mid": (4.0, 4.0), "large": (20.0, 20.0)})
TOKENS = np.full((N, 3), 500.0)
SHARES = (0.1, 0.25, 0.5, 1.0)


def case(seed: int) -> tuple[Predictions, Evidence]:
    """Predictions that believe in dear candidates; held-out outcomes that do so in part."""
    rng = np.random.default_rng(seed)
    truth = np.clip(rng.normal([0.7, 0.8, 0.75], 0.15, (N, 3)), 0.0, 1.0)
    guess = np.clip(truth + rng.normal([0.0, 0.0, 0.2], 0.1, (N, 3)), 0.0, 1.0)
    outcome = (rng.random((N, 3)) < truth).astype(float)
    known = Evidence(
        pseudo=outcome,
        requests=np.ones(N),
        group_id=np.arange(N),
        rated=np.ones(3, dtype=bool),
        contrast_z=5.0,
    )
    return Predictions(guess, TOKENS, TOKENS, TOKENS), known


@pytest.mark.parametrize("seed", range(5))
def test_a_larger_budget_is_never_shown_to_be_worth_less(seed: int) -> None:
    predictions, known = case(seed)
    cost = TABLE.cost_usd(TOKENS, TOKENS)
    budgets = [share * float(cost[:, 2].mean()) for share in SHARES]
    solved = solve_budgets(predictions, TABLE, budgets, known)
    played = []
    for budget, policy in zip(budgets, solved, strict=True):
        assert policy is not None
        probs = policy.action_probs(predictions, TABLE)
        assert (probs * cost).sum(axis=1).mean() <= budget * (1 + 1e-6)
        played.append(probs)
    for i, probs in enumerate(played):
        for smaller in played[:i]:
            lead, error = known.lead(smaller, probs)
            assert lead <= error
    alone = BudgetPolicy.solve(predictions, TABLE, budget_usd=budgets[-1])
    # Without it the dearest would be bought, and be worth less.
    lead, error = known.lead(played[-1], alone.action_probs(predictions, TABLE))
    assert lead > error


def test_order_of_budgets_does_not_matter() -> None:
    predictions, known = case(0)
    budgets = [0.01, 0.002, 0.005]
    there = solve_budgets(predictions, TABLE, budgets, known)
    back = solve_budgets(predictions, TABLE, budgets[::-1], known)[::-1]
    assert [p and p.to_dict() for p in there] == [p and p.to_dict() for p in back]


def test_a_policy_says_that_it_spends_less() -> None:
    predictions, known = case(0)
    spec = {"name": "budget", "budget_usd": 0.02}
    policy, told = solve_policy(spec, predictions, TABLE, known)
    assert isinstance(policy, BudgetPolicy)
    assert policy.budget_usd < 0.02
    assert "more buys no quality" in told["note"]


def test_nobody_has_rated_the_dear_one() -> None:
    predictions, known = case(2)
    unrated = Evidence(
        pseudo=known.pseudo,
        requests=known.requests,
        group_id=known.group_id,
        rated=np.array([True, True, False]),
    )
    policies = budget_policies(predictions, TABLE, reference_usd=0.02, evidence=unrated)
    assert all(policy.floor.get("large", 0.0) == 0.0 for policy in policies.values())
