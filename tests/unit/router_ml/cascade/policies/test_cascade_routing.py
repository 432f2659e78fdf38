from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import numpy as np
import pytest

from router_ml.cascade.evaluation import CascadeRun, run_cascade, solve
from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.policies.sequential import ACCEPT
from router_ml.cascade.routing_fit import fit_cascade_routing
from router_ml.errors import ConfigError, SchemaError
from router_ml.types.arrays import BoolArray, FloatArray
from tests.cascades import COST, calibrated_world, fixed_score
from tests.timing import ratio

GREEDY, EXACT = 1, 9


def routing(k: int = 3, **changes: object) -> CascadeRoutingPolicy:
    covariance = 0.6 * np.eye(k) + 0.1
    arguments: dict[str, object] = {
        "cost_weight": 3.0,
        "start_covariance": covariance,
        "lead_coef": np.tile([0.0, -1.0, 0.0, 0.0, 1.0], (k, 1)),
        "lead_covariance": covariance,
    }
    return CascadeRoutingPolicy(**(arguments | changes))  # type: ignore[arg-type]


def states(
    n: int = 300, k: int = 5, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    rng = np.random.default_rng(seed)
    posterior = rng.random((n, k))
    posterior[np.arange(n)[:, None] % k < np.arange(k)] = np.nan
    return rng.random((n, k)), rng.exponential(0.05, (n, k)), posterior, rng.random((n, k)) < 0.2


def test_greedy_and_exact_agree_on_when_to_stop() -> None:
    prior, cost, posterior, blocked = states()
    greedy = routing(5, lookahead=GREEDY).step(prior, cost, posterior, blocked)
    exact = routing(5, lookahead=EXACT).step(prior, cost, posterior, blocked)
    assert np.array_equal(greedy.action == ACCEPT, exact.action == ACCEPT)
    assert 0 < np.mean(greedy.action == ACCEPT) < 1


def test_greedy_and_exact_agree_with_one_answer_to_go() -> None:
    prior, cost, posterior, blocked = states(k=4)
    posterior[:, 0], posterior[:, 1:] = 0.6, np.nan
    a, b = (
        routing(4, max_depth=2, lookahead=ahead).step(prior, cost, posterior, blocked)
        for ahead in (GREEDY, EXACT)
    )
    assert np.array_equal(a.action, b.action)
    np.testing.assert_allclose(a.gain, b.gain)


def test_permuting_candidates_permutes_actions() -> None:
    prior, cost, posterior, _ = states(n=200, k=4, seed=2)
    order = np.array([2, 0, 3, 1])
    none = np.zeros((4, 4))  # fixed draws are tied to columns
    policy = routing(4, lead_covariance=none, start_covariance=none)
    plain = policy.step(prior, cost, posterior).action
    moved = policy.step(prior[:, order], cost[:, order], posterior[:, order]).action
    np.testing.assert_array_equal(np.where(moved == ACCEPT, ACCEPT, order[moved]), plain)


def test_blocked_and_answered_candidates_are_never_asked() -> None:
    prior, cost, posterior, blocked = states(seed=3)
    policy = routing(5, lookahead=EXACT, cost_weight=0.0)
    action = policy.step(prior, cost, posterior, blocked).action
    rows = np.flatnonzero(action != ACCEPT)
    assert len(rows)
    assert np.isnan(posterior[rows, action[rows]]).all()
    assert not blocked[rows, action[rows]].any()


def played(policy: CascadeRoutingPolicy, n: int = 800) -> CascadeRun:
    s, y, c = calibrated_world(n)
    prior = np.tile(s.mean(axis=0), (n, 1))
    return run_cascade(
        policy, fixed_score(s), prior=prior, expected_cost_usd=c, quality=y, cost_usd=c
    )


@pytest.fixture(scope="module")
def fitted() -> CascadeRoutingPolicy:
    s, _, c = calibrated_world(800)
    return fit_cascade_routing(fixed_score(s), np.tile(s.mean(axis=0), (800, 1)), c)


def test_more_weight_on_cost_never_spends_more(fitted: CascadeRoutingPolicy) -> None:
    weights = (0.0, 1.0, 5.0, 20.0, 100.0, 1e4)
    spent = [float(played(fitted.at(weight)).cost_usd.mean()) for weight in weights]
    assert all(b <= a * 1.02 for a, b in itertools.pairwise(spent))
    assert spent[-1] == pytest.approx(COST[0])


def test_cascading_beats_every_constant_of_its_cost(fitted: CascadeRoutingPolicy) -> None:
    _, y, c = calibrated_world(800)
    run = played(fitted.at(5.0))
    hull = np.interp(run.cost_usd.mean(), c.mean(axis=0), y.mean(axis=0))
    assert run.quality.mean() > hull + 2 * np.sqrt(0.25 / 800)


def test_cost_weight_is_solved_for_a_budget(fitted: CascadeRoutingPolicy) -> None:
    def mean_cost(policy: CascadeRoutingPolicy) -> float:
        return float(played(policy).cost_usd.mean())

    assert 0.005 < mean_cost(solve(fitted, mean_cost, budget_usd=0.008)) <= 0.008
    with pytest.raises(ConfigError, match="at least"):
        solve(fitted, mean_cost, budget_usd=1e-6)


def test_round_trip_through_json(fitted: CascadeRoutingPolicy) -> None:
    prior, cost, posterior, _ = states(k=3)
    spec = json.loads(json.dumps(fitted.at(2.0).to_dict()))
    assert spec.pop("name") == "cascade_routing"
    again = CascadeRoutingPolicy(**spec)
    a, b = (p.step(prior, cost, posterior).action for p in (fitted.at(2.0), again))
    assert np.array_equal(a, b)


def test_refusals() -> None:
    prior, cost, posterior, _ = states(k=3)
    with pytest.raises(SchemaError, match="one shape"):
        routing().step(prior[:, :2], cost, posterior)
    with pytest.raises(ConfigError, match="lookahead"):
        routing(lookahead=0)
    with pytest.raises(ConfigError, match="cost_weight"):
        routing(cost_weight=-1.0)
    with pytest.raises(ConfigError, match="shape"):
        routing(lead_coef=np.zeros((3, 2)))


@pytest.mark.parametrize("lookahead", [1, 2, 3])
def test_a_decision_takes_hardly_longer_with_more_candidates(lookahead: int) -> None:
    def deciding(k: int) -> Callable[[], object]:
        policy = routing(k, max_depth=3, lookahead=lookahead)
        prior, cost, posterior, _ = states(n=1, k=k)
        posterior[0] = np.nan
        posterior[0, 0] = 0.5
        return lambda: policy.step(prior, cost, posterior)

    assert ratio(deciding(12), deciding(3), repeats=100) < 8
