from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from router_ml.errors import ConfigError, DataError
from router_ml.evaluation.concentration import (
    betting_p_value,
    empirical_bernstein,
    hoeffding_bentkus_p_value,
)
from router_ml.evaluation.guarantee import certify, floor_loss
from router_ml.types.arrays import FloatArray

POINTS = np.array([0.0, -0.005, -0.010, -0.0182, -0.025])
"""Quality lost by each operating point against a reference of quality 0.91; the floor of 0.98
allows 0.0182, so the fourth point is exactly on the border."""


def draw_loss(n: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    reference = rng.random(n) < 0.91
    flip = rng.random((n, 1)) * np.ones(len(POINTS))
    lost = reference[:, None] & (flip < (0.03 - POINTS) / 0.91)
    gained = ~reference[:, None] & (flip < 0.03 / 0.09)
    return floor_loss((reference[:, None] & ~lost | gained).astype(float), reference.astype(float))


@pytest.mark.parametrize("method", ["betting", "hoeffding-bentkus"])
def test_a_violating_point_is_certified_at_most_delta_of_the_time(method: str) -> None:
    trials, wrong = 400, 0
    for i in range(trials):
        loss = draw_loss(3_000, seed=i)
        found = certify(loss, low=-1.0, high=0.98, method=method, random_state=i)  # type: ignore[arg-type]
        wrong += bool(found.certified[3:].any())
    assert binomtest(wrong, trials, 0.05, alternative="greater").pvalue > 1e-4


def test_betting_certifies_more_than_bentkus_and_more_rows_more_points() -> None:
    few = [certify(draw_loss(1_500, seed=i), high=0.98).certified.sum() for i in range(30)]
    many = [certify(draw_loss(8_000, seed=i), high=0.98).certified.sum() for i in range(30)]
    bentkus = [
        certify(draw_loss(8_000, seed=i), high=0.98, method="hoeffding-bentkus").certified.sum()
        for i in range(30)
    ]
    assert np.mean(many) > np.mean(few)
    assert np.mean(many) > np.mean(bentkus)


def test_nothing_certified_says_what_it_would_take() -> None:
    found = certify(draw_loss(400, seed=3), high=0.98)
    assert found.index is None
    assert found.required_rows is not None
    assert found.required_rows > 400
    assert "use atlas" in found.text(reference="atlas", floor=0.98)
    hopeless = certify(np.full((100, 1), 0.1))
    assert hopeless.required_rows is None
    assert "looks able" in hopeless.text(reference="atlas", floor=0.98)


def test_clusters_are_one_observation_each() -> None:
    loss = draw_loss(4_000, seed=2)
    alone = certify(loss, high=0.98)
    doubled = certify(
        np.repeat(loss, 2, axis=0), high=0.98, group_id=np.repeat(np.arange(4_000), 2)
    )
    assert np.allclose(alone.p_values, doubled.p_values, equal_nan=True)
    text = alone.text(reference="atlas", floor=0.98)
    assert text.startswith("with 95% confidence")


def test_empirical_bernstein_covers_and_needs_its_range() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        values = rng.choice([0.0, 20.0], size=500, p=[0.95, 0.05])
        interval = empirical_bernstein(values, low=0.0, high=20.0)
        hits += interval.low <= 1.0 <= interval.high
    assert hits >= 190
    with pytest.raises(DataError, match=r"values must lie in \[0.0, 1.0\]"):
        empirical_bernstein(values, low=0.0, high=1.0)


def test_p_values_are_valid_on_the_border() -> None:
    rng = np.random.default_rng(4)
    betting, bentkus = [], []
    for _ in range(400):
        x = rng.choice([-1.0, 0.0, 1.0], size=300, p=[0.1, 0.8, 0.1])
        betting.append(betting_p_value(x, upper=1.0) <= 0.05)
        bentkus.append(hoeffding_bentkus_p_value(x, low=-1.0, high=1.0) <= 0.05)
    assert binomtest(sum(betting), 400, 0.05, alternative="greater").pvalue > 1e-4
    assert binomtest(sum(bentkus), 400, 0.05, alternative="greater").pvalue > 1e-4


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="must hold zero inside"):
        certify(np.zeros((10, 1)), low=0.0)
    with pytest.raises(DataError, match=r"at most 0\.5"):
        betting_p_value(np.ones(3), upper=0.5)
