from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from router_ml.cascade.evaluation import cover_probability, evaluate_on_log, run_cascade
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.errors import OverlapError, SchemaError
from router_ml.types.arrays import FloatArray
from tests.cascades import fixed_score


def test_cost_and_latency_add_up_along_the_path() -> None:
    s = np.array([[0.9, 0.5], [0.2, 0.7], [0.6, 0.1]])
    y = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    c, ms = np.tile([1.0, 10.0], (3, 1)), np.tile([5.0, 7.0], (3, 1))
    policy = CascadePolicy(order=(0, 1), thresholds=(0.8,))
    run = run_cascade(
        policy,
        fixed_score(s),
        prior=s,
        expected_cost_usd=c,
        quality=y,
        cost_usd=c,
        latency_ms=ms,
    )
    assert run.cost_usd.tolist() == [1.0, 11.0, 11.0]
    assert run.latency_ms.tolist() == [5.0, 12.0, 12.0]
    assert run.depth.tolist() == [1, 2, 2]
    # The third query's first answer stays the better one.
    assert run.accepted.tolist() == [0, 1, 0]
    assert run.quality.tolist() == [1.0, 1.0, 0.0]
    with pytest.raises(SchemaError, match="shape"):
        run_cascade(
            policy,
            fixed_score(s),
            prior=s[:, :1],
            expected_cost_usd=c,
            quality=y,
            cost_usd=c,
        )


def test_cover_probability_matches_simulation() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1.0, 1.0, 1.0], size=4)
    draws = np.stack([rng.choice(3, size=20_000, p=row) for row in p])
    hit = (draws == 0).any(axis=0) & (draws == 2).any(axis=0)
    expected = cover_probability(p, np.array([0, 2]))
    assert hit.mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 20_000))


def logged(
    n_requests: int, n: int = 3000
) -> tuple[FloatArray, FloatArray, FloatArray, dict[str, Any]]:
    """Estimates, all outcomes, costs, and what a log of ``n_requests`` a query shows of them."""
    rng = np.random.default_rng(1)
    s = rng.random((n, 2)) * [0.8, 0.4] + [0.2, 0.6]
    y = (rng.random((n, 2)) < s).astype(float)
    c = np.tile([1.0, 10.0], (n, 1))
    p = np.array([0.7, 0.3])
    served = rng.choice(2, size=(n, n_requests), p=p)
    known = np.stack([(served == k).any(axis=1) for k in range(2)], axis=1)
    arguments = {
        "prior": s,
        "expected_cost_usd": c,
        "quality": np.where(known, y, np.nan),
        "cost_usd": np.where(known, c, np.nan),
        "propensities": [np.tile(p, (n_requests, 1))] * n,
    }
    return s, y, c, arguments


def test_a_log_that_asks_again_tells_a_cascades_value() -> None:
    s, y, c, arguments = logged(n_requests=4)
    policy = CascadePolicy(order=(0, 1), thresholds=(0.6,))
    truth = run_cascade(policy, fixed_score(s), prior=s, expected_cost_usd=c, quality=y, cost_usd=c)
    told = evaluate_on_log(policy, fixed_score(s), **arguments)
    root = np.sqrt(told.effective_sample_size)
    assert told.quality == pytest.approx(truth.quality.mean(), abs=4 * 0.5 / root)
    # Costs are 1 or 11: a standard deviation of at most 5.
    assert told.cost_usd == pytest.approx(truth.cost_usd.mean(), abs=4 * 5.0 / root)


def test_a_log_with_one_answer_a_query_refuses_cascades_and_says_why() -> None:
    s, _, _, arguments = logged(n_requests=1)
    always = CascadePolicy(order=(0, 1), thresholds=(2.0,))
    with pytest.raises(OverlapError, match="second candidate"):
        evaluate_on_log(always, fixed_score(s), **arguments)
    one = evaluate_on_log(CascadePolicy(order=(0,), thresholds=()), fixed_score(s), **arguments)
    assert one.cost_usd == pytest.approx(1.0)
