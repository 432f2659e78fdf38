"""The hull, what is gained above it, and the floor that it is."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import ConfigError
from router_ml.evaluation.floor import with_floor
from router_ml.evaluation.hull import HULL_SHARES, Hull, hull_gain
from router_ml.evaluation.intervals import simultaneous_means
from router_ml.policies.budget import BudgetPolicy
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

TABLE = CandidateTable.from_prices({"small": (0.1, 0.1), "middle": (1.0, 1.0), "large": (9.0, 9.0)})
LEVEL = np.array([0.60, 0.70, 0.75])


def test_a_mixture_of_constants_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    quality, cost = rng.random((300, 3)) + LEVEL, rng.random((300, 3)) * [0.1, 1.0, 9.0]
    hull = Hull.of(quality.mean(axis=0), cost.mean(axis=0))
    spent = float(cost[:, hull.vertices].mean())
    probs = np.tile(hull.shares(cost.mean(axis=0), spent), (300, 1))
    gain = hull.gain(probs, quality, cost)
    assert gain.cost_usd.mean() == pytest.approx(spent)
    assert gain.quality.mean() - gain.hull.mean() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("spent", [0.0, 1.0, 5.0])
def test_beyond_its_ends_the_hull_is_its_end(spent: float) -> None:
    shares = Hull(np.array([0, 1]), 3).shares(np.array([1.0, 2.0, 9.0]), spent)
    assert shares.tolist() == ([1.0, 0.0, 0.0] if spent <= 1.0 else [0.0, 1.0, 0.0])


def test_a_hull_whose_order_of_costs_turned_on_test_rows_still_has_shares() -> None:
    shares = Hull(np.array([0, 1]), 2).shares(np.array([2.0, 1.0]), 1.5)
    assert shares.sum() == 1.0


def test_the_worst_budget_has_a_simultaneous_band() -> None:
    gains = np.random.default_rng(1).normal([0.1, -0.1, 0.0], 0.5, (400, 3))
    row = hull_gain(gains, np.arange(400))
    assert row["hull_gain_worst"].value == pytest.approx(gains.mean(axis=0).min())
    alone = 1.96 * gains[:, 1].std() / 20.0
    assert row["hull_gain_worst"].half_width > 1.1 * alone
    assert row["hull_gain"].value == pytest.approx(gains.mean())


def test_simultaneous_intervals_hold_at_once() -> None:
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(200):
        values = rng.normal(size=(80, 8)) + rng.normal(size=(80, 1))
        every = simultaneous_means(values, n_resamples=400)
        missed += any(not e.low <= 0.0 <= e.high for e in every)
    assert missed / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def world(seed: int, signal: float) -> tuple[Predictions, FloatArray]:
    """Predictions, ``signal`` of whose contrasts is true, and the labels."""
    rng = np.random.default_rng(seed)
    contrast = rng.normal(0.0, 0.08, (1_500, 3))
    noise = rng.normal(0.0, 0.08, (1_500, 3))
    truth = np.clip(LEVEL + contrast, 0.0, 1.0)
    labels = (rng.random((1_500, 3)) < truth).astype(float)
    tokens = np.tile(rng.uniform(200.0, 2_000.0, (1_500, 1)), (1, 3))
    seen = np.clip(LEVEL + signal * contrast + (1.0 - signal) * noise, 0.0, 1.0)
    return Predictions(seen, tokens, tokens, tokens), labels


def gains(seed: int, signal: float, *, floored: bool) -> FloatArray:
    """Mean gain at every budget, solved on one half and played on the other, shape (20,)."""
    predictions, labels = world(seed, signal)
    cost = TABLE.cost_usd(predictions.input_tokens, predictions.output_tokens)
    inside, outside = np.arange(750), np.arange(750, 1_500)
    hull = Hull.of(labels[inside].mean(axis=0), cost[inside].mean(axis=0))
    found = []
    for share in HULL_SHARES:
        policy = BudgetPolicy.solve(
            predictions.take(inside), TABLE, budget_usd=share * float(cost[inside, 2].mean())
        )
        if floored:
            policy = with_floor(
                policy,
                predictions.take(inside),
                TABLE,
                labels[inside],
                requests=np.ones(750),
                group_id=inside,
            )
        gain = hull.gain(
            policy.action_probs(predictions.take(outside), TABLE), labels[outside], cost[outside]
        )
        found.append(float((gain.quality - gain.hull).mean()))
    return np.array(found)


def test_noise_stays_on_the_hull_with_a_floor() -> None:
    every = np.stack([gains(seed, 0.0, floored=True) for seed in range(20)])
    assert abs(every.mean()) < 3 * every.mean(axis=1).std() / np.sqrt(20) + 1e-3
    assert every.mean(axis=0).min() > -0.002 - 2 * every.std(axis=0).max() / np.sqrt(20)
    bare = np.stack([gains(seed, 0.0, floored=False) for seed in range(20)])
    assert every.mean() > bare.mean()


def test_a_router_that_knows_keeps_most_of_its_gain() -> None:
    floored = np.stack([gains(seed, 1.0, floored=True) for seed in range(5)]).mean()
    bare = np.stack([gains(seed, 1.0, floored=False) for seed in range(5)]).mean()
    assert bare > 0.01
    assert floored > 0.95 * bare


def test_a_mask_takes_from_the_floor_and_gives_to_the_router() -> None:
    tokens = np.full((1, 3), 500.0)
    predictions = Predictions(LEVEL[None], tokens, tokens, tokens)
    policy = BudgetPolicy(
        budget_usd=1.0,
        cost_weight_low=0.0,
        cost_weight_high=0.0,
        mix=1.0,
        floor={"small": 0.5, "middle": 0.5},
        floor_share=0.4,
    )
    masked = policy.action_probs(predictions, TABLE, eligible=np.array([False, True, True]))
    assert masked[0].tolist() == pytest.approx([0.0, 0.2, 0.8])


@pytest.mark.parametrize("floor", [{}, {"small": 0.4}, {"small": 1.5, "large": -0.5}])
def test_a_floor_is_shares(floor: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="floor must be shares"):
        BudgetPolicy(
            budget_usd=1.0,
            cost_weight_low=0.0,
            cost_weight_high=0.0,
            mix=1.0,
            floor=floor,
            floor_share=0.5,
        )
