from __future__ import annotations

import itertools

import numpy as np
import pytest

from router_ml.cascade.evaluation import run_cascade
from router_ml.cascade.policies.sequential import ScoreCache
from router_ml.cascade.search import CascadePoint, frontier, search_cascade
from router_ml.errors import ConfigError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from tests.cascades import calibrated_world, fixed_score
from tests.timing import ratio


def brute_force(
    order: tuple[int, ...], limits: tuple[float, ...], s: FloatArray, y: FloatArray, c: FloatArray
) -> tuple[float, float]:
    total = spent = 0.0
    for i in range(len(s)):
        for depth in range(len(order)):
            spent += c[i, order[depth]]
            given = sorted(order[: depth + 1])
            best = given[int(np.argmax(s[i, given]))]
            if depth == len(order) - 1 or s[i, best] >= limits[depth]:
                total += y[i, best]
                break
    return total / len(s), spent / len(s)


def test_every_point_of_the_frontier_is_what_playing_it_gives() -> None:
    s, y, c = calibrated_world(500)
    points = frontier(fixed_score(s), y, c, n_quantiles=6, shrink=0.0)
    assert len(points) > 5
    for point in points:
        policy = point.policy
        quality, cost = brute_force(policy.order, policy.thresholds, s, y, c)
        assert quality == pytest.approx(point.quality)
        assert cost == pytest.approx(point.cost_usd)
        run = run_cascade(
            policy, fixed_score(s), prior=s, expected_cost_usd=c, quality=y, cost_usd=c
        )
        assert run.quality.mean() == pytest.approx(quality)
        assert run.cost_usd.mean() == pytest.approx(cost)


def test_search_is_exact_over_orders_and_quantiles() -> None:
    s, y, c = calibrated_world(200, seed=1)
    points = frontier(fixed_score(s), y, c, n_quantiles=4, keep=6, shrink=0.0)
    levels = np.linspace(0, 1, 5)[1:-1]
    budget, best = 0.012, -1.0
    for order in itertools.permutations(range(3)):
        first = [0.0, *np.quantile(s[:, order[0]], levels), 2.0]
        second = [0.0, *np.quantile(s[:, order[:2]].max(axis=1), levels), 2.0]
        for limits in itertools.product(first, second):
            quality, cost = brute_force(order, limits, s, y, c)
            if cost <= budget:
                best = max(best, quality)
    assert max(p.quality for p in points if p.cost_usd <= budget) == pytest.approx(best)


def test_thresholds_approach_the_optimum_of_a_world_with_known_truth() -> None:
    """First answer: estimate s uniform. Second: always 0.9. Budget: half the queries.

    The best rule escalates the lower half: threshold 0.5, quality 0.75 / 2 + 0.9 / 2 = 0.825; where
    s is above 0.9 the first answer is the better one anyway.
    """
    rng = np.random.default_rng(5)
    n = 20_000
    s = np.column_stack([rng.random(n), np.full(n, 0.9)])
    y = (rng.random((n, 2)) < s).astype(float)
    c = np.tile([0.0, 1.0], (n, 1))
    policy = search_cascade(fixed_score(s), y, c, budget_usd=0.5, n_quantiles=40)
    assert policy.order == (0, 1)
    assert policy.thresholds[0] == pytest.approx(0.5, abs=0.03)
    fresh = np.column_stack([rng.random(n), np.full(n, 0.9)])
    outcome = (rng.random((n, 2)) < fresh).astype(float)
    run = run_cascade(
        policy, fixed_score(fresh), prior=fresh, expected_cost_usd=c, quality=outcome, cost_usd=c
    )
    assert run.quality.mean() == pytest.approx(0.825, abs=4 * np.sqrt(0.15 / n) + 0.005)


def test_shrinking_to_the_estimates_chooses_better_cascades_from_few_labels() -> None:
    """Perfect estimates know more than 150 coin flips: true quality at a budget is higher."""
    gained = []
    for seed in range(30):
        s, y, c = calibrated_world(150, seed=seed)
        worth = []
        for shrink in (0.0, 0.5):
            policy = search_cascade(
                fixed_score(s), y, c, budget_usd=0.006, n_quantiles=12, shrink=shrink
            )
            truth, _, cost = calibrated_world(4000, seed=1000 + seed)
            run = run_cascade(
                policy,
                fixed_score(truth),
                prior=truth,
                expected_cost_usd=cost,
                quality=truth,  # expected quality: no coin flips here
                cost_usd=cost,
            )
            worth.append(float(run.quality.mean() - 10.0 * max(0.0, run.cost_usd.mean() - 0.006)))
        gained.append(worth[1] - worth[0])
    error = float(np.std(gained, ddof=1) / np.sqrt(len(gained)))
    assert np.mean(gained) > 2 * error


def test_search_targets_and_refusals() -> None:
    s, y, c = calibrated_world(300)
    with pytest.raises(ConfigError, match="exactly one"):
        search_cascade(fixed_score(s), y, c)
    with pytest.raises(ConfigError, match="at least"):
        search_cascade(fixed_score(s), y, c, budget_usd=1e-9)
    with pytest.raises(ConfigError, match="at most"):
        search_cascade(fixed_score(s), y, c, min_quality=1.1)
    assert search_cascade(fixed_score(s), y, c, min_quality=0.5).order[0] in (0, 1)
    with pytest.raises(ConfigError, match="shrink"):
        search_cascade(fixed_score(s), y, c, budget_usd=0.01, shrink=2.0)


@pytest.mark.slow
def test_time_grows_with_queries_and_no_faster() -> None:
    rng = np.random.default_rng(0)
    s = rng.random((10_000, 12))
    y = (rng.random(s.shape) < s).astype(float)
    c = np.tile(np.geomspace(1e-4, 1e-2, 12), (10_000, 1))

    def search(n: int) -> list[CascadePoint]:
        score = ScoreCache(score=fixed_score(s[:n]), shape=(n, 12))
        return list(frontier(score, y[:n], c[:n]))

    assert search(1_000)[-1].quality > 0.7
    assert ratio(lambda: search(10_000), lambda: search(1_000), repeats=1) < 20


def test_cache_asks_each_set_once() -> None:
    s, _, _ = calibrated_world(50)
    calls: list[int] = []

    def score(rows: IntArray, asked: BoolArray) -> FloatArray:
        calls.append(len(rows))
        return np.where(asked, s[rows], np.nan)

    cache = ScoreCache(score=score, shape=(50, 3))
    asked = np.zeros((50, 3), dtype=bool)
    asked[:, 0] = True
    asked[::2, 1] = True
    np.testing.assert_array_equal(cache(np.arange(50), asked), np.where(asked, s, np.nan))
    cache(np.arange(50)[::-1], asked[::-1])
    assert sum(calls) == 50
