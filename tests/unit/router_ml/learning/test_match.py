"""Budgets that hold the quality there is, at the least that is shown to do so."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN
from router_ml.learning.match import MOST, match_budget
from router_ml.learning.solve_policy import solve_policy
from router_ml.learning.targets import Evidence
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

TABLE = CandidateTable.from_prices({"small": (1.0, 1.0), "large": (20.0, 20.0)})


def world(n: int, hard_share: float, loss: float, seed: int = 0) -> Predictions:
    """Small answers are worse by ``loss`` on the hard ones, which are seen through noise."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < hard_share
    quality = np.column_stack([np.where(hard, 0.9 - loss, 0.9), np.full(n, 0.9)])
    tokens = np.full((n, 2), 500.0)
    return Predictions(quality, tokens, tokens, tokens)


def evidence(
    predictions: Predictions, served: FloatArray | None, requests: FloatArray | None = None
) -> Evidence:
    n = len(predictions.quality)
    outcome = np.random.default_rng(1).random(predictions.quality.shape) < predictions.quality
    return Evidence(
        pseudo=outcome.astype(float),
        requests=np.ones(n) if requests is None else requests,
        group_id=np.arange(n),
        rated=np.ones(2, dtype=bool),
        contrast_z=5.0,
        served=served,
    )


def always(candidate: int, n: int) -> FloatArray:
    return np.tile(np.eye(2)[candidate], (n, 1))


def test_who_sends_all_to_the_dearest_pays_for_the_hard_ones_alone() -> None:
    seen = world(20_000, hard_share=0.2, loss=0.5)
    usd, told = match_budget("today", seen, TABLE, evidence(seen, always(1, 20_000)))
    # A fifth to the large one costs 24 % of what all of them cost.
    assert 0.1 < told["of_opponent"] < 0.45
    policy = BudgetPolicy.solve(seen, TABLE, budget_usd=usd)
    lost = 0.9 - (policy.action_probs(seen, TABLE) * seen.quality).sum(axis=1).mean()
    assert lost <= DEFAULT_MARGIN


def test_where_little_money_buys_much_it_is_spent() -> None:
    """A fifth of today's cost would hold its quality; some more buys seven points."""
    seen = world(20_000, hard_share=0.2, loss=0.8)
    served = np.full((20_000, 2), 0.5)
    usd, told = match_budget("today", seen, TABLE, evidence(seen, served))
    policy = BudgetPolicy.solve(seen, TABLE, budget_usd=usd)
    probs = policy.action_probs(seen, TABLE)
    assert ((probs - served) * seen.quality).sum(axis=1).mean() > 0.07
    assert told["of_opponent"] < 0.6


def test_few_rows_show_nothing_and_nine_tenths_are_spent() -> None:
    seen = world(60, hard_share=0.5, loss=0.3)
    usd, told = match_budget("today", seen, TABLE, evidence(seen, always(1, 60)))
    assert usd == pytest.approx(MOST * told["opponent_usd"])
    assert "at no smaller one" in told["note"]


def test_today_at_its_cheapest_leaves_the_cheapest() -> None:
    seen = world(500, hard_share=0.2, loss=0.5)
    usd, _ = match_budget("today", seen, TABLE, evidence(seen, always(0, 500)))
    assert usd == pytest.approx(0.001)  # 1,000 tokens of the small one


@pytest.mark.parametrize("served", [None, np.zeros((400, 2))])
def test_without_anyone_who_chose_the_best_constant_is_matched(served: FloatArray | None) -> None:
    seen = world(400, hard_share=0.5, loss=0.6)
    known = evidence(seen, served)
    both = [match_budget(who, seen, TABLE, known) for who in ("today", "best_constant")]
    assert both[0] == both[1]
    assert both[0][1]["opponent"] == "large alone"


def test_queries_that_others_served_do_not_hide_a_loss() -> None:
    seen = world(40_000, hard_share=0.2, loss=0.5)
    half = always(1, 40_000)
    whole = match_budget("today", seen, TABLE, evidence(seen, half))
    half[::2] = 0.0
    told = match_budget("today", seen, TABLE, evidence(seen, half))
    policy = BudgetPolicy.solve(seen, TABLE, budget_usd=told[0])
    lost = 0.9 - (policy.action_probs(seen, TABLE) * seen.quality).sum(axis=1).mean()
    assert lost <= DEFAULT_MARGIN
    assert told[0] == pytest.approx(whole[0], rel=0.2)


def test_requests_count_as_often_as_they_are_asked() -> None:
    seen = world(30_000, hard_share=0.5, loss=0.6)
    often = np.where(seen.quality[:, 0] < 0.5, 1.0, 9.0)  # easy ones are asked nine times
    served = always(1, 30_000)
    even = match_budget("today", seen, TABLE, evidence(seen, served))[0]
    easy = match_budget("today", seen, TABLE, evidence(seen, served, often))[0]
    assert easy < 0.6 * even


def test_the_policy_spends_what_was_found() -> None:
    seen = world(5_000, hard_share=0.2, loss=0.5)
    known = evidence(seen, always(1, 5_000))
    usd, _ = match_budget("today", seen, TABLE, known)
    policy, told = solve_policy({"name": "budget", "match": "today"}, seen, TABLE, known)
    assert isinstance(policy, BudgetPolicy)
    assert policy.budget_usd <= usd * (1 + 1e-9)
    assert told["opponent"] == "the log's traffic"


def test_another_opponent_is_refused() -> None:
    seen = world(50, hard_share=0.2, loss=0.5)
    with pytest.raises(ConfigError, match="match must be one of today, best_constant"):
        match_budget("yesterday", seen, TABLE, None)
