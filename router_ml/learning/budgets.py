"""Budgets solved on training predictions: floored by the hull, never spending more to do worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.evaluation.comparison import BUDGET_SHARES, budget_name
from router_ml.learning.targets import Evidence
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

_SMALLER: Final = 7
"""Smaller budgets that a budget is compared with."""


def solve_budgets(
    predictions: Predictions,
    candidates: CandidateTable,
    budgets_usd: Sequence[float],
    evidence: Evidence | None,
) -> list[BudgetPolicy | None]:
    """A policy for every budget; ``None`` where the cheapest candidates cost more.

    With evidence each has the hull as a floor, and where the best smaller one's held-out value is
    higher by more than a standard error of the difference, its policy is taken, since a budget
    is the most that may be spent, not what has to be. (By any difference, noise would decide: on
    simulated logs with few labels that lost 0.1 to 0.2 points, docs/results/2026-11-26-choice.md.)

    Parameters
    ----------
    predictions : of training queries, out of fold, arrays of shape (n, K)
    budgets_usd : mean dollars a request
    evidence : of the same queries

    Examples
    --------
    >>> import numpy as np
    >>> table = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (10.0, 10.0)})
    >>> tokens = np.full((5, 2), 100.0)
    >>> predictions = Predictions(np.tile([0.5, 0.9], (5, 1)), tokens, tokens, tokens)
    >>> found = solve_budgets(predictions, table, [0.0001, 0.001], None)
    >>> found[0], found[1].budget_usd
    (None, 0.001)
    """
    solved: list[BudgetPolicy | None] = [None] * len(budgets_usd)
    best: tuple[BudgetPolicy, FloatArray] | None = None
    for i in sorted(range(len(budgets_usd)), key=budgets_usd.__getitem__):
        try:
            policy = BudgetPolicy.solve(
                predictions,
                candidates,
                budget_usd=budgets_usd[i],
                requests=None if evidence is None else evidence.requests,
            )
        except ConfigError:
            continue
        if evidence is not None:
            policy = evidence.floored(predictions, candidates, policy)
            probs = policy.action_probs(predictions, candidates)
            lead, error = (0.0, 0.0) if best is None else evidence.lead(best[1], probs)
            if best is not None and lead > error:
                policy = best[0]
            elif lead <= 0.0:
                best = policy, probs
        solved[i] = policy
    return solved


def solve_up_to(
    predictions: Predictions,
    candidates: CandidateTable,
    budget_usd: float,
    evidence: Evidence,
    *,
    smaller: int = _SMALLER,
) -> list[BudgetPolicy]:
    """Policies for budgets from the cheapest there can be up to this one, as in `solve_budgets`.

    Raises
    ------
    ConfigError
        If even the cheapest candidate of every query costs more.
    """
    cost_usd = candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    cheapest = float(np.average(cost_usd.min(axis=1), weights=evidence.requests))
    least = max(cheapest, 1e-12)
    budgets = [*np.geomspace(least, max(budget_usd, least), smaller + 1)[:-1], budget_usd]
    solved = solve_budgets(predictions, candidates, budgets, evidence)
    if solved[-1] is None:  # says what the least is
        BudgetPolicy.solve(
            predictions, candidates, budget_usd=budget_usd, requests=evidence.requests
        )
    return [policy for policy in solved if policy is not None]


def budget_policies(
    predictions: Predictions,
    candidates: CandidateTable,
    *,
    reference_usd: float,
    shares: Sequence[float] = BUDGET_SHARES,
    evidence: Evidence | None = None,
) -> dict[str, BudgetPolicy]:
    """Budget policies at shares of a reference cost, those below the cheapest candidate left out.

    Parameters
    ----------
    predictions : of training queries, shape (n, K); the budgets are solved on them
    reference_usd : mean dollars a request, such as the best constant's
    """
    budgets = [share * reference_usd for share in shares]
    solved = solve_budgets(predictions, candidates, budgets, evidence)
    return {
        budget_name(share): policy
        for share, policy in zip(shares, solved, strict=True)
        if policy is not None
    }
