"""The moment of a change: inside its interval about as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from router_ml.errors import DataError
from router_ml.monitoring.change import locate


def test_the_interval_holds_the_moment() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        before, after = int(rng.integers(50, 400)), int(rng.integers(20, 200))
        series = np.r_[rng.normal(0.0, 1.0, before), rng.normal(-1.0, 1.0, after)]
        found = locate(series)
        assert found.low <= found.at <= found.high
        held += found.low <= before <= found.high
    assert held >= 180  # 190 expected, 3 standard errors


def test_zeros_and_ones_have_a_likelihood_of_their_own() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        before, after = int(rng.integers(50, 400)), int(rng.integers(15, 60))
        series = np.r_[rng.random(before) < 0.85, rng.random(after) < 0.35].astype(float)
        found = locate(series, binary=True)
        held += found.low <= before <= found.high
    assert held >= 88  # 95 expected, 3 standard errors


def test_few_values_are_refused() -> None:
    with pytest.raises(DataError, match="at least 6 values, got 3"):
        locate(np.zeros(3))
