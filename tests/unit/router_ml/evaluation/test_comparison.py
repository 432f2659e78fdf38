"""The manager's sentence claims what the intervals support, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.console import print_table
from router_ml.errors import ConfigError
from router_ml.evaluation.comparison import cheapest_not_worse, verdict
from router_ml.evaluation.intervals import Estimate
from router_ml.learning.budgets import budget_policies
from router_ml.learning.solve_policy import solve_policy
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.constant import best_constant
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions


def row(cost: float, low: float, high: float, ratio: float) -> dict[str, Estimate]:
    middle = (low + high) / 2
    return {
        "cost_usd": Estimate(cost, cost, cost, 100),
        "cost_ratio": Estimate(ratio, ratio * 0.98, ratio * 1.02, 100),
        "quality_difference": Estimate(middle, low, high, 100),
    }


def test_the_cheapest_that_holds_is_named() -> None:
    table = {"a": row(1.0, -0.005, 0.01, 0.8), "b": row(0.5, -0.009, 0.01, 0.4)}
    assert verdict(table, "best", ["a", "b"]).startswith("Not worse than best by more than 1 point")
    assert "at 40% of its cost" in verdict(table, "best", ["a", "b"])


def test_the_router_named_is_not_the_luckiest() -> None:
    table = {"lucky": row(1.0, 0.01, 0.05, 0.8), "cheap": row(0.5, -0.009, 0.01, 0.4)}
    assert cheapest_not_worse(table, ["lucky", "cheap"]) == "cheap"
    assert cheapest_not_worse({"a": row(1.0, -0.02, 0.01, 0.8)}, ["a"]) is None


def test_testing_stops_at_the_first_that_fails() -> None:
    """A cheaper one that holds behind one that does not may be luck."""
    table = {"a": row(1.0, -0.02, 0.01, 0.8), "b": row(0.5, -0.009, 0.01, 0.4)}
    assert verdict(table, "best", ["a", "b"]).startswith("This data does not show")


def test_dearer_than_the_baseline_is_no_saving() -> None:
    table = {"a": row(2.0, 0.01, 0.03, 1.5)}
    assert verdict(table, "best", ["a"]).startswith("This data does not show")


def test_a_loss_is_not_called_a_lack_of_data() -> None:
    open_question = verdict({"a": row(1.0, -0.02, 0.01, 0.8)}, "best", ["a"])
    loss = verdict({"a": row(1.0, -0.03, -0.015, 0.8)}, "best", ["a"])
    assert "would show it" in open_question
    assert "would show it" not in loss
    assert "a loss" in loss


def test_a_wide_table_keeps_its_numbers_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    number = "0.123 [0.100, 0.150]"
    print_table("t", ("policy", "a", "b", "c"), [("x" * 40, number, number, number)])
    out = capsys.readouterr().out
    assert out.count(number) == 3
    assert "…" not in out


def test_budgets_below_the_cheapest_are_left_out() -> None:
    table = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (10.0, 10.0)})
    tokens = np.full((5, 2), 100.0)
    predictions = Predictions(np.tile([0.5, 0.9], (5, 1)), tokens, tokens, tokens)
    policies = budget_policies(predictions, table, reference_usd=0.002, shares=(0.01, 0.5))
    assert list(policies) == ["router at 50% of its cost"]


def test_budget_specs_are_solved_or_refused() -> None:
    table = CandidateTable.from_prices({"a": (1.0, 1.0), "b": (10.0, 10.0)})
    tokens = np.full((5, 2), 100.0)
    predictions = Predictions(np.tile([0.5, 0.9], (5, 1)), tokens, tokens, tokens)
    policy, learned = solve_policy({"name": "budget", "cost_share": 0.5}, predictions, table)
    assert learned == {}
    assert isinstance(policy, BudgetPolicy)
    assert policy.budget_usd == pytest.approx(0.001)
    with pytest.raises(ConfigError, match="one of budget_usd, cost_share, match"):
        solve_policy({"name": "budget"}, predictions, table)
    with pytest.raises(ConfigError, match="needs a log"):
        solve_policy({"name": "budget", "cost_share": 0.5, "direct": True}, predictions, table)


def test_best_constant_prefers_the_cheaper_among_equals() -> None:
    quality = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    cost = np.array([[2.0, 1.0, 0.5], [2.0, 1.0, 0.5]])
    assert best_constant(quality, cost) == 2
    assert best_constant(quality[:, :2], cost[:, :2]) == 1
