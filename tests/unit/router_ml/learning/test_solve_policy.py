"""The default policy on what people have: it never crashes, and says what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import ConfigError
from router_ml.learning.solve_policy import solve_policy
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

DEFAULT = {"name": "budget", "cost_share": 0.25}


def predictions(quality: list[list[float]]) -> Predictions:
    shape = (200, len(quality[0]))
    rows = np.resize(np.array(quality, dtype=float), shape)
    return Predictions(rows, *(np.full(shape, 500.0) for _ in range(3)))


@pytest.mark.parametrize(
    ("prices", "quality", "note"),
    [
        ([(1.0, 4.0), (2.0, 8.0)], [[0.7, 0.8], [0.8, 0.7]], True),
        ([(1.0, 4.0)], [[0.7]], True),
        ([(1.0, 4.0), (1.0, 4.0)], [[0.7, 0.7]], True),
        ([(1.0, 4.0), (2.0, 8.0)], [[1.0, 1.0]], True),
        ([(1.0, 4.0), (20.0, 80.0)], [[0.9, 0.6]], True),
        ([(0.0, 0.0), (0.0, 0.0)], [[0.7, 0.8]], False),
        ([(1.0, 4.0), (20.0, 80.0)], [[0.6, 0.9], [0.9, 0.9]], False),
    ],
)
def test_a_share_that_buys_too_little_is_what_the_cheapest_costs(
    prices: list[tuple[float, float]], quality: list[list[float]], note: bool
) -> None:
    table = CandidateTable.from_prices({f"c{k}": price for k, price in enumerate(prices)})
    guess = predictions(quality)
    policy, told = solve_policy(DEFAULT, guess, table)
    assert ("note" in told) == note
    if note:
        assert "policy.cost_share 0.25" in told["note"]
        assert "budget_usd" not in told["note"]
        cost = table.cost_usd(guess.input_tokens, guess.output_tokens)
        spent = (policy.action_probs(guess, table) * cost).sum(axis=1).mean()
        assert spent == pytest.approx(cost.min(axis=1).mean(), rel=1e-6)


def test_a_budget_that_was_given_is_held_to() -> None:
    table = CandidateTable.from_prices({"a": (1.0, 4.0), "b": (2.0, 8.0)})
    with pytest.raises(ConfigError, match="budget_usd must be at least"):
        solve_policy({"name": "budget", "budget_usd": 1e-6}, predictions([[0.7, 0.8]]), table)
